"""One reply, put together from the JSON of a server: the deltas of a stream, or one whole body.

Field names are normalised, nothing else is. Reasoning comes as ``reasoning_content`` (SGLang, transformers), as
``reasoning`` (vLLM since 0.16), as content parts of a thinking type (Mistral), or in the content (no parser on the
server), which ``thinking.py`` splits.
"""

import json
from array import array
from collections.abc import Mapping
from typing import Any

from evalsuite.endpoint.fields import (
    FINISHED,
    NoCompletion,
    call_fields,
    call_index,
    content_of,
    finish_of,
    first_choice,
    part_of,
    reasoning_of,
    storable,
    usage_of,
    worse,
)
from evalsuite.endpoint.thinking import KNOWN_TAGS, Tags, split_thinking
from evalsuite.errors import SampleFailed
from evalsuite.records import Reply

PIECES = 512
"""Pieces of a text that are held singly."""


class ErrorEvent(SampleFailed):
    """The server reports an error inside a reply that began well."""

    def __init__(self, event: Any) -> None:
        words = event.get("message", event) if isinstance(event, Mapping) else event
        super().__init__(f"the server reported an error inside the reply: {str(words)[:300]}")
        self.event = event


class TextBuffer:
    """A text that grows piece by piece; the pieces are joined now and then, because 64,000 little strings take fifteen
    times as much as their text (``io.StringIO`` keeps such a list, too)."""

    __slots__ = ("_blocks", "_pieces", "length")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []
        self.length = 0

    def add(self, piece: str) -> None:
        """Append a piece of text."""
        self._pieces.append(piece)
        self.length += len(piece)
        if len(self._pieces) == PIECES:
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()

    def whole(self) -> str:
        """The whole text so far."""
        return "".join([*self._blocks, *self._pieces])


class Assembler:
    """Collects one reply. What it cannot be made of raises ``NoCompletion``, an error event ``ErrorEvent``, and text
    behind the end of the answer ``SampleFailed``."""

    __slots__ = ("_calls", "_fingerprint", "_finish", "_ids", "_names", "_prompt_ids", "_reasoning", "_text", "_usage")

    def __init__(self) -> None:
        self._text = TextBuffer()
        self._reasoning = TextBuffer()
        self._calls = ToolCallParts()
        self._finish = ""
        self._usage: Mapping[str, Any] = {}
        self._names: list[str] = []
        self._fingerprint = ""
        self._prompt_ids, self._ids = TokenIds(), TokenIds()

    def add(self, body: Mapping[str, Any]) -> bool:
        """Take the JSON of one event or of a whole body, and of its choices the one that ``fields.first_choice`` gives;
        True if it added text, reasoning or a tool call.

        Behind parts of a message, a whole one with the same text adds none of these. Raises ``NoCompletion`` for any
        other whole message there and for a field of a type that no completion has, ``ErrorEvent`` for an error,
        ``SampleFailed`` for text, reasoning or a tool call after the finish reason.
        """
        if body.get("error") or body.get("object") == "error":
            raise ErrorEvent(body.get("error") or body)
        usage, name, fingerprint = body.get("usage"), body.get("model"), body.get("system_fingerprint")
        if usage and isinstance(usage, dict):
            self._usage = usage
        if name and isinstance(name, str) and name not in self._names:
            self._names.append(name)
        if fingerprint and isinstance(fingerprint, str):
            self._fingerprint = fingerprint
        if prompt_ids := body.get("prompt_token_ids"):
            self._prompt_ids.add(prompt_ids)
        choice = first_choice(body.get("choices"))
        return choice is not None and self._add_choice(choice)

    def add_text(self, field: str, text: str) -> None:
        """Append ``text`` to the answer (``field`` is ``content``) or else to the reasoning, as an event would that
        holds only it.

        Raises ``SampleFailed`` for a text that is not empty after the finish reason.
        """
        self._unfinished(generated=bool(text))
        (self._text if field == "content" else self._reasoning).add(text)

    def _add_choice(self, choice: Mapping[str, Any]) -> bool:
        part, whole = part_of(choice)
        text, thought = content_of(part.get("content"))
        reasoning, calls = reasoning_of(part) + thought, part.get("tool_calls")
        if whole and (self.characters or self._calls) and text == self._text.whole():
            text = reasoning = ""  # the last event of some streams repeats the whole message
            calls = None
        elif whole and (self.characters or self._calls):
            raise NoCompletion("a whole message behind parts of another one")
        if prompt_ids := choice.get("prompt_token_ids"):  # SGLang
            self._prompt_ids.add(prompt_ids)
        if ids := choice.get("token_ids"):
            self._ids.add(ids)
        generated = bool(text or reasoning or calls)
        self._unfinished(generated=generated)
        if text:
            self._text.add(text)
        if reasoning:
            self._reasoning.add(reasoning)
        if calls:
            self._calls.add(calls, whole=whole)
        finish = finish_of(choice)
        if finish:
            self._finish = worse(self._finish, finish) if self._finish else finish
        return generated

    def _unfinished(self, *, generated: bool) -> None:
        if generated and self._finish:
            raise SampleFailed(f"the answer went on behind its end (finish_reason={self._finish[:40]!r})")

    @property
    def characters(self) -> int:
        """Number of characters of text and reasoning so far."""
        return self._text.length + self._reasoning.length

    @property
    def model(self) -> str:
        """The serving model's name in the reply; empty if none came, or several different ones did."""
        return self._names[0] if len(self._names) == 1 else ""

    @property
    def finished(self) -> bool:
        """Whether a finish reason has arrived."""
        return bool(self._finish)

    def reply(
        self,
        *,
        thinking: bool,
        max_tokens: int | None,
        seconds: float,
        first: float | None,
        tags: Tags = KNOWN_TAGS,
    ) -> Reply:
        """The whole reply; its finish reason becomes ``length`` where the server counts ``max_tokens`` generated tokens
        or more (None: no cap).

        ``thinking``: the model was asked to think, so a cut text without ``tags`` is its thinking, if no reasoning
        came. ``seconds`` and ``first``: duration of the request and time to the first generated text (None: unknown),
        stored in the reply.

        Raises ``SampleFailed`` where no finish reason came, or one that no model's own answer has (none of
        ``FINISHED``, such as ``abort``), and where the parts name several models.
        """
        if self._finish not in FINISHED:
            stated = repr(self._finish[:40] or None)
            raise SampleFailed(f"the reply ended with finish_reason={stated}, which is the server's doing")
        if len(self._names) > 1:
            raise SampleFailed(f"parts of the reply come from different models: {' and '.join(self._names)[:200]}")
        usage = usage_of(self._usage)
        cap = max_tokens is not None and (usage.completion_tokens or 0) >= max_tokens
        finish = "length" if cap else self._finish
        text, reasoning = storable(self._text.whole()), storable(self._reasoning.whole())
        text, reasoning = split_thinking(text, reasoning, tags=tags, cut=thinking and finish == "length")
        model, fingerprint = storable(self.model), storable(self._fingerprint)
        ids = self._prompt_ids.whole(usage.prompt_tokens), self._ids.whole(usage.completion_tokens)
        return Reply(text, reasoning, finish, self._calls.whole(), usage, seconds, first, model, fingerprint, *ids)


