"""A real OpenAI-compatible HTTP server whose answers are written by the test.

    def answer(prompt: str) -> Answer:
        return Answer("\\\\boxed{7}", reasoning="3 + 4", delay=0.01)

    with scripted_endpoint(answer) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="none")
        ...
    assert server.counts["What is 3 + 4?"] == 1

It speaks ``/v1/chat/completions`` and ``/v1/completions`` (streamed and whole), ``/v1/models`` and ``/health``, cuts
texts at the request's stop strings as a server does, and remembers every request. It runs in a thread of its own.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

CHUNK = 64
"""Characters in one streamed delta."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sends for one request."""

    text: str = ""
    reasoning: str = ""
    """Sent as ``reasoning_content`` (chat only)."""
    finish_reason: str = "stop"
    tool_calls: Sequence[Mapping[str, str]] = ()
    """``{"id", "name", "arguments"}`` each, arguments as the text that is sent (chat only)."""
    delay: float = 0.0
    """Seconds before the first byte."""
    pace: float = 0.0
    """Seconds before each further event of a stream."""
    model: str = ""
    """Serving model in the answer; empty: the server's."""
    status: int = 200
    """Anything else is a fault: ``body`` is sent with it."""
    body: str | None = None
    """Sent raw in place of the answer: error bodies, malformed JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further response headers, such as ``Retry-After``."""
    hang_up: bool = False
    """Close the connection without an answer."""


Script = Callable[[str], "Answer | str | Sequence[Answer | str]"]
"""Prompt (the last message's text, or the raw prompt) -> answer. Of a sequence, the n-th request of the same prompt
gets the n-th answer; the last one repeats."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived."""

    path: str
    prompt: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    at: float
    """``time.monotonic()`` of its arrival."""


@dataclass(slots=True)
class Server:
    """A running scripted endpoint and its memory."""

    answer: Script
    model: str
    listed: Sequence[str] | None
    """What ``/v1/models`` lists; None: ``model``."""
    facts: Mapping[str, Any]
    """Further GET paths -> JSON, such as ``{"/server_info": {...}}``."""
    base_url: str = ""
    """Root of the API, ending in ``/v1``."""
    requests: list[Received] = field(default_factory=list)
    """Every generation request in order of arrival."""
    counts: Counter[str] = field(default_factory=Counter)
    """Prompt -> number of requests."""
    written: dict[int, float] = field(default_factory=dict)
    """Index of a streamed request -> ``time.monotonic()`` when the last byte of its answer was written."""
    running: int = 0
    """Generation requests being answered now."""
    peak: int = 0
    """Most generation requests that were ever answered at once."""


@contextmanager
def scripted_endpoint(
    answer: Script,
    *,
    model: str = "scripted",
    port: int = 0,
    facts: Mapping[str, Any] | None = None,
    listed: Sequence[str] | None = None,
) -> Iterator[Server]:
    """Serve ``answer`` on 127.0.0.1 until the block ends; ``port`` 0 takes a free one."""
    server = Server(answer, model, listed, facts or {})
    started, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    failure: list[BaseException] = []

    def body() -> None:
        try:
            loop.run_until_complete(_serve(server, port, started, stop))
        except OSError as error:
            failure.append(error)
        finally:
            loop.close()
            started.set()

    thread = threading.Thread(target=body, name="scripted-endpoint", daemon=True)
    thread.start()
    started.wait()
    if failure:
        raise failure[0]
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


async def _serve(server: Server, port: int, started: threading.Event, stop: asyncio.Event) -> None:
    async def generate(request: web.Request) -> web.StreamResponse:
        return await _generate(server, request)

    async def models(_: web.Request) -> web.Response:
        names = [server.model] if server.listed is None else server.listed
        entries = [{"id": name, "object": "model", "max_model_len": 262_144} for name in names]
        return web.json_response({"object": "list", "data": entries})

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    async def fact(request: web.Request) -> web.Response:
        return web.json_response(server.facts[request.path])

    app = web.Application(client_max_size=1 << 28)
    app.router.add_post("/v1/chat/completions", generate)
    app.router.add_post("/v1/completions", generate)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/health", health)
    for path in server.facts:
        app.router.add_get(path, fact)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)
        await site.start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        started.set()
        await stop.wait()
    finally:
        await runner.cleanup()


