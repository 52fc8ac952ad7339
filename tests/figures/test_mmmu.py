from pathlib import Path

from figures.mmmu import ASKED, agreement, over_http, unlike_prompts
from tests.support.shared import shared_data


def test_verdicts_are_the_authors_wherever_they_did_not_guess(tmp_path: Path) -> None:
    found = agreement(shared_data(), tmp_path)
    standard, vision = found["official_standard10"], found["official_vision"]
    assert (standard.items, standard.same, standard.by_chance, standard.right) == (1730, 1730, (), 952)
    assert (vision.items, vision.same, vision.right) == (1730, 1727, 866)
    assert vision.by_chance == ("validation_Accounting_5", "validation_Economics_29", "validation_Energy_and_Power_9")


def test_real_pictures_arrive_byte_by_byte(tmp_path: Path) -> None:
    found = over_http(shared_data(), tmp_path)
    assert tuple(found) == ASKED
    for variant, one in found.items():
        assert one.items == one.exact == one.right == 11, variant
        assert (one.pictures, one.most) == ((11, 1) if variant.endswith("vision") else (15, 5)), variant
    assert unlike_prompts(shared_data(), tmp_path) == 11
