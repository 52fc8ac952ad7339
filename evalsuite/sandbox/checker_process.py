"""The checker as evalsuite sees it: a process that computes verdicts and is replaced when it is lost."""

import contextlib
import json
import pickle
import struct
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evalsuite.errors import SampleFailed
from evalsuite.sandbox import isolation as walls
from evalsuite.sandbox.split_tests import Halves

JUDGING_SECONDS = 120.0


class SandboxFault(SampleFailed):
    """The sandbox itself failed: nothing is known about the answer."""


@dataclass(slots=True)
class CheckerProcess:
    """``checker.main`` in a process of its own; one verdict at a time."""

    _process: "subprocess.Popen[bytes] | None" = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def verdict(self, imports: str, tests: Sequence[Halves], targets: Sequence[Any], raw: bytes) -> dict[str, Any]:
        """What ``checker.verdicts`` returns for ``raw``, the bytes from the sandbox; starts the checker if need be, and
        blocks.

        ``imports``: the source of the import block; ``targets``: one value a test. All tests are ``wrong`` where
        judging takes over 120 s (``JUDGING_SECONDS``) or the values do not fit the checker's memory; where one
        comparison alone needs too much, its test is. Raises ``SandboxFault`` when the
        checker does not start, reports a fault, ends of anything else twice, or was closed.
        """
        outside = [test.outside for test in tests]
        compared = [list(test.compared) for test in tests]
        request = {"imports": imports, "outside": outside, "compared": compared, "targets": list(targets)}
        body = pickle.dumps((request, raw))
        with self._lock:
            for _ in range(2):
                answer, late = _asked(self._running(), struct.pack("Q", len(body)) + body)
                if answer:
                    break
                self._end()
                if late:
                    why = f"its values cannot be compared within {JUDGING_SECONDS:g} s"
                    return {"passed": [False] * len(outside), "kind": "wrong", "why": why}
        found: dict[str, Any] = json.loads(answer) if answer else {"fault": "it ended twice over one job"}
        if "fault" in found:
            raise SandboxFault(f"the checker failed: {found['fault']}")
        return found

    def close(self) -> None:
        """End the checker for good, after a verdict under way; a later ``verdict`` raises ``SandboxFault``."""
        with self._lock:
            self._closed = True
            self._end()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._closed:
            raise SandboxFault("the sandbox is closed")
        if self._process is None or self._process.poll() is not None:
            self._end()
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                walls.checker_command(),
                stdin=pipe,
                stdout=pipe,
                env=walls.ENVIRONMENT,
                start_new_session=True,  # a Ctrl-C at the terminal is not for the checker
            )
            if _read(self._process, 6) != b"ready\n":
                self._end()
                raise SandboxFault("the checker does not start")
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self._process = None


def _asked(process: "subprocess.Popen[bytes]", message: bytes) -> tuple[bytes, bool]:
    """(the checker's answer to one message, whether it was killed for taking over ``JUDGING_SECONDS``).

    The answer is empty when the process ended over it.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    assert process.stdin is not None
    watch = threading.Timer(JUDGING_SECONDS, end)
    watch.start()
    try:
        process.stdin.write(message)
        process.stdin.flush()
        head = _read(process, 8)
        size = struct.unpack("Q", head)[0] if len(head) == 8 else 0
        answer = _read(process, size)
        return (answer if len(answer) == size else b""), late.is_set()
    except BrokenPipeError:
        return b"", late.is_set()
    finally:
        watch.cancel()


def _read(process: "subprocess.Popen[bytes]", count: int) -> bytes:
    assert process.stdout is not None
    return process.stdout.read(count)
