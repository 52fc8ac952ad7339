"""Questions to a pool without a run around it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvloop

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.pool import Pool, connect_all, pool
from evalsuite.engine.retry import ask_again
from evalsuite.engine.stopping import Stop
from evalsuite.records import Reply, Request

ENGINE: dict[str, Any] = {
    "retries": 2,
    "backoff_seconds": 0.01,
    "backoff_max_seconds": 0.04,
    "connect_seconds": 1.0,
    "first_token_seconds": 1.0,
    "idle_seconds": 0.3,
    "outage_seconds": 20.0,
    "probe": False,
}
"""Short times; an outage is waited for longer than any of these servers is away."""


def answer(prompt: str) -> str:
    """Every question's answer."""
    return f"answer to {prompt}"


def model(*urls: str, **changes: Any) -> Model:
    """A model behind these URLs."""
    url: Any = urls[0] if len(urls) == 1 else list(urls)
    server = Server("openai", thinking_via=None, stream=changes.pop("stream", True))
    return Model("M", "org/m", None, "bf16", base_url=url, server=server, served_name="m", **changes)


def question(prompt: str, max_tokens: int = 64) -> Request:
    """A request."""
    return Request(({"role": "user", "content": prompt},), sampling={"max_tokens": max_tokens})


async def opened(one: Model, **engine: Any) -> Pool:
    """A pool of its replicas."""
    settings = Engine(**(ENGINE | engine))
    return pool(one, settings, connect_all(one, settings))


def using(one: Model, work: Callable[[Pool], Awaitable[Any]], **engine: Any) -> Any:
    """What ``work`` does with a pool, on the event loop that a run has."""

    async def go() -> Any:
        asked = await opened(one, **engine)
        try:
            return await work(asked)
        finally:
            await asked.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(go())


async def ask(asked: Pool, prompt: str, max_tokens: int = 64) -> tuple[Reply, int]:
    """One question, whatever it takes."""
    return await ask_again(asked, question(prompt, max_tokens), Stop())


def ask_all(one: Model, prompts: Sequence[str], at_once: int = 8, **engine: Any) -> list[Any]:
    """(reply, requests) or the exception of every question, at most ``at_once`` together."""

    async def work(asked: Pool) -> list[Any]:
        slots = asyncio.Semaphore(at_once)

        async def single(prompt: str) -> tuple[Reply, int]:
            async with slots:
                return await ask(asked, prompt)

        return await asyncio.gather(*map(single, prompts), return_exceptions=True)

    found: list[Any] = using(one, work, **engine)
    return found


def texts(found: Sequence[Any]) -> list[str]:
    """The answers; raises what came instead of one."""
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [reply.text for reply, _ in found]
