"""A disk that fails at the k-th call, under real evalsuite commands.

``io_fault.c`` stands between the process and the C library (``LD_PRELOAD``), so Python, pyarrow and whatever else
writes meet the same fault. Starting a process for every k would be slow: ``python -m tests.store.io_faults``
imports everything once and forks a child for each command that it reads.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.store.proving import ROOT

SOURCE = Path(__file__).with_name("io_fault.c")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    calls: int
    """Calls that changed something below the watched folder, the failing one included."""
    said: str


@dataclass(frozen=True, slots=True)
class Disk:
    """Runs commands on a disk that can fail, or at whose calls the process is killed."""

    process: "subprocess.Popen[str]"

    def run(
        self, words: Sequence[str], below: Path, said: Path, *, at: int = 0, error: int = 0, onwards: bool = False
    ) -> Ended:
        """``evalsuite WORDS``; call number ``at`` below the folder (0: none) fails, or every one from it on; without
        an ``error`` the process is killed there, and its code is -9.
        """
        wanted = {"words": list(words), "below": f"{below}/", "said": str(said), "at": at, "error": error}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({**wanted, "onwards": onwards}) + "\n")
        self.process.stdin.flush()
        code, calls = json.loads(self.process.stdout.readline())
        return Ended(code, calls, said.read_text(errors="replace"))


def compiler() -> str | None:
    """The C compiler of this machine, if it has one and its loader knows ``LD_PRELOAD``."""
    return (shutil.which("cc") or shutil.which("gcc")) if sys.platform == "linux" else None


def built(folder: Path, source: Path = SOURCE) -> Path:
    """A shim, compiled into ``folder``."""
    shim = folder / f"{source.stem}.so"
    found = compiler()
    assert found is not None
    subprocess.run([found, "-shared", "-fPIC", "-O1", "-o", str(shim), str(source), "-ldl"], check=True)
    return shim


def slow_disk(folder: Path, sync_seconds: float) -> dict[str, str]:
    """The environment of a process to whom syncing a journal takes that long."""
    return {"LD_PRELOAD": str(built(folder)), "IO_FAULT_SYNC_SECONDS": str(sync_seconds)}


@contextmanager
def failing_disk(folder: Path, environment: Mapping[str, str], checkout: Path = ROOT) -> Iterator[Disk]:
    """Start the process that forks, behind the shim, with the evalsuite of a checkout."""
    call = [sys.executable, "-m", "tests.store.io_faults"]
    with subprocess.Popen(
        call,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=checkout,
        env={**environment, "LD_PRELOAD": str(built(folder)), "MPLBACKEND": "Agg"},
    ) as process:
        yield Disk(process)
        assert process.stdin is not None
        process.stdin.close()


def _serve() -> None:
    """Fork a child for every line of the standard input; answer with its exit code and number of calls."""
    import matplotlib.figure
    import pandas

    import evalsuite.analysis.summary
    import evalsuite.cli.run
    import evalsuite.config.compose
    import evalsuite.report.build
    import evalsuite.report.plots

    del matplotlib, pandas, evalsuite
    for line in sys.stdin:
        wanted = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            _command(wanted, write)
        os.close(write)
        with os.fdopen(read) as pipe:
            calls = int(pipe.read() or 0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps([os.waitstatus_to_exitcode(status), calls]) + "\n")
        sys.stdout.flush()


def _command(wanted: Mapping[str, object], write: int) -> None:
    """The child: one command with its fault; never returns."""
    from evalsuite.cli.main import main as cli

    said = os.open(str(wanted["said"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(said, 1)
    os.dup2(said, 2)
    shim = ctypes.CDLL(None)
    shim.io_fault_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    shim.io_fault_count.restype = ctypes.c_long
    shim.io_fault_arm(os.fsencode(str(wanted["below"])), wanted["at"], wanted["error"], bool(wanted["onwards"]))
    sys.argv = ["evalsuite", *wanted["words"]]  # type: ignore[misc]
    code = 1
    try:
        cli()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.stdout.flush()
        os.write(write, str(shim.io_fault_count()).encode())
        os._exit(code)


if __name__ == "__main__":
    _serve()
