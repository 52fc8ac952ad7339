"""A model server that misbehaves as a test says, byte by byte, on raw sockets.

    def script(prompt: str, number: int) -> Steps | None:
        return [Send(head(503)), Close()] if number == 0 else None      # None: a good answer

    with fault_server(right, script) as server:
        ...  # server.base_url, server.counts, server.prompts

``answer`` gives the text for every prompt; ``script`` may put any steps in the place of the ``number``-th reply (from
0) to a prompt. ``GET /v1/models`` is answered well unless ``look`` says otherwise. ``Crash`` closes the port and resets
every connection, as a server that is killed does, and opens the port again after a while; a server without a port can
also be told to begin later. It runs in a thread of its own.
"""

import asyncio
import gzip
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

MODEL = "m"


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Say nothing for so many seconds; None: until the client hangs up."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """End the connection with a TCP reset."""


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection in order."""


@dataclass(frozen=True, slots=True)
class Endless:
    """Write this over and over until the client hangs up."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Crash:
    """The whole server dies, and is back on the same port after so many seconds; None: it never is."""

    seconds: float | None = None


Step = Send | Wait | Reset | Close | Endless | Crash
Steps = Sequence[Step]
Script = Callable[[str, int], Steps | None]
"""(prompt, how many requests of it came before) -> what happens; None: a good answer."""
Look = Callable[[int], Steps | None]
"""How many looks came before -> what ``GET /v1/models`` does."""


@dataclass(slots=True)
class Server:
    """A running fault server and its memory."""

    answer: Callable[[str], str]
    script: Script
    look: Look
    model: str = MODEL
    port: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Prompt -> requests."""
    prompts: list[str] = field(default_factory=list)
    """Every question in order of arrival."""
    bodies: list[Mapping[str, Any]] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    """Heads of the requests."""
    looks: int = 0
    crashes: int = 0
    running: int = 0
    peak: int = 0
    """Most questions that were ever answered at once."""
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _listening: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """Root of the API."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def listen(self) -> None:
        """Open the port."""
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End everything."""
        self.kill()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def kill(self) -> None:
        """Close the port and reset every connection."""
        if self._listening is not None:
            self._listening.close()
        for writer in list(self._writers):
            reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has hung up, or the test is over
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection lives on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if head.startswith("GET"):
            steps = self.look(self.looks)
            self.looks += 1
            listed = {"object": "list", "data": [{"id": self.model, "max_model_len": 262_144}]}
            return await self._play(steps or [Send(whole(json.dumps(listed).encode()))], reader, writer)
        size = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length"))
        body = json.loads(await reader.readexactly(size))
        prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        number = self.counts[prompt]
        self.counts[prompt] += 1
        self.prompts.append(prompt)
        self.bodies.append(body)
        self.headers.append(head)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            steps = self.script(prompt, number)
            if steps is None:
                steps = good(self.answer(prompt), stream=bool(body.get("stream")), model=self.model)
            return await self._play(steps, reader, writer)
        finally:
            self.running -= 1

    async def _play(self, steps: Steps, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        for step in steps:
            match step:
                case Send(data):
                    writer.write(data)
                    await writer.drain()
                case Endless(data):
                    while not writer.is_closing():
                        writer.write(data)
                        await writer.drain()
                case Wait(None):
                    await reader.read()  # returns when the client has hung up
                    return False
                case Wait(seconds):
                    await asyncio.sleep(seconds or 0.0)
                case Reset():
                    reset(writer)
                    return False
                case Close():
                    return False
                case Crash(seconds):
                    self._crash(seconds)
                    return False
        return True

    def _crash(self, seconds: float | None) -> None:
        self.crashes += 1
        self.kill()
        if seconds is not None:
            later = asyncio.create_task(self._come_back(seconds))
            self._tasks.add(later)
            later.add_done_callback(self._tasks.discard)

    async def _come_back(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.listen()


def reset(writer: asyncio.StreamWriter) -> None:
    """Hang up so that the other side sees a reset and not an end."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def fault_server(
    answer: Callable[[str], str],
    script: Script = lambda prompt, number: None,
    look: Look = lambda number: None,
    *,
    model: str = MODEL,
) -> Iterator[Server]:
    """Serve on 127.0.0.1 until the block ends."""
    server = Server(answer, script, look, model)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(server.listen())
    thread = threading.Thread(target=loop.run_forever, name="fault-server", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def head(status: int = 200, kind: str = "application/json", **headers: str) -> bytes:
    """The head of a reply; the body follows until the connection ends, unless a header says otherwise."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def whole(body: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> bytes:
    """A reply with its length."""
    return head(status, kind, Content_Length=str(len(body)), **headers) + body


def error(status: int, words: str = "it went wrong", **headers: str) -> Steps:
    """An error as OpenAI's servers word it."""
    return [Send(whole(json.dumps({"error": {"message": words, "code": status}}).encode(), status, **headers))]


def page(status: int = 200, words: str = "502 Bad Gateway. The answer is \\boxed{7}") -> Steps:
    """A proxy's page."""
    return [Send(whole(f"<html><body><h1>{words}</h1></body></html>".encode(), status, "text/html"))]


def completion(text: str | None, finish: str | None = "stop", *, model: str = MODEL, **changes: Any) -> bytes:
    """A whole chat completion; ``changes`` replace fields of it, None removes them."""
    message = {"role": "assistant", "content": text}
    if (reasoning := changes.pop("reasoning", None)) is not None:
        message["reasoning_content"] = reasoning
    body = {
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 9, "completion_tokens": len(text or "") or 1},
        **changes,
    }
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


def event(part: Mapping[str, Any] | None = None, finish: str | None = None, **fields: Any) -> bytes:
    """One line of a stream."""
    choices = [] if part is None and finish is None else [{"index": 0, "delta": part or {}, "finish_reason": finish}]
    return b"data: " + json.dumps({"model": MODEL, "choices": choices, **fields}).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    """``data`` in the chunked transfer encoding: an early end of the connection shows."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


STREAM = head(200, "text/event-stream", Transfer_Encoding="chunked")
DONE = chunk(b"data: [DONE]\n\n")
LAST = b"0\r\n\r\n"


def events(text: str, *, model: str = MODEL) -> list[bytes]:
    """The text, letter by letter, as events without an end."""
    return [event({"content": letter}, model=model) for letter in text]


def ending(tokens: int, finish: str = "stop", *, model: str = MODEL) -> list[bytes]:
    """Finish reason and token counts."""
    return [
        event({}, finish, model=model),
        event(model=model, usage={"prompt_tokens": 9, "completion_tokens": tokens}),
    ]


def streamed(lines: Sequence[bytes], *, done: bool = True, then: Sequence[Step] = ()) -> Steps:
    """A stream of these events, each a chunk of its own; ``then`` in the place of a proper end."""
    sent = [Send(STREAM), *(Send(chunk(line)) for line in lines)]
    if done:
        sent.append(Send(DONE))
    return [*sent, *(then or [Send(LAST)])]


def good(text: str, *, stream: bool = True, model: str = MODEL) -> Steps:
    """A good answer."""
    if not stream:
        return [Send(whole(completion(text, model=model)))]
    lines = b"".join(map(chunk, [*events(text, model=model), *ending(len(text), model=model)]))
    return [Send(STREAM + lines + DONE + LAST)]


def bomb(size: int) -> bytes:
    """So many bytes of white space, compressed a thousandfold."""
    return gzip.compress(b" " * size, 9)
