"""Rows of tool-calling files -> items: evalsuite's own form, BFCL's and evalscope's. Pure.

- own: ``id``, ``tools``, ``turns`` (each with ``messages`` to add, ``calls`` to expect), ``groups``;
- BFCL (ShishirPatil/gorilla, berkeley-function-call-leaderboard): ``question`` (a list of turns of messages),
  ``function`` (schemas with Python-like type names), ``ground_truth`` (calls whose arguments map to lists of accepted
  values, where an empty text means "may be left out"), joined into one row; only categories of one turn;
- evalscope (``general_fc``): ``messages``, ``tools``, ``should_call_tool``; any call that fits its schema is right.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from evalsuite.errors import BadInput
from evalsuite.records import Item
from evalsuite.tasks.tool_calls import verify
from evalsuite.tasks.tool_calls.verify import ABSENT, ANY

TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": None, "hashmap": "object", "arraylist": "array"}
"""BFCL's type names -> JSON schema's; None: no type is required."""
_MOST_SHAPES = 1_000


def item(row: Mapping[str, Any], number: int) -> Item:
    """Return the item of a row of evalsuite's, BFCL's or evalscope's form; its target lists each turn's expected calls,
    dictionaries of the fields of ``verify.ExpectedCall``.

    Raises ``BadInput`` naming the row for any other form, and when a field that its form requires is missing, one is of
    the wrong type, a call is expected that is none of the tools, there is no turn or one without messages, or a BFCL
    row has several turns. A BFCL row without ``ground_truth`` expects no call.

    Args:
        row: One JSON object of the file.
        number: Its place from 0, the id of a BFCL or evalscope row that has none (evalsuite's must have one).
    """
    try:
        if "turns" in row:
            turns = [{"messages": turn["messages"], "results": turn.get("results", [])} for turn in row["turns"]]
            calls = [turn["calls"] for turn in row["turns"]]
            return _checked(Item(str(row["id"]), {"tools": row["tools"], "turns": turns}, calls, dict(row["groups"])))
        if "function" in row and "question" in row:
            return _checked(_bfcl(row, number))
        if "should_call_tool" in row:
            return _checked(_evalscope(row, number))
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise BadInput(f"tool_calls row {number} cannot be read: {type(error).__name__}: {error}") from None
    raise BadInput(
        f"tool_calls row {number} has {', '.join(row) or 'nothing'}: known are evalsuite's own rows (turns), BFCL's "
        "(question, function, ground_truth) and evalscope's (messages, tools, should_call_tool)"
    )


def _checked(item: Item) -> Item:
    """Return ``item``. Raises ``TypeError`` for a part of another type than sending and grading need, ``LookupError``
    (of an expected call: ``TypeError``) for a missing one, ``ValueError`` for an expected call of no tool, for no turn,
    and for a turn without messages.
    """
    turns, calls = item.inputs["turns"], [call for turn in item.target for call in turn]
    for call in calls:
        verify.ExpectedCall(**call)
        _of_type("arguments of a call", call["arguments"], dict | None)
        for values in _of_type("alternatives", call.get("alternatives", {}), dict).values():
            _of_type("alternatives of an argument", values, list)
    names = [_of_type("name of a function", tool["function"]["name"], str) for tool in item.inputs["tools"]]
    for name in (call["name"] for call in calls):
        if name != ANY and name not in names:
            raise ValueError(f"a call of {name!r} is expected, which is none of the tools")
    for turn in turns:
        for message in _of_type("messages", turn["messages"], list):
            _of_type("role of a message", message["role"], str)
        _of_type("results", turn["results"], list)
    if not turns or not all(turn["messages"] for turn in turns):
        raise ValueError("there is no turn, or one without messages")
    return item


def _of_type(name: str, value: Any, kind: Any) -> Any:
    """Return ``value``. Raises ``TypeError``, which names it by ``name``, where it is not of the type ``kind``."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {type(value).__name__}, not {getattr(kind, '__name__', kind)}")
    return value


