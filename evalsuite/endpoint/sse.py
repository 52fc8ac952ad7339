"""Server-sent events (WHATWG HTML, section 9.2.6), as far as OpenAI-compatible servers use them.

Only ``data:`` lines matter; comments, ``event:``, ``id:`` and ``retry:`` lines are skipped.

A long answer is 64,000 events that differ in one string. JSON before and behind a string means the same whatever the
string is, so an event that begins and ends as one that was parsed, with one whole JSON string between, needs only that
string parsed, and of many such events in one read all strings together: a half and a quarter of the cost (``Template``;
``docs/figures.md``, "What streams and a start cost").
"""

from collections.abc import Mapping
from typing import Any

import orjson

from evalsuite.endpoint.fields import first_choice

DONE = b"[DONE]"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class SSEReader:
    """Turns the chunks of a byte stream into ``data`` payloads, in time linear in their length; lines and payloads may
    be cut anywhere between chunks. Lines end with LF, CR LF or CR."""

    __slots__ = ("_data", "_pieces", "_return")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        """Of the line that is not whole yet."""
        self._data: list[bytes] = []
        """``data`` lines of the event that is not whole yet."""
        self._return = False
        """Whether the last chunk ended with CR: a LF that comes next belongs to the same line end."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the stream; returns the ``data`` payloads, without white space around them, of the
        events that ``chunk`` completes, in order."""
        return self.payloads(self.lines(chunk))

    @property
    def between_events(self) -> bool:
        """Whether ``payloads`` holds no ``data`` line of an event that is not whole yet. The part of a line that
        ``lines`` holds does not count."""
        return not self._data

    def lines(self, chunk: bytes) -> bytes:
        """Take the next bytes of the stream; returns the lines that they complete, each ended by LF (CR LF and CR are
        replaced), empty if none is. The caller passes all of them on to ``payloads``, except whole events at their
        beginning that it reads itself."""
        if self._return or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        end = chunk.rfind(b"\n") + 1
        if not end:
            if chunk:
                self._pieces.append(chunk)
            return b""
        whole, rest = chunk[:end], chunk[end:]
        if self._pieces:
            whole = b"".join([*self._pieces, whole])
        self._pieces = [rest] if rest else []
        return whole

    def end(self) -> list[bytes]:
        """The payloads that are still held when the stream ends without an empty line, else none; call it once after
        the last chunk."""
        held = b"".join(self._pieces)
        self._pieces = []
        return self.payloads(held + b"\n\n")

    def payloads(self, lines: bytes) -> list[bytes]:
        """The ``data`` payloads, without white space around them, of the events that ``lines``, whole lines ended by
        LF, complete, in order. ``data`` lines of an event that is not whole yet are held for the next call."""
        payloads: list[bytes] = []
        data = self._data
        for line in lines[:-1].split(b"\n") if lines else ():
            if line.startswith(b"data:"):
                data.append(line[5:].strip())
            elif not line and data:
                payloads += data if len(data) == 1 else _joined(data)
                data.clear()
        return payloads

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        if self._return:
            chunk = chunk.removeprefix(b"\n")
        self._return = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _joined(lines: list[bytes]) -> list[bytes]:
    """The payloads of an event of several ``data`` lines.

    A single one, the lines joined by line feeds, as the standard has it, if orjson reads that as JSON; else each line
    is one, for servers that leave out the empty line between events.
    """
    whole = b"\n".join(lines)
    try:
        orjson.loads(whole)
    except orjson.JSONDecodeError:
        return lines.copy()
    return [whole]


FIELDS = ("content", "reasoning_content", "reasoning")
END = b"\n\n"
UNKNOWN = b"\r"
"""Is in no payload, as it ends a line."""
MARK = "\0"
"""Stands for the string when a template is tried out."""
EVENTS_PER_TRY = 8
"""Events of a reply for each template that is made of one: some servers stamp every event with the second, and where
all of them differ in something else, looking for what they share must not cost more than parsing."""


