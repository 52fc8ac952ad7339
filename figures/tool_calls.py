"""The verdicts of ``tool_calls`` compared with a second, independent check, on twelve kinds of wrong calls.

The second check shares no code with ``evalsuite.tasks.tool_calls``: it walks the schema by hand, writes both sides in a
canonical form and compares sorted lists.
"""

import copy
import datetime
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalsuite.records import Item, Reply
from evalsuite.tasks.tool_calls import verify
from evalsuite.tasks.tool_calls.adapter import ToolCalls
from figures.line import Line

Calls = list[dict[str, Any]]


@dataclass(slots=True)
class CheckAgreement:
    """How many verdicts were compared, and those that differ."""

    verdicts: int = 0
    wrong_kinds: dict[str, int] = field(default_factory=dict)
    different: list[str] = field(default_factory=list)


def lines(folder: Path) -> list[Line]:
    """The rows of the page of figures: all items and all wrong calls; ``folder`` is not used."""
    items = list(ToolCalls().items())
    found = agreement(items)
    kinds = ", ".join(f"{kind} {count}" for kind, count in found.wrong_kinds.items())
    halves = {half: [item for item in items if item.groups["expects"] == half] for half in ("call", "no call")}
    shares = {name: [score(half, caller) for half in halves.values()] for name, caller in CALLERS.items()}
    return [
        Line(
            f"tool_calls: {len(items)} items x kinds of calls, beside a second, independent check",
            "all equal",
            f"{found.verdicts - len(found.different)} of {found.verdicts} equal ({kinds})",
        ),
        *(
            Line(
                f"tool_calls: a {name} caller, call half / no-call half",
                asked,
                " / ".join(f"{100 * one:.0f} %" for one in shares[name]),
            )
            for name, asked in (("perfect", "100 / 100 %"), ("silent", "0 / 100 %"))
        ),
    ]


def agreement(items: Iterable[Item]) -> CheckAgreement:
    """The last turn of every item: its expected calls, and every kind of wrong call that applies to it."""
    found = CheckAgreement()
    for item in items:
        expected, tools = item.target[-1], item.inputs["tools"]
        for kind, reply in [("expected", perfect(item, -1)), *wrong(item)]:
            ours = verify.verdict(reply, [verify.ExpectedCall(**call) for call in expected], tools).right
            theirs = second_opinion(reply, expected, tools)
            found.verdicts += 1
            found.wrong_kinds[kind] = found.wrong_kinds.get(kind, 0) + 1
            if ours != theirs or ours != (kind in ("expected", "other order")):
                found.different.append(f"{item.id} {kind}: ours {ours}, second {theirs}")
    return found


def score(items: Sequence[Item], caller: Callable[[Item, int], Reply]) -> float:
    """Share of items whose every turn is right."""
    right = 0
    for item in items:
        turns = [
            verify.verdict(caller(item, turn), [verify.ExpectedCall(**call) for call in calls], item.inputs["tools"])
            for turn, calls in enumerate(item.target)
        ]
        right += all(turn.right for turn in turns)
    return right / len(items)


def perfect(item: Item, turn: int) -> Reply:
    """The expected calls of a turn, or text where none is expected."""
    return _reply(item.target[turn]) if item.target[turn] else Reply("Here is my answer.", finish_reason="stop")


def silent(item: Item, turn: int) -> Reply:
    """Text, whatever is asked."""
    return Reply("I can only talk.", finish_reason="stop")


CALLERS: dict[str, Callable[[Item, int], Reply]] = {"perfect": perfect, "silent": silent}


