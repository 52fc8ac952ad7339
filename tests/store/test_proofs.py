"""Nothing acknowledged is lost and nothing counts twice: real runs that are killed, starved and hindered."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from evalsuite.errors import Exit
from evalsuite.store import journal
from evalsuite.store.samples import read_samples
from figures.io_faults import STALE, io_faults
from figures.kills import GRACE_SECONDS, KilledRun, kills
from tests.store import proving
from tests.store.io_faults import compiler, slow_disk
from tests.store.test_cell import write
from tests.support.scripted_endpoint import Server

LIMITED = 'ulimit -f "$1" && shift && exec "$@"'
"""No file may grow beyond so many blocks: the kernel then refuses writes as a full disk does, also to root."""


class Place:
    """A configuration, two endpoints, and the processes that use them."""

    def __init__(self, folder: Path, servers: list[Server]) -> None:
        self.folder, self.servers = folder, servers
        self.conf = proving.configure(folder / "conf", items=6, repeats=1)
        self.whole = folder / "whole"
        """The results of a run that nothing disturbed."""

    def start(
        self,
        results: Path,
        *more: str,
        one: bool = False,
        blocks: int | None = None,
        disk: Mapping[str, str] | None = None,
    ) -> "subprocess.Popen[str]":
        call = proving.command(self.conf, results, self.servers, *more, one=one)
        if blocks is not None:
            call = ["sh", "-c", LIMITED, "limited", str(blocks), *call]
        environment = {**proving.environment(self.acks), **(disk or {})}
        return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def run(self, results: Path, *more: str, one: bool = False, blocks: int | None = None) -> tuple[int, str]:
        process = self.start(results, *more, one=one, blocks=blocks)
        said = process.communicate()[1]
        assert "Traceback" not in said
        return process.returncode, said

    @property
    def acks(self) -> Path:
        return self.folder / "acks"

    @property
    def asked(self) -> list[int]:
        """Requests so far."""
        return [len(server.requests) for server in self.servers]

    def went_on(self, results: Path, start: list[int]) -> None:
        """Finish a run that was cut short since ``start``; nothing is asked again, and it equals the whole one."""
        code, said = self.run(results)
        assert code == Exit.DONE, said
        assert proving.asked_after(proving.requests(self.servers, start), proving.acknowledged(self.acks)) == []
        found, whole = proving.outcome(results), proving.outcome(self.whole)
        assert (found.rows, found.comparison) == (whole.rows, whole.comparison)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with proving.endpoints(0.02) as servers:
        place = Place(tmp_path_factory.mktemp("proofs"), servers)
        code, said = place.run(place.whole)
        assert code == Exit.DONE, said
        yield place


@pytest.fixture
def place(shared: Place) -> Place:
    shared.acks.unlink(missing_ok=True)
    return shared


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of its own below the test's folder, with these options; again with others."""
    home = tmp_path / "disk"
    home.mkdir()
    again: list[str] = []

    def mount(options: str) -> Path:
        call = ["mount", "-t", "tmpfs", "-o", ",".join([*again, options]), "evalsuite-test", str(home)]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"only root of a whole machine can mount a file system: {done.stderr.strip()}")
        again[:] = ["remount"]
        return home

    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root can mount a file system")
    yield mount
    if again:
        subprocess.run(["umount", str(home)], check=True)


@pytest.mark.slow
def test_killed_runs_end_as_uninterrupted_ones(tmp_path: Path) -> None:
    found = kills(tmp_path, 3, KilledRun(items=9, delay=0.3))
    assert (found.kills, found.replies > 0) == (3, True)
    assert (found.late, found.acknowledged, found.unmarked) == (0, 0, 0)
    assert (found.unequal_rows, found.unequal_comparisons) == (0, 0)


needs_shim = pytest.mark.skipif(
    compiler() is None, reason="needs Linux and a C compiler for the shim between process and disk"
)


@pytest.mark.slow
@needs_shim
def test_what_arrives_while_the_disk_syncs_is_not_lost_by_a_kill(tmp_path: Path) -> None:
    with proving.endpoints(0.3) as servers:
        place = Place(tmp_path, servers)
        process = place.start(tmp_path / "results", one=True, disk=slow_disk(tmp_path, 30.0))
        written = servers[0].written
        while len(written) < 6 or time.monotonic() < max(written.values()) + GRACE_SECONDS:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.kill()
        process.communicate()
        assert not place.acks.exists()  # nothing was acknowledged: the first sync was not over
        assert place.run(tmp_path / "results", one=True)[0] == Exit.DONE
        assert len(servers[0].requests) == 6


@pytest.mark.slow
@needs_shim
def test_a_disk_that_fails_at_the_kth_call_loses_nothing(tmp_path: Path) -> None:
    found = io_faults(tmp_path, step=120, first=31)
    assert found.runs >= 4
    assert found.codes[int(Exit.STORAGE)] >= 2
    assert (found.acknowledged, found.unequal, found.bad) == (0, 0, [])


