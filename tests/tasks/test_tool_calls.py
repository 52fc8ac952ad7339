"""Tool calls: the shipped questions, the verdict on a reply, and files of other harnesses."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import BadInput
from evalsuite.records import Item, Reply, Request
from evalsuite.tasks.base import Tools
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.tool_calls import verify
from evalsuite.tasks.tool_calls.adapter import ToolCalls
from figures import tool_calls as figure
from tests.support.mutations import mutated

ROOT = Path(__file__).parents[2]
ITEMS = list(ToolCalls().items())


def call(name: str, arguments: Any) -> Reply:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return Reply("", tool_calls=({"id": "a", "name": name, "arguments": text},), finish_reason="tool_calls")


def test_the_questions_are_made_again_byte_for_byte(tmp_path: Path) -> None:
    made = tmp_path / "questions.jsonl"
    subprocess.run([sys.executable, "-m", "tools.make_tool_calls", str(made)], check=True, cwd=ROOT)
    assert made.read_bytes() == (ROOT / "tasks" / "tool_calls" / "questions.jsonl").read_bytes()


def test_the_questions_are_what_the_card_states() -> None:
    assert len(ITEMS) == len({item.id for item in ITEMS}) >= 400
    assert len({tool["function"]["name"] for item in ITEMS for tool in item.inputs["tools"]}) >= 40
    assert {item.groups["language"] for item in ITEMS} >= {"en", "de", "fr", "es", "zh"}
    for item in ITEMS:
        schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in item.inputs["tools"]}
        for calls in item.target:
            for expected in calls:
                assert verify.schema_fault(expected["arguments"], schemas[expected["name"]]) == "", item.id


def test_every_kind_of_wrong_call_on_every_item_as_an_independent_check_finds() -> None:
    found = figure.agreement(ITEMS[::7])
    assert found.different == []
    assert found.verdicts > 500


@pytest.mark.parametrize(("half", "perfect", "silent"), [("call", 1.0, 0.0), ("no call", 1.0, 1.0)])
def test_a_perfect_and_a_silent_caller(half: str, perfect: float, silent: float) -> None:
    items = [item for item in ITEMS if item.groups["expects"] == half]
    assert figure.score(items, figure.perfect) == perfect
    assert figure.score(items, figure.silent) == silent


NUMBERS = st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_a_value_equals_itself_through_json(value: Any) -> None:
    assert verify.equal(json.loads(json.dumps(value)), value, {})


@given(VALUES, VALUES)
def test_equality_is_symmetric(left: Any, right: Any) -> None:
    assert verify.equal(left, right, {}) == verify.equal(right, left, {})


@pytest.mark.parametrize(
    ("actual", "expected", "schema", "same"),
    [
        (5.0, 5, {}, True),
        ("5", 5, {}, False),
        (True, 1, {}, False),
        (1, True, {}, False),
        (None, "", {}, False),
        ("Graz ", "graz", {}, True),
        ("High", "high", {"enum": ["high"]}, False),
        (["b", "a"], ["a", "b"], {"uniqueItems": True}, True),
        (["b", "a"], ["a", "b"], {}, False),
        ({"a": 1}, {"a": 1, "b": 2}, {"properties": {"b": {"default": 2}}}, True),
        ({"a": 1}, {"a": 1, "b": 2}, {}, False),
    ],
)
def test_when_arguments_are_equal(actual: Any, expected: Any, schema: Mapping[str, Any], same: bool) -> None:
    assert verify.equal(actual, expected, schema) is same


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
GRAZ = verify.ExpectedCall("weather", {"city": "Graz"})


@pytest.mark.parametrize(
    ("reply", "stage"),
    [
        (call("weather", {"city": "Graz"}), "right"),
        (call("weather", {"city": "Graz", "days": 1}), "right"),
        (call("weather", {"city": "Graz", "days": 2}), "arguments"),
        (call("weather", {"city": "Graz", "days": "2"}), "schema"),
        (call("weather", {"town": "Graz"}), "schema"),
        (call("weather", '{"city": '), "json"),
        (call("weather", "[" * 100_000), "json"),
        (call("weather", '["Graz"]'), "json"),
        (call("wether", {"city": "Graz"}), "name"),
        (Reply("It rains."), "no_call"),
        (Reply('<tool_call>{"name": "weather"}</tool_call>'), "as_text"),
        (Reply('{"name": "weather", "arguments": {"city": "Graz"}}'), "as_text"),
        (Reply('{"name": "anna", "arguments": "none"}'), "no_call"),
    ],
)
def test_stages(reply: Reply, stage: str) -> None:
    assert verify.verdict(reply, [GRAZ], [WEATHER]).stage == stage


@pytest.mark.parametrize("number", ["1e999", "NaN", "9" * 400])
def test_a_number_that_no_float_holds_does_not_fit(number: str) -> None:
    halves = {"type": "object", "properties": {"days": {"multipleOf": 0.5}}}
    tool = {"function": {"name": "weather", "parameters": halves}}
    assert verify.verdict(call("weather", f'{{"days": {number}}}'), [GRAZ], [tool]).stage == "schema"


def test_text_is_right_only_where_no_call_is_needed() -> None:
    assert verify.verdict(Reply("Hello."), [], [WEATHER]).right
    assert not verify.verdict(Reply("  "), [], [WEATHER]).right
    assert verify.verdict(call("weather", {"city": "Graz"}), [], [WEATHER]).stage == "call"
    assert verify.verdict(Reply("[TOOL_CALLS]weather{}"), [], [WEATHER]).as_text


def test_a_second_turn_sees_the_first_call_and_its_result() -> None:
    item = next(item for item in ITEMS if item.groups["kind"] == "sequence")
    asked: list[Request] = []

    async def chat(request: Request) -> Reply:
        asked.append(request)
        return figure.perfect(item, len(asked) - 1)

    score = asyncio.run(ToolCalls().attempt(item, 0, Tools(chat)))
    assert (score.outcome, score.parts["turns"]) == ("correct", 1.0)
    roles = [message["role"] for message in asked[1].messages]
    assert roles == ["system", "user", "assistant", "tool", "user"]
    assert json.loads(asked[1].messages[3]["content"]) == item.inputs["turns"][0]["results"][0]

    async def wrong(request: Request) -> Reply:
        return Reply("I would rather not.", finish_reason="stop")

    refused = asyncio.run(ToolCalls().attempt(item, 0, Tools(wrong)))
    assert (refused.outcome, refused.stage, refused.parts["turns"]) == ("wrong", "no_call", 0.0)


BFCL = {
    "id": "simple_python_0",
    "question": [[{"role": "user", "content": "Area of a triangle with base 10 and height 5?"}]],
    "function": [
        {
            "name": "geometry.area",
            "description": "",
            "parameters": {
                "type": "dict",
                "properties": {"base": {"type": "integer"}, "height": {"type": "float"}, "unit": {"type": "string"}},
                "required": ["base", "height"],
            },
        }
    ],
    "ground_truth": [{"geometry.area": {"base": [10], "height": [5, 5.0], "unit": ["units", ""]}}],
}
EVALSCOPE = {"messages": json.dumps([{"role": "user", "content": "x"}]), "tools": [WEATHER], "should_call_tool": True}

OWN = {
    **{"id": "x", "tools": [WEATHER], "groups": {"kind": "mine"}},
    "turns": [
        {
            "messages": [{"role": "user", "content": "x"}],
            "calls": [{"name": "weather", "arguments": {"city": "Oslo"}, "alternatives": {"city": ["Bergen"]}}],
            "results": [1],
        }
    ],
}


def own(tmp_path: Path, row: Mapping[str, Any]) -> Item:
    path = tmp_path / "tool_calls" / "test.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(row))
    return next(iter(ToolCalls(source=Source("local", str(tmp_path))).items()))


def stage(item: Item, reply: Reply) -> str:
    async def chat(request: Request) -> Reply:
        return reply

    return asyncio.run(ToolCalls().attempt(item, 0, Tools(chat))).stage


def test_files_of_the_function_calling_leaderboard(tmp_path: Path) -> None:
    item = own(tmp_path, BFCL)
    assert item.groups == {"kind": "simple_python", "expects": "call"}
    assert stage(item, call("geometry_area", {"base": 10, "height": 5})) == "right"
    assert stage(item, call("geometry_area", {"base": 10, "height": 5.0, "unit": "units"})) == "right"
    assert stage(item, call("geometry_area", {"base": 10, "height": 5.0, "unit": "metres"})) == "arguments"
    assert stage(item, call("geometry_area", {"base": "10", "height": 5.0})) == "schema"
    box = {"size": {"width": [1, 2], "unit": ["cm", ""]}}
    accepted = [{"geometry.area": {"base": [box["size"], ""], "height": [[box["size"]]]}}]
    function = {"name": "geometry.area", "parameters": {"type": "dict", "properties": {}}}
    nested = own(tmp_path, {**BFCL, "function": [function], "ground_truth": accepted})
    size, other = {"width": 2, "unit": "cm"}, {"width": 3}
    for right in (
        {"base": size, "height": [size]},
        {"base": {"width": 1}, "height": [{"width": 2}]},
        {"height": [size]},
    ):
        assert stage(nested, call("geometry_area", right)) == "right"
    for wrong in ({"base": other, "height": [size]}, {"height": [other]}, {"height": [size, size]}):
        assert stage(nested, call("geometry_area", wrong)) == "arguments"
    irrelevant = own(tmp_path, {**BFCL, "ground_truth": []})
    assert (irrelevant.groups["expects"], stage(irrelevant, Reply("No."))) == ("no call", "right")


def test_files_of_evalscope(tmp_path: Path) -> None:
    item = own(tmp_path, EVALSCOPE)
    assert stage(item, call("weather", {"city": "anywhere"})) == "right"
    assert stage(item, call("weather", {})) == "schema"
    assert stage(item, Reply("no")) == "no_call"


@pytest.mark.parametrize("row", [BFCL, EVALSCOPE, OWN])
def test_rows_of_other_types_are_refused_or_graded(tmp_path: Path, row: dict[str, Any]) -> None:
    replies = (call("weather", {"city": "Oslo"}), call("geometry_area", {"base": 10, "height": 5}))
    before = [stage(own(tmp_path, row), reply) for reply in replies]
    for place, changed in mutated(row, (None, True, 1.5, "x", [], ["x"], {})):
        try:
            item = own(tmp_path, changed)
        except BadInput as error:
            message = str(error)
        else:
            message = ""
            after = [stage(item, reply) for reply in replies]
            assert "should_call_tool" not in place or after == before, place
        assert not message or message.startswith("tool_calls row 0 ") or "items" in message, place


@pytest.mark.parametrize(
    ("reference", "known"),
    [
        ("#/$defs/day", True),
        ("#day", True),
        ("http://127.0.0.1/day", True),
        ("#/$defs/a~1b/anyOf/1", True),
        ("#/$defs/week", False),
        ("#/$defs/a~1b/anyOf/2", False),
        ("#week", False),
        ("http://127.0.0.1/week", False),
    ],
)
def test_a_reference_in_a_schema_is_followed_or_refused(tmp_path: Path, reference: str, known: bool) -> None:
    day: dict[str, Any] = {"type": "integer"}
    day |= {"$anchor": "day"} if reference == "#day" else {"$id": "http://127.0.0.1/day"}
    parameters = {
        "type": "object",
        "properties": {"days": {"$ref": reference}, "$ref": {"enum": [{"$ref": "data"}]}},
        "$defs": {"day": day, "a/b": {"anyOf": [{}, {"type": "integer"}]}},
    }
    tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
    if known:
        item = own(tmp_path, EVALSCOPE | {"tools": [tool]})
        assert stage(item, call("weather", {"days": 1})) == "right"
        assert stage(item, call("weather", {"days": "1"})) == "schema"
    else:
        with pytest.raises(BadInput, match="tool_calls row 0 cannot be read: the parameters of weather have no place"):
            own(tmp_path, EVALSCOPE | {"tools": [tool]})


@pytest.mark.parametrize(
    "row", [{"question": "x"}, {"function": [], "question": [[1], [2]]}, {"turns": 3, "tools": []}]
)
def test_other_files_are_refused_by_row(tmp_path: Path, row: Mapping[str, Any]) -> None:
    with pytest.raises(BadInput, match="tool_calls row 0"):
        own(tmp_path, row)
