"""From asyncio to the sandbox: one of each tier for this process, opened when needed, a bounded number of jobs."""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from evalsuite.sandbox.client import Job, Result, Sandbox, open_sandbox

MOST_JOBS = 16


@dataclass(frozen=True, slots=True)
class SandboxPool:
    """A sandbox and the threads that wait for its jobs."""

    sandbox: Sandbox
    pool: ThreadPoolExecutor


_benches: dict[str, SandboxPool] = {}
_lock = threading.Lock()


def bench(tier: str) -> SandboxPool:
    """The open sandbox of this process; blocks while it starts. Raises ``BadInput`` when there can be none."""
    with _lock:
        if not _benches:
            atexit.register(close)
        if tier not in _benches:
            workers = min(MOST_JOBS, len(os.sched_getaffinity(0)))
            _benches[tier] = SandboxPool(open_sandbox(tier), ThreadPoolExecutor(workers, "sandbox"))
        return _benches[tier]


def close() -> None:
    """End every sandbox of this process; the next job opens a new one."""
    with _lock:
        for one in _benches.values():
            one.sandbox.close()
            one.pool.shutdown(wait=False)
        _benches.clear()
        atexit.unregister(close)


async def run(one: SandboxPool, job: Job, targets: Callable[[], list[Any]]) -> Result:
    """Run and judge one job in a thread; given up when the caller is cancelled. Raises ``SandboxFault``."""
    cancelled = threading.Event()

    def work() -> Result:
        return one.sandbox.run(job, targets(), cancelled)

    try:
        return await asyncio.wrap_future(one.pool.submit(work))
    except asyncio.CancelledError:
        cancelled.set()
        raise