async def _generate(server: Server, request: web.Request) -> web.StreamResponse:
    body = await request.json()
    chat = request.path.endswith("/chat/completions")
    prompt = _text(body["messages"][-1]["content"]) if chat else body["prompt"]
    number = len(server.requests)
    server.requests.append(Received(request.path, prompt, body, dict(request.headers), time.monotonic()))
    answer = _pick(server.answer(prompt), server.counts[prompt])
    server.counts[prompt] += 1
    async with _counted(server):
        await asyncio.sleep(answer.delay)
        if answer.hang_up:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if answer.status != 200 or answer.body is not None:
            error = answer.body if answer.body is not None else _error(answer.status)
            return web.Response(
                text=error, status=answer.status, content_type="application/json", headers=answer.headers
            )
        text, finish = _stopped(answer, body)
        usage = _usage(prompt, answer.reasoning if chat else "", text, _pictures(body))
        envelope = {"id": "scripted", "created": int(time.time()), "model": answer.model or server.model}
        if body.get("stream"):
            response = await _stream(request, body, answer, envelope, text, finish, usage)
            server.written[number] = time.monotonic()
            return response
        message = {"role": "assistant", "content": text, "reasoning_content": answer.reasoning or None}
        if answer.tool_calls:
            message |= {"content": text or None, "tool_calls": _calls(answer)}
        choice = {"index": 0, "finish_reason": finish, **({"message": message} if chat else {"text": text})}
        kind = "chat.completion" if chat else "text_completion"
        whole = {**envelope, "object": kind, "choices": [choice], "usage": usage}
        return web.json_response(whole, headers=answer.headers)


async def _stream(
    request: web.Request,
    body: Mapping[str, Any],
    answer: Answer,
    envelope: Mapping[str, Any],
    text: str,
    finish: str,
    usage: Mapping[str, Any],
) -> web.StreamResponse:
    """The answer as server-sent events, in the shape of SGLang and vLLM."""
    chat = "messages" in body
    choices: list[dict[str, Any]] = []
    if chat:
        choices.append({"delta": {"role": "assistant", "content": ""}})
        choices += [{"delta": {"reasoning_content": piece}} for piece in _pieces(answer.reasoning)]
    choices += [{"delta": {"content": piece}} if chat else {"text": piece} for piece in _pieces(text)]
    choices += [{"delta": {"tool_calls": [call]}} for call in _calls(answer)]
    choices.append({"delta": {}, "finish_reason": finish} if chat else {"text": "", "finish_reason": finish})
    envelope = {**envelope, "object": "chat.completion.chunk" if chat else "text_completion"}
    events = [
        {**envelope, "choices": [choice]}
        for choice in ({"index": 0, "finish_reason": None, **choice} for choice in choices)
    ]
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append({**envelope, "choices": [], "usage": usage})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **answer.headers})
    try:
        await response.prepare(request)
        for event in events:
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            if answer.pace:
                await asyncio.sleep(answer.pace)
        await response.write(b"data: [DONE]\n\n")
    except ConnectionResetError:
        raise asyncio.CancelledError from None  # the client has gone: nobody is left to answer
    return response


@asynccontextmanager
async def _counted(server: Server) -> AsyncIterator[None]:
    server.running += 1
    server.peak = max(server.peak, server.running)
    try:
        yield
    finally:
        server.running -= 1


def _pick(scripted: Answer | str | Sequence[Answer | str], earlier: int) -> Answer:
    if not isinstance(scripted, (Answer, str)):
        scripted = scripted[min(earlier, len(scripted) - 1)]
    return Answer(scripted) if isinstance(scripted, str) else scripted


def _calls(answer: Answer) -> list[dict[str, Any]]:
    """The tool calls as servers write them."""
    return [
        {
            "index": index,
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for index, call in enumerate(answer.tool_calls)
    ]


def _text(content: Any) -> str:
    """A message's text; of content parts, the text parts joined."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())


def _stopped(answer: Answer, body: Mapping[str, Any]) -> tuple[str, str]:
    """The text cut at the first stop string, and the finish reason."""
    stops = body.get("stop") or []
    found = [at for stop in ([stops] if isinstance(stops, str) else stops) if (at := answer.text.find(stop)) >= 0]
    finish = "tool_calls" if answer.tool_calls and answer.finish_reason == "stop" else answer.finish_reason
    return (answer.text[: min(found)], "stop") if found else (answer.text, finish)


def _pictures(body: Mapping[str, Any]) -> int:
    contents = (message.get("content") for message in body.get("messages", ()))
    return sum(part.get("type") == "image_url" for parts in contents if isinstance(parts, list) for part in parts)


def _usage(prompt: str, reasoning: str, text: str, pictures: int) -> dict[str, Any]:
    """Token counts, one a word and one a picture."""
    asked, thought, said = (len(part.split()) for part in (prompt, reasoning, text))
    asked += pictures
    return {
        "prompt_tokens": asked,
        "completion_tokens": thought + said,
        "total_tokens": asked + thought + said,
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def _pieces(text: str) -> list[str]:
    return [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]


def _error(status: int) -> str:
    return json.dumps({"error": {"message": f"scripted fault {status}", "type": "scripted", "code": status}})
