"""What disks, signals and odd files do to runs: failing calls, kills, two signals, long lines, large cells."""

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evalsuite.cli import show
from evalsuite.cli.run import run
from evalsuite.config.report_settings import Report
from evalsuite.errors import Exit
from evalsuite.store import journal
from evalsuite.store.attempts import score_event
from evalsuite.store.cell import open_cell
from evalsuite.store.manifest import write_json
from evalsuite.store.samples import read_samples, seal
from evalsuite.store.writer import JournalWriter
from figures.measure import measured
from tests.engine.test_session import in_process, wait_for
from tests.store import proving
from tests.store.io_faults import compiler, failing_disk
from tests.support.journals import answer, manifest, reply, sample
from tests.support.scripted_endpoint import Answer as Scripted
from tests.support.scripted_endpoint import scripted_endpoint
from tests.support.toy import right, settings

needs_shim = pytest.mark.skipif(compiler() is None, reason="needs Linux and a C compiler for the shim")


def texts(results: Path) -> dict[str, str]:
    """Item -> text of the run of ``tests.support.toy``."""
    return {row["item_id"]: row["text"] for row in read_samples(results / "r" / "bf16" / "additions").to_pylist()}


@pytest.mark.slow
def test_ctrl_c_twice_ends_at_once_and_loses_nothing(tmp_path: Path) -> None:
    def script(prompt: str) -> Scripted:
        """The first eight at once, the others never in the first run."""
        held = first_run and int(prompt.split(" ")[0]) >= 8
        return Scripted(right(prompt), delay=600.0 if held else 0.0)

    first_run = [True]

    with scripted_endpoint(script) as server:
        process = in_process(tmp_path, server.base_url)
        wait_for(lambda: len(server.requests) >= 10)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=300)[1]
        assert process.returncode in (128 + signal.SIGINT, -signal.SIGINT), said
        assert "Traceback" not in said
        first_run.clear()
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
    assert texts(tmp_path) == {f"q{number:03}": str(number + 1) for number in range(40)}


def test_results_behind_a_symbolic_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    with scripted_endpoint(right) as server:
        assert run(settings(tmp_path / "results", ("bf16", server.base_url))) == Exit.DONE
    shutil.move(tmp_path / "disk" / "r", tmp_path / "elsewhere")
    (tmp_path / "disk" / "r").symlink_to(tmp_path / "elsewhere")
    capsys.readouterr()
    assert show.show(Report(run=["r"], results_dir=str(tmp_path / "results"))) == Exit.DONE
    assert "100.0" in capsys.readouterr().out
    assert len(texts(tmp_path / "results")) == 40


def test_a_very_long_line_is_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "r" / "fp8" / "toy"

    async def go() -> None:
        with JournalWriter() as writer:
            cell = open_cell(folder, manifest(items=2), writer)
            await answer(cell, "0", text="\x00\u202e" * 1_000_000)
            await answer(cell, "1", text="short")
            await cell.flush()
            cell.close()

    asyncio.run(go())
    seal(folder)
    assert [len(row["text"]) for row in read_samples(folder).to_pylist()] == [2_000_000, 5]


def test_a_line_beyond_any_reply_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_LINE", 1000)
    lines = [journal.encode({"event": "flush", "number": number}) for number in range(3)]
    path = tmp_path / "journal-h-1-00000000.jsonl"
    head = journal.encode({"schema": 2, "number": 1, "cell": "c", "event": "open"})
    path.write_bytes(b"".join([head, lines[0], b"x" * 2500 + b"\n", *lines[1:]]))
    assert [event.get("number") for _, event in journal.read(path)] == [1, 0, 1, 2]


@pytest.mark.slow
def test_a_journal_of_100_000_samples_is_sealed_in_bounded_memory(tmp_path: Path) -> None:
    folder = tmp_path / "r" / "fp8" / "toy"
    folder.mkdir(parents=True)
    write_json(folder / "manifest.json", manifest(items=1000, repeats=100))
    body = reply("word " * 200)
    with (folder / "journal-h-1-00000000.jsonl").open("wb") as file:
        for repeat in range(100):
            for number in range(1000):
                place = {"item": str(number), "repeat": repeat, "who": "model", "turn": 0}
                event = {"event": "reply", **place, "span": [1, 2], "prompt_sha": "p", "attempts": 1, "reply": body}
                file.write(journal.encode(event) + journal.encode(score_event(sample(str(number), repeat))))
    code = "import sys; from pathlib import Path; from evalsuite.store.samples import seal; seal(Path(sys.argv[1]))"
    done, peak = measured([sys.executable, "-c", code, str(folder)])
    assert done.returncode == 0, done.stderr
    assert len(read_samples(folder, ["item_id"])) == 100_000
    assert peak < 500


@pytest.mark.slow
def test_a_command_that_is_killed_changes_no_result(tmp_path: Path) -> None:
    """``rescore`` and ``report`` are killed at several moments; whatever the moment, the results stay as they were."""
    with scripted_endpoint(right) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
    before = texts(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(proving.ROOT)}
    for command in ("rescore", "report"):
        for seconds in (0.4, 0.9, 1.6):
            words = [sys.executable, "-m", "evalsuite", command, "run=r", f"results_dir={tmp_path}"]
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(words, timeout=seconds, env=environment, capture_output=True, check=False)
            assert texts(tmp_path) == before
    words[3] = "rescore"
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "40 graded again" in done.stdout) == (0, True), done.stderr
    assert texts(tmp_path) == before


@pytest.mark.slow
@needs_shim
def test_a_failing_disk_under_rescore_loses_nothing(tmp_path: Path) -> None:
    """EIO and ENOSPC at several calls of ``rescore``; each ends with 74, or did no harm, and the next one succeeds."""
    with scripted_endpoint(right) as server:
        assert run(settings(tmp_path / "sound", ("bf16", server.base_url))) == Exit.DONE
    before = texts(tmp_path / "sound")
    with failing_disk(tmp_path, proving.environment(tmp_path / "acks")) as disk:
        shutil.copytree(tmp_path / "sound", tmp_path / "whole")
        words = ["rescore", "run=r", f"results_dir={tmp_path / 'whole'}"]
        calls = disk.run(words, tmp_path / "whole", tmp_path / "said").calls
        assert calls > 5
        for at in range(1, calls + 1, max(1, calls // 4)):
            for error, onwards in ((errno.EIO, False), (errno.ENOSPC, True)):
                results = tmp_path / f"{at}-{error}"
                shutil.copytree(tmp_path / "sound", results)
                words[2] = f"results_dir={results}"
                ended = disk.run(words, results, tmp_path / "said", at=at, error=error, onwards=onwards)
                assert ended.code in (0, Exit.STORAGE), ended.said
                assert "Traceback" not in ended.said
                assert texts(results) == before
                assert disk.run(words, results, tmp_path / "said").code == 0
                assert texts(results) == before