def _reply(calls: Sequence[Mapping[str, Any]]) -> Reply:
    made = tuple(
        {"id": f"call_{place}", "name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)}
        for place, call in enumerate(calls)
    )
    return Reply("", tool_calls=made, finish_reason="tool_calls")


def wrong(item: Item) -> list[tuple[str, Reply]]:
    """(kind, reply) of the wrong calls that can be made of an item; "other order" is right."""
    expected, tools = item.target[-1], item.inputs["tools"]
    names = [tool["function"]["name"] for tool in tools]
    if not expected:
        spare = {"name": names[0], "arguments": {}}
        return [("needless call", _reply([spare])), ("silence", Reply(" ", finish_reason="stop")), _text(spare)]
    first = expected[0]
    other = next(name for name in names if name not in [call["name"] for call in expected])
    kinds: list[tuple[str, Calls]] = [
        ("other tool", [{**first, "name": other}, *expected[1:]]),
        ("unknown tool", [{**first, "name": f"{first['name']}_now"}, *expected[1:]]),
        ("extra argument", [_with(first, "note", "x"), *expected[1:]]),
        ("call twice", [*expected, first]),
    ]
    if len(expected) > 1:
        kinds += [("call missing", list(expected[1:])), ("other order", list(reversed(expected)))]
    if first["arguments"]:
        argument = sorted(first["arguments"])[0]
        required = _schema(tools, first["name"]).get("required", [])
        if argument in required:
            kinds.append(("required missing", [_without(first, argument), *expected[1:]]))
        kinds.append(("other type", [_with(first, argument, _other_type(first["arguments"][argument])), *expected[1:]]))
        kinds.append(("other value", [_with(first, argument, _other(first["arguments"][argument])), *expected[1:]]))
    replies = [(kind, _reply(calls)) for kind, calls in kinds]
    broken = Reply(
        "", tool_calls=({"id": "a", "name": first["name"], "arguments": '{"a": '},), finish_reason="tool_calls"
    )
    return [*replies, ("arguments not JSON", broken), ("no call", silent(item, -1)), _text(first)]


def _text(call: Mapping[str, Any]) -> tuple[str, Reply]:
    return "call as text", Reply(f"<tool_call>\n{json.dumps(dict(call))}\n</tool_call>", finish_reason="stop")


def _with(call: Mapping[str, Any], argument: str, value: Any) -> dict[str, Any]:
    return {**call, "arguments": {**call["arguments"], argument: value}}


def _without(call: Mapping[str, Any], argument: str) -> dict[str, Any]:
    return {**call, "arguments": {name: value for name, value in call["arguments"].items() if name != argument}}


def _other_type(value: Any) -> Any:
    return [value] if not isinstance(value, list) else {"values": value}


def _other(value: Any) -> Any:
    """Another value of the same type, at the first place of a container."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value} x"
    value = copy.deepcopy(value)
    key = 0 if isinstance(value, list) else sorted(value)[0]
    value[key] = _other(value[key])
    return value


# ---------------------------------------------------------------- the second check


def second_opinion(reply: Reply, expected: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> bool:
    """Right or not, by a walk over the schema and canonical text."""
    if not reply.tool_calls:
        looks_like_a_call = "tool_call" in reply.text or bool(re.search(r'"arguments"\s*:', reply.text))
        return not expected and reply.text.strip() != "" and not looks_like_a_call
    made = []
    for call in reply.tool_calls:
        schema = _schema(tools, call["name"])
        try:
            arguments = json.loads(call["arguments"])
        except ValueError:
            return False
        if not schema or not _fits(arguments, schema):
            return False
        made.append(_canonical(call["name"], arguments, schema))
    wanted = [_canonical(call["name"], call["arguments"], _schema(tools, call["name"])) for call in expected]
    return sorted(made) == sorted(wanted)


def _schema(tools: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    return next((tool["function"]["parameters"] for tool in tools if tool["function"]["name"] == name), {})


KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value == int(value),
}


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    if "anyOf" in schema:
        return any(_fits(value, part) for part in schema["anyOf"])
    if not KINDS[schema["type"]](value) or ("enum" in schema and value not in schema["enum"]):
        return False
    if isinstance(value, str):
        return _text_fits(value, schema)
    if isinstance(value, list):
        unique = not schema.get("uniqueItems") or len({json.dumps(part) for part in value}) == len(value)
        return (
            unique and len(value) >= schema.get("minItems", 0) and all(_fits(part, schema["items"]) for part in value)
        )
    if isinstance(value, dict):
        known = schema["properties"]
        return set(schema.get("required", ())) <= value.keys() <= known.keys() and all(
            _fits(part, known[name]) for name, part in value.items()
        )
    low, high = schema.get("minimum"), schema.get("maximum")
    return (
        value is None
        or isinstance(value, bool)
        or not ((low is not None and value < low) or (high is not None and value > high))
    )


def _text_fits(value: str, schema: Mapping[str, Any]) -> bool:
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if schema.get("format") == "date":
        try:
            datetime.date.fromisoformat(value)
        except ValueError:
            return False
    return True


def _canonical(name: str, arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    return json.dumps([name, _filled(arguments, schema)], sort_keys=True)


def _filled(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value with all defaults written out, numbers as floats, lists without order sorted, free text lower-cased."""
    if "anyOf" in schema:
        schema = next((part for part in schema["anyOf"] if _fits(value, part)), {})
    if isinstance(value, dict):
        known = schema.get("properties", {})
        filled = {key: part["default"] for key, part in known.items() if "default" in part} | dict(value)
        return {key: _filled(part, known.get(key, {})) for key, part in filled.items()}
    if isinstance(value, list):
        parts = [_filled(part, schema.get("items", {})) for part in value]
        return sorted(parts, key=json.dumps) if schema.get("uniqueItems") else parts
    if isinstance(value, str) and not {"enum", "format", "pattern"} & schema.keys():
        return value.lower().strip()
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
