"""The five published tables that the project began with, held against arithmetic."""

import pytest

from evalsuite.report.published.check import FLIPS, newcombe
from evalsuite.report.published.tables import published_tables
from evalsuite.stats.intervals import wilson
from evalsuite.tasks.published import card_named
from figures.plan import checked_cards

NVIDIA, LUKE = "nvidia_qwen3_5_397b_nvfp4_v2", "lukealonso_qwen3_5_397b_nvfp4"
POSSIBLE = {
    ("mmmu_pro", 1730): (1, 2, 3, 4, 5, 8, 10, 16),
    ("gpqa_diamond", 198): (3, 5, 8, 10, 16),
    ("scicode", 288): (2, 4, 5, 8, 10, 16),
    ("scicode", 338): (2, 3, 4, 5, 8, 10, 16),
    ("aa_lcr", 100): (4, 5, 8, 10, 16),
    ("ifbench", 294): (3, 4, 5, 8, 10, 16),
    ("tau2_telecom", 114): (4, 8, 10, 16),
}
"""Passes at which both columns are possible, worked out independently (reference statistics, section 3)."""


def test_all_five_are_checked() -> None:
    found = checked_cards()
    assert len(found) == 5
    assert all(one.to_json()["errata"] for one in found.values())
    assert found["berkerdooo_qwen3_5_27b_nvfp4"].grims == (), "that card measures no accuracy"


def test_which_repeats_the_release_card_may_have_had() -> None:
    found = {(one.task, one.n): one.possible for one in checked_cards()[NVIDIA].grims}
    assert {key: found[key] for key in POSSIBLE} == POSSIBLE
    joint = set(POSSIBLE["mmmu_pro", 1730]).intersection(*(found[key] for key in POSSIBLE))
    assert joint == {8, 10, 16}, "no single number of passes below 8 explains the whole table"


def test_no_published_difference_is_shown() -> None:
    for found in checked_cards().values():
        for delta in found.deltas:
            assert delta.ci95[0] < 0 < delta.ci95[1]


def test_a_quarter_of_a_point_is_no_gain() -> None:
    (delta,) = checked_cards()[LUKE].deltas
    assert delta.delta == pytest.approx(0.0025, abs=5e-5)
    assert delta.ci95 == pytest.approx((-0.0057, 0.0107), abs=2e-4)
    known = {0.02: (0.0, 0.0050), 0.04: (-0.0011, 0.0061), 0.08: (-0.0026, 0.0075), 0.12: (-0.0037, 0.0087)}
    assert set(known) == set(FLIPS)
    for share, interval in known.items():
        assert delta.paired[share] == pytest.approx(interval, abs=1e-4)
    assert not delta.counted, "the baseline comes without counts"


def test_the_published_subjects_add_up() -> None:
    card = card_named(LUKE)
    counts = card.counts("mmlu_pro", "nvfp4_community")
    assert tuple(map(sum, zip(*counts.values(), strict=True))) == (10594, 12032)
    (group,) = checked_cards()[LUKE].to_json()["groups"]
    law = next(one for one in group["values"] if one["value"] == "law")
    assert law["ci95"] == wilson(812, 1101)
    assert law["score"] == pytest.approx(0.7375, abs=5e-5)


def test_errors_of_the_cards_are_noted_and_not_repeated() -> None:
    text = " ".join(note for table in published_tables(None, (card_named(NVIDIA),)) for note in table.notes)
    assert "448" in text
    sizes = {row[0]: row[1] for row in published_tables(None, (card_named(NVIDIA),))[0].rows}
    assert sizes["GPQA Diamond"] == "198"


@pytest.mark.parametrize(
    ("old", "n_old", "new", "n_new", "interval"),
    [
        (48 / 80, 80, 56 / 70, 70, (0.0524, 0.3339)),  # Newcombe 1998, table II, (a), arms swapped
        (3 / 10, 10, 9 / 10, 10, (0.1705, 0.8090)),  # (b)
    ],
)
def test_unpaired_intervals_are_newcombes(
    old: float, n_old: int, new: float, n_new: int, interval: tuple[float, float]
) -> None:
    assert newcombe(old, n_old, new, n_new) == pytest.approx(interval, abs=5e-5)
    low, high = newcombe(new, n_new, old, n_old)
    assert (-high, -low) == pytest.approx(interval, abs=5e-5)
