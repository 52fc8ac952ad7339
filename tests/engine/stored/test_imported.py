"""Answers recorded elsewhere become a cell, or one line says why not and nothing is written."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.cli.import_answers import import_answers
from evalsuite.config.settings import Data, Run, Select, Task
from evalsuite.engine.stored.rescore import grade
from evalsuite.engine.stored.shown_choices import noted_order, order_shown, score_shown
from evalsuite.errors import BadInput, Exit
from evalsuite.records import Item, Reply
from evalsuite.store.manifest import read_manifest
from evalsuite.store.samples import read_samples
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.registry import build
from tests.support import questions as made
from tests.support.command import evalsuite


def settings(tmp_path: Path, task: str = "mmlu_pro", variant: str = "official", **others: Any) -> Run:
    if not (tmp_path / "data").exists():
        made.lay_out(tmp_path / "data")
    values: dict[str, Any] = {"file": [str(tmp_path / "answers.jsonl")], "name": "theirs", "run_id": "R", **others}
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
    assert "theirs · mmlu_pro (official): 50.0 % of 6 items (3 correct, 3 no answer)" in said
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
    run = settings(tmp_path, "gsm8k", "boxed", file=[str(tmp_path / "answers.jsonl.gz")])
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
        ([{"question_id": 500, "repeat": 10**9, "output": "x"}], "repeat is 1000000000, not a number from 0"),
        ([{"question_id": 500, "output": "x", "reasoning": 5}], "line 1: reasoning is int, not text"),
        ([{"question_id": 500, "output": "x", "prompt_tokens": "9"}], "prompt_tokens is '9', not a number of tokens"),
        ([{"question_id": 500, "output": "x", "reasoning_tokens": 10**30}], "not a number of tokens"),
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
        import_answers(settings(tmp_path, file=[str(tmp_path / "answers.jsonl.gz")]))
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


def inspect_log(path: Path, samples: list[dict[str, Any]]) -> str:
    """A log of inspect with these samples."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, write_eval_log

    whole = [EvalSample(epoch=1, input="?", target="A", **sample) for sample in samples]
    dataset = EvalDataset(sample_ids=[sample["id"] for sample in samples])
    at = "2026-11-26T00:00:00+00:00"
    spec = EvalSpec(created=at, task="t", dataset=dataset, model="m", config=EvalConfig())
    write_eval_log(EvalLog(eval=spec, samples=whole), str(path))
    return str(path)


def logged(number: int, letter: str, verdict: str, **more: Any) -> dict[str, Any]:
    """A sample of inspect: the answer to one question of MMLU-Pro, and what its log says of it."""
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Score as LogScore

    output = ModelOutput.from_content("m", f"The answer is ({letter}).")
    return {"id": 500 + number, "output": output, "scores": {"choice": LogScore(value=verdict)}, **more}


@pytest.mark.slow  # inspect is a dependency of the slow tier only
def test_a_log_with_other_verdicts_has_no_score_without_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = inspect_log(tmp_path / "log.eval", [logged(n, "ABCDEF"[n], "I" if n < 3 else "C") for n in range(6)])
    run = settings(tmp_path, file=[log])
    assert import_answers(run) == Exit.INCOMPLETE
    folder = tmp_path / "results" / "R" / "theirs" / "mmlu_pro"
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["score"], summary["complete"]) == (None, False)
    said = capsys.readouterr().out
    assert "no score (6 correct)" in said
    assert "3 of the log's 6 own verdicts" in said
    words = ("report", "run=R", "results_dir=results")
    assert evalsuite(tmp_path, *words).returncode == Exit.INCOMPLETE
    assert evalsuite(tmp_path, *words, "accept_log_disagreement=seen").returncode == Exit.DONE
    assert "accepted" not in read_manifest(folder)  # for that report only
    run.accept_log_disagreement = "their grader was broken"
    assert import_answers(run) == Exit.DONE
    assert json.loads((folder / "summary.json").read_text())["score"] == 1.0
    assert read_manifest(folder)["accepted"] == {"log_disagreement": "their grader was broken"}


