"""From the bytes of a reply to a ``Reply``, or to one named fault: the gate for everything that a model server sends.

Half of a reply is never an answer. Whatever bytes come, nothing but ``SampleFailed`` is raised here, with the first
bytes of what could not be read.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import and_, eq
from typing import Any

import orjson

from evalsuite.endpoint.faults import ENDLESS_RETRIES, Empty, Malformed, Transient
from evalsuite.endpoint.fields import NoCompletion
from evalsuite.endpoint.reply import Assembler, ErrorEvent
from evalsuite.endpoint.sse import BYTE_ORDER_MARK, DONE, END, SSEReader, Template
from evalsuite.endpoint.thinking import KNOWN_TAGS, Tags
from evalsuite.errors import SampleFailed
from evalsuite.records import Reply, Request

SIZE_PER_TOKEN = 512
"""A reply longer than this times ``max_tokens`` (plus 1 MB) is not an answer; an event has about 250 bytes."""
DOUBLED = 1.1
"""More events than this times the generated tokens, and the surplus repeats the event before: chunks came twice."""
ALONE = 4
"""Events of a read that are taken singly, while none is known, before all are: the role, an empty text, a text."""
SHOWN = 120
"""First bytes of unreadable data that a message shows."""
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a value of the wrong shape can raise in Python, should a check in ``fields`` be missing."""


def largest(request: Request) -> int:
    """Most bytes that the reply to ``request`` may have: 512 for each of its ``max_tokens`` (1 million tokens where it
    states none, or 0), and 1 MB."""
    return SIZE_PER_TOKEN * int(request.sampling.get("max_tokens") or 1_000_000) + 1_000_000


