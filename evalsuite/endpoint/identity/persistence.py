"""Requests of the identity checks, sent again after a fault as patiently as a benchmark's questions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from evalsuite.config.settings import Engine
from evalsuite.endpoint.faults import Transient, pause

T = TypeVar("T")


async def persist(send: Callable[[], Awaitable[T]], engine: Engine, most: int | None = None) -> T:
    """The result of ``send``, called again with pauses after transient faults.

    At most as many further calls as the least of ``engine.retries``, ``most`` (None: no limit) and the fault's own
    ``retries``. Without these calls one dropped connection (llama.cpp closes the socket after every streamed answer)
    would leave a server without its fingerprint. Raises the last fault; any other error at once.
    """
    attempt = 1
    while True:
        try:
            return await send()
        except Transient as fault:
            limits = [engine.retries, *(limit for limit in (most, fault.retries) if limit is not None)]
            if attempt > min(limits):
                raise
            await asyncio.sleep(pause(attempt, fault, engine))
            attempt += 1


def token_limit(most: int, sampling: Mapping[str, Any], context: int | None) -> int:
    """Tokens that a check may generate: the least of ``most``, the ``max_tokens`` of ``sampling``, and half of
    ``context`` (tokens).

    At least 1. A limit that is None or 0 does not count. The other half is for the check's prompt: its own few words, a
    tool's schema, and the chat template around them.
    """
    limits = [most, *(limit for limit in (sampling.get("max_tokens"), context and context // 2) if limit)]
    return max(1, min(limits))
