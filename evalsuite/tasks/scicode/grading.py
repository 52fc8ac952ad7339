"""Runs sandbox jobs from asyncio.

Each process opens one sandbox of each wall on first use, with a bounded thread pool.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from evalsuite.sandbox.client import Job, NoWall, Result, Sandbox, open_sandbox

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
_refusals: dict[str, str] = {}
"""Wall -> why it does not hold here."""
_lock = threading.Lock()


def sandbox_pool(wall: str) -> SandboxPool:
    """Return the open sandbox of this process and its threads for a kind of isolation, ``wall`` (``bubblewrap``,
    ``podman``, ``docker``, ``apptainer`` or ``auto``).

    ``auto`` takes the first that works of bubblewrap, podman and apptainer. It is opened on first use, which blocks,
    and reused; it has a thread for each CPU that this process may use, at most 16. Raises ``NoWall`` when it cannot be
    opened; this is remembered until ``close``. Raises ``BadInput`` for another name.
    """
    with _lock:
        if not _pools:
            atexit.register(close)
        if wall in _refusals:
            raise NoWall(_refusals[wall])
        if wall not in _pools:
            workers = min(MAX_JOBS, len(os.sched_getaffinity(0)))
            try:
                _pools[wall] = SandboxPool(open_sandbox(wall), ThreadPoolExecutor(workers, "sandbox"))
            except NoWall as error:
                _refusals[wall] = str(error)
                raise
        return _pools[wall]


def refusal(wall: str) -> str:
    """Return why no sandbox of this kind (as for ``sandbox_pool``) can be opened; empty if
    it can. Blocks while it starts. Raises ``BadInput`` for an unknown kind.
    """
    try:
        sandbox_pool(wall)
    except NoWall as error:
        return str(error)
    return ""


def close() -> None:
    """Close every sandbox and thread pool of this process, and forget refusals; the next call of ``sandbox_pool`` opens
    others. Blocks until the sandboxes have ended, but does not wait for the threads.
    """
    with _lock:
        for pool in _pools.values():
            pool.sandbox.close()
            pool.pool.shutdown(wait=False)
        _pools.clear()
        _refusals.clear()
        atexit.unregister(close)


async def run_job(pool: SandboxPool, job: Job, targets: Callable[[], list[Any]]) -> Result:
    """Run one job in the sandbox in a thread and return its result: how it ended, and which tests passed.

    ``targets`` loads the targets of the job's tests; it is called in the thread. The job is given up when the caller is
    cancelled. Raises ``SandboxFault`` when the tests could not run, and what ``targets`` raises.
    """
    cancelled = threading.Event()

    def work() -> Result:
        return pool.sandbox.run(job, targets(), cancelled)

    try:
        return await asyncio.wrap_future(pool.pool.submit(work))
    except asyncio.CancelledError:
        cancelled.set()
        raise
