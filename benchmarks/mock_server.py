"""A model server that costs almost nothing: hand-written HTTP on an asyncio protocol, answers made beforehand.

    python -m benchmarks.mock_server --text 600 --reasoning 0 --event 0 --rate 0 --latency 0

prints its port and serves until its standard input closes. uvloop is used where it is installed. ``GET /stats`` returns
how many questions came, what CPU they cost here, so that a row can be checked for being bound by the server, and how
long it took until the last answer was written; ``GET /answered`` the ids of all questions answered, with times.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

TEXT = "The answer is 42."
"""How every answer ends."""
GOLDEN = 0.618034
"""Multiples of it, without their whole part, are spread evenly between 0 and 1."""
PHASES = 32
"""Paced streams take turns, so that hardly two events arrive together."""
WRITE = 65_536
"""Most bytes of a stream that are written at once."""
PAUSE = 0.004
"""Seconds between the writes of a stream that comes in several: each is a read of its own."""


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
    writes: int = 0
    """Writes in which a stream comes, with about as many events in each; 0: as few as possible."""
    latency: float = 0.0
    """Mean seconds before an answer; they vary evenly between half of it and one and a half."""


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
        groups = _groups(self.events, shape.writes) if shape.writes else self.events
        self.paced = [*(_chunk(group) for group in groups), _chunk(b"")]
        self.pause = PAUSE if shape.writes else 1.0 / shape.rate if shape.rate else 0.0
        self.asked = 0
        self.began = self.ended = 0.0
        """``time.monotonic()`` of the first question, and of the last answer that was not streamed."""
        self.answered: list[tuple[str, float]] = []
        """(id of the question, ``time.monotonic()`` when its answer was written), in this order."""
        self.first: Callable[[], None] | None = None
        """Called when the first question arrives."""

    def models(self) -> bytes:
        """The answer to ``GET /v1/models``."""
        return _response(json.dumps({"object": "list", "data": [{"id": "mock", "object": "model"}]}).encode())

    def ids(self) -> bytes:
        """The answer to ``GET /answered``."""
        return _response(json.dumps(self.answered).encode())

    def stats(self) -> bytes:
        """The answer to ``GET /stats``."""
        facts = {"asked": self.asked, "cpu": time.process_time(), "seconds": self.ended - self.began}
        return _response(json.dumps(facts).encode())


def _groups(events: Sequence[bytes], count: int) -> list[bytes]:
    """The events in ``count`` groups of about the same size."""
    ends = [len(events) * number // count for number in range(count + 1)]
    return [b"".join(events[begin:end]) for begin, end in pairwise(ends)]


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
            made = {b"/v1/models": answers.models, b"/stats": answers.stats, b"/answered": answers.ids}
            make = made.get(head.split(b" ", 2)[1])
            self.transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n" if make is None else make())
            return
        answers.asked += 1
        if answers.asked == 1:
            answers.began = time.monotonic()
            if answers.first is not None:
                answers.first()
        streamed = b'"stream":true' in body or b'"stream": true' in body
        question = body.partition(b"[id:")[2].partition(b"]")[0].decode()
        if answers.shape.latency:
            seconds = answers.shape.latency * (0.5 + answers.asked * GOLDEN % 1)
            asyncio.get_running_loop().call_later(seconds, self.send, streamed, question)
        else:
            self.send(streamed, question)

    def send(self, streamed: bool, question: str) -> None:
        """The answer, at once or event by event, if the client is still there."""
        answers = self.answers
        if self.transport.is_closing():
            return
        answers.answered.append((question, time.monotonic()))
        if not streamed:
            self.transport.write(answers.whole)
            answers.ended = time.monotonic()
        elif not answers.pause:
            self.transport.write(answers.streamed)
        else:
            self.transport.write(answers.head)
            pause = answers.pause
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
    for name in ("text", "reasoning", "event", "writes"):
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
