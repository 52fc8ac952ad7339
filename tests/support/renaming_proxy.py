"""A real HTTP server in front of another that hides who is behind it, and can be turned to somebody else.

It is what ``--served-model-name`` and a checkpoint folder called ``/models/current`` make of a server: every name is
the same whoever answers. It forwards chat completions, streamed and whole.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

NAME = "current"


@dataclass(slots=True)
class Proxy:
    """A running proxy; ``target`` may be changed at any time."""

    target: str
    """Root of the API behind, ending in ``/v1``."""
    turn_after: int | None = None
    """Generation requests after which it is turned to ``turn_to``."""
    turn_to: str = ""
    beside: str = ""
    """Root of another API that gets every other request, as behind a load balancer."""
    key: str = ""
    """Asked of everyone; empty: of nobody."""
    base_url: str = ""
    prompts: list[str] = field(default_factory=list)
    """The last message of every generation request."""


@contextmanager
def renaming_proxy(target: str, port: int = 0) -> Iterator[Proxy]:
    """Serve on 127.0.0.1 until the block ends."""
    proxy = Proxy(target)
    started, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    def body() -> None:
        try:
            loop.run_until_complete(_serve(proxy, port, started, stop))
        finally:
            loop.close()
            started.set()

    thread = threading.Thread(target=body, name="renaming-proxy", daemon=True)
    thread.start()
    started.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


async def _serve(proxy: Proxy, port: int, started: threading.Event, stop: asyncio.Event) -> None:
    async def models(request: web.Request) -> web.Response:
        if proxy.key and request.headers.get("Authorization") != f"Bearer {proxy.key}":
            return _unauthorized()
        entry = {"id": NAME, "object": "model", "root": "/models/current", "max_model_len": 256}
        return web.json_response({"object": "list", "data": [entry]})

    async with aiohttp.ClientSession() as session:

        async def chat(request: web.Request) -> web.StreamResponse:
            return await _forward(proxy, session, request)

        app = web.Application()
        app.router.add_get("/v1/models", models)
        app.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            proxy.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            started.set()
            await stop.wait()
        finally:
            await runner.cleanup()


async def _forward(proxy: Proxy, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
    if proxy.key and request.headers.get("Authorization") != f"Bearer {proxy.key}":
        return _unauthorized()
    body = await request.json()
    proxy.prompts.append(body["messages"][-1]["content"])
    if proxy.turn_after is not None and len(proxy.prompts) > proxy.turn_after:
        proxy.target, proxy.turn_after = proxy.turn_to, None
    body.pop("model", None)
    target = proxy.beside if proxy.beside and len(proxy.prompts) % 2 else proxy.target
    async with session.post(f"{target}/chat/completions", json=body) as answer:
        if not body.get("stream") or answer.status != 200:
            whole = await answer.json()
            return web.json_response({**whole, "model": NAME} if answer.status == 200 else whole, status=answer.status)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    line = b"data: " + json.dumps({**json.loads(line[6:]), "model": NAME}).encode() + b"\n"
                await response.write(line)
        except ConnectionResetError:
            raise asyncio.CancelledError from None  # the client has gone: nobody is left to answer
        return response


def _unauthorized() -> web.Response:
    error = {"message": "Incorrect API key provided.", "type": "invalid_request_error", "code": 401}
    return web.json_response({"error": error}, status=401)
