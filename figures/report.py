"""How long a report takes and how much memory it needs: one function for the test and for the full size."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from figures.measure import measured
from tests.support.cells import Answer, Made, write

SUBJECTS = (
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health", "history", "law",
    "math", "other", "philosophy", "physics", "psychology",
)  # fmt: skip
_PROGRAM = """
import sys, time
started = time.perf_counter()
from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
code = report(Report(run=[sys.argv[1]], out=sys.argv[2]))
print("\\n" + __import__("json").dumps([int(code), time.perf_counter() - started]))
"""


@dataclass(frozen=True)
class ReportCost:
    """Load, compare, tables and plots in a fresh process."""

    samples: int
    exit_code: int
    seconds: float
    """From the first import to the last file."""
    wall_seconds: float
    """With the interpreter's start."""
    peak_mb: float


def report_cost(folder: Path, items: int = 12_032, models: int = 4, repeats: int = 1) -> ReportCost:
    """Cells with texts of real length are written, then reported by another process, which is measured."""
    rng = np.random.default_rng(7)
    words = np.array(["the", "answer", "is", "therefore", "kinetic", "energy", "option", "we", "sum", "(A)"])
    pool = [" ".join(rng.choice(words, 400)) for _ in range(50)]
    subjects = {str(item): SUBJECTS[item % len(SUBJECTS)] for item in range(items)}
    skill = rng.beta(4, 1, items)
    names = [f"model_{number}" for number in range(models)]
    run = folder / "scale"
    for name in names:
        right = rng.random((items, repeats)) < skill[:, None]
        answers = {
            str(item): [
                Answer(float(value), tokens=int(rng.integers(50, 4000)), text=pool[item % 50] + str(item))
                for value in right[item]
            ]
            for item in range(items)
        }
        write(run, Made(name, answers, subjects=subjects, baseline=None if name == names[0] else names[0]))
    started = time.perf_counter()
    done, peak = measured([sys.executable, "-c", _PROGRAM, str(run), str(folder / "out")])
    assert done.returncode == 0, done.stderr
    wall = time.perf_counter() - started
    code, seconds = json.loads(done.stdout.splitlines()[-1])
    return ReportCost(items * models * repeats, code, seconds, wall, peak)
