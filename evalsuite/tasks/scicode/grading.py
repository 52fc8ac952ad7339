"""Runs sandbox jobs from asyncio.

Each process opens one sandbox of each tier on first use, with a bounded thread pool.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from evalsuite.sandbox.client import Job, Result, Sandbox, open_sandbox

MAX_JOBS = 16
"""Largest number of simultaneous jobs."""


@dataclass(frozen=True, slots=True)
class SandboxPool:
    """A sandbox and the threads that wait for its jobs."""

    sandbox: Sandbox
    """The sandbox."""
    pool: ThreadPoolExecutor
    """The threads."""


_pools: dict[str, SandboxPool] = {}
_lock = threading.Lock()


def sandbox_pool(tier: str) -> SandboxPool:
    """Return the open sandbox of this process for an isolation tier; blocks while it starts.

    Raises ``BadInput`` when it cannot be opened.
    """
    with _lock:
        if not _pools:
            atexit.register(close)
        if tier not in _pools:
            workers = min(MAX_JOBS, len(os.sched_getaffinity(0)))
            _pools[tier] = SandboxPool(open_sandbox(tier), ThreadPoolExecutor(workers, "sandbox"))
        return _pools[tier]


def close() -> None:
    """Close every sandbox of this process; the next job opens a new one."""
    with _lock:
        for pool in _pools.values():
            pool.sandbox.close()
            pool.pool.shutdown(wait=False)
        _pools.clear()
        atexit.unregister(close)


async def run_job(pool: SandboxPool, job: Job, targets: Callable[[], list[Any]]) -> Result:
    """Run and grade one job in a thread; the job is stopped when the caller is cancelled.

    ``targets`` returns the targets of the job's tests. Raises ``SandboxFault``.
    """
    cancelled = threading.Event()

    def work() -> Result:
        return pool.sandbox.run(job, targets(), cancelled)

    try:
        return await asyncio.wrap_future(pool.pool.submit(work))
    except asyncio.CancelledError:
        cancelled.set()
        raise
