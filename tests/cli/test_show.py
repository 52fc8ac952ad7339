"""The show command: runs, cells, and one item side by side."""

import asyncio
import shutil
from pathlib import Path

import pytest

from evalsuite.analysis.summary import summarize
from evalsuite.cli import show
from evalsuite.cli.run import run
from evalsuite.config.report_settings import Report
from evalsuite.errors import BadInput, Exit
from evalsuite.report.item import first_difference
from evalsuite.store.cell import open_cell
from evalsuite.store.manifest import MANIFEST, read_manifest
from evalsuite.store.runs import archive
from evalsuite.store.samples import seal
from evalsuite.store.writer import JournalWriter
from tests.support.cells import Answer, Made, answers, write
from tests.support.scripted_endpoint import scripted_endpoint
from tests.support.toy import right, settings

LONG = "First. " + "x" * 5000 + " Last."


@pytest.fixture
def results(tmp_path: Path) -> Path:
    one = {"7": [Answer(1.0, text=LONG), Answer(0.0, "truncated")], "8": [Answer(1.0), Answer(1.0)]}
    other = {"7": [Answer(0.0, "no_answer", text="First. " + "x" * 4000 + " but Last.")], "8": [Answer(1.0)]}
    write(tmp_path / "r1", Made("v2", other, title="V2", baseline="zfp8"), Made("zfp8", one, title="FP8"))
    write(tmp_path / "r2", Made("fp8", answers([1, None]), "gsm8k"))
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], settings: Report) -> str:
    assert show.show(settings) == Exit.DONE
    return capsys.readouterr().out


def states(results: Path) -> dict[tuple[str, str], str]:
    return {(one.run, one.model): one.state for run in ("r1", "r2") for one in show.list_cells(results / run)}


def test_lists_runs_and_cells(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, Report(results_dir=str(results)))
    lines = [line.split() for line in text.splitlines() if line.startswith(("r1", "r2"))]
    assert [line[:4] for line in lines] == [
        ["r1", "v2", "mmlu_pro", "sealed"],
        ["r1", "zfp8", "mmlu_pro", "sealed"],
        ["r2", "fp8", "gsm8k", "incomplete"],
    ]
    assert "75.0 [" in text
    assert "1 of 2, 1 failed" in text
    assert "2 items x 2" in text


def test_a_narrow_terminal_gets_a_table_for_every_run(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = [line.rstrip() for line in shown(capsys, Report(results_dir=str(results))).splitlines()]
    assert all(len(line) <= 60 for line in lines)
    assert lines.index("r1") < lines.index("r2")
    (cell,) = [line.split() for line in lines if line.startswith("zfp8")]
    assert (cell[:4], cell[-1]) == (["zfp8", "mmlu_pro", "sealed", "75.0"], "4")


def test_states(results: Path) -> None:
    folder = results / "r1" / "v2" / "mmlu_pro"
    assert states(results)["r1", "v2"] == "sealed"

    async def write_on() -> str:
        with JournalWriter() as commits:
            cell = open_cell(folder, read_manifest(folder), commits)
            try:
                return states(results)["r1", "v2"]
            finally:
                cell.close()

    assert asyncio.run(write_on()) == "running"
    assert states(results)["r1", "v2"] == "sealed"
    (folder / MANIFEST).write_text("{", encoding="utf-8")
    assert states(results)["r1", "v2"] == "damaged"
    assert states(results)["r2", "fp8"] == "incomplete"


def test_a_cell_whose_table_is_older_than_its_journal(tmp_path: Path) -> None:
    with scripted_endpoint(right) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url), report=False)) == Exit.DONE
    folder = tmp_path / "r" / "bf16" / "additions"
    assert [one.state for one in show.list_cells(tmp_path / "r")] == ["sealed"]
    (folder / "samples.parquet").unlink()
    assert [(one.state, one.samples) for one in show.list_cells(tmp_path / "r")] == [("complete", "40")]
    seal(folder)
    assert [one.state for one in show.list_cells(tmp_path / "r")] == ["sealed"]