@dataclass(slots=True)
class ReplyStream:
    """Collects the bytes of one reply: ``feed`` every chunk, ``end``, then ``reply``.

    Server-sent events and one whole body are distinguished by their first byte, since a request for either may be
    answered with the other.
    """

    most: int
    """Bytes, decompressed, beyond which it is not read on."""
    assembler: Assembler = field(default_factory=Assembler)
    size: int = 0
    """Bytes so far."""
    done: bool = False
    """Whether the stream ended with ``[DONE]``."""
    first: float | None = None
    """When the first generated text of a stream came, ``time.monotonic()``."""
    _head: bytes = b""
    """The first bytes that are no white space; empty: none came yet."""
    _mark: bytes = b""
    """A byte order mark before them, or a part of one."""
    _body: list[bytes] | None = None
    """Chunks of a whole body; None: it is a stream of events."""
    _reader: SSEReader = field(default_factory=SSEReader)
    _template: Template = field(default_factory=Template)
    _events: int = 0
    _repeated: int = 0
    _last: bytes = b""

    @property
    def begun(self) -> bool:
        """Whether more has arrived than a byte order mark and white space, which gateways send to keep a connection
        alive."""
        return bool(self._head)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes (decompressed) of the reply.

        Raises ``Transient`` when more than ``most`` bytes have come, and as ``add`` for an event that they complete.
        """
        self.size += len(chunk)
        if self.size > self.most:
            raise Transient(f"an endless reply: more than {self.most} bytes{self.lost}", retries=ENDLESS_RETRIES)
        if not self._head:
            chunk = (self._mark + chunk).lstrip()
            if BYTE_ORDER_MARK.startswith(chunk):  # all of it so far is white space and a part of the mark
                self._mark = chunk
                return
            chunk = chunk.removeprefix(BYTE_ORDER_MARK).lstrip()
            self._mark, self._head = b"", chunk[:SHOWN]
            if chunk[:1] in (b"{", b"["):
                self._body = []
        if self._body is not None:
            self._body.append(chunk)
            return
        lines = self._reader.lines(chunk)
        if lines.find(END, 0, -len(END)) >= 0:  # more than one event; a single one costs less by itself
            lines = self._take_together(lines)
        for payload in self._reader.payloads(lines):
            self._take(payload)

    def end(self) -> None:
        """End the reply: no more bytes come; a whole body is read now.

        Raises ``Transient`` for a stream that had neither ``[DONE]`` nor a finish reason (also one without any byte),
        and as ``add``.
        """
        if self._body is not None:
            self.add(b"".join(self._body))
            self.first = None
            return
        for payload in self._reader.end():
            self._take(payload)
        if not (self.done or self.assembler.finished):
            unread = "" if self._last or not self._head else f": {_shown(self._head)}"
            raise Transient(f"the stream ended without a finish reason{unread}{self.lost}")

    def _take(self, payload: bytes) -> None:
        if payload == DONE:
            self.done = True
        elif payload:  # an empty one keeps a connection alive
            self.add(payload)

    def add(self, payload: bytes) -> None:
        """Take the JSON of one event, or of a whole body.

        Raises ``Malformed`` for what is no chat completion, ``ErrorEvent`` when it reports an error, ``Transient`` for
        text, reasoning or a tool call after the finish reason.
        """
        text = self._template.text(payload)
        if text is None:
            generated = self._parse(payload)
        else:
            generated = text != ""
            try:
                self.assembler.add_text(self._template.field, text)
            except SampleFailed as error:
                raise Transient(f"{error}{self.lost}") from None
        if generated:
            self._events += 1
            if payload == self._last:
                self._repeated += 1
            if self.first is None:
                self.first = time.monotonic()
        self._last = payload

    def _take_together(self, lines: bytes) -> bytes:
        """Take events at the beginning of ``lines`` singly, until one is learnt, but at most four; if it is learnt
        before the last of these, also those that ``_take_known`` takes. Returns the lines behind them. Raises as
        ``add``."""
        for _ in range(ALONE):
            if self._template.known:
                return self._take_known(lines)
            first, end, lines = lines.partition(END)
            for payload in self._reader.payloads(first + end):
                self._take(payload)
        return lines

    def _take_known(self, lines: bytes) -> bytes:
        """Take the events at the beginning of ``lines`` for which ``Template.texts`` has texts, with the effect of
        ``add`` for each; returns the lines behind them: all of ``lines`` where it has none, and while a part of an
        event is held.

        Raises ``Transient`` as ``add``.
        """
        literals, texts, rest = self._template.texts(lines) if self._reader.between_events else ([], [], lines)
        if not texts:
            return lines
        try:
            self.assembler.add_text(self._template.field, "".join(texts))
        except SampleFailed as error:
            raise Transient(f"{error}{self.lost}") from None
        if generated := len(texts) - texts.count(""):
            equal = map(eq, literals, [self._template.literal(self._last), *literals])
            self._events += generated
            self._repeated += sum(equal if generated == len(texts) else map(and_, equal, map(bool, texts)))
            if self.first is None:
                self.first = time.monotonic()
        self._last = self._template.payload(literals[-1])
        return rest

    def _parse(self, payload: bytes) -> bool:
        try:
            body = _parsed(payload)
            generated = self.assembler.add(body)
            if self._body is None:
                self._template.learn(payload, body, self._events)
        except (ErrorEvent, Malformed):
            raise
        except SampleFailed as error:
            raise Transient(f"{error}{self.lost}") from None
        except UNREADABLE as error:
            why = f" ({error})" if isinstance(error, NoCompletion) else ""
            raise Malformed(f"the server sent what is no chat completion{why}: {_shown(payload)}{self.lost}") from None
        return generated

    @property
    def lost(self) -> str:
        """For the end of a message: how many characters of an answer are thrown away; empty if none has come."""
        length = self.assembler.characters
        return f"; {length} characters of an answer were thrown away" if length else ""

    def reply(self, request: Request, began: float, *, thinking: bool, tags: Tags = KNOWN_TAGS) -> Reply:
        """The whole reply to ``request``; call it after ``end``. ``began``: when it was sent, ``time.monotonic()``.

        ``thinking``: the model was asked to think; ``tags`` enclose its thinking. Raises ``Transient`` where it
        has no finish reason or one that no model's own answer has (see ``Assembler.reply``), names several models, or
        holds many events twice (seen where the server counts tokens), and ``Empty`` for one that was not cut, holds no
        text, reasoning or tool call, and has 0 tokens by the server's count.
        """
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
    """The JSON object in ``payload``, as orjson or else the standard library reads it. Lone surrogates are kept and
    bytes that are no UTF-8 become U+FFFD: models do produce half a character.

    Raises ``Malformed`` for what is not JSON, ``NoCompletion`` for JSON that is no object, ``RecursionError`` or
    ``ValueError`` for nesting and integers beyond Python's limits.
    """
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        try:
            body = json.loads(payload.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace"))
        except json.JSONDecodeError:
            raise Malformed(f"the server sent what is not JSON: {_shown(payload)}") from None
    if not isinstance(body, dict):
        raise NoCompletion("no JSON object")
    return body


def _shown(payload: bytes) -> str:
    return repr(payload[:SHOWN])


@dataclass(slots=True)
class PartialReply:
    """The reply of one request as far as it has come."""

    reply: Assembler | None = None
    """None: not sent yet."""

    @property
    def characters(self) -> int:
        """Characters of text and reasoning that have come; 0 before the request is sent."""
        return 0 if self.reply is None else self.reply.characters