class Template:
    """An event of this reply with its text left out."""

    __slots__ = ("_prefix", "_suffix", "field", "tries")

    def __init__(self) -> None:
        self._prefix = self._suffix = UNKNOWN
        self.field = ""
        """Which of ``FIELDS`` its text is."""
        self.tries = 0
        """Events that were taken for the known one so far."""

    @property
    def known(self) -> bool:
        """Whether an event is kept now; ``learn`` drops it, and may keep no other."""
        return self._prefix is not UNKNOWN

    def text(self, payload: bytes) -> str | None:
        """The text (may be empty) of an event that is otherwise equal to the learnt one; None where it may differ in
        more, or where none is learnt: it must be parsed."""
        if not (payload.startswith(self._prefix) and payload.endswith(self._suffix)):
            return None
        try:
            found = orjson.loads(payload[len(self._prefix) : -len(self._suffix)])
        except orjson.JSONDecodeError:
            return None
        return found if type(found) is str else None

    def texts(self, lines: bytes) -> tuple[list[bytes], list[str], bytes]:
        """(JSON of their texts, their texts, the lines behind them) of the events from the beginning of ``lines`` to
        the last that ends as the learnt one, if all of them are otherwise equal to it; else, or where none is learnt,
        ([], [], ``lines``): nothing is known of these events.

        ``lines``: whole lines that begin with an event. All texts are parsed at once, with a line feed between them,
        which no JSON string holds: either each event has exactly one string there, or none is taken.
        """
        prefix = (b"data: " if lines.startswith(b"data: ") else b"data:") + self._prefix
        suffix = self._suffix + END
        end = lines.rfind(suffix, len(prefix))
        if end < 0 or not lines.startswith(prefix):
            return [], [], lines
        whole = lines[: end + len(self._suffix)]
        literals = [event[len(prefix) : -len(self._suffix)] for event in whole.split(b"\n")[::2]]
        if prefix + (suffix + prefix).join(literals) + self._suffix != whole:
            return [], [], lines
        try:
            texts = orjson.loads(b"[" + b"\n,\n".join(literals) + b"]")
        except orjson.JSONDecodeError:
            return [], [], lines
        if len(texts) != len(literals) or set(map(type, texts)) != {str}:
            return [], [], lines
        return literals, texts, lines[end + len(suffix) :]

    def literal(self, payload: bytes) -> bytes:
        """What stands in ``payload`` between the beginning and the end of the learnt event, the parts around its text;
        empty if it begins or ends otherwise, or none is learnt."""
        known = payload.startswith(self._prefix) and payload.endswith(self._suffix)
        return payload[len(self._prefix) : -len(self._suffix)] if known else b""

    def payload(self, literal: bytes) -> bytes:
        """The learnt event with ``literal``, the JSON of a text, in place of its text."""
        return self._prefix + literal + self._suffix

    def learn(self, payload: bytes, body: Mapping[str, Any], events: int) -> None:
        """Keep the event ``payload``, its JSON parsed in ``body``, as the template, if text is all that it adds to the
        reply (``_only_text``) and stands in it exactly once as orjson writes it; else keep none.

        ``events``: number of events before it that held generated text. None is kept, either, while more than one
        template was tried for every eight of them. The template before is always dropped: this event may have changed
        the model's name or the token counts, and the latest value counts.
        """
        self._prefix = self._suffix = UNKNOWN
        if EVENTS_PER_TRY * self.tries > events or (found := _only_text(body)) is None:
            return
        self.tries += 1
        try:
            literal = orjson.dumps(found[1])
            prefix, _, suffix = payload.partition(literal)
            if not suffix or literal in suffix:
                return
            tried = _only_text(orjson.loads(prefix + orjson.dumps(MARK) + suffix))
        except (orjson.JSONEncodeError, orjson.JSONDecodeError):  # half a character, in the text or around it
            return
        if tried == (found[0], MARK):
            self._prefix, self._suffix, self.field = prefix, suffix, found[0]


def _only_text(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """(field, text) of a streamed event, as JSON, whose only choice has no other index than 0 and adds one text that is
    not empty, and holds no tool calls, token ids or finish reason; ``field`` is one of ``FIELDS``. None for any other
    event."""
    choices = body.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or (choice := first_choice(choices)) is None:
        return None
    delta = choice.get("delta")
    further = ("finish_reason", "token_ids", "prompt_token_ids")
    if not isinstance(delta, Mapping) or delta.get("tool_calls") or any(choice.get(name) for name in further):
        return None
    found = [(field, delta[field]) for field in FIELDS if delta.get(field)]
    return found[0] if len(found) == 1 and isinstance(found[0][1], str) else None