def test_verdicts_of_plain_answers_count_where_they_are_numbers(tmp_path: Path) -> None:
    verdicts = [1, True, 1.0, "correct", None, float("nan")]
    record(tmp_path, [{**row, "verdict": verdict} for row, verdict in zip(official("ABCDEF"), verdicts, strict=True)])
    assert import_answers(settings(tmp_path)) == Exit.DONE
    manifest = read_manifest(tmp_path / "results" / "R" / "theirs" / "mmlu_pro")
    assert manifest["log_agreement"] == {"same": 3, "verdicts": 3}


@given(order=st.permutations(range(4)))
@hypothesis.settings(max_examples=24, deadline=None)
def test_letters_of_shuffled_choices_are_led_back(order: list[int]) -> None:
    texts, letters = ["one", "two", "three", "four"], "ABCD"
    shown = [texts[index] for index in order]
    adapter: Any = build("mmlu_pro", variant="official", options={}, source=Source("local", "."), seed=1)
    item = Item("1", {"question": "?", "options": texts, "subject": "law"}, "C")
    prompt = "Which?\n" + "\n".join(f"{letter}) {text}" for letter, text in zip(letters, shown, strict=True))
    rows: list[dict[str, Any]] = [{"choices": shown}, {"prompt": prompt}, {"document": {"choices": {"text": shown}}}]
    for row in rows:
        found = order_shown(item, row)
        assert found == tuple(order)
        for place, letter in enumerate(letters):
            score = score_shown(adapter, item, 0, Reply(f"The answer is ({letter}).", "", "stop"), found)
            assert (score.value == 1.0) == (order[place] == 2)
            assert score.answer == letters[order[place]]
            assert noted_order(score.note) == (None if list(order) == [0, 1, 2, 3] else found)
    assert order_shown(item, {"choices": ["one", "two", "three", "five"]}) is None


def test_answers_to_shuffled_items_need_the_choices_and_are_then_graded_by_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made.lay_out(data)
    adapter: Any = build("gpqa_diamond", variant="nvidia", options={}, source=Source("local", str(data)), seed=42)
    rows = []
    for number, item in enumerate(adapter.items()):
        shown = item.inputs["choices"][number:] + item.inputs["choices"][:number]
        right = "ABCD"[shown.index(item.inputs["choices"][0])]
        rows.append({"Record ID": item.id, "output": f"\\boxed{{{right}}}", "choices": shown})
    record(tmp_path, rows)
    assert import_answers(settings(tmp_path, "gpqa_diamond", "nvidia")) == Exit.DONE
    found = samples(tmp_path, "gpqa_diamond").values()
    assert {row["outcome"] for row in found} == {"correct"}
    manifest = read_manifest(tmp_path / "results" / "R" / "theirs" / "gpqa_diamond")
    changes = grade(
        tmp_path / "results" / "R" / "theirs" / "gpqa_diamond", manifest, adapter, {i.id: i for i in adapter.items()}
    )
    assert set(changes) == {("correct", "correct")}


def test_lists_patterns_and_folders_name_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "logs").mkdir()
    record(tmp_path, official("ABC"), "logs/samples_a.jsonl")
    record(tmp_path, official("ABCDEF")[3:], "logs/samples_b.jsonl")
    record(tmp_path, [{"other": 1}], "logs/results.jsonl")
    monkeypatch.chdir(tmp_path)
    several = (
        ["logs/samples_a.jsonl", "logs/samples_b.jsonl"],
        ["logs/samples_*.jsonl"],
        ["logs"],
        [str(tmp_path / "logs")],
    )
    for number, names in enumerate(several):
        run = settings(tmp_path, file=names, name=f"m{number}")
        assert import_answers(run) == Exit.DONE
        imported = read_manifest(tmp_path / "results" / "R" / f"m{number}" / "mmlu_pro")["imported"]
        assert [file["file"] for file in imported["files"]] == ["samples_a.jsonl", "samples_b.jsonl"]
    with pytest.raises(BadInput, match=r"file=nowhere\*: there is no such file"):
        import_answers(settings(tmp_path, file=["nowhere*"]))
    record(tmp_path, official("A"), "logs/samples_c.jsonl")
    with pytest.raises(BadInput, match=r"is answered in .*samples_a\.jsonl line 1 already"):
        import_answers(settings(tmp_path, file=["logs"], name="twice"))
