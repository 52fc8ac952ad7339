"""Answers recorded elsewhere become a cell, or one line says why not and nothing is written."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from evalsuite.cli.import_answers import import_answers
from evalsuite.config.settings import Data, Run, Select, Task
from evalsuite.errors import BadInput, Exit
from evalsuite.store.manifest import read_manifest
from evalsuite.store.samples import read_samples
from tests.support import questions as made


def settings(tmp_path: Path, task: str = "mmlu_pro", variant: str = "official", **others: Any) -> Run:
    if not (tmp_path / "data").exists():
        made.lay_out(tmp_path / "data")
    values: dict[str, Any] = {"file": str(tmp_path / "answers.jsonl"), "name": "theirs", "run_id": "R", **others}
    return Run(
        tasks={task: Task(adapter=task, variant=variant)},
        data=Data("local", str(tmp_path / "data")),
        results_dir=str(tmp_path / "results"),
        **values,
    )


def record(tmp_path: Path, rows: list[dict[str, Any]], name: str = "answers.jsonl") -> Path:
    path = tmp_path / name
    made.write(path, rows)
    return path


def official(letters: str) -> list[dict[str, Any]]:
    return [{"question_id": 500 + place, "output": f"The answer is ({one})."} for place, one in enumerate(letters)]


def samples(tmp_path: Path, task: str = "mmlu_pro") -> dict[tuple[str, int], dict[str, Any]]:
    table = read_samples(tmp_path / "results" / "R" / "theirs" / task)
    return {(row["item_id"], row["repeat"]): row for row in table.to_pylist()}


def test_a_whole_file_is_a_complete_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path, official("ABCZZZ"))
    assert import_answers(settings(tmp_path)) == Exit.DONE
    folder = tmp_path / "results" / "R" / "theirs" / "mmlu_pro"
    manifest, summary = read_manifest(folder), json.loads((folder / "summary.json").read_text())
    identity = manifest["identity"]
    unknown = ("checkpoint", "revision", "thinking", "sampling", "seed")
    assert [identity[key] for key in unknown] == [None] * 5
    assert (identity["task"], identity["variant"], identity["model"]) == ("mmlu_pro", "official", "theirs")
    assert manifest["imported"]["file"] == "answers.jsonl"
    assert len(manifest["imported"]["sha256"]) == 64
    assert (summary["score"], summary["complete"]) == (0.5, True)
    assert {outcome: n for outcome, n in summary["outcomes"].items() if n} == {"correct": 3, "no_answer": 3}
    first = samples(tmp_path)["500", 0]
    assert (first["answer"], first["stage"], first["text"]) == ("A", "answer_is", "The answer is (A).")
    assert json.loads(first["groups"]) == {"subject": "law"}
    said = capsys.readouterr().out
    assert "theirs · mmlu_pro (official): 50.00 % of 6 items (3 correct, 3 no answer)" in said
    assert str(folder) in said


def test_missing_answers_are_failed_and_the_cell_incomplete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path, [*official("AB"), {"question_id": 502, "output": None}])
    assert import_answers(settings(tmp_path)) == Exit.INCOMPLETE
    outcomes = {key[0]: (row["outcome"], row["value"]) for key, row in samples(tmp_path).items()}
    assert outcomes["500"] == ("correct", 1)
    assert [outcomes[str(number)] for number in range(502, 506)] == [("failed", None)] * 4
    assert "incomplete, 2 correct, 4 failed of 6 planned samples" in capsys.readouterr().out


def test_thinking_is_kept_and_not_graded(tmp_path: Path) -> None:
    texts = [
        "<think>answer is (A)</think>\n\nThe answer is (B).",
        "\n<think>the answer is (B)",
        "the answer is (C)",
        "[THINK]the answer is (A)[/THINK]The answer is (D).",
    ]
    rows = [{"question_id": 500 + n, "output": text} for n, text in enumerate(texts)]
    record(tmp_path, rows)
    import_answers(settings(tmp_path))
    found = samples(tmp_path)
    assert [(found[str(500 + n), 0]["answer"], found[str(500 + n), 0]["reasoning"]) for n in range(4)] == [
        ("B", "answer is (A)"),
        (None, "the answer is (B)"),
        ("C", ""),
        ("D", "the answer is (A)"),
    ]


def test_repeats_and_finish_reasons_are_taken_over(tmp_path: Path) -> None:
    rows = [{"idx": n, "repeat": k, "text": f"\\boxed{{{n}}}"} for n in range(7) for k in range(2)]
    rows[3] = {"idx": 1, "repeat": 1, "text": "and so on", "finish_reason": "length"}
    made.write(tmp_path / "answers.jsonl.gz", rows)
    run = settings(tmp_path, "gsm8k", "boxed", file=str(tmp_path / "answers.jsonl.gz"))
    assert import_answers(run) == Exit.DONE
    kept = samples(tmp_path, "gsm8k")
    assert len(kept) == 14
    assert (kept["1", 0]["outcome"], kept["1", 1]["outcome"], kept["1", 1]["finish_reason"]) == (
        "correct",
        "truncated",
        "length",
    )
    assert read_manifest(tmp_path / "results" / "R" / "theirs" / "gsm8k")["repeats"] == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*official("AB"), {"question_id": 9, "output": "x"}], "line 3: '9' is not an item of mmlu_pro (6 items: 500"),
        ([*official("AB"), *official("A")], "line 3: item 500 repeat 0 is answered in line 1 already"),
        ([{"question_id": 500, "prediction": "x"}], "line 1 has no output or text or response or generated_text: it"),
        ([{"id": 500, "output": "x"}], "line 1 has no question_id: it has id, output. Say which with id_field=NAME."),
        ([*official("A"), {"question_id": 501}], "line 2 has no output: it has question_id"),
        ([{"question_id": 500, "output": ["x"]}], "line 1: output is list, not text"),
        ([{"question_id": 500.5, "output": "x"}], "line 1: question_id is 500.5, not an id"),
        ([{"question_id": 500, "repeat": -1, "output": "x"}], "line 1: repeat is -1, not a number from 0"),
        ([], "holds no answers to mmlu_pro"),
    ],
)
def test_a_file_that_does_not_fit_writes_nothing(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    record(tmp_path, rows)
    with pytest.raises(BadInput, match=re.escape(message)) as caught:
        import_answers(settings(tmp_path))
    assert str(tmp_path / "answers.jsonl") in str(caught.value)
    assert not (tmp_path / "results").exists()


def test_a_torn_last_line_writes_nothing(tmp_path: Path) -> None:
    path = record(tmp_path, official("ABCDEF"))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BadInput, match=r"answers.jsonl line 6 is torn or not JSON"):
        import_answers(settings(tmp_path))
    path.rename(tmp_path / "plain")
    packed = gzip.compress((tmp_path / "plain").read_bytes())
    (tmp_path / "answers.jsonl.gz").write_bytes(packed[:-12])
    with pytest.raises(BadInput, match=r"answers.jsonl.gz"):
        import_answers(settings(tmp_path, file=str(tmp_path / "answers.jsonl.gz")))
    assert not (tmp_path / "results").exists()


def test_letters_of_an_unknown_order_are_refused(tmp_path: Path) -> None:
    record(tmp_path, [{"Record ID": f"recMADE{n}", "output": "Answer: A"} for n in range(4)])
    with pytest.raises(BadInput, match="answers to gpqa_diamond are letters of choices in an order that is drawn"):
        import_answers(settings(tmp_path, "gpqa_diamond", "nvidia"))


def test_fields_with_other_names(tmp_path: Path) -> None:
    record(tmp_path, [{"doc": str(500 + n), "reply": "The answer is (A)."} for n in range(6)])
    assert import_answers(settings(tmp_path, id_field="doc", text_field="reply")) == Exit.DONE
    assert samples(tmp_path)["500", 0]["outcome"] == "correct"


def test_the_same_file_again_changes_nothing_and_another_is_refused(tmp_path: Path) -> None:
    record(tmp_path, official("ABCDEF"))
    import_answers(settings(tmp_path))
    before = samples(tmp_path)
    assert import_answers(settings(tmp_path)) == Exit.DONE
    assert samples(tmp_path) == before
    record(tmp_path, official("AAAAAA"))
    with pytest.raises(BadInput, match="holds another cell"):
        import_answers(settings(tmp_path))
    with pytest.raises(BadInput, match="variant: official -> aa"):
        import_answers(settings(tmp_path, variant="aa"))
    assert samples(tmp_path) == before


def test_a_declared_part_passes_other_answers_over(tmp_path: Path) -> None:
    again = {"question_id": 501, "repeat": 1, "output": "of another subject, and asked twice"}
    record(tmp_path, [*official("ABCDEF"), again])
    run = settings(tmp_path)
    run.tasks["mmlu_pro"].select = Select(groups={"subject": ["law"]})
    assert import_answers(run) == Exit.DONE
    assert {key[0] for key in samples(tmp_path)} == {"500", "502", "504"}
    manifest = read_manifest(tmp_path / "results" / "R" / "theirs" / "mmlu_pro")
    assert manifest["selection"] == {"limit": None, "groups": {"subject": ["law"]}, "ids": None}
    assert manifest["total_items"] == 12_032


def test_without_a_run_id_there_is_a_new_run(tmp_path: Path) -> None:
    record(tmp_path, official("ABCDEF"))
    import_answers(settings(tmp_path, run_id=None))
    [folder] = (tmp_path / "results").iterdir()
    assert re.fullmatch(r"run-\d{8}T\d{6}Z", folder.name)
