"""What light commands cost in CPU: the median of several runs of each, user and system seconds of all its processes."""

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from figures.line import Line
from figures.report import report_cost

RUNS = 7
ASKED: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "--help": (0.1, ("--help",)),
    "tasks": (0.5, ("tasks",)),
    "show": (0.7, ("show",)),
    "run dry_run=true": (0.7, ("run", "model=fp8", "task=word_problems", "dry_run=true")),
    "plan of eight": (1.5, ("plan", "model=[fp8,nvfp4_v2]", "suite=all")),
    "report of 16 samples": (2.0, ("report", "run=small", "out=report")),
}
"""Command -> (CPU seconds asked, its words)."""


def lines(folder: Path) -> list[Line]:
    """The rows of the page: every command in a folder with one small run, then a report of 240,000 samples."""
    made = ["run", "model=[demo_bf16,demo_fp8]", "suite=demo", "limit=8", "run_id=small", "report=false"]
    subprocess.run([sys.executable, "-m", "evalsuite", *made], cwd=folder, check=True, capture_output=True)
    rows = []
    for name, (asked, words) in ASKED.items():
        costs = [cpu_seconds(words, folder) for _ in range(RUNS)]
        rows.append(
            Line(
                f"CPU of `evalsuite {name}`, median of {RUNS} (least)",
                f"at most {asked:g} s",
                f"{statistics.median(costs):.2f} s ({min(costs):.2f})",
            )
        )
    before = os.times()
    large = report_cost(folder / "large", items=12_000, models=4, repeats=5)
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    rows.append(
        Line("CPU of the report of 240,000 samples, once", "at most 8 s", f"{seconds:.1f} s ({large.peak_mb:.0f} MB)")
    )
    return rows


def cpu_seconds(words: Sequence[str], folder: Path) -> float:
    """User and system seconds of one command and its children. Raises ``CalledProcessError`` if it fails."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "evalsuite", *words], cwd=folder, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
