"""Scripts that run in a checkout of another project, in a process of its own: for code that needs its own imports."""

import json
import os
import subprocess
import sys
from typing import Any

from figures.upstream import NoCheckoutError, checkout


def missing(name: str) -> str:
    """Why the checkout ``name`` cannot be used, as a measured value; empty if it can."""
    try:
        checkout(name)
    except NoCheckoutError as error:
        return f"not measured: {error}"
    return ""


def answered(name: str, script: str, question: Any) -> Any:
    """What ``script`` (Python, run in the checkout ``name``) prints as JSON for ``question``, its input as JSON."""
    home = checkout(name)
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(question),
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.rpartition("\n=====\n")[2])
