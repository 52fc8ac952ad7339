import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evalsuite.errors import BadInput, CellInUse, StorageFailed
from evalsuite.records import Sample
from evalsuite.store.cell import close_cells, open_cell
from evalsuite.store.imported import write_imported
from evalsuite.store.manifest import cell_folders, read_manifest
from evalsuite.store.samples import read_rows, read_samples, seal
from evalsuite.store.writer import JournalWriter
from tests.support.journals import answer, manifest, reply, sample


def write(folder: Path, items: list[str], plan: dict | None = None, **values: float | None) -> None:
    async def go() -> None:
        with JournalWriter() as commits:
            cell = open_cell(folder, plan or manifest(), commits)
            for item in items:
                await answer(cell, item, value=values.get(f"v{item}", 1.0))
            await cell.flush()
            cell.close()

    asyncio.run(go())


def test_rows_come_back_from_journal_and_from_parquet_alike(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "fp8" / "toy"
    write(folder, ["1", "0"], v0=0.0)
    from_journal, one = read_samples(folder).to_pylist(), read_rows(folder, item="1")
    seal(folder)
    assert read_samples(folder).to_pylist() == from_journal
    assert read_rows(folder, item="1") == one == from_journal[1:]
    assert [row["item_id"] for row in from_journal] == ["0", "1"]
    assert from_journal[0] | {"groups": ""} == from_journal[0] | {
        "groups": "",
        "model": "fp8",
        "outcome": "wrong",
        "value": 0.0,
        "text": "A",
        "reasoning": "because",
        "completion_tokens": 20,
        "finish_reason": "stop",
    }
    assert json.loads(from_journal[0]["groups"]) == {"subject": "law"}
    assert cell_folders(tmp_path / "run") == [folder]


def test_a_grown_cell_is_read_anew_although_an_older_parquet_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "fp8" / "toy"
    write(folder, ["0"])
    seal(folder)
    write(folder, ["1", "2"], manifest(items=3, repeats=2))
    assert read_samples(folder, ["item_id"])["item_id"].to_pylist() == ["0", "1", "2"]
    assert read_manifest(folder)["repeats"] == 2


def test_a_smaller_command_counts_the_answers_that_it_sets_aside_not_the_items(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "fp8" / "toy"
    write(folder, ["0", "7"], manifest(items=9))
    with JournalWriter() as commits:
        for items, aside in ((9, 0), (8, 0), (7, 1)):
            cell = open_cell(folder, manifest(items=items), commits)
            assert cell.set_aside == aside
            cell.close()
            write(folder, [], manifest(items=9))


def test_a_failed_sample_is_asked_again_and_a_wrong_one_never(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "fp8" / "toy"
    write(folder, ["0", "1"], v0=None, v1=0.0)
    with JournalWriter() as commits:
        cell = open_cell(folder, manifest(), commits)
        assert cell.needs_attempt(("0", 0))
        assert not cell.needs_attempt(("1", 0))
        assert cell.needs_attempt(("2", 0))
        cell.close()


def test_a_recorded_reply_is_replayed_and_a_lost_one_counts_as_rerolled(tmp_path: Path) -> None:
    async def go() -> None:
        with JournalWriter() as commits:
            cell = open_cell(tmp_path / "fp8" / "toy", manifest(), commits)
            await cell.record_request(("0", 0), ("model", 0))
            await cell.record_reply(("0", 0), ("model", 0), "sha", reply("kept \ud800"), 2)
            await cell.record_request(("1", 0), ("model", 0))
            await cell.flush()
            cell.close()
            again = open_cell(tmp_path / "fp8" / "toy", manifest(), commits)
            assert again.stored_reply(("0", 0), ("model", 0), "sha") == (reply("kept \ud800"), 2)
            assert again.stored_reply(("1", 0), ("model", 0), "sha") is None
            assert (again.rerolled(("0", 0)), again.rerolled(("1", 0))) == (False, True)
            with pytest.raises(BadInput, match="asked with prompt sha, now it is other"):
                again.stored_reply(("0", 0), ("model", 0), "other")
            again.close()

    asyncio.run(go())


def test_another_identity_is_refused_with_the_differing_keys(tmp_path: Path) -> None:
    folder = tmp_path / "fp8" / "toy"
    write(folder, ["0"])
    other = manifest(sampling={"temperature": 1.0}, variant="aa")
    with JournalWriter() as commits, pytest.raises(BadInput, match=r"sampling.temperature: 0.6 -> 1.0; variant: plain"):
        open_cell(folder, other, commits)
    write(folder, ["1"])  # and the lock was given back


def test_two_processes_cannot_write_one_cell(tmp_path: Path) -> None:
    folder = tmp_path / "fp8" / "toy"
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.support.journals", folder], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        with JournalWriter() as commits, pytest.raises(CellInUse, match=f"process {writer.pid} on "):
            open_cell(folder, manifest(items=1000), commits)
    finally:
        writer.kill()
        writer.communicate()
    with JournalWriter() as commits:  # the holder is dead: its lock does not count
        open_cell(folder, manifest(items=1000), commits).close()


@pytest.mark.parametrize("seed", range(3))
def test_nothing_acknowledged_is_lost_by_sigkill(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "fp8" / "toy"
    acknowledged: list[int] = []
    rng = random.Random(seed)
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.support.journals", folder], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline().strip() for _ in range(rng.randrange(2, 40))]
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.communicate()[0].split()
        acknowledged += [int(line) for line in lines if line.isdigit()]
    with JournalWriter() as commits:
        cell = open_cell(folder, manifest(items=1000), commits)
        assert acknowledged
        for number in acknowledged:
            found = cell.stored_reply((str(number), 0), ("model", 0), "p")
            assert found is not None
            assert found[0].text == "x" * 20_000
        cell.close()


def test_a_torn_last_line_is_left_out_and_so_is_a_damaged_one(tmp_path: Path) -> None:
    folder = tmp_path / "fp8" / "toy"
    write(folder, ["0", "1"])
    (path,) = folder.glob("journal-*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 8  # open, three for each sample, flush
    path.write_bytes(b"".join(lines[:6]) + lines[6][:-7])
    assert len(read_samples(folder)) == 1
    write(folder, ["1", "2"])  # goes into a file of its own
    assert len(read_samples(folder)) == 3
    path.write_bytes(b"".join([*lines[:2], lines[2][:20] + b"\n", *lines[3:]]))
    assert [row["text"] for row in read_samples(folder).to_pylist()] == ["", "A", "A"]  # a score without its reply


def test_a_full_disk_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """A file size limit makes the kernel refuse writes in the middle of a line, as a full disk does."""
    folder = tmp_path / "fp8" / "toy"
    code = (
        "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000));"
        f"sys.argv = ['making', {str(folder)!r}]; runpy.run_module('tests.support.journals', run_name='__main__')"
    )
    writer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    acknowledged = [int(line) for line in writer.stdout.split() if line.isdigit()]
    assert "StorageFailed" in writer.stderr
    assert "File too large" in writer.stderr
    assert len(acknowledged) > 3
    with JournalWriter() as commits:
        cell = open_cell(folder, manifest(items=1000), commits)
        assert all(cell.stored_reply((str(number), 0), ("model", 0), "p") for number in acknowledged)
        cell.close()


def test_imported_cells_are_written_whole_and_refuse_another_file(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "mine" / "toy"
    plan = manifest() | {"imported": {"file": "a.jsonl", "sha256": "1"}}
    rows: list[Sample] = [sample("0"), sample("1", value=0.0), sample("2", value=None)]
    write_imported(folder, plan, rows)
    assert read_samples(folder, ["outcome"])["outcome"].to_pylist() == ["correct", "wrong", "failed"]
    with pytest.raises(BadInput, match="holds another cell"):
        write_imported(folder, plan | {"imported": {"file": "a.jsonl", "sha256": "2"}}, rows)


def test_a_torn_manifest_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "fp8" / "toy"
    write(folder, ["0"])
    (folder / "manifest.json").write_text('{"schema": 1,')
    with pytest.raises(BadInput, match=r"manifest.json is damaged"):
        read_manifest(folder)


def test_a_lost_reply_is_remembered_over_several_processes(tmp_path: Path) -> None:
    """Lost in one process, had in the next, which ends in the middle of the dialogue: the third still knows."""

    async def process(*, turn: int, answered: bool) -> bool:
        with JournalWriter() as commits:
            cell = open_cell(tmp_path / "fp8" / "toy", manifest(), commits)
            known = cell.rerolled(("0", 0))
            await cell.record_request(("0", 0), ("model", turn))
            if answered:
                await cell.record_reply(("0", 0), ("model", turn), "p", reply("A"), 1)
            cell.close()
            return known

    assert not asyncio.run(process(turn=0, answered=False))
    assert asyncio.run(process(turn=0, answered=True))
    assert asyncio.run(process(turn=1, answered=True))


def test_a_cell_whose_journal_cannot_be_synced_keeps_no_other_one_locked(tmp_path: Path) -> None:
    async def go() -> None:
        with JournalWriter() as commits:
            cells = [open_cell(tmp_path / "fp8" / task, manifest(task=task), commits) for task in ("first", "second")]
            for cell in cells:
                await answer(cell, "0")
            commits.wait_until_idle()
            assert cells[0]._file is not None
            pipe, end = os.pipe()  # which no system can sync
            os.dup2(end, cells[0]._file.handle)
            try:
                await close_cells(cells, commits)
            finally:
                os.close(pipe)
                os.close(end)

    with pytest.raises(StorageFailed, match="cannot write"):
        asyncio.run(go())
    assert not list(tmp_path.glob("fp8/*/lock"))
