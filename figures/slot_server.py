"""A chat server that does nothing but keep its slots busy: ``python -m figures.slot_server SLOTS SECONDS.json``.

Each question takes the seconds that the file gives for it, in one of the slots; questions wait for a slot in the order
in which they came. ``GET /stats`` returns when the first question came, when the last answer left, and how long the
slots were busy. It speaks just enough HTTP/1.1 for keep-alive connections, so that it costs next to no CPU.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

TOKENS_PER_SECOND = 1000


class Slots:
    """The state of the server."""

    def __init__(self, slots: int, seconds: dict[str, float]) -> None:
        self.slots = asyncio.Semaphore(slots)
        self.seconds = seconds
        self.first = self.last = self.busy = 0.0
        self.asked: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        while head := await _head(reader):
            length = next((int(line[15:]) for line in head if line.lower().startswith(b"content-length:")), 0)
            body = await reader.readexactly(length)
            if head[0].startswith(b"GET"):
                await _send(writer, b"application/json", json.dumps(self.facts(head[0])).encode())
                continue
            asked = json.loads(body)
            await _send(writer, *await self.generate(asked["messages"][-1]["content"], bool(asked.get("stream"))))
        writer.close()

    def facts(self, line: bytes) -> dict[str, Any]:
        """What a GET is answered with."""
        if b"/stats" in line:
            return {"first": self.first, "last": self.last, "busy": self.busy, "asked": self.asked}
        return {"object": "list", "data": [{"id": "slots", "object": "model"}]}

    async def generate(self, prompt: str, stream: bool) -> tuple[bytes, bytes]:
        """Content type and body of one answer, after its time."""
        self.first = self.first or time.monotonic()
        self.asked.append(prompt)
        seconds = self.seconds[prompt]
        async with self.slots:
            await asyncio.sleep(seconds)
            self.busy += seconds
        self.last = time.monotonic()
        usage = {"prompt_tokens": 1, "completion_tokens": max(1, round(seconds * TOKENS_PER_SECOND))}
        message = {"role": "assistant", "content": "1"}
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        choice["delta" if stream else "message"] = message
        whole = json.dumps({"id": "a", "model": "slots", "choices": [choice], "usage": usage}).encode()
        return (
            (b"text/event-stream", b"data: " + whole + b"\n\ndata: [DONE]\n\n")
            if stream
            else (b"application/json", whole)
        )


async def _head(reader: asyncio.StreamReader) -> list[bytes]:
    """Request line and headers; empty at the end of the connection."""
    try:
        return (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return []


async def _send(writer: asyncio.StreamWriter, kind: bytes, body: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body))
    await writer.drain()


async def main(slots: int, seconds: dict[str, float]) -> None:
    """Serve on a free port, which is printed, until the process is ended."""
    state = Slots(slots, seconds)
    server = await asyncio.start_server(state.answer, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())))
