"""MMMU's validation questions beyond the contract, on made ones."""

from pathlib import Path

import pytest

from evalsuite.errors import BadInput
from evalsuite.records import Item
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.mmmu.val import MMMUVal
from tests.support import mmmu_items as made_mmmu
from tests.support import questions as made
from tests.tasks.test_mmmu_pro import plain


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    made_mmmu.lay_out(tmp_path)
    return tmp_path


def task(root: Path, variant: str = "sglang") -> made.Single:
    return made.adapter("mmmu_val", variant, Source("local", str(root)))


def items(root: Path) -> list[Item]:
    return list(task(root).items())


def shown(root: Path, variant: str, place: int) -> list[str | int]:
    return plain(list(task(root, variant).prompt(items(root)[place], 0).messages[0]["content"]))


LETTER = "Answer with the option's letter from the given choices directly."
WORD = "Answer the question using a single word or phrase."


def test_each_picture_stands_where_its_tag_stood(root: Path) -> None:
    assert shown(root, "sglang", 0) == [
        "Which is ",
        1,
        f"?\n\n(A) thing 1-0\n(B) thing 1-1\n(C) thing 1-2\n(D) thing 1-3\n\n\n{LETTER}",
    ]
    assert shown(root, "sglang", 1) == ["Which {one} is it?\n\n(A) ", 3, "\n(B) ", 2, f"\n\n\n{LETTER}"]
    assert shown(root, "sglang", 2) == ["How long is ", 4, f"?\n\n{WORD}"]
    assert shown(root, "sglang", 3) == [6, " How long beside ", 5, f"?\n\n{WORD}"]


def test_the_first_picture_only(root: Path) -> None:
    assert shown(root, "sglang_first", 1) == ["Which {one} is it?\n\n(A) ", 2, "\n(B) ", f"\n\n\n{LETTER}"]
    assert shown(root, "sglang_first", 3) == [5, " How long beside ", f"?\n\n{WORD}"]


def test_pictures_without_a_tag_follow_the_text(root: Path) -> None:
    row = made_mmmu.VAL_ROWS[3] | {"question": "How long?"}
    made.write(root / "mmmu_val" / "validation.jsonl", [row])
    assert shown(root, "sglang", 0) == [f"How long?\n\n{WORD}", 5, 6]
    assert shown(root, "sglang_first", 0) == [f"How long?\n\n{WORD}", 5]


def test_lists_of_accepted_answers_are_read(root: Path) -> None:
    assert [item.target for item in items(root)] == ["B", "A", ["24/7", "3.429"], ["1.06"]]
    item = items(root)[2]
    for text, outcome in (
        ("24/7", "correct"),
        ("About 3.43, so 3.429.", "correct"),
        ("3.5", "wrong"),
        ("", "no_answer"),
    ):
        assert task(root).score(item, 0, made.reply(text)).outcome == outcome


@pytest.mark.parametrize("key", ["[1, 2", "[{[]: 1}]", "[1] mod 3"])
def test_what_only_looks_like_a_list_is_one_accepted_answer(root: Path, key: str) -> None:
    made.write(root / "mmmu_val" / "validation.jsonl", [made_mmmu.VAL_ROWS[3] | {"answer": key}])
    assert [item.target for item in items(root)] == [[key]]


def test_subject_and_kind_are_the_groups(root: Path) -> None:
    assert [item.groups for item in items(root)[1:3]] == [
        {"subject": "Art_Theory", "question_type": "multiple-choice"},
        {"subject": "Physics", "question_type": "open"},
    ]


def test_broken_rows_are_named(root: Path) -> None:
    made.write(root / "mmmu_val" / "validation.jsonl", [made_mmmu.VAL_ROWS[0] | {"answer": "?"}])
    with pytest.raises(BadInput, match=r"mmmu_val item validation_Physics_1: key '\?' is no letter"):
        items(root)
    row = made_mmmu.VAL_ROWS[3] | {"question": "Is it <image 2>?", "image_1": None}
    made.write(root / "mmmu_val" / "validation.jsonl", [row])
    assert len(items(root)) == 1
    with pytest.raises(BadInput, match="lacks picture image_1, the only one that sglang_first shows"):
        list(task(root, "sglang_first").items())


def test_how_many_pictures_a_request_has_at_most() -> None:
    assert (MMMUVal("sglang").images, MMMUVal("sglang_first").images) == (7, 1)
