"""Code of other projects beside which figures are measured; it is never part of this one.

``EVALSUITE_UPSTREAM`` names a folder with checkouts: ``LiveCodeBench`` (LiveCodeBench/LiveCodeBench), ``NeMo-Skills``
(NVIDIA-NeMo/Skills) and ``hle`` (centerforaisafety/hle).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

VARIABLE = "EVALSUITE_UPSTREAM"


def missing(name: str) -> str:
    """Why the checkout ``name`` cannot be used; empty if it can."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return f"not measured: {VARIABLE} names no folder with {name}"
    return "" if (Path(folder) / name).is_dir() else f"not measured: {folder} holds no {name}"


def answered(name: str, script: str, question: Any) -> Any:
    """What ``script`` (Python, run in the checkout ``name``) prints as JSON for ``question``, its input as JSON."""
    home = Path(os.environ[VARIABLE]) / name
    environment = {**os.environ, "PYTHONPATH": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(question),
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.rpartition("\n=====\n")[2])
