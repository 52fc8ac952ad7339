"""The events of a stream differ in one string; what stands around it is recognised as bytes and not parsed again.

A long answer is 64,000 events that are equal but for some letters. JSON before and behind a string says the same
whatever the string is, so an event that begins and ends as one that was parsed, with one whole JSON string between,
needs no parsing but of that string: a third of the cost.
"""

from collections.abc import Mapping
from typing import Any

import orjson

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
