"""A bare HTTP client for the server's tests: no code of the project between the wire and the assertions."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from evalsuite.demo.problems import Problem

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer, streamed or not, in one shape."""

    reasoning: str
    content: str
    finish: str | None
    usage: Json | None


def chat(problem: Problem | str, model: str, extra: Json | None = None) -> Json:
    """A greedy request body, with `extra` fields over it."""
    question = problem if isinstance(problem, str) else problem.question
    messages = [{"role": "user", "content": question}]
    return {"model": model, "messages": messages, "temperature": 0, "max_tokens": 64000, **(extra or {})}


def post_all(base_url: str, bodies: Sequence[Json], concurrency: int = 64) -> list[Outcome]:
    """All answers, in the order of the bodies."""
    return asyncio.run(_post_all(base_url, bodies, concurrency))


def post_raw(url: str, data: bytes) -> tuple[int, Json]:
    """Status and decoded body."""

    async def once() -> tuple[int, Json]:
        async with aiohttp.ClientSession() as session, session.post(url, data=data) as response:
            return response.status, await response.json(content_type=None)

    return asyncio.run(once())


def get(url: str) -> tuple[int, Any]:
    """Status and body, decoded if there is one."""

    async def once() -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    return asyncio.run(once())


async def _post_all(base_url: str, bodies: Sequence[Json], concurrency: int) -> list[Outcome]:
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(300)) as session:
        return await asyncio.gather(*(post(session, base_url, body) for body in bodies))


async def post(session: aiohttp.ClientSession, base_url: str, body: Json) -> Outcome:
    async with session.post(f"{base_url}/chat/completions", json=body) as response:
        raw = await response.text()
        assert response.status == 200, raw
    return streamed(raw) if body.get("stream") else whole(json.loads(raw))


def whole(answer: Json) -> Outcome:
    choice = answer["choices"][0]
    message = choice["message"]
    reasoning = message.get("reasoning_content") or ""
    return Outcome(reasoning, message["content"], choice["finish_reason"], answer["usage"])


def events(raw: str) -> list[Json]:
    """The JSON events of a stream that must end in [DONE]."""
    lines = [line.removeprefix("data: ") for line in raw.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def streamed(raw: str) -> Outcome:
    reasoning, content, finish, usage = "", "", None, None
    for event in events(raw):
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            reasoning += choice["delta"].get("reasoning_content", "")
            content += choice["delta"].get("content", "")
            finish = choice["finish_reason"] or finish
    return Outcome(reasoning, content, finish, usage)
