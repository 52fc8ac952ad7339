"""A reply while its bytes arrive: parsed, counted, and whole or a fault at the end; half of one is never an answer.

A request that is cut by a deadline is recorded with the length that has arrived: its sender hands a ``PartialReply``
to the client, which attaches the reply that it is collecting.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from evalsuite.endpoint.faults import ENDLESS_RETRIES, Empty, Malformed, Transient
from evalsuite.endpoint.reply import Assembler
from evalsuite.endpoint.sse import Template
from evalsuite.endpoint.thinking import Tags
from evalsuite.errors import SampleFailed
from evalsuite.records import Reply, Request

SIZE_PER_TOKEN = 512
"""A reply longer than this times ``max_tokens`` (plus 1 MB) is not an answer; an event has about 250 bytes."""
DOUBLED = 1.1
"""More events than this times the generated tokens, and the surplus repeats the event before: chunks came twice."""


def largest(request: Request) -> int:
    """Bytes that the reply to ``request`` can have."""
    return SIZE_PER_TOKEN * int(request.sampling.get("max_tokens") or 1_000_000) + 1_000_000


@dataclass(slots=True)
class ReplyStream:
    """Collects the bytes of one reply."""

    most: int
    """Bytes, decompressed, beyond which it is not read on."""
    assembler: Assembler = field(default_factory=Assembler)
    size: int = 0
    done: bool = False
    """Whether the stream said that it was over."""
    first: float | None = None
    """When the first generated text of a stream came, ``time.monotonic()``."""
    _template: Template = field(default_factory=Template)
    _events: int = 0
    _repeated: int = 0
    _last: bytes = b""

    def count(self, chunk: bytes) -> None:
        """Raises ``Transient`` when more has come than an answer can have: a bomb, or a stream without end."""
        self.size += len(chunk)
        if self.size > self.most:
            raise Transient(f"an endless reply: more than {self.most} bytes{self.lost}", retries=ENDLESS_RETRIES)

    def add(self, payload: bytes) -> None:
        """Take one event. Raises ``Malformed``, and ``ErrorEvent`` when it reports an error."""
        text = self._template.text(payload)
        if text is None:
            generated = self._parse(payload)
        else:
            self.assembler.add_text(self._template.field, text)
            generated = text != ""
        if generated:
            self._events += 1
            if payload == self._last:
                self._repeated += 1
            if self.first is None:
                self.first = time.monotonic()
        self._last = payload

    def _parse(self, payload: bytes) -> bool:
        try:
            body = _parsed(payload)
            generated = self.assembler.add(body)
        except (AttributeError, TypeError, ValueError):
            raise Malformed(f"the server sent JSON that is no chat completion: {_shown(payload)}{self.lost}") from None
        self._template.learn(payload, body, self._events)
        return generated

    def add_whole(self, body: bytes) -> None:
        """Take a body that was not streamed; raises as ``add`` does."""
        self.add(body)
        self.first = None

    @property
    def lost(self) -> str:
        """For messages: how much of an answer goes to waste."""
        length = self.assembler.characters
        return f"; {length} characters of an answer were thrown away" if length else ""

    def reply(self, request: Request, began: float, *, thinking: bool, tags: Tags) -> Reply:
        """The whole reply. Raises ``Transient`` when the server did not finish it, or sent parts twice, ``Empty``."""
        try:
            found = self.assembler.reply(
                thinking=thinking,
                tags=tags,
                max_tokens=request.sampling.get("max_tokens"),
                seconds=time.monotonic() - began,
                first=None if self.first is None else self.first - began,
            )
        except SampleFailed as error:
            raise Transient(f"{error}{self.lost}") from None
        tokens = found.usage.completion_tokens
        if tokens is not None and self._events > DOUBLED * tokens + 2 and self._repeated >= (self._events - tokens) / 2:
            raise Transient(f"{self._events} chunks for {tokens} tokens: chunks came twice{self.lost}")
        if tokens == 0 and not (found.text or found.reasoning or found.tool_calls or found.truncated):
            raise Empty("the reply is finished and holds no token", found)
        return found


def _parsed(payload: bytes) -> Mapping[str, Any]:
    """A JSON object. Lone surrogates and bytes that are no UTF-8 are taken: models do produce half a character."""
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        try:
            body = json.loads(payload.decode("utf-8", "replace"))
        except json.JSONDecodeError:
            raise Malformed(f"the server sent what is not JSON: {_shown(payload)}") from None
    if not isinstance(body, dict):
        raise Malformed(f"the server sent JSON that is not an object: {_shown(payload)}")
    return body


def _shown(payload: bytes) -> str:
    return repr(payload[:80])


@dataclass(slots=True)
class PartialReply:
    """The reply of one request as far as it has come."""

    reply: Assembler | None = None
    """None: not sent yet."""

    @property
    def characters(self) -> int:
        """Characters of text and reasoning that have come."""
        return 0 if self.reply is None else self.reply.characters