def _bfcl(row: Mapping[str, Any], number: int) -> Item:
    turns = row["question"]
    if len(turns) != 1 and isinstance(turns[0], Sequence):
        raise ValueError("BFCL questions of several turns need its own simulated environments")
    messages = turns[0] if isinstance(turns[0], Sequence) else turns
    tools = [{"type": "function", "function": _function(function)} for function in row["function"]]
    names = {function["name"]: _tool_name(function["name"]) for function in row["function"]}
    calls = [
        _bfcl_call(names.get(name, name), accepted)
        for call in row.get("ground_truth") or ()
        for name, accepted in call.items()
    ]
    name = str(row.get("id", number))
    kind = name.rpartition("_")[0] or "bfcl"
    return _single(name, messages, tools, calls, {"kind": kind})


def _bfcl_call(name: str, accepted: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    arguments, alternatives = {}, {}
    for argument, values in accepted.items():
        stated = [
            shape for value in _of_type("accepted values", values, list) if value != "" for shape in _shapes(value)
        ]
        if stated:
            arguments[argument] = stated[0]
        others = [*stated[1:], *([ABSENT] if "" in values else [])]
        if others:
            alternatives[argument] = others
    return {"name": name, "arguments": arguments, "alternatives": alternatives}


def _shapes(value: Any) -> list[Any]:
    """Return the plain values that one accepted value of BFCL stands for (``ast_checker.py``, ``dict_checker``).

    In an object, also one directly inside a list, BFCL maps each key to a list of accepted values, among them an empty
    text where the key may be left out. The result has one object, or list, for each combination of these values, which
    are taken as they are. Any other value stands for itself.

    Raises ``ValueError`` for over 1,000 of them, ``TypeError`` where the accepted values of a key are no list.
    """
    if isinstance(value, Mapping):
        parts = [[(key, one) for one in _of_type(f"values of {key}", values, list)] for key, values in value.items()]
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        parts = [_shapes(part) for part in value]
    else:
        return [value]
    if prod(map(len, parts)) > _MOST_SHAPES:
        raise ValueError(f"an accepted value stands for over {_MOST_SHAPES:,} values")
    if isinstance(value, list):
        return [list(choice) for choice in product(*parts)]
    return [{key: one for key, one in choice if one != ""} for choice in product(*parts)]


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": _tool_name(function["name"]),
        "description": function.get("description", ""),
        "parameters": _schema(function.get("parameters") or {"type": "object", "properties": {}}),
    }


def _tool_name(name: str) -> str:
    """Return the name of a BFCL function with its dots replaced by ``_``, because OpenAI's names hold none."""
    return name.replace(".", "_")


def _schema(schema: Any) -> Any:
    """Return a copy of a BFCL parameter schema with its type names replaced by JSON schema's, at every depth.

    Unknown type names are only put in lower case, lists of type names are copied as they are, and the type "any" is
    left out, because it allows every value.
    """
    if isinstance(schema, list):
        return [_schema(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            name = TYPES.get(value.lower(), value.lower())
            if name is not None:
                made[key] = name
        else:
            made[key] = _schema(value)
    return made


def _evalscope(row: Mapping[str, Any], number: int) -> Item:
    messages, tools = (json.loads(row[key]) if isinstance(row[key], str) else row[key] for key in ("messages", "tools"))
    called = _of_type("should_call_tool", row["should_call_tool"], bool)
    calls = [{"name": ANY, "arguments": None}] if called else []
    return _single(str(row.get("id", number)), messages, tools, calls, {"kind": "evalscope"})


def _single(
    name: str,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    calls: list[dict[str, Any]],
    groups: Mapping[str, str],
) -> Item:
    inputs = {"tools": list(tools), "turns": [{"messages": list(messages), "results": []}]}
    return Item(name, inputs, [calls], {**groups, "expects": "call" if calls else "no call"})
