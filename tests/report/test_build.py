"""The report command: files, exit codes, labels, refusals."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evalsuite.analysis.summary import summarize
from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Gate, Margin
from evalsuite.errors import BadInput, Exit
from evalsuite.report.build import DEMO_NOTE, report_run
from tests.report.conftest import Reported
from tests.support.cells import SAMPLING, Answer, Made, answers, write
from tests.support.made_runs import SUBJECT_OF, arm, demo_run


def rows_of(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "comparison.json").read_text())["rows"]
    return found


def test_all_files_of_a_demo_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = demo_run(tmp_path)
    assert report(Report(run=["demo-1"], results_dir=str(tmp_path), svg=True)) == Exit.DONE
    folder = run / "report"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    pictures = {f"plots/{name}.{kind}" for kind in ("png", "svg") for name in (
        "deltas", "word_problems-subject", "word_problems-subject-heat", "word_problems-outcomes",
        "word_problems-lengths", "word_problems-budgets")}  # fmt: skip
    tables = {f"tables/{name}.csv" for name in ("scores", "deltas", "groups", "causes", "lengths", "budgets")}
    texts = {f"texts/word_problems/{model}-0.js" for model in ("demo_bf16", "demo_fp8", "demo_nvfp4")}
    assert names == {"comparison.json", "report.md", "report.html", "card.md"} | pictures | tables | texts
    content = json.loads((folder / "comparison.json").read_text())
    assert (content["schema"], content["demo"], content["runs"]) == (1, True, ["demo-1"])
    assert [(row["baseline"], row["candidate"]) for row in content["rows"]] == [
        ("demo_bf16", "demo_fp8"),
        ("demo_bf16", "demo_nvfp4"),
    ]
    assert content["suite"] == {}
    worst = content["rows"][1]["groups"]["subject"]
    assert min(worst, key=lambda part: part["delta"])["value"] == "physics"
    text, shown = (folder / "report.md").read_text(), capsys.readouterr().out
    assert DEMO_NOTE in text
    assert DEMO_NOTE in shown
    for path in folder.glob("plots/*.svg"):
        assert DEMO_NOTE in path.read_text()
    assert report(Report(run=["demo-1"], results_dir=str(tmp_path))) == Exit.DONE
    assert not list(folder.glob("plots/*.svg"))  # those of the report before would show its numbers
    assert all((folder / path).is_file() for path in re.findall(r"\]\((plots/[^)]+)\)", text))
    assert "\x1b" not in shown


def test_every_number_of_the_delta_table_is_in_comparison_json(demo_report: Reported) -> None:
    folder = demo_report.folder
    text = (folder / "report.md").read_text()
    for row in rows_of(folder):
        line = next(line for line in text.split("## Change")[1].splitlines() if row["candidate"][5:].upper() in line)
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        low, high = (100 * bound for bound in row["ci95"])
        assert cells[2:5] == [
            f"{100 * row['baseline_score']:.1f}",
            f"{100 * row['candidate_score']:.1f}",
            f"{100 * row['delta']:+.2f} [{low:+.2f}, {high:+.2f}]",
        ]
        assert cells[6:8] == [f"{row['lost']:.0f}", f"{row['gained']:.0f}"]
        assert cells[8:] == [
            f"{100 * row['recovery']:.1f}", f"{100 * row['mde']:.2f}", f"x{row['tokens_ratio']:.2f}",
        ]  # fmt: skip


def test_several_tasks_get_a_suite_mean(real_report: Reported) -> None:
    folder, content = real_report.folder, real_report.content
    mean = content["suite"]["nvfp4_v2"]
    assert mean["tasks"] == ["gpqa_diamond", "ifbench"]
    assert mean["delta"] == pytest.approx(sum(row["delta"] for row in content["rows"]) / 2)
    assert "mean of 2 benchmarks" in (folder / "report.md").read_text()
    assert "demo" not in (folder / "report.md").read_text()


def test_several_runs_need_a_folder(tmp_path: Path) -> None:
    demo_run(tmp_path, "demo-1")
    write(tmp_path / "demo-2", Made("other", arm(9), "word_problems", SUBJECT_OF))
    settings = Report(run=["demo-1", "demo-2"], results_dir=str(tmp_path))
    with pytest.raises(BadInput, match="out=DIR"):
        report(settings)
    settings.out = str(tmp_path / "joint")
    settings.baseline = "demo_bf16"
    assert report(settings) == Exit.DONE
    assert [row["candidate"] for row in rows_of(tmp_path / "joint")] == ["demo_fp8", "demo_nvfp4", "other"]
    assert "demo-2" in (tmp_path / "joint" / "report.md").read_text()


def test_a_refused_comparison_is_written_and_raised(tmp_path: Path) -> None:
    other = {"sampling": SAMPLING | {"top_p": 1.0}}
    run = write(tmp_path / "r", Made("a", answers([1, 0])), Made("b", answers([1, 1]), identity=other))
    with pytest.raises(BadInput, match=r"cannot compare b with a, they differ in sampling\.top_p: 0\.95 -> 1\.0"):
        report(Report(run=[str(run)]))
    text = (run / "report" / "report.md").read_text()
    assert "| refused |" in text
    assert rows_of(run / "report")[0]["comparable"]["ok"] is False
    report_run(run, None)  # at the end of a run it is shown, not raised


def test_an_incomplete_cell_shows_counts_and_no_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write(tmp_path / "r", Made("a", answers([1, 0, 1])), Made("b", answers([1, None, 1])))
    assert report(Report(run=[str(run)])) == Exit.INCOMPLETE
    shown = capsys.readouterr().out
    assert "incomplete" in shown
    assert "b, MMLU-Pro: 2 of 3 samples measured (1 failed)." in shown
    assert rows_of(run / "report")[0]["delta"] is None


def test_a_lone_model_is_shown_with_its_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write(tmp_path / "r", Made("fp8", answers([1] * 9 + [0]), title="FP8"))
    report_run(run, "absent")
    shown = capsys.readouterr().out
    assert "90.0 [59.6, 98.2]" in shown
    assert "Change against" not in shown
    assert "no cells of the baseline absent: scores only" in shown
    assert (run / "report" / "plots" / "scores.png").is_file()


def test_the_end_of_a_run_compares_with_no_stand_in(tmp_path: Path) -> None:
    one = answers([1, 0, 1])
    run = write(tmp_path / "r", Made("nvfp4", one, baseline="fp8"), Made("nvfp4_v2", one, baseline="fp8"))
    report_run(run, None)
    assert rows_of(run / "report") == []
    report(Report(run=[str(run)]))
    assert [(row["baseline"], row["candidate"]) for row in rows_of(run / "report")] == [("nvfp4", "nvfp4_v2")]


def test_the_end_of_a_run_finds_the_baseline_of_an_earlier_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "march", Made("fp8", arm(1), subjects=SUBJECT_OF))
    run = write(tmp_path / "today", Made("nvfp4_v2", arm(2), subjects=SUBJECT_OF, baseline="fp8"))
    report_run(run, None)
    assert rows_of(run / "report")[0]["baseline"] == "fp8"
    assert "the baseline is from run march, recorded 2026-11-20" in capsys.readouterr().out


def test_the_last_lines_of_a_run_are_verdict_and_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write(
        tmp_path / "r",
        Made("a", answers([1, 0] * 20)),
        Made("b", answers([0, 0] * 20), baseline="a"),
        Made("c", answers([1, 0] * 20), baseline="a", identity={"sampling": SAMPLING | {"top_p": 1.0}}),
    )
    report_run(run, None, gate=Gate({"mmlu_pro": Margin(2.0, "tests", "fixed")}))
    *_, path, verdict, refusal, undecided = capsys.readouterr().out.splitlines()
    assert path == f"report: {run / 'report' / 'report.html'}"
    assert verdict.startswith("b against a: FAIL: ")
    assert refusal.startswith("c against a: REFUSED: MMLU-Pro: cannot compare c with a, they differ in sampling.top_p")
    assert undecided.startswith("c against a: UNDECIDED: ")
    report_run(run, None)
    assert "b against a: MMLU-Pro -50.00 [" in capsys.readouterr().out.splitlines()[-2]


def test_a_cell_that_was_asked_again_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write(tmp_path / "r", Made("fp8", answers([1, 0])))
    old = run / "fp8" / "superseded" / "mmlu_pro-20261101T000000Z"
    old.mkdir(parents=True)
    (old / "reason.txt").write_text("wrong reasoning parser\n")
    report_run(run, None)
    assert "asked again" in capsys.readouterr().out
    assert "reason: wrong reasoning parser" in (run / "report" / "report.md").read_text()


def test_an_empty_run_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    report_run(tmp_path / "r", None)
    assert not (tmp_path / "r" / "report").exists()
    run = write(tmp_path / "s", Made("fp8", {}, planned=["0"], repeats=1))
    report_run(run, None)
    assert rows_of(run / "report") == []


def test_the_end_of_a_run_shows_an_unreadable_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own" / "card").mkdir(parents=True)
    (tmp_path / "own" / "card" / "mine.yaml").write_text("{")
    run = write(tmp_path / "r", Made("fp8", answers([1, 0])))
    report_run(run, None, str(tmp_path / "own"))
    assert "no published scores: " in capsys.readouterr().out
    assert (run / "report" / "report.md").is_file()


def test_declared_parts_are_labelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = {str(item): [Answer(1.0)] for item in range(5)}
    run = write(tmp_path / "r", Made("a", part, total_items=200), Made("b", part, total_items=200))
    report_run(run, "a")
    assert "a part of the task, 5 of 200 items" in capsys.readouterr().out


def test_repeated_dialogues_get_pass_power_k(tmp_path: Path) -> None:
    answers = {"a": [Answer(1.0), Answer(1.0)], "b": [Answer(1.0), Answer(0.0)]}
    run = write(tmp_path / "r", Made("fp8", answers, "tau2_telecom", identity={"adapter": "tau2_telecom"}))
    assert report(Report(run=["r"], results_dir=str(tmp_path))) == Exit.DONE
    assert "pass^1 75.0, pass^2 50.0" in (run / "report" / "report.md").read_text().replace("\\", "")
    assert summarize(run / "fp8" / "tau2_telecom")["pass_power"] == {"1": 0.75, "2": 0.5}
