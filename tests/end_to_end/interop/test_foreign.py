import json
from pathlib import Path

import pytest

from evalsuite.engine.stored import harness_logs as foreign
from evalsuite.errors import BadInput
from evalsuite.records import Item
from tests.end_to_end.interop.agreement import Agreement, live, recorded

ITEMS = [Item("7", {"question": "How many pens has Finn?"}, "4"), Item("8", {"question": "How many cards?"}, "5")]


def rows(path: Path) -> list[dict[str, object]]:
    return [dict(row) for _, row in foreign.reader(path, ITEMS, "question_id")()]


def write(path: Path, *lines: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def sample(doc: dict[str, object], *answers: str, **changes: object) -> dict[str, object]:
    return {
        "doc_id": 3,
        "doc": doc,
        "resps": [list(answers)],
        "filter": "none",
        "metrics": ["acc"],
        "acc": 1,
        **changes,
    }


@pytest.mark.slow
def test_logs_that_lm_eval_and_inspect_write_now_keep_every_verdict(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    found = live(tmp_path, 4)
    assert found["lm_eval"] == Agreement(answers=20, same_verdict=20, complete=True, tokens=0, reasoning=0)
    assert found["inspect"] == Agreement(answers=40, same_verdict=40, complete=True, tokens=40, reasoning=40)


def test_a_recorded_log_of_evalscope_keeps_every_verdict(tmp_path: Path) -> None:
    found = recorded(tmp_path)
    assert found.answers == found.same_verdict == found.tokens == found.reasoning
    assert found.complete
    assert found.answers >= 20


def test_an_item_is_found_by_its_id_or_by_its_question(tmp_path: Path) -> None:
    by_id = sample({"question_id": 8, "question": "edited"}, "x")
    by_text = sample({"query": "How many pens has Finn?"}, "x")
    templated = sample({"prompt": "Solve this.\nQuestion: How many cards?\nAnswer:"}, "x", doc_id=4)
    unknown = sample({"question": "Who?"}, "x", doc_id=5)
    ids = [rows(write(tmp_path / "a.jsonl", one))[0]["id"] for one in (by_id, by_text, templated, unknown)]
    assert ids == ["8", "7", "8", "5"]


def test_every_repeat_comes_along_and_a_second_filter_is_no_second_answer(tmp_path: Path) -> None:
    doc = {"question_id": 8}
    path = write(tmp_path / "a.jsonl", sample(doc, "x", "y"), sample(doc, "x", "y", filter="strict"))
    assert [(row["repeat"], row["output"]) for row in rows(path)] == [(0, "x"), (1, "y")]


@pytest.mark.slow
def test_a_damaged_log_of_inspect_is_one_clear_message(tmp_path: Path) -> None:
    torn = tmp_path / "run.eval"
    torn.write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(BadInput, match="cannot be read as a log of inspect"):
        rows(torn)


def test_a_damaged_log_of_lm_eval_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a line of lm-eval"):
        rows(write(tmp_path / "a.jsonl", sample({}, "x"), {"doc_id": 4, "filter": "none"}))
    with pytest.raises(BadInput, match="only generated answers"):
        rows(write(tmp_path / "b.jsonl", sample({}, "x") | {"resps": [[[-1.5, True]]]}))
