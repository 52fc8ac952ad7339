"""Lines of logs in which any value has another type: rows, or one message that names file and line."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evalsuite.engine.stored.harness_logs import harness_of, reader
from evalsuite.errors import BadInput
from evalsuite.records import Item

ITEMS = (Item("500", {"question": "How many legs has a spider?"}, "A"),)
LINES: dict[str, dict[str, Any]] = {
    "lm_eval": {
        "doc_id": 0, "doc": {"question_id": 500}, "resps": [["The answer is (A)."]], "filter": "none",
        "metrics": ["acc"], "acc": 1, "arguments": [["How many legs has a spider?"]],
    },
    "evalscope": {
        "index": 0, "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "A"}],
        "sample_score": {
            "score": {"value": {"acc": 1}}, "sample_metadata": {"question_id": 500}, "generation_index": 0,
        },
    },
    "nemo_skills": {
        "generation": "A", "problem": "?", "expected_answer": "A", "symbolic_correct": True, "id": "x-0",
        "num_generated_tokens": 5, "_full_generation": "<think>a</think>A", "finish_reason": "stop", "repeat": 0,
        "loose_eval": {"follow_all_instructions": True}, "graded_list": [True], "error": None,
    },
}  # fmt: skip
PREDICTION = {"index": 0, "model_output": {"choices": [{"stop_reason": "stop"}], "usage": {"input_tokens": 3}}}
ODD = (None, 5, True, "x", [], ["a"], [5], [None], {}, {"a": 1}, 10**30)


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*above, key)
        yield from places(inner, (*above, key))


def changed(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for *above, last in places(line):
        for odd in ODD:
            other: Any = deepcopy(line)
            inner = other
            for key in above:
                inner = inner[key]
            inner[last] = odd
            yield other


def read(path: Path) -> list[Any] | str:
    """The rows of a log, or why it cannot be read."""
    try:
        return list(reader(path, ITEMS, "question_id")())
    except BadInput as error:
        return str(error)


@pytest.mark.parametrize("harness", LINES)
def test_a_line_of_another_shape_is_named(harness: str, tmp_path: Path) -> None:
    path, whole = tmp_path / "reviews" / "m" / "a.jsonl", LINES[harness]
    path.parent.mkdir(parents=True)
    refused = []
    for line in changed(whole):
        path.write_text("".join(json.dumps(one) + "\n" for one in (whole, line)))
        assert harness_of(path) == harness
        if isinstance(rows := read(path), str):
            refused.append(rows)
    assert refused
    assert all(f"{path} line 2" in message for message in refused)


def test_a_prediction_of_another_shape_is_named(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "m" / "a.jsonl" for folder in ("reviews", "predictions")]
    for path in paths:
        path.parent.mkdir(parents=True)
    paths[0].write_text(json.dumps(LINES["evalscope"]))
    paths[1].write_text(json.dumps(PREDICTION))
    ((_, row),) = read(paths[0])
    assert row["prompt_tokens"] == 3
    for line in changed(PREDICTION):
        paths[1].write_text(json.dumps(line))
        assert "a.jsonl line 1 is not a line of evalscope" in (rows := read(paths[0])) or len(rows) == 1


def test_a_message_of_another_shape_in_a_log_of_inspect_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = pytest.importorskip("inspect_ai.log")
    message = SimpleNamespace(model_dump=lambda: {"content": [{"type": "text", "text": 7}]})
    sample = SimpleNamespace(id="1", input=[message], metadata={})
    monkeypatch.setattr(log, "read_eval_log_samples", lambda path, **_: iter([sample]))
    path = tmp_path / "a.eval"
    path.write_bytes(b"")
    assert read(path) == f"{path} cannot be read as a log of inspect: text is int, not str"
