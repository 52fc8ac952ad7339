"""Peak memory of another process.

Linux counts what a process held before ``exec`` into its peak, so a child of a large test process looks as large as
the test process. A small interpreter in between keeps that out.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_BETWEEN = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024))
sys.exit(code)
"""


def measured(command: Sequence[str], folder: Path | None = None) -> tuple["subprocess.CompletedProcess[str]", float]:
    """(the finished process with its output, the largest resident memory in MB of it and its children)."""
    with tempfile.TemporaryDirectory() as home:
        note = Path(home) / "peak"
        between = [sys.executable, "-I", "-S", "-c", _BETWEEN, str(note), *command]
        done = subprocess.run(between, capture_output=True, text=True, check=False, cwd=folder)
        return done, float(note.read_text())