class TokenIds:
    """Token ids that come with the pieces of a reply. They are dropped, never an answer with them, where some are no
    ids or are missing: parsers of some servers swallow tokens (vllm-project/vllm#27482)."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: array[int] | None = array("i")
        """None: something else came."""

    def add(self, ids: Any) -> None:
        """Append a list of token ids (integers from 0 to 2^31 - 1); for anything else, all ids of the reply are
        dropped, those that come later, too."""
        if (
            self._ids is None
            or not isinstance(ids, list)
            or not all(type(token) is int and token >= 0 for token in ids)
        ):
            self._ids = None
            return
        try:
            self._ids.extend(ids)
        except OverflowError:
            self._ids = None

    def whole(self, count: int | None) -> tuple[int, ...]:
        """All token ids; empty where some were no ids, or the server counts another number of tokens (``count``; None:
        unknown)."""
        return tuple(self._ids) if self._ids and count in (None, len(self._ids)) else ()


class ToolCallParts:
    """The tool calls of one reply."""

    __slots__ = ("_calls", "_open")

    def __init__(self) -> None:
        self._calls: list[tuple[int, dict[str, str]]] = []
        """(place, call) in the order of arrival."""
        self._open: dict[int | None, dict[str, str]] = {}
        """Index in the stream -> the call that its next piece belongs to; None: the one that came last."""

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, calls: Any, *, whole: bool) -> None:
        """Take ``calls``, the ``tool_calls`` of a message. ``whole``: they are whole calls, in their order; else pieces
        of calls, of one event of a stream.

        A piece continues the call of its index (without an index, the call that began last), unless there is none yet
        or it begins another one (``_begins``): some servers number every call of a message 0. Raises ``NoCompletion``
        if ``calls`` is no list of calls.
        """
        if not isinstance(calls, list):
            raise NoCompletion("tool_calls is no list")
        for piece in calls:
            identifier, name, arguments = call_fields(piece)
            index = None if whole else call_index(piece)
            known = None if whole else self._open.get(index)
            if known is None or _begins(known, identifier, name, stated=index is not None):
                known = {"id": "", "name": "", "arguments": ""}
                self._calls.append((len(self._calls) if index is None else index, known))
                self._open[index] = self._open[None] = known
            known["id"] = identifier or known["id"]
            known["name"] = name or known["name"]
            known["arguments"] += arguments

    def whole(self) -> tuple[dict[str, str], ...]:
        """All calls, each with the texts ``id``, ``name`` and ``arguments`` (JSON, but for what the model wrote
        otherwise; empty where missing), by index in the stream, or as the message lists them."""
        ordered = sorted(self._calls, key=lambda pair: pair[0])
        return tuple({field: storable(value) for field, value in call.items()} for _, call in ordered)


def _begins(known: Mapping[str, str], identifier: str, name: str, *, stated: bool) -> bool:
    """Whether a piece with this id and name begins a call of its own instead of continuing the call ``known``.

    A piece without a name (empty) never does. One with a name does: where both have an id, if the ids differ; else,
    without an index (not ``stated``), always; with an index, which is that of ``known``, if the arguments of ``known``
    are whole (valid JSON).
    """
    if not name:
        return False
    if identifier and known["id"]:
        return identifier != known["id"]
    return _is_json(known["arguments"]) if stated else True


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
