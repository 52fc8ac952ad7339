"""GSM8K beyond the contract."""

from pathlib import Path

import pytest

from evalsuite.errors import BadInput
from tests.support import questions as made


@pytest.mark.parametrize(("variant", "first"), [("flexible", 100), ("strict", 100), ("sglang", 0)])
def test_which_examples_are_shown(tmp_path: Path, variant: str, first: int) -> None:
    adapter = made.adapter("gsm8k", variant, made.lay_out(tmp_path))
    item = list(adapter.items())[6]
    text = str(adapter.prompt(item, 0).messages[0]["content"])
    shown = [number for number in range(200) if f"How many, {number}?" in text]
    assert shown == sorted([*range(first, first + 5), 6])
    assert text.endswith("\n\nQuestion: How many, 6?\nAnswer:")
    assert adapter.prompt(item, 0).raw


def test_sglang_asks_what_it_has_shown(tmp_path: Path) -> None:
    adapter = made.adapter("gsm8k", "sglang", made.lay_out(tmp_path))
    first = next(iter(adapter.items()))
    text = str(adapter.prompt(first, 0).messages[0]["content"])
    assert text.count("How many, 0?") == 2


@pytest.mark.parametrize(
    ("variant", "text", "outcome"),
    [
        ("boxed", r"\boxed{1{,}000.0\text{ nuts}}", "correct"),
        ("boxed", r"\boxed{1000 or 1001}", "wrong"),
        ("boxed", "1000", "no_answer"),
        ("flexible", "so $1,000.", "correct"),
        ("flexible", "so 1000.00", "wrong"),
        ("flexible", "1000 nuts and 1 more", "wrong"),
        ("strict", "#### 1,000 (1)", "correct"),
        ("strict", "so 1000", "no_answer"),
        ("sglang", "-1,000", "correct"),
        ("sglang", "1000.00", "wrong"),
        ("sglang", "1000.08", "no_answer"),
    ],
)
def test_what_counts_as_a_thousand(tmp_path: Path, variant: str, text: str, outcome: str) -> None:
    adapter = made.adapter("gsm8k", variant, made.lay_out(tmp_path))
    item = next(iter(adapter.items()))
    assert item.target == "1000"
    assert adapter.score(item, 0, made.reply(text)).outcome == outcome


def test_sglang_reads_a_negative_key_without_its_sign(tmp_path: Path) -> None:
    made.write(tmp_path / "gsm8k" / "test.jsonl", [{"question": "How cold?", "answer": "So.\n#### -10"}] * 5)
    adapter = made.adapter("gsm8k", "sglang", made.Source("local", str(tmp_path)))
    item = next(iter(adapter.items()))
    assert (item.id, item.target) == ("0", "-10")
    assert adapter.score(item, 0, made.reply("it is -10")).outcome == "correct"


def test_broken_data_is_named(tmp_path: Path) -> None:
    source = made.Source("local", str(tmp_path))
    made.write(tmp_path / "gsm8k" / "test.jsonl", [{"question": "How many?", "answer": "two"}])
    with pytest.raises(BadInput, match="gsm8k test item 0: its answer does not end in '#### ' and a number"):
        list(made.adapter("gsm8k", "boxed", source).items())
    made.write(tmp_path / "gsm8k" / "train.jsonl", [{"question": "How many?", "answer": "#### 2"}])
    made.write(tmp_path / "gsm8k" / "test.jsonl", [{"question": "How many?", "answer": "#### 2"}])
    adapter = made.adapter("gsm8k", "flexible", source)
    with pytest.raises(BadInput, match="the train split of gsm8k has 1 items: the few-shot variants need 5"):
        adapter.prompt(next(iter(adapter.items())), 0)
