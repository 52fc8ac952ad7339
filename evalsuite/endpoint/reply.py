"""From a server's JSON to a ``Reply``: field names are normalised, nothing else is.

Reasoning comes as ``reasoning_content`` (SGLang, transformers), as ``reasoning`` (vLLM since 0.16), or in the content
(no parser on the server), which ``thinking.py`` splits.
"""

from collections.abc import Mapping
from typing import Any

from evalsuite.endpoint.thinking import KNOWN_TAGS, Tags, split_thinking
from evalsuite.errors import SampleFailed
from evalsuite.records import Reply, Usage

FINISHED = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter"})
"""Finish reasons that a model's own answer can have; others (abort, error, unknown) are server faults."""

PIECES = 512
"""Pieces of a text that are held singly."""


class ErrorEvent(SampleFailed):
    """The server reports an error inside a reply that began well."""

    def __init__(self, event: Any) -> None:
        words = event.get("message", event) if isinstance(event, Mapping) else event
        super().__init__(f"the server reported an error inside the reply: {str(words)[:300]}")
        self.event = event


class TextBuffer:
    """A text that grows piece by piece; the pieces are joined now and then, because 64,000 little strings weigh fifteen
    times what they say (``io.StringIO`` keeps such a list, too)."""

    __slots__ = ("_blocks", "_pieces", "length")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []
        self.length = 0

    def add(self, piece: str) -> None:
        """Append."""
        self._pieces.append(piece)
        self.length += len(piece)
        if len(self._pieces) == PIECES:
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()

    def whole(self) -> str:
        """All of it."""
        return "".join([*self._blocks, *self._pieces])


class Assembler:
    """Collects one reply, from the deltas of a stream or from one whole body."""

    __slots__ = ("_calls", "_fingerprint", "_finish", "_model", "_reasoning", "_text", "_usage")

    def __init__(self) -> None:
        self._text = TextBuffer()
        self._reasoning = TextBuffer()
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._model = ""
        self._fingerprint = ""

    def add(self, body: Mapping[str, Any]) -> bool:
        """Take one chunk or body; True if it carried generated text.

        Raises ``ErrorEvent`` on an error event, ``TypeError`` or ``AttributeError`` on what is no chat completion.
        """
        if body.get("error") or body.get("object") == "error":
            raise ErrorEvent(body.get("error") or body)
        if body.get("usage"):
            self._usage = body["usage"]
        self._model = body.get("model") or self._model
        self._fingerprint = body.get("system_fingerprint") or self._fingerprint
        generated = False
        for choice in body.get("choices") or ():
            part = choice.get("delta") or choice.get("message") or choice
            content, reasoning = part.get("content"), part.get("reasoning_content") or part.get("reasoning")
            if content is None:
                content = choice.get("text")
            if content:
                self._text.add(content if type(content) is str else _joined(content))
            if reasoning:
                self._reasoning.add(reasoning if type(reasoning) is str else _joined(reasoning))
            for call in part.get("tool_calls") or ():
                self._add_call(call)
            generated = generated or bool(content or reasoning or part.get("tool_calls"))
            self._finish = choice.get("finish_reason") or self._finish
        return generated

    def add_text(self, field: str, text: str) -> None:
        """Take what one chunk adds to a field of the message and nothing else."""
        (self._text if field == "content" else self._reasoning).add(text)

    def _add_call(self, call: Mapping[str, Any]) -> None:
        """Tool calls stream in pieces, keyed by ``index``; id and name come only with the first."""
        index = call.get("index", len(self._calls))
        known = self._calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        function = call.get("function") or {}
        known["id"] = call.get("id") or known["id"]
        known["name"] = function.get("name") or known["name"]
        known["arguments"] += function.get("arguments") or ""

    @property
    def characters(self) -> int:
        """Length of the text and the reasoning so far."""
        return self._text.length + self._reasoning.length

    @property
    def model(self) -> str:
        """The serving model's name, empty if none came."""
        return str(self._model)

    @property
    def finished(self) -> bool:
        """Whether a finish reason has arrived."""
        return self._finish is not None

    def reply(
        self,
        *,
        thinking: bool,
        max_tokens: int | None,
        seconds: float,
        first: float | None,
        tags: Tags = KNOWN_TAGS,
    ) -> Reply:
        """The whole reply; ``thinking``: the model was asked to think, so a cut text without tags is its thinking.

        Raises ``SampleFailed`` when the server did not finish it by itself.
        """
        if not isinstance(self._finish, str) or self._finish not in FINISHED:
            raise SampleFailed(
                f"the reply ended with finish_reason={repr(self._finish)[:40]}, which is the server's doing"
            )
        usage = _usage(self._usage)
        cap = max_tokens is not None and (usage.completion_tokens or 0) >= max_tokens
        finish = "length" if cap else self._finish
        text, reasoning = _whole(self._text.whole()), _whole(self._reasoning.whole())
        text, reasoning = split_thinking(text, reasoning, tags=tags, cut=thinking and finish == "length")
        calls = tuple(self._calls[index] for index in sorted(self._calls))
        return Reply(text, reasoning, finish, calls, usage, seconds, first, self.model, str(self._fingerprint))


def _joined(content: Any) -> str:
    """Text that came as a list of parts. Raises ``TypeError`` for anything else."""
    if isinstance(content, list):
        return "".join([part if isinstance(part, str) else part["text"] for part in content])
    raise TypeError(f"text that is a {type(content).__name__}")


def _whole(text: str) -> str:
    """The text as it can be stored: a character that was cut into two chunks is whole again, and what stays a lone
    surrogate becomes U+FFFD, because no table holds it."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _usage(raw: Any) -> Usage:
    """Token counts under either server's spelling of reasoning tokens."""
    if not isinstance(raw, Mapping):
        return Usage()
    details = raw.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, Mapping) else None
    if reasoning is None:
        reasoning = raw.get("reasoning_tokens")
    counts = (raw.get("prompt_tokens"), raw.get("completion_tokens"), reasoning)
    return Usage(*(count if isinstance(count, int) else None for count in counts))
