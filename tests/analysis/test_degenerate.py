"""Degenerate answers are counted, stated from 2 % of a cell, and from half of it there is no score without a reason."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evalsuite.analysis.suite import compare_all
from evalsuite.analysis.table import load_run
from evalsuite.cli.gate import gate
from evalsuite.cli.report import report
from evalsuite.cli.run import run
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Engine, Gate, Margin
from evalsuite.errors import BadInput, Exit
from evalsuite.report.warnings import warnings
from evalsuite.store.samples import read_signs
from tests.support.command import evalsuite as command
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.toy import right, settings

LOOP = Answer("Wait, 1 + 1 again. " * 20, finish_reason="length")
MARGIN = Gate(margins={"additions": Margin(5.0, "me", "why")})


@contextmanager
def sick(share: int, answer: Callable[[str], Answer] = lambda _: LOOP) -> Iterator[Any]:
    """A server whose first ``share`` of 100 answers are sick, and all others right."""

    def script(prompt: str) -> Answer:
        asked = "2 + 2" not in prompt and int(prompt.split(" ")[0]) < share
        return answer(prompt) if asked else Answer(right(prompt))

    with scripted_endpoint(script, model=f"sick{share}") as server:
        yield server


def made(results: Path, name: str, share: int, answer: Callable[[str], Answer] = lambda _: LOOP, **more: Any) -> Exit:
    with sick(share, answer) as server:
        task = {"options": {"count": 100}}
        return run(
            settings(
                results, (name, server.base_url), task=task, engine=Engine(probe=False, backoff_seconds=0.01), **more
            )
        )


def summary(results: Path, name: str) -> dict[str, Any]:
    path = results / "r" / name / "additions" / "summary.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def wanted(results: Path, **more: Any) -> Report:
    return Report(run=["r"], results_dir=str(results), baseline="bf16", gate=MARGIN, **more)


@pytest.mark.parametrize(("share", "flagged"), [(1, False), (5, True)])
def test_loops_keep_their_value_and_are_stated_from_two_percent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: int, flagged: bool
) -> None:
    assert made(tmp_path, "fp8", share) == Exit.DONE
    found = summary(tmp_path, "fp8")
    assert (found["score"], found["degenerate"]) == (1 - share / 100, {"loop": share})
    assert found["outcomes"]["truncated"] == share
    assert bool(found["warnings"]) == flagged == ("degenerate" in capsys.readouterr().err)
    signs = read_signs(tmp_path / "r" / "fp8" / "additions")
    assert signs == {(f"q{number:03}", 0): "loop" for number in range(share)}
    (line, *flag) = warnings(compare_all(load_run("r", results_dir=tmp_path)))
    assert f"FP8 {share} of 100 ({share} loops)" in line
    assert bool(flag) == flagged


def test_half_of_a_cell_has_no_score_until_a_person_says_why(tmp_path: Path) -> None:
    assert made(tmp_path, "bf16", 0) == Exit.DONE
    assert made(tmp_path, "fp8", 60) == Exit.INCOMPLETE
    found = summary(tmp_path, "fp8")
    assert (found["score"], found["complete"], found["degenerate"]) == (None, False, {"loop": 60})
    assert "accept_degenerate" in found["warnings"][0]
    listed = command(tmp_path, "show", f"results_dir={tmp_path}")
    assert "no score: 60 of 100 (60 loops) answers are degenerate" in listed.stdout
    for more in ({}, {"allow_incomplete": 0.9}):
        assert report(wanted(tmp_path, **more)) == Exit.INCOMPLETE
        assert gate(wanted(tmp_path, **more)) == Exit.INCOMPLETE
    assert not (tmp_path / "r" / "report" / "verdict.json").exists()
    page = (tmp_path / "r" / "report" / "report.html").read_text(encoding="utf-8")
    first_screen = page[page.index('<section id="verdict">') : page.index('<div class="cards">')]
    assert "degenerate answers: BF16 0 of 100, FP8 60 of 100 (60 loops)." in first_screen
    assert "no score: 60 of 100" in first_screen

    assert gate(wanted(tmp_path, accept_degenerate="it does loop")) == Exit.FAIL
    verdict = json.loads((tmp_path / "r" / "report" / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["accept_degenerate"] == "it does loop"
    assert verdict["warnings"] == [
        {
            "model": "fp8",
            "task": "additions",
            "text": '60 of 100 (60 loops) answers are degenerate, 60.0 %; accepted: "it does loop"',
        }
    ]
    (row,) = verdict["candidates"]["fp8"]["rows"]
    assert row["cautions"] == [
        "baseline at the ceiling (100.0 %): these questions are too easy to show a small loss",
        "degenerate answers 0.0 % → 60.0 % (p < 0.001)",
    ]
    assert gate(wanted(tmp_path)) == Exit.INCOMPLETE, "accepted for one verdict only"

    assert made(tmp_path, "fp8", 60, accept_degenerate="it does loop") == Exit.DONE, "of a finished run, too"
    assert summary(tmp_path, "fp8")["score"] == 0.4
    assert gate(wanted(tmp_path)) == Exit.FAIL
    manifest = json.loads((tmp_path / "r" / "fp8" / "additions" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["accepted"] == {"degenerate": "it does loop"}


@pytest.mark.parametrize(
    ("answer", "sign"),
    [
        (Answer("!" * 64, finish_reason="length"), "loop"),
        (Answer("", reasoning="The sum is 7."), "thought_only"),
        (Answer(""), "empty"),
        (Answer("<tool_call>{}</tool_call>"), "call_as_text"),
        (Answer("7\ufffd\ufffd\ufffd is"), "garbled"),
    ],
)
def test_every_sick_server_is_found_at_the_end_of_a_run(tmp_path: Path, answer: Answer, sign: str) -> None:
    assert made(tmp_path, "fp8", 100, lambda _: answer) == Exit.INCOMPLETE
    found = summary(tmp_path, "fp8")
    assert (found["score"], found["degenerate"]) == (None, {sign: 100})


def test_cells_of_earlier_versions_are_looked_at_when_they_are_read(tmp_path: Path) -> None:
    made(tmp_path, "fp8", 5)
    path = tmp_path / "r" / "fp8" / "additions" / "samples.parquet"
    table = pq.ParquetFile(path).read()
    metadata = {name: value for name, value in table.schema.metadata.items() if name != b"degenerate"}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    assert read_signs(path.parent) is None
    (score,) = compare_all(load_run("r", results_dir=tmp_path)).scores
    assert dict(score.degenerate.counts) == {"loop": 5}


def test_a_reason_has_words(tmp_path: Path) -> None:
    from evalsuite.config.validate import check_report, check_run

    with pytest.raises(BadInput, match="say why"):
        check_report("gate", wanted(tmp_path, accept_degenerate=" "))
    with pytest.raises(BadInput, match="say why"):
        check_run(settings(tmp_path, ("a", "http://127.0.0.1:9/v1"), accept_degenerate=""))
