"""``evalsuite`` called in this process: the same entry point, words, output and exit code, without a start of Python.

What needs a process of its own (signals, closed pipes, what a start costs or imports, the entry point itself) is
tested with one.
"""

import gc
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import cast
from unittest.mock import patch

import pytest

from evalsuite.cli.main import main


class Finished:
    """What a command left: ``returncode``, ``stdout``, ``stderr``, as ``subprocess.CompletedProcess`` has them."""

    def __init__(self, words: tuple[str, ...], returncode: int, stdout: str, stderr: str) -> None:
        self.args, self.returncode, self.stdout, self.stderr = words, returncode, stdout, stderr

    def __repr__(self) -> str:
        return f"evalsuite {' '.join(self.args)} -> {self.returncode}\n{self.stdout}\n{self.stderr}"


def evalsuite(folder: Path, *words: str, **env: str) -> Finished:
    """Run ``evalsuite WORDS`` in ``folder`` with ``env`` added to the environment; never raises for its exit code."""
    out, err = StringIO(), StringIO()
    outputs = (redirect_stdout(out), redirect_stderr(err))
    with _as_process(folder, words, env), outputs[0], outputs[1], pytest.raises(SystemExit) as stopped:
        main()
    return Finished(words, cast("int", stopped.value.code), out.getvalue(), err.getvalue())


@contextmanager
def _as_process(folder: Path, words: tuple[str, ...], env: Mapping[str, str]) -> Iterator[None]:
    """Arguments, environment, working directory and signal handlers of a command; as before afterwards."""
    before, handler = Path.cwd(), signal.getsignal(signal.SIGTERM)
    with patch.dict(os.environ, env), patch.object(sys, "argv", ["evalsuite", *words]):
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
            signal.signal(signal.SIGTERM, handler)
            gc.unfreeze()  # the command took what it imported out of the collector's sight, and with it what is ours
