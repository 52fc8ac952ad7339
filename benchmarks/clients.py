"""Loops that ask the mock server and do nothing else, one process each: what evalsuite is held against.

    python -m benchmarks.clients aiohttp --url http://127.0.0.1:8000/v1 --count 1000 --concurrency 64

prints the CPU seconds of the loop (user and system; imports and a first request are not counted).
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.task import FILLING

Ask = Callable[[int], Awaitable[None]]
SAMPLING = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 64000}


def messages(number: int) -> list[dict[str, str]]:
    """The question that evalsuite's benchmark task asks, too."""
    return [{"role": "user", "content": f"{FILLING} [id:{number}] What is it?"}]


async def bare_aiohttp(stack: AsyncExitStack, url: str, limit: int, *, stream: bool) -> Ask:
    """aiohttp alone; streamed bytes are split into events and parsed, as ours are."""
    import aiohttp
    import orjson

    from evalsuite.endpoint.sse import DONE, SSEReader

    connector = aiohttp.TCPConnector(limit=limit)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))

    async def ask(number: int) -> None:
        body = {"model": "mock", "messages": messages(number), "stream": stream, **SAMPLING}
        async with session.post(f"{url}/chat/completions", json=body) as response:
            if not stream:
                await response.read()
                return
            reader = SSEReader()
            async for chunk in response.content.iter_any():
                for payload in reader.feed(chunk):
                    if payload != DONE:
                        orjson.loads(payload)

    return ask


async def _openai(stack: AsyncExitStack, url: str, limit: int) -> Any:
    import httpx2
    import openai

    http = openai.DefaultAioHttpClient(limits=httpx2.Limits(max_connections=limit, max_keepalive_connections=limit))
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, http_client=http)
    return await stack.enter_async_context(client)


async def openai_raw(stack: AsyncExitStack, url: str, limit: int, *, stream: bool) -> Ask:
    """The openai package on its aiohttp transport: ``with_raw_response``, or raw bytes of a stream."""
    import orjson

    from evalsuite.endpoint.sse import DONE, SSEReader

    client = await _openai(stack, url, limit)

    async def whole(number: int) -> None:
        create = client.chat.completions.with_raw_response.create
        response = await create(model="mock", messages=messages(number), **SAMPLING)
        assert response.http_response.content

    async def streamed(number: int) -> None:
        create = client.chat.completions.with_streaming_response.create
        async with create(model="mock", messages=messages(number), stream=True, **SAMPLING) as response:
            reader = SSEReader()
            async for chunk in response.iter_bytes():
                for payload in reader.feed(chunk):
                    if payload != DONE:
                        orjson.loads(payload)

    return streamed if stream else whole


async def openai_objects(stack: AsyncExitStack, url: str, limit: int, *, stream: bool) -> Ask:
    """The openai package as its manual shows it: an object for every answer or event."""
    client = await _openai(stack, url, limit)

    async def ask(number: int) -> None:
        answer = await client.chat.completions.create(
            model="mock", messages=messages(number), stream=stream, **SAMPLING
        )
        if stream:
            async for _ in answer:
                pass

    return ask


async def evalsuite_client(stack: AsyncExitStack, url: str, limit: int, *, stream: bool) -> Ask:
    """evalsuite's own client, without engine and journal."""
    from evalsuite.config.settings import Engine, Model, Server
    from evalsuite.endpoint.client import connect
    from evalsuite.records import Request

    server = Server(dialect="sglang", stream=stream)
    client = connect(
        Model("Mock", "benchmarks/mock", None, "bf16", base_url=url, server=server), Engine(), "mock", limit
    )
    stack.push_async_callback(client.close)

    async def ask(number: int) -> None:
        reply = await client.send(Request(tuple(messages(number)), sampling=SAMPLING))
        assert reply.text.endswith("42.")

    return ask


KINDS = {
    "aiohttp": bare_aiohttp,
    "openai-raw": openai_raw,
    "openai-objects": openai_objects,
    "evalsuite-client": evalsuite_client,
}


async def loop(kind: str, url: str, count: int, concurrency: int, *, stream: bool) -> float:
    """CPU seconds of ``count`` questions."""
    async with AsyncExitStack() as stack:
        ask = await KINDS[kind](stack, url, concurrency, stream=stream)
        await ask(0)
        numbers = itertools.count(1)

        async def work() -> None:
            while next(numbers) <= count:
                await ask(count)

        began = time.process_time()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return time.process_time() - began


def main() -> None:
    """Print what one loop cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--stream", action="store_true")
    asked = parser.parse_args()
    cpu = asyncio.run(loop(asked.kind, asked.url, asked.count, asked.concurrency, stream=asked.stream))
    sys.stdout.write(json.dumps(cpu) + "\n")


if __name__ == "__main__":
    main()
