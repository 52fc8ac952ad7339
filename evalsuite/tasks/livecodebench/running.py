"""Runs an answer on the tests of its problem in the sandbox: the only module of this benchmark that talks to it."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from evalsuite.sandbox.client import Job, Result
from evalsuite.sandbox.split_tests import EMIT, TAKE, TARGET, Halves
from evalsuite.tasks.livecodebench import compare, inside
from evalsuite.tasks.livecodebench.problems import Tests
from evalsuite.tasks.scicode.grading import SandboxPool

IMPORTS = "import ast, contextlib, importlib, pathlib, unittest.mock"
"""Imported before the clock starts."""
LATE = "TimeoutException"
"""In the reason of a test that took longer than its seconds."""


def job(tests: Tests, answer: str, seconds: int) -> Job:
    """Build the sandbox job that runs ``answer`` on ``tests``: ``seconds`` for each test.

    Time for the whole job: ``seconds`` + 1 for each test, and 5 s.
    """
    check = "same_output" if tests.function is None else "same_value"
    outside = f"from {compare.__name__} import {check}\nassert {check}({TAKE}({{number}}), {TARGET})"
    halves = tuple(
        Halves(f"{EMIT}({number}, lambda: run({text!r}))", outside.format(number=number))
        for number, text in enumerate(tests.inputs)
    )
    harness = Path(inside.__file__).read_text(encoding="utf-8")
    code = f"{harness}\nrun = load({answer!r}, {tests.function!r}, {seconds})\n"
    return Job(IMPORTS, code, halves, float((seconds + 1) * len(halves) + 5))


async def run(pool: SandboxPool, read: Callable[[], Tests], answer: str, seconds: int) -> Result:
    """Run an answer on all tests of its problem in the sandbox and return the result; ``read`` loads the tests.

    ``read`` is called in a thread when a slot of the pool is free, because tests can have 100 MB; ``seconds`` is the
    limit for each test. The job is given up when the caller is cancelled. Raises ``SandboxFault`` when the tests could
    not run, and what ``read`` raises.
    """
    cancelled = threading.Event()

    def work() -> Result:
        tests = read()
        return pool.sandbox.run(job(tests, answer, seconds), tests.outputs, cancelled)

    try:
        return await asyncio.wrap_future(pool.pool.submit(work))
    except asyncio.CancelledError:
        cancelled.set()
        raise


def ending(result: Result) -> str:
    """Return how a job ended: ``pass``, ``wrong``, ``timeout``, ``exception``, ``memory`` and others.

    It is ``result.ending``, but ``timeout`` for an exception whose text names ``TimeoutException``, as that of the time
    limit of one test does.
    """
    return "timeout" if result.ending == "exception" and LATE in result.why else result.ending
