"""The two tiers of tests in a fresh clone, quiet and with busy processes; and what stands in ``evalsuite/``."""

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from figures.line import Line

ROOT = Path(__file__).parents[1]
BUSY = 8


@dataclass(frozen=True, slots=True)
class Made:
    """One ``make`` command."""

    code: int
    minutes: float
    """Wall time."""
    cpu_minutes: float
    """Of all its processes that were waited for."""
    summary: str
    """pytest's last line."""
    output: str


def tiers(folder: Path) -> list[Line]:
    """Both tiers from nothing, then the first once more with eight busy processes."""
    home = folder / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(home)], check=True)
    environment = make(home, ".venv/.dev")
    quick = make(home, "test")
    slow = make(home, "test-slow")
    with busy(BUSY):
        beside = make(home, "test")
    first = environment.minutes + quick.minutes
    return [
        Line(
            "`make test`, fresh clone, two quiet cores, environment included",
            "under 6 minutes; tests under 9 CPU minutes",
            f"{first:.1f} minutes ({environment.minutes:.1f} of them the environment); lint and tests "
            f"{quick.cpu_minutes:.1f} CPU minutes; {quick.summary}",
        ),
        Line(
            f"`make test` with {BUSY} busy processes beside it",
            "0 failures",
            f"{beside.summary}; {beside.minutes:.1f} minutes",
        ),
        Line(
            "`make test` + `make test-slow`, environments included",
            "under 25 minutes",
            f"{first + slow.minutes:.1f} minutes; the second tier {slow.cpu_minutes:.1f} CPU minutes; {slow.summary}",
        ),
    ]


def make(home: Path, target: str) -> Made:
    """Run ``make TARGET`` in ``home``; a failure is measured, not raised."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(["make", target], cwd=home, env=own, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summaries = re.findall(r"^=*\s*(\d+ \w+.* in [\d.]+s.*?)=*$", done.stdout, re.MULTILINE)
    summary = summaries[-1].strip() if summaries else f"no tests, exit code {done.returncode}"
    return Made(done.returncode, seconds / 60, cpu / 60, summary, done.stdout + done.stderr)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """``count`` processes that do nothing but compute."""
    call = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(call) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def house(folder: Path) -> list[Line]:
    """Entries of the package, the contracts on its imports, and its lines."""
    package = ROOT / "evalsuite"
    left_out = {"__init__.py", "__main__.py", "py.typed", "__pycache__"}
    entries = sorted({path.name for path in package.iterdir()} - left_out)
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in package.rglob("*.py"))
    program = str(Path(sys.executable).parent / "lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    linted = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    contracts = re.findall(r"^(.*\S)\s+(KEPT|BROKEN)\b", linted.stdout, re.MULTILINE)
    kept = "; ".join(f"{name}: {state}" for name, state in contracts)
    return [
        Line(
            "entries in `evalsuite/` beside `__init__`, `__main__`, `py.typed`",
            "at most 15; both contracts KEPT",
            f"{len(entries)}; {kept}",
        ),
        Line("lines of Python in `evalsuite/`", "fewer than 31,003", f"{lines:,}"),
    ]