@pytest.mark.slow
@needs_shim
def test_a_network_disk_whose_handles_go_stale_loses_nothing(tmp_path: Path) -> None:
    found = io_faults(tmp_path, step=150, first=47, faults=(STALE,))
    assert found.runs >= 2
    assert found.codes == {int(Exit.STORAGE): found.runs}
    assert (found.acknowledged, found.unequal, found.bad) == (0, 0, [])


@pytest.mark.slow
def test_of_processes_on_one_cell_one_writes_and_the_others_say_who(tmp_path: Path) -> None:
    with proving.endpoints(2.0) as servers:
        place = Place(tmp_path, servers)
        first = place.start(tmp_path / "results", one=True)
        while not servers[0].requests:
            assert first.poll() is None, first.communicate()
            time.sleep(0.01)
        code, said = place.run(tmp_path / "results", one=True)
        assert code == Exit.IN_USE
        assert f"is being written by process {first.pid} on " in said
        first.communicate()
        assert first.returncode == Exit.DONE
        assert [len(server.requests) for server in servers] == [6, 0]


@pytest.mark.slow
def test_a_run_whose_files_cannot_grow_stops_with_74_and_goes_on_later(place: Place) -> None:
    start = place.asked
    code, said = place.run(place.folder / "limited", blocks=12)
    assert (code, "File too large" in said) == (Exit.STORAGE, True)
    place.went_on(place.folder / "limited", start)


@pytest.mark.slow
def test_a_full_disk_stops_with_74_and_the_run_goes_on_when_there_is_room(
    place: Place, mounted: Callable[[str], Path]
) -> None:
    home, start = mounted("size=64k"), place.asked
    code, said = place.run(home / "results")
    assert (code, "No space left on device" in said) == (Exit.STORAGE, True)
    mounted("size=64m")
    place.went_on(home / "results", start)


@pytest.mark.slow
def test_a_read_only_disk_is_named_and_nothing_is_asked(place: Place, mounted: Callable[[str], Path]) -> None:
    home = mounted("size=64m")
    assert place.run(home / "results", "limit=2", one=True)[0] == Exit.DONE
    asked = place.asked
    mounted("ro")
    for results in (home / "results", home / "elsewhere"):
        code, said = place.run(results)
        assert (code, "Read-only file system" in said) == (Exit.STORAGE, True)
    assert place.asked == asked


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere; the mounted disk above stands for it")
def test_a_folder_that_we_may_not_write_is_named(place: Place) -> None:
    home = place.folder / "closed"
    home.mkdir()
    home.chmod(0o555)
    code, said = place.run(home / "results", one=True)
    assert (code, "Permission denied" in said) == (Exit.STORAGE, True)


@pytest.mark.slow
def test_a_cell_is_not_continued_with_other_settings(place: Place) -> None:
    asked = place.asked
    code, said = place.run(place.whole, "seed=43", "sampling.temperature=1.0")
    assert code == Exit.BAD_INPUT
    assert "sampling.temperature: 0.6 -> 1.0" in said
    assert "seed: 42 -> 43" in said
    assert place.asked == asked


def test_a_hole_that_a_power_cut_left_takes_nothing_else_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "fp8" / "toy"
    write(folder, ["0", "1"])
    whole = read_samples(folder).to_pylist()
    (path,) = folder.glob(journal.PATTERN)
    lines = path.read_bytes().splitlines(keepends=True)
    (hole,) = (number for number, line in enumerate(lines) if b'"event":"score","item":"0"' in line)
    path.write_bytes(b"".join([*lines[:hole], bytes(len(lines[hole]) - 5) + lines[hole][-5:], *lines[hole + 1 :]]))
    assert read_samples(folder).to_pylist() == whole[1:]  # item 0 is graded again from its reply, not asked again
    for seed in range(20):  # wherever the file ends, what was whole before it is read
        cut = random.Random(seed).randrange(len(lines[0]), path.stat().st_size)
        other = tmp_path / str(seed) / "toy"
        shutil.copytree(folder, other)
        (other / path.name).write_bytes(b"".join(lines)[:cut] + bytes(seed))
        expected = sum(
            b'"score"' in line for line in b"".join(lines)[:cut].splitlines(keepends=True) if line[-1:] == b"\n"
        )
        assert len(read_samples(other)) == expected


def test_the_latest_verdict_counts_whatever_the_file_times_say(tmp_path: Path) -> None:
    folder = tmp_path / "fp8" / "toy"
    write(folder, ["0"], v0=None)
    write(folder, ["0"], v0=0.0)
    write(folder, ["0"], v0=1.0)
    for number, path in enumerate(reversed(journal.ordered(folder))):
        os.utime(path, (1000 + number, 1000 + number))  # as copying the files may leave them
    assert read_samples(folder, ["outcome"])["outcome"].to_pylist() == ["correct"]
