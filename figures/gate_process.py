"""The gate as a process: stopped at any point of its execution, and its time and memory for 240,000 samples."""

import json
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from figures.line import Line
from figures.measure import measured
from figures.report import report_cost
from figures.verdict import environment, gate, gate_command
from tests.support.cells import Answer, Made, write


@dataclass(frozen=True, slots=True)
class Signals:
    """A gate that was stopped at many points of its execution."""

    codes: Mapping[int, int]
    """Exit code -> times."""
    false: int
    """Times that 0, 1 or 2 came without a whole verdict on disk, or that a verdict on disk is not whole."""


def terminated(folder: Path, times: int = 40) -> Signals:
    """SIGTERM at moments spread over the gate's whole life."""
    rng = random.Random(3)
    base = {str(item): [Answer(float(item % 10 > 0))] for item in range(2000)}
    write(folder / "results" / "r", Made("a", base, "word_problems"), Made("b", base, "word_problems", baseline="a"))
    began = time.monotonic()
    done = gate(folder, "word_problems", "run=r")
    assert done.returncode == 0, done.stderr
    life = time.monotonic() - began
    verdict = folder / "results" / "r" / "report" / "verdict.json"
    codes: Counter[int] = Counter()
    false = 0
    command = gate_command(folder, "word_problems", "run=r")
    for number in range(times):
        verdict.unlink(missing_ok=True)
        with subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as one:
            try:
                one.wait((number + rng.random()) / times * life * 1.1)
            except subprocess.TimeoutExpired:
                one.send_signal(signal.SIGTERM)
            code = one.wait(60)
        codes[code] += 1
        there = verdict.exists()
        whole = there and json.loads(verdict.read_text())["exit"] == 0
        false += (code in (0, 1, 2) and not whole) or (there and not whole)
    return Signals(dict(codes), false)


@dataclass(frozen=True, slots=True)
class GateCost:
    """Load, compare and judge in a fresh process."""

    seconds: float
    peak_mb: float


def gate_cost(folder: Path) -> GateCost:
    """The gate on the run that ``report_cost`` left in ``folder``."""
    command = gate_command(folder, "mmlu_pro", f"run={folder / 'scale'}")
    began = time.perf_counter()
    done, peak = measured(command)
    assert done.returncode in (0, 1, 2), done.stderr
    return GateCost(time.perf_counter() - began, peak)


def gate_lines(folder: Path) -> list[Line]:
    """Both at full size."""
    (folder / "signals").mkdir()
    (folder / "scale").mkdir()
    stopped = terminated(folder / "signals")
    codes = ", ".join(f"{code}: {times}" for code, times in sorted(stopped.codes.items()))
    cost = report_cost(folder / "scale", 12_000, 4, 5)
    judging = gate_cost(folder / "scale")
    return [
        Line("SIGTERM at 40 moments of a gate: 0, 1, 2 without a whole verdict", "0", f"{stopped.false} ({codes})"),
        Line(
            "240,000 samples: load, compare and report",
            "under 20 s, 2 GB",
            f"{cost.seconds:.1f} s, {cost.peak_mb:.0f} MB",
        ),
        Line("240,000 samples: load, compare and gate", "stated", f"{judging.seconds:.1f} s, {judging.peak_mb:.0f} MB"),
    ]