def test_superseded_cells_are_listed_with_their_reason(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results / "r1" / "zfp8" / "mmlu_pro"
    kept = shutil.copytree(folder, results / "copy")
    summarize(folder)
    archive(folder, "a server flag was wrong")
    kept.rename(folder)
    text = shown(capsys, Report(run=["r1"], results_dir=str(results)))
    rows = [line.split() for line in text.splitlines() if line.startswith("zfp8 ")]
    assert [row[2:4] for row in rows] == [["sealed", "75.0"], ["superseded", "75.0"]]
    assert "(reason: a server flag was wrong)" in " ".join(text.split())


def test_one_run_and_one_task(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "r1" not in shown(capsys, Report(run=["r2"], results_dir=str(results)))
    text = shown(capsys, Report(results_dir=str(results), task="mmlu_pro"))
    assert "gsm8k" not in text
    with pytest.raises(BadInput, match="unknown task 'gsm'"):
        show.show(Report(results_dir=str(results), task="gsm"))


def test_a_part_of_a_task_is_never_shown_as_the_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "r", Made("a", answers([1, 0, 1]), total_items=1000))
    monkeypatch.setenv("COLUMNS", "50")
    assert "3 (part)" in shown(capsys, Report(results_dir=str(tmp_path)))


def test_a_written_summary_says_the_same(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = shown(capsys, Report(run=["r1"], results_dir=str(results)))
    for model in ("zfp8", "v2"):
        summarize(results / "r1" / model / "mmlu_pro")
    assert shown(capsys, Report(run=["r1"], results_dir=str(results))) == before


def test_an_item_side_by_side(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Report(run=["r1"], results_dir=str(results), task="mmlu_pro", item="7")
    monkeypatch.setenv("COLUMNS", "100")
    text = shown(capsys, asked)
    (head,) = [line for line in text.splitlines() if "FP8" in line and "V2" in line]
    assert head.index("FP8") < head.index("V2")  # the baseline first, whatever its name
    signs = {line.split()[0]: line.split()[1] for line in text.splitlines() if line.startswith(("FP8 ", "V2 "))}
    assert signs == {"FP8": "✓t", "V2": "n·"}
    assert "✓ correct, t truncated, n no answer, · not asked" in text
    assert "repeat 1" in text
    assert "characters ..." in text
    assert "First." in text
    assert "Last." in text
    only = shown(capsys, Report(run=["r1"], results_dir=str(results), task="mmlu_pro", item="7", repeat=1))
    assert "repeat 0" not in only
    monkeypatch.setenv("COLUMNS", "200")
    assert "characters ..." not in shown(capsys, asked)


def test_the_first_difference_is_marked_and_never_left_out(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands 4,007 characters into a text of which a narrow terminal shows 700."""
    assert first_difference("abc", "abd") == 2
    assert first_difference("ab", "abc") == 2
    assert first_difference("", "") == -1
    monkeypatch.setenv("COLUMNS", "90")
    text = shown(capsys, Report(run=["r1"], results_dir=str(results), task="mmlu_pro", item="7", repeat=0))
    words = " ".join(text.replace("│", " ").split())
    assert "text from character 4,008" in words
    assert "but Last." in words
    assert "reasoning from" not in words
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = shown(capsys, Report(run=["r1"], results_dir=str(results), task="mmlu_pro", item="7", repeat=0))
    assert "\x1b[1;7m" in coloured  # bold and reversed


def test_an_item_that_is_not_there(results: Path) -> None:
    with pytest.raises(BadInput, match=r"no answer to item '9' of mmlu_pro in these runs; items are 7, 8"):
        show.show(Report(run=["r1"], results_dir=str(results), task="mmlu_pro", item="9"))
    with pytest.raises(BadInput, match="needs run=R and task=T"):
        show.show(Report(results_dir=str(results), item="9"))
    with pytest.raises(BadInput, match="needs run=R, task=T and item=I"):
        show.show(Report(results_dir=str(results), repeat=1))
    with pytest.raises(BadInput, match="no repeat 5 of item '7'; there are 0 to 1"):
        show.show(Report(run=["r1"], results_dir=str(results), task="mmlu_pro", item="7", repeat=5))


def test_texts_of_gated_tasks_are_not_shown(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = [Made(model, {"a": [Answer(1.0, text=f"Secret {model}.")]}, "gpqa_diamond") for model in ("fp8", "v2")]
    write(results / "r3", *secret)
    text = shown(capsys, Report(run=["r3"], results_dir=str(results), task="gpqa_diamond", item="a"))
    assert "Secret" not in text
    assert "think" not in text
    assert "differs" not in text
    assert "not shown" in text
    asked = Report(run=["r3"], results_dir=str(results), task="gpqa_diamond", item="a", include_gated_text=True)
    assert "Secret fp8." in (stamped := shown(capsys, asked))
    assert "NOT FOR PUBLICATION" in stamped
    assert "boxed" not in text  # the answer and the extractor's stage


def test_no_runs_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "suite=demo" in shown(capsys, Report(results_dir=str(tmp_path / "none")))
