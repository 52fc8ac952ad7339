"""Server-sent events, as far as OpenAI-compatible servers use them.

Only ``data:`` lines matter; comments, ``event:`` and blank lines are skipped (WHATWG HTML, section 9.2.6). Every such
server puts one JSON value on one line, so lines are not joined.

A long answer is 64,000 events that differ in one string. JSON before and behind a string means the same whatever the
string is, so an event that begins and ends as one that was parsed, with one whole JSON string between, needs only that
string parsed: a third of the cost (``Template``).
"""

from collections.abc import Mapping
from typing import Any

import orjson

DONE = b"[DONE]"


class SSEReader:
    """Turns the chunks of a byte stream into ``data`` payloads; a payload may be cut anywhere between chunks."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads that ``chunk`` completes, in order."""
        lines = (self._rest + chunk).split(b"\n") if self._rest else chunk.split(b"\n")
        self._rest = lines.pop()
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]


FIELDS = ("content", "reasoning_content", "reasoning")
UNKNOWN = b"\0"
"""Begins no JSON."""
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

    def text(self, payload: bytes) -> str | None:
        """The text of an event that is otherwise the known one, maybe empty; None: it must be parsed."""
        if not (payload.startswith(self._prefix) and payload.endswith(self._suffix)):
            return None
        try:
            found = orjson.loads(payload[len(self._prefix) : -len(self._suffix)])
        except orjson.JSONDecodeError:
            return None
        return found if type(found) is str else None

    def learn(self, payload: bytes, body: Mapping[str, Any], events: int) -> None:
        """Take an event that has been parsed for the known one, if it is nothing but some text; ``events`` came yet.

        What was known before is forgotten: this event may have said something new of the model or the tokens, and what
        came last counts.
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
    """(field, text) of an event that carries one text and ends nothing."""
    choices = body.get("choices")
    if not isinstance(choices, list) or len(choices) != 1:
        return None
    delta = choices[0].get("delta")
    if not isinstance(delta, Mapping) or delta.get("tool_calls") or choices[0].get("finish_reason"):
        return None
    found = [(field, delta[field]) for field in FIELDS if delta.get(field)]
    return found[0] if len(found) == 1 and isinstance(found[0][1], str) else None
