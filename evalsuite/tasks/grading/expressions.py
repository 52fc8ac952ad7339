"""Evaluates the constant arithmetic that a model left in its answer, in a process that can be ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field

from evalsuite.errors import SampleFailed
from evalsuite.tasks.grading.expression_worker import READY

_COMMAND = (sys.executable, "-P", "-m", "evalsuite.tasks.grading.expression_worker")
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ")
"""Variables that the process gets: what Python needs, and none of the keys that a run has in its environment."""


@dataclass(slots=True)
class _Worker:
    """``expression_worker`` in a process of its own: started on first use, and again when it was ended."""

    command: tuple[str, ...] = _COMMAND
    process: "subprocess.Popen[str] | None" = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, expression: str) -> str:
        """Send a LaTeX expression to the worker process (started when needed); return its reply: a JSON line, which
        holds a text or null.

        Empty when the expression ended the process: by its limits or an error. Raises ``SampleFailed`` when the process
        was killed twice from outside or math-verify cannot be loaded. Blocks; thread-safe.
        """
        with self.lock:
            for _ in range(2):
                line = self._line(expression)
                if line or self._ended() not in (-signal.SIGKILL, -signal.SIGTERM):
                    return line
        raise SampleFailed("the process that evaluates answers was killed twice: is there too little memory?")

    def _line(self, expression: str) -> str:
        if self.process is None:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                text=True,
                start_new_session=True,  # Ctrl-C at the terminal is meant for the run, not for this process
            )
            if _read(self.process) != READY:
                raise SampleFailed(f"math-verify cannot be loaded: {' '.join(self.command)} ends with {self._ended()}")
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(expression) + "\n")
            self.process.stdin.flush()
        return _read(self.process)

    def _ended(self) -> int:
        """Wait for the worker process to end and forget it; return its exit code
        (negative: the number of the signal).
        """
        assert self.process is not None
        process, self.process = self.process, None
        with contextlib.suppress(BrokenPipeError):
            process.communicate()
        return process.returncode


def _read(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


_WORKER = _Worker()


def value(expression: str) -> str | None:
    """Return the exact value of a constant LaTeX expression as text for ``fractions.Fraction`` (``37/2``).

    None when it is irrational or not constant, its numerator or denominator has more than 660 bits (about 200 digits),
    it cannot be read, or it exceeds 5 to 6 s of processor time or 2 GiB. Computed in a separate process; blocks. Raises
    ``SampleFailed`` when math-verify cannot be loaded or its process is killed twice from outside.
    """
    line = _WORKER.ask(expression)
    result: str | None = json.loads(line) if line else None
    return result
