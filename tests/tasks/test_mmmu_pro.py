"""MMMU-Pro beyond the contract, on made questions."""

import base64
from pathlib import Path
from typing import Any

import pytest

from evalsuite.tasks.datasets import Source
from evalsuite.tasks.mmmu.pro import MMMUPro
from tests.support import mmmu_items as made_mmmu
from tests.support import questions as made


def content(root: Path, variant: str, place: int) -> list[dict[str, Any]]:
    """Content parts of an item's only message."""
    task = made.adapter("mmmu_pro", variant, Source("local", str(root)))
    (message,) = task.prompt(list(task.items())[place], 0).messages
    assert message["role"] == "user"
    parts: list[dict[str, Any]] = message["content"]
    return parts


def plain(parts: list[dict[str, Any]]) -> list[str | int]:
    """Texts, and for each picture its number."""
    numbers = {made_mmmu.picture(number): number for number in range(1, 8)}
    return [
        part["text"]
        if part["type"] == "text"
        else numbers[base64.b64decode(part["image_url"]["url"].removeprefix("data:image/png;base64,"))]
        for part in parts
    ]


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    made_mmmu.lay_out(tmp_path)
    return tmp_path


def test_nvidia_shows_the_picture_first_and_echoes_the_options(root: Path) -> None:
    assert plain(content(root, "vision", 1)) == [
        2,
        "Answer the following multiple choice question. The last line of your response should be in the following "
        "format: 'Answer: A/B/C/D/E/F/G/H/I/J' (e.g. 'Answer: A').\n\n\n\nA) thing 2-0\nB) thing 2-1\nC) thing 2-2",
    ]


def test_a_tag_always_shows_its_own_column(root: Path) -> None:
    first, *rest = plain(content(root, "standard10", 1))
    assert str(first).endswith("(e.g. 'Answer: A').\n\nWhich goes with ")
    assert rest == [2, "?\n\nA) 'so' ", 4, "\nB) as ", 3, "\nC) neither"]


def test_the_official_prompt_shows_pictures_in_the_order_of_their_tags(root: Path) -> None:
    text, *shown = plain(content(root, "official_standard10", 1))
    assert shown == [2, 4, 3]
    assert text == (
        "Which goes with <image>?\n\nA. 'so' <image>\nB. as <image>\nC. neither\nAnswer the preceding multiple choice "
        "question. The last line of your response should be of the following format: 'Answer: $LETTER' (without "
        "quotes) where LETTER is one of options. Think step by step before answering."
    )
    text, *shown = plain(content(root, "official_vision", 0))
    assert shown == [1]
    assert str(text).startswith("Write out the multiple-choice question in the image and then solve it. The last line")
    assert "thing" not in str(text)


@pytest.mark.parametrize("variant", ["standard10", "official_standard10", "vision"])
def test_one_to_twelve_options(root: Path, variant: str) -> None:
    task = made.adapter("mmmu_pro", variant, Source("local", str(root)))
    items = list(task.items())
    assert sorted(len(item.inputs["options"]) for item in items) == [1, 3, 10, 12]
    twelve = next(item for item in items if len(item.inputs["options"]) == 12)
    text = str(content(root, variant, items.index(twelve)))
    assert ("L) thing 3-11" in text) or ("L. thing 3-11" in text)
    assert task.score(twelve, 0, made.reply("Answer: L")).outcome == "correct"


def test_four_options_ask_for_four_letters(root: Path) -> None:
    assert "'Answer: A/B/C/D' (e.g." in str(plain(content(root, "standard4", 0))[0])


def test_a_key_beyond_the_options_is_asked_as_it_is(root: Path) -> None:
    row = made_mmmu.PRO_ROWS["vision"][3] | {"options": "[['A', 'B', 'unknown']]", "answer": "B"}
    made.write(root / "mmmu_pro" / "vision.jsonl", [row])
    official, nvidia = (
        made.adapter("mmmu_pro", variant, Source("local", str(root))) for variant in ("official_vision", "vision")
    )
    item = next(iter(official.items()))
    assert item.inputs["options"] == ["['A', 'B', 'unknown']"]
    assert official.score(item, 0, made.reply("Answer: B")).outcome == "no_answer"
    score = nvidia.score(item, 0, made.reply("Answer: B"))
    assert (score.outcome, score.note) == ("correct", "not one of the item's options")


def test_how_many_pictures_a_request_has_at_most() -> None:
    most = {variant: MMMUPro(variant).images for variant in MMMUPro.variants}
    assert most == {
        "vision": 1,
        "standard10": 7,
        "standard4": 7,
        "official_vision": 1,
        "official_standard10": 7,
        "official_standard4": 7,
    }


def test_subjects_are_the_groups(root: Path) -> None:
    task = made.adapter("mmmu_pro", "standard4", Source("local", str(root)))
    assert [item.groups for item in task.items()][:2] == [{"subject": "Physics"}, {"subject": "Art_Theory"}]
