"""The verdict on one reply to a request with tools. Pure.

A call is right when its name is the expected one, its arguments fit the tool's JSON schema, and they equal the expected
arguments: by JSON type, keys in any order, an optional argument absent or at its default. Several calls of one reply
may come in any order. A call that a server's parser left in the text is no call; it is counted apart.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from evalsuite import records
from evalsuite.records import Reply

_JSON_CALL = re.compile(
    r'\{\s*"(?:name|function|tool)"\s*:\s*"(?P<name>[^"]{1,200})"\s*,\s*"(?:arguments|parameters)"\s*:'
)
"""A call written as a bare JSON object; counted only if the name is one of the tools."""


@dataclass(frozen=True, slots=True)
class ExpectedCall:
    """One call that a reply must make."""

    name: str
    arguments: Mapping[str, Any] | None
    """None: any arguments that fit the schema."""
    alternatives: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Argument -> further values that are right as well; ``ABSENT`` among them: it may be left out."""


ABSENT = "__absent__"
"""Among the alternatives of an argument: leaving it out is right."""
ANY = ""
"""As the name of the only expected call: one call or more, of any tools, with any arguments that fit."""


@dataclass(frozen=True, slots=True)
class CallVerdict:
    """The verdict on one reply; every share is 0 or 1."""

    right: bool
    stage: str
    """``right``, or the first check that failed: ``as_text``, ``no_call``, ``call``, ``count``, ``name``, ``json``,
    ``schema``, ``arguments``."""
    note: str = ""
    answer: str | None = None
    """The calls of the reply as JSON, or its text; None where it has neither."""

    @property
    def as_text(self) -> bool:
        """Whether the reply had a tool call left in its text instead of a real call."""
        return self.stage == "as_text"


def verdict(reply: Reply, expected: Sequence[ExpectedCall], tools: Sequence[Mapping[str, Any]]) -> CallVerdict:
    """Compare the tool calls of a reply with the expected ones; the verdict names the first check that failed.

    A call is right with the expected name and equal arguments that fit the tool's schema. A reply without calls, but
    with one left in its text, is wrong, also when no call was expected.

    Args:
        reply: A whole reply; ``tool_calls`` holds name and arguments (JSON text) of each call.
        expected: The calls to make, in any order; empty: the reply must answer in text (not blank) and call nothing.
            A single one named ``ANY`` stands for one or more calls of any tools.
        tools: The tools offered, as OpenAI schemas.
    """
    answer = _shown(reply)
    if not reply.tool_calls and call_in_text(reply.text, [tool["function"]["name"] for tool in tools]):
        return CallVerdict(False, "as_text", "the call was left in the text", answer)
    if not expected:
        if reply.tool_calls:
            return CallVerdict(False, "call", "called although no call was needed", answer)
        return CallVerdict(bool(reply.text.strip()), "right" if reply.text.strip() else "no_call", "", answer)
    if not reply.tool_calls:
        return CallVerdict(False, "no_call", "called nothing", answer)
    schemas = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in tools}
    stage, note = _calls(reply.tool_calls, expected, schemas)
    return CallVerdict(stage == "right", stage, note, answer)


def call_in_text(text: str, names: Sequence[str]) -> bool:
    """Return whether ``text`` holds, anywhere, the beginning of a tool call in a known notation, or of one as a JSON
    object that names one of the tools ``names`` first.
    """
    if records.call_in_text(text):
        return True
    return any(match["name"] in names for match in _JSON_CALL.finditer(text))


def _calls(
    calls: Sequence[Mapping[str, Any]], expected: Sequence[ExpectedCall], schemas: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str]:
    """Check the calls of a reply; return (stage, note): ``right`` with an empty note, or the first check that failed
    (``name``, ``json``, ``count``, ``schema``, ``arguments``) and why in words.

    ``expected`` as for ``verdict``, not empty; ``schemas`` maps the name of a tool to the JSON schema of its arguments.
    """
    made: list[tuple[str, Any]] = []
    for call in calls:
        name = str(call["name"])
        if name not in schemas:
            return "name", f"there is no tool {name[:80]!r}"
        try:
            arguments = json.loads(call["arguments"]) if call["arguments"] else {}
        except (ValueError, RecursionError, TypeError):
            return "json", f"the arguments of {name} are not JSON"
        if not isinstance(arguments, dict):
            return "json", f"the arguments of {name} are no JSON object"
        made.append((name, arguments))
    anything = [call.name for call in expected] == [ANY]
    if not anything and sorted(name for name, _ in made) != sorted(call.name for call in expected):
        stage = "count" if len(made) != len(expected) else "name"
        return stage, f"called {', '.join(name for name, _ in made)[:200]}"
    for name, arguments in made:
        fault = schema_fault(arguments, schemas[name])
        if fault:
            return "schema", f"{name}: {fault}"
    return ("right", "") if anything else _matched(made, list(expected), schemas)


def _matched(
    made: Sequence[tuple[str, Any]], open_calls: list[ExpectedCall], schemas: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str]:
    """Pair each made call (name, arguments), in order, with the first open expected one of the same name and equal
    arguments; return (stage, note).

    ``right`` with an empty note, or ``arguments`` and the call without a partner. ``open_calls`` loses the paired ones;
    ``schemas`` maps tool -> JSON schema.
    """
    for name, arguments in made:
        hit = next((call for call in open_calls if call.name == name and _same(arguments, call, schemas[name])), None)
        if hit is None:
            return "arguments", f"{name}: other arguments than expected"
        open_calls.remove(hit)
    return "right", ""


