"""Reads single fields of a chat completion: every one becomes a typed value, or the reply is no chat completion.

A field that decides what the model answered (content, tool calls, finish reason) must have a type that it can have; one
that only describes the answer (token counts, the server's fingerprint) is unknown otherwise.
"""

import json
from collections.abc import Mapping
from typing import Any

from evalsuite.records import Usage

FINISHED = {"stop": 0, "tool_calls": 1, "function_call": 1, "length": 2, "content_filter": 3}
"""Finish reasons that a model's own answer can have, with their rank: of several in one reply the highest counts.
Others (abort, error, unknown ones) are server faults."""
MOST_TOKENS = 100_000_000
"""A token count above this is no count."""
THOUGHTS = frozenset({"thinking", "reasoning", "reasoning_text", "reasoning_content", "thought", "summary_text"})
"""Types of content parts that hold reasoning (Mistral: ``thinking``; OpenAI: ``reasoning_text``)."""
WITHOUT_TEXT = frozenset({"reference", "redacted_thinking", "image_url", "image", "audio", "file"})
"""Types of content parts that hold nothing to grade."""


class NoCompletion(ValueError):
    """The JSON is no chat completion; the message names the field and its type."""


def first_choice(choices: Any) -> Mapping[str, Any] | None:
    """The first of a completion's ``choices`` whose index is 0 or no integer; None if there is none, or ``choices`` is
    empty, null, false or 0. One answer is asked for, so every other choice is another answer.

    Raises ``NoCompletion`` if ``choices`` is no list otherwise, or a choice up to that one no object.
    """
    if not choices:
        return None
    if not isinstance(choices, list):
        raise NoCompletion(f"choices is {_kind(choices)}")
    for choice in choices:
        if not isinstance(choice, dict):
            raise NoCompletion(f"a choice is {_kind(choice)}")
        index = choice.get("index")
        if type(index) is not int or index == 0:
            return choice
    return None


