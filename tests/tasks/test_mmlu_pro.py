"""MMLU-Pro beyond the contract."""

from pathlib import Path

import pytest

from evalsuite.errors import BadInput
from evalsuite.records import Item
from tests.support import questions as made


def test_only_real_options_are_shown_and_another_letter_is_wrong(tmp_path: Path) -> None:
    adapter = made.adapter("mmlu_pro", "nvidia", made.lay_out(tmp_path))
    four = list(adapter.items())[1]
    listed = str(adapter.prompt(four, 0).messages[0]["content"]).split("\n\n")[-1]
    assert [line[:2] for line in listed.split("\n")] == ["A)", "B)", "C)", "D)"]
    score = adapter.score(four, 0, made.reply(r"Answer: \boxed{J}"))
    assert (score.outcome, score.answer, score.note) == ("wrong", "J", "not one of the item's options")


def test_the_letter_column_is_the_key_and_padding_is_dropped(tmp_path: Path) -> None:
    row = {"question_id": 1, "question": "Which?", "options": ["a", "b", "N/A"], "answer": "B", "category": "law"}
    made.write(tmp_path / "mmlu_pro" / "test.jsonl", [{**row, "answer_index": 0}])
    items = list(made.adapter("mmlu_pro", "aa", made.Source("local", str(tmp_path))).items())
    assert items == [
        Item("1", {"question": "Which?", "options": ["a", "b"], "subject": "law"}, "B", {"subject": "law"})
    ]


def test_official_shows_five_examples_of_the_subject_and_stops_at_the_next_question(tmp_path: Path) -> None:
    adapter = made.adapter("mmlu_pro", "official", made.lay_out(tmp_path))
    request = adapter.prompt(list(adapter.items())[1], 0)
    text = str(request.messages[0]["content"])
    assert text.startswith("The following are multiple choice questions (with answers) about computer science. Think")
    assert [number for number in range(12) if f"Which shot, {number}?" in text] == [1, 3, 5, 7, 9]
    assert text.count("Answer: Let's think step by step.") == 6
    assert text.endswith("D. thing 1-3\nAnswer: Let's think step by step.")
    assert (request.stop, request.raw) == (("Question:",), True)


def test_official_as_a_chat_sends_the_same_text(tmp_path: Path) -> None:
    source = made.lay_out(tmp_path)
    raw, chat = (made.adapter("mmlu_pro", "official", source, api=api) for api in ("completion", "chat"))
    item = next(iter(raw.items()))
    assert raw.prompt(item, 0).messages == chat.prompt(item, 0).messages
    assert (raw.prompt(item, 0).raw, chat.prompt(item, 0).raw) == (True, False)
    bold = made.reply("I see no **F**ault. The answer is **(A)**.")
    assert (raw.score(item, 0, bold).outcome, chat.score(item, 0, bold).outcome) == ("correct", "correct")
    assert (raw.score(item, 0, bold).stage, chat.score(item, 0, bold).stage) == ("last_letter", "answer_is")


def test_grading_needs_no_examples_and_asking_says_which_are_missing(tmp_path: Path) -> None:
    source = made.lay_out(tmp_path)
    (tmp_path / "mmlu_pro" / "validation.jsonl").unlink()
    adapter = made.adapter("mmlu_pro", "official", source)
    item = next(iter(adapter.items()))
    assert adapter.score(item, 0, made.reply("The answer is (A).")).outcome == "correct"
    with pytest.raises(BadInput, match=r"the validation questions of mmlu_pro are neither at .*validation.jsonl nor"):
        adapter.prompt(item, 0)
    made.write(tmp_path / "mmlu_pro" / "validation.jsonl", [made._shot(1)])
    with pytest.raises(BadInput, match="no worked example for law"):
        adapter.prompt(item, 0)