def schema_fault(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return why ``arguments`` do not fit a JSON schema (draft 2020-12, formats checked): place and reason of the first
    fault; empty if they fit. A faulty schema, such as one with a ``$ref`` to nowhere, can raise any exception.
    """
    from jsonschema import Draft202012Validator

    checker = Draft202012Validator.FORMAT_CHECKER
    try:
        fault = next(iter(Draft202012Validator(schema, format_checker=checker).iter_errors(arguments)), None)
    except (OverflowError, ValueError) as error:  # 1e999, or NaN, where the schema has multipleOf
        return f"arguments: a number cannot be checked: {error}"
    if fault is None:
        return ""
    place = "/".join(str(part) for part in fault.absolute_path) or "arguments"
    return f"{place}: {fault.message[:160]}"


def tools_fault(tools: Sequence[Mapping[str, Any]]) -> str:
    """Return why the parameters of the first faulty tool are no JSON schema (draft 2020-12) that is an object, or which
    ``$ref`` in them is not a place in the schema; empty if no fault is found.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    for tool in tools:
        name, schema = tool["function"]["name"], tool["function"].get("parameters") or {}
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            return f"the parameters of {name} are no JSON schema: {error.message[:160]}"
        if not isinstance(schema, Mapping):
            return f"the parameters of {name} are no object"
        for reference in _references(schema):
            if not _refers(schema, reference):
                return f"the parameters of {name} have no place {reference[:80]!r}, to which a $ref refers"
    return ""


def _references(part: Any) -> Iterator[str]:
    """Yield the ``$ref`` of all subschemas in a part of a JSON schema; not below keys ``const``, ``default``, ``enum``
    and ``examples``, also where these name a property.
    """
    if isinstance(part, Mapping):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = [value for key, value in part.items() if key not in ("const", "default", "enum", "examples")]
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def _refers(schema: Mapping[str, Any], reference: str) -> bool:
    """Return whether a ``$ref`` is ``#`` or finds its target in ``schema``: an object, true or false at a path
    (``#/$defs/day``), an ``$anchor`` (``#day``), or the exact ``$id`` of a document, whatever follows behind its ``#``.
    """
    document, _, path = reference.partition("#")
    if document or path[:1] not in ("", "/"):
        member = f'"$id": {json.dumps(document)}' if document else f'nchor": {json.dumps(path)}'
        return member in json.dumps(schema)
    target: Any = schema
    for step in unquote(path).split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        inside = dict(enumerate(target)) if isinstance(target, list) else target if isinstance(target, Mapping) else {}
        target = inside.get(int(key) if isinstance(target, list) and key.isdecimal() else key)
    return isinstance(target, Mapping | bool)


def _same(arguments: Mapping[str, Any], expected: ExpectedCall, schema: Mapping[str, Any]) -> bool:
    if expected.arguments is None:
        return True
    properties: Mapping[str, Any] = schema.get("properties") or {}
    for name in {*arguments, *expected.arguments}:
        part = _members(properties.get(name))
        allowed = [*expected.alternatives.get(name, ())]
        if name in expected.arguments:
            allowed.append(expected.arguments[name])
        else:
            allowed.append(part.get("default", ABSENT))
        if name not in arguments:
            default = [part["default"]] if "default" in part else []
            if ABSENT not in allowed and not any(equal(value, one, part) for one in allowed for value in default):
                return False
        elif not any(equal(arguments[name], value, part) for value in allowed if value != ABSENT):
            return False
    return True


def equal(actual: Any, expected: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether two JSON values, ``actual`` and ``expected``, are the same argument by the JSON ``schema`` of it.

    Numbers are equal by value and never equal to booleans or text, null equals only null; text is compared after
    Unicode normalisation (NFC), without white space at its ends, with each run of it as one space, and without case
    unless the schema has ``enum``, ``const``, ``format`` or ``pattern``; arrays keep their order unless the schema has
    ``uniqueItems``; a key of an object may be absent where its value is the schema's default.
    """
    if isinstance(expected, bool) or isinstance(actual, bool) or expected is None or actual is None:
        return actual is expected
    if isinstance(expected, int | float):
        return isinstance(actual, int | float) and actual == expected
    if isinstance(expected, str):
        return isinstance(actual, str) and _text(actual, schema) == _text(expected, schema)
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping):
            return False
        properties: Mapping[str, Any] = schema.get("properties") or {}
        return all(
            equal(_value(actual, key, properties), _value(expected, key, properties), _members(properties.get(key)))
            for key in {*actual, *expected}
        )
    if not isinstance(actual, list) or len(actual) != len(expected):
        return False
    part = _members(schema.get("items"))
    if schema.get("uniqueItems"):
        rest = list(actual)
        for value in expected:
            hit = next((place for place, one in enumerate(rest) if equal(one, value, part)), None)
            if hit is None:
                return False
            rest.pop(hit)
        return True
    return all(equal(one, value, part) for one, value in zip(actual, expected, strict=True))


def _value(holder: Mapping[str, Any], key: str, properties: Mapping[str, Any]) -> Any:
    return holder[key] if key in holder else _members(properties.get(key)).get("default", ABSENT)


def _members(schema: Any) -> Mapping[str, Any]:
    """Return a JSON schema that is an object as it is; an empty mapping for any other (``true``, or None)."""
    return schema if isinstance(schema, Mapping) else {}


def _text(text: str, schema: Mapping[str, Any]) -> str:
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    exact = {"enum", "const", "format", "pattern"} & schema.keys()
    return plain if exact else plain.casefold()


def _shown(reply: Reply) -> str | None:
    if reply.tool_calls:
        calls = [{"name": call["name"], "arguments": call["arguments"]} for call in reply.tool_calls]
        return json.dumps(calls, ensure_ascii=False)[:1000]
    return reply.text.strip()[:1000] or None