def part_of(choice: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """(the message or part of one in a choice, whether it is a whole message): its ``delta``, else its ``message``;
    without both the choice itself (then False), whose ``text`` is the content unless it has a ``content``.

    Raises ``NoCompletion`` if ``delta``, or where it is null or missing ``message``, is neither an object nor null.
    """
    for name, whole in (("delta", False), ("message", True)):
        part = choice.get(name)
        if isinstance(part, dict):
            return part, whole
        if part is not None:
            raise NoCompletion(f"{name} is {_kind(part)}")
    return {"content": choice.get("text"), **choice}, False  # completions: the text stands in the choice itself


def content_of(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a message's content: None, a text, or a list of parts, joined, of which some may be
    thoughts.

    Raises ``NoCompletion`` for another type, and for a part of another form (see ``_part``).
    """
    if content is None:
        return "", ""
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list):
        raise NoCompletion(f"content is {_kind(content)}")
    pairs = [_part(part) for part in content]
    return "".join(text for text, _ in pairs), "".join(thought for _, thought in pairs)


def reasoning_of(part: Mapping[str, Any]) -> str:
    """The reasoning of a message or delta: its ``reasoning_content``, else its ``reasoning`` (servers that send both
    send it twice), of a list of parts all their text (that of thoughts last); empty if both are missing, null or empty.

    Raises ``NoCompletion`` for what is neither empty, a text nor a list of parts.
    """
    for name in ("reasoning_content", "reasoning"):
        value = part.get(name)
        if value:
            return value if isinstance(value, str) else "".join(content_of(value))
    return ""


def call_fields(call: Any) -> tuple[str, str, str]:
    """(id, name, arguments) of a tool call or of a piece of one, empty where missing; an integer id becomes text, an
    object of arguments its JSON. Name and arguments are those of its ``function``, without one its own.

    Raises ``NoCompletion`` for a value of another type.
    """
    if not isinstance(call, dict):
        raise NoCompletion(f"a tool call is {_kind(call)}")
    function = call.get("function")
    if function is None:
        function = call
    elif not isinstance(function, dict):
        raise NoCompletion(f"a tool call's function is {_kind(function)}")
    identifier, name, arguments = call.get("id"), function.get("name"), function.get("arguments")
    if type(identifier) is int:
        identifier = str(identifier)
    if isinstance(arguments, dict):
        arguments = json.dumps(arguments, ensure_ascii=False)
    for what, value in (("id", identifier), ("name", name), ("arguments", arguments)):
        if value is not None and not isinstance(value, str):
            raise NoCompletion(f"a tool call's {what} is {_kind(value)}")
    return identifier or "", name or "", arguments or ""


def call_index(call: Mapping[str, Any]) -> int | None:
    """The index of a piece of a tool call in a stream, an integer or its digits as text; None where none is stated.
    Raises ``NoCompletion`` for anything else.
    """
    index = call.get("index")
    if isinstance(index, str) and index.isascii() and index.isdecimal():
        return int(index)
    if index is None or type(index) is int:
        return index
    raise NoCompletion(f"a tool call's index is {_kind(index)}")


def finish_of(choice: Mapping[str, Any]) -> str:
    """The finish reason of a choice; empty where none is stated. Raises ``NoCompletion`` if it is no text."""
    finish = choice.get("finish_reason")
    if finish is None:
        return ""
    if not isinstance(finish, str):
        raise NoCompletion(f"finish_reason is {_kind(finish)}")
    return finish


def worse(finish: str, other: str) -> str:
    """The one of two finish reasons that counts: the one of the higher rank in ``FINISHED`` (``stop`` is lowest, then
    ``tool_calls`` and ``function_call``, ``length``, ``content_filter``); a reason that is not in it is higher than all
    that are. Of equally high ones ``finish``."""
    return other if FINISHED.get(other, len(FINISHED)) > FINISHED.get(finish, len(FINISHED)) else finish


def usage_of(raw: Mapping[str, Any]) -> Usage:
    """Token counts of a reply's ``usage`` object, with either spelling of reasoning tokens.

    What is no whole number from 0 to 100 million becomes None, also reasoning tokens beyond the generated ones, which
    include them.
    """
    details = raw.get("completion_tokens_details")
    reasoning = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    if reasoning is None:
        reasoning = _count(raw.get("reasoning_tokens"))
    generated = _count(raw.get("completion_tokens"))
    if reasoning is not None and generated is not None and reasoning > generated:
        reasoning = None
    return Usage(_count(raw.get("prompt_tokens")), generated, reasoning)


def storable(text: str) -> str:
    """``text`` in a form that can be stored as UTF-8.

    The two halves (surrogates) of a character that was cut in two are joined; a half that stays alone becomes U+FFFD.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _part(part: Any) -> tuple[str, str]:
    """(text, reasoning) of one content part, at least one of them empty. Raises ``NoCompletion`` for a part of an
    unknown form.
    """
    if isinstance(part, str):
        return part, ""
    if not isinstance(part, dict):
        raise NoCompletion(f"a content part is {_kind(part)}")
    kind = part.get("type")
    thinking = part.get("thinking")
    if thinking is not None or (isinstance(kind, str) and kind in THOUGHTS):
        thought = next((part[name] for name in ("thinking", "reasoning", "text", "content") if part.get(name)), None)
        return "", "".join(content_of(thought))
    text = part.get("text")
    if isinstance(text, str):
        return text, ""
    if text is not None:
        raise NoCompletion(f"the text of a content part is {_kind(text)}")
    if kind == "text" or kind in WITHOUT_TEXT:
        return "", ""
    raise NoCompletion(f"a content part of the unknown type {str(kind)[:40]!r} has no text")


def _count(value: Any) -> int | None:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _kind(value: Any) -> str:
    """The JSON type of a value in words, for messages (``a text``, ``an object``)."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "a truth value"
    names = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
