"""A model server that costs almost nothing: hand-written HTTP on an asyncio protocol, answers made beforehand.

    python -m benchmarks.mock_server --text 600 --reasoning 0 --event 0 --rate 0 --latency 0

prints its port and serves until its standard input closes. uvloop is used where it is installed. ``GET /stats`` returns
how many questions came and what CPU they cost here, so that a row can be checked for being bound by the server.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

TEXT = "The answer is 42."
"""How every answer ends."""
PHASES = 32
"""Paced streams take turns, so that hardly two events arrive together."""
WRITE = 65_536
"""Most bytes of a stream that are written at once."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What every answer looks like."""

    text: int = 600
    """Characters of the answer."""
    reasoning: int = 0
    """Characters of the reasoning."""
    event: int = 64
    """Characters in one streamed event."""
    rate: float = 0.0
    """Events a second of one stream, each alone; 0: all at once."""
    latency: float = 0.0
    """Seconds before an answer."""


def sentences(size: int) -> str:
    """Text of about ``size`` characters that compresses as prose with numbers does, not better."""
    words = ("therefore", "we", "take", "the", "sum", "of", "both", "sides", "and", "find", "that", "x", "equals")
    parts, length, state = [], 0, 12345
    while length < size:
        state = (1103515245 * state + 12345) & 0x7FFFFFFF
        word = f"{words[state % len(words)]} {state >> 12} "
        parts.append(word)
        length += len(word)
    return "".join(parts)[:size]


def answer_parts(shape: Shape) -> tuple[str, str]:
    """(reasoning, text)"""
    return sentences(shape.reasoning), sentences(max(0, shape.text - len(TEXT) - 1)) + " " + TEXT


def whole_answer(shape: Shape) -> bytes:
    """The HTTP response to a question that is not streamed."""
    reasoning, text = answer_parts(shape)
    message = {"role": "assistant", "content": text, "reasoning_content": reasoning or None}
    body = {
        "id": "mock",
        "object": "chat.completion",
        "created": 1,
        "model": "mock",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _usage(reasoning, text),
    }
    return _response(json.dumps(body).encode())


def events(shape: Shape) -> list[bytes]:
    """The server-sent events of an answer, in the shape of SGLang and vLLM."""
    reasoning, text = answer_parts(shape)
    head = {"id": "mock", "object": "chat.completion.chunk", "created": 1, "model": "mock"}
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    for name, part in (("reasoning_content", reasoning), ("content", text)):
        deltas += [{name: part[at : at + shape.event]} for at in range(0, len(part), shape.event)]
    found = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    found.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    found.append({**head, "choices": [], "usage": _usage(reasoning, text)})
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in found] + [b"data: [DONE]\n\n"]


def _usage(reasoning: str, text: str) -> dict[str, object]:
    thought, said = len(reasoning) // 4, len(text) // 4
    details = {"reasoning_tokens": thought}
    return {"prompt_tokens": 250, "completion_tokens": thought + said, "completion_tokens_details": details}


def _response(body: bytes, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class MockAnswers:
    """All bytes that the server ever sends for one shape of answer, and its counts."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.whole = whole_answer(shape)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self.events = events(shape)
        self.head = head
        body = b"".join(self.events)
        self.streamed = (
            head + b"".join(_chunk(body[at : at + WRITE]) for at in range(0, len(body), WRITE)) + _chunk(b"")
        )
        self.paced = [*(_chunk(event) for event in self.events), _chunk(b"")]
        self.models = _response(json.dumps({"object": "list", "data": [{"id": "mock", "object": "model"}]}).encode())
        self.asked = 0
        self.first: Callable[[], None] | None = None
        """Called when the first question arrives."""

    def stats(self) -> bytes:
        """The answer to ``GET /stats``."""
        return _response(json.dumps({"asked": self.asked, "cpu": time.process_time()}).encode())


class Mock(asyncio.Protocol):
    """One connection: requests in, ready-made answers out."""

    turns = itertools.count()

    def __init__(self, answers: MockAnswers) -> None:
        self.answers = answers
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Answer every whole request that has arrived."""
        self.rest += data
        while True:
            end = self.rest.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.rest[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.rest) < end + 4 + size:
                return
            body, self.rest = self.rest[end + 4 : end + 4 + size], self.rest[end + 4 + size :]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        """One request."""
        answers = self.answers
        if head.startswith(b"get"):
            known = {b"/v1/models": answers.models, b"/stats": answers.stats()}
            missing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
            self.transport.write(known.get(head.split(b" ", 2)[1], missing))
            return
        answers.asked += 1
        if answers.asked == 1 and answers.first is not None:
            answers.first()
        streamed = b'"stream":true' in body or b'"stream": true' in body
        if answers.shape.latency:
            asyncio.get_running_loop().call_later(answers.shape.latency, self.send, streamed)
        else:
            self.send(streamed)

    def send(self, streamed: bool) -> None:
        """The answer, at once or event by event."""
        if not streamed:
            self.transport.write(self.answers.whole)
        elif not self.answers.shape.rate:
            self.transport.write(self.answers.streamed)
        else:
            self.transport.write(self.answers.head)
            pause = 1.0 / self.answers.shape.rate
            loop = asyncio.get_running_loop()
            start = loop.time() + pause * (next(self.turns) % PHASES) / PHASES
            loop.call_at(start, self.step, iter(self.answers.paced), start, pause)

    def step(self, rest: "itertools.chain[bytes]", at: float, pause: float) -> None:
        """The next event of a paced stream."""
        event = next(rest, None)
        if event is not None and not self.transport.is_closing():
            self.transport.write(event)
            asyncio.get_running_loop().call_at(at + pause, self.step, rest, at + pause, pause)


async def listen(answers: MockAnswers) -> tuple[asyncio.Server, int]:
    """(server, port) on 127.0.0.1."""
    server = await asyncio.get_running_loop().create_server(lambda: Mock(answers), "127.0.0.1", 0, backlog=4096)
    return server, server.sockets[0].getsockname()[1]


async def _serve(answers: MockAnswers) -> None:
    server, port = await listen(answers)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.close()


def main() -> None:
    """Serve until the standard input closes."""
    parser = argparse.ArgumentParser()
    default = Shape()
    for name in ("text", "reasoning", "event"):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name))
    for name in ("rate", "latency"):
        parser.add_argument(f"--{name}", type=float, default=getattr(default, name))
    answers = MockAnswers(Shape(**vars(parser.parse_args())))
    with suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_serve(answers))


if __name__ == "__main__":
    main()
