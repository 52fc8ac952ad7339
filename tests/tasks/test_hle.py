"""Humanity's Last Exam: which questions are asked, what a judge's reply must be, and a run with a judge over HTTP."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite.cli.run import run
from evalsuite.config.compose import load_settings
from evalsuite.config.settings import Run
from evalsuite.errors import Exit
from evalsuite.records import JudgeVerdict
from evalsuite.stats.calibration import calibration_error
from evalsuite.store.manifest import read_manifest
from evalsuite.store.samples import read_samples
from evalsuite.tasks import hle
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.gating import is_gated
from tests.support.command import evalsuite
from tests.support.questions import write
from tests.support.scripted_endpoint import Answer, scripted_endpoint

SECRET = "Which made thing is number"


def lay_out(root: Path, questions: int = 4) -> Path:
    rows = [
        {
            "id": f"q{number}",
            "question": f"{SECRET} {number}?",
            "image": "data:image/png;base64,AA" if number == 3 else "",
            "answer": str(number),
            "answer_type": "exactMatch",
            "category": "Math" if number % 2 else "Other",
        }
        for number in range(questions)
    ]
    write(root / "hle" / "test.jsonl", rows)
    return root


def verdict(correct: str, confidence: Any = 80, **changed: Any) -> str:
    fields = {"extracted_final_answer": "x", "reasoning": "", "correct": correct, "confidence": confidence}
    return json.dumps({**fields, "strict": True, **changed})


def test_questions_with_a_picture_are_left_out(tmp_path: Path) -> None:
    items = list(hle.HLE(source=Source("local", str(lay_out(tmp_path)))).items())
    assert [(item.id, item.groups["category"]) for item in items] == [("q0", "Other"), ("q1", "Math"), ("q2", "Other")]


@pytest.mark.parametrize(
    ("text", "strict", "labelled"),
    [
        (verdict("yes"), (True, 0.8), (True, 0.8)),
        (verdict("no", "15"), (False, 0.15), (False, 0.15)),
        (verdict("yes", 400), (True, None), (True, None)),
        (verdict("yes", strict=False), None, None),
        (verdict("maybe"), None, None),
        (f"```\n{verdict('yes')}\n```", None, None),
        ("extracted_final_answer: 7\n\nreasoning: same\n\ncorrect: yes\n\nconfidence: 95%", None, (True, 0.95)),
        ("**correct:** no\n**confidence:** 0|\\%|", None, (False, 0.0)),
        ("Judgement: Yes.", None, (True, None)),
        ("**Judgement:** _No_\n_Confidence_: _70_%", None, (False, 0.7)),
        ("correct: yes\ncorrect: no", None, None),
        ("correct: yes, I think", None, None),
        ("The answer is correct.", None, None),
        ("", None, None),
    ],
)
def test_what_is_a_verdict(
    text: str, strict: tuple[bool, float | None] | None, labelled: tuple[bool, float | None] | None
) -> None:
    for read, expected in ((hle.read_json, strict), (hle.read_labelled, labelled)):
        assert read(text) == (None if expected is None else JudgeVerdict(*expected))


def test_reading_a_long_reply_takes_linear_time() -> None:
    for text in ("\n" * 300_000, "*" * 300_000, "correct:" + " " * 300_000, "correct" * 50_000):
        assert hle.read_labelled(text) is None


def settings(root: Path, variant: str, url: str, judge: str) -> Run:
    words = ["model=fp8", f"models.fp8.base_url={url}", "task=hle", f"tasks.hle.variant={variant}", "data=local"]
    words += [f"data.root={root}", f"results_dir={root}/results", "run_id=r", "engine.probe=false"]
    words += ["judge=qwen3_235b_instruct", f"judge.base_url={judge}"]
    return load_settings(words)


def test_a_judged_run_keeps_confidence_and_shows_no_text(tmp_path: Path) -> None:
    root = lay_out(tmp_path)

    def model(prompt: str) -> Answer:
        number = prompt.split()[-1][0]
        return Answer("" if number == "2" else f"Answer: {number}\nConfidence: 60%", reasoning="secret")

    def judge(prompt: str) -> list[Answer | str]:
        assert "secret" not in prompt
        if "[response]: Answer: 0" in prompt:
            return ["no verdict", verdict("yes", 60)]
        return [verdict("no", 60)]

    with scripted_endpoint(model) as server, scripted_endpoint(judge, model="j") as bench:
        assert run(settings(root, "strict", server.base_url, bench.base_url)) == Exit.DONE
        formats = {json.dumps(one.body["response_format"]["json_schema"]["schema"]) for one in bench.requests}
        assert formats == {json.dumps(hle.SCHEMA)}
        assert len(bench.requests) == 3  # one was asked again; the empty answer is wrong without a judge
        assert "response_format" not in server.requests[0].body
        cell = root / "results" / "r" / "fp8" / "hle"
        rows = {row["item_id"]: row for row in read_samples(cell).to_pylist()}
        assert [rows[name]["outcome"] for name in ("q0", "q1", "q2")] == ["correct", "wrong", "no_answer"]
        assert json.loads(rows["q0"]["parts"]) == {"confidence": 0.6}
        again = evalsuite(root, "rescore", "run=r", f"results_dir={root}/results", "data=local", f"data.root={root}")
        assert again.returncode == 0, again
        assert read_samples(cell).to_pylist() == list(rows.values())
        assert len(bench.requests) == 3
    assert is_gated(read_manifest(cell))
    files = [path for path in (root / "results" / "r" / "report").rglob("*") if path.suffix in (".html", ".js", ".md")]
    assert files
    assert not any(SECRET in path.read_text() or "Confidence: 60" in path.read_text() for path in files)


def test_a_judge_without_a_verdict_leaves_the_answer_ungraded(tmp_path: Path) -> None:
    root = lay_out(tmp_path, 1)
    with (
        scripted_endpoint(lambda _: "Answer: 0") as server,
        scripted_endpoint(lambda _: "correct: yes", model="j") as bench,
    ):
        assert run(settings(root, "strict", server.base_url, bench.base_url)) == Exit.INCOMPLETE
        assert len(bench.requests) == 3
    (row,) = read_samples(root / "results" / "r" / "fp8" / "hle").to_pylist()
    assert (row["outcome"], row["value"]) == ("ungraded", None)


def test_calibration_error() -> None:
    half = np.repeat([0.5, 0.9], 200)
    right = np.tile([0.0, 1.0], 200)
    # 300 of 400 answers count: 200 at 0.5 and 100 at 0.9, half of all right
    assert calibration_error(half, right) == pytest.approx(np.sqrt(100 / 400 * 0.4**2))
    assert calibration_error(half[:199], right[:199]) is None
