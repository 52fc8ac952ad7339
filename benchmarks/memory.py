"""Peak memory of long answers: a real run, its seal and its report."""

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mock_server import Shape
from benchmarks.processes import ROOT, evalsuite_words, run, serving


@dataclass(frozen=True, slots=True)
class MemoryCost:
    """Largest resident memory, MB."""

    run: float
    """The whole command: asking, sealing, reporting."""
    again: float
    """The same command when nothing is left to ask: reading the journals, sealing, reporting."""
    report: float
    """``evalsuite report``."""
    disk_gb: float
    """What the run's folder holds."""
    cpu: float
    """Seconds of the first command."""


def memory_cost(
    samples: int, *, reasoning: int = 200_000, event: int = 2000, concurrency: int = 64, where: Path | None = None
) -> MemoryCost:
    """``samples`` streamed answers with ``reasoning`` characters, ``event`` of them in each event.

    Needs about 2.2 x samples x reasoning bytes of disk in ``where`` (None: the folder for temporary files).
    """
    needed = int(2.5 * samples * reasoning) + 500_000_000
    free = shutil.disk_usage(where or tempfile.gettempdir()).free
    if free < needed:
        raise RuntimeError(f"{needed / 1e9:.1f} GB of disk are needed, {free / 1e9:.1f} are free")
    shape = Shape(reasoning=reasoning, event=event)
    with tempfile.TemporaryDirectory(prefix="evalsuite-bench-", dir=where) as home, serving(shape) as served:
        results = Path(home)
        command = evalsuite_words(served.url, results, samples, concurrency)
        first = run(command)
        size = sum(path.stat().st_size for path in results.rglob("*") if path.is_file())
        again = run(command)
        report = run([sys.executable, "-m", "evalsuite", "report", "run=r", f"results_dir={results}"], cwd=ROOT)
    return MemoryCost(first.peak_mb, again.peak_mb, report.peak_mb, size / 1e9, first.cpu)
