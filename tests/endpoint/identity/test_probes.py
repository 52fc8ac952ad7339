import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.identity.persistence import token_limit
from evalsuite.endpoint.identity.probes import TOOL_QUESTION, cut_answer_facts, probe_tools
from evalsuite.errors import EndpointUnusable
from tests.support.scripted_endpoint import Answer, Script, scripted_endpoint

CALL = {"id": "call_1", "name": "get_weather", "arguments": json.dumps({"city": "Paris"})}
ENGINE = Engine(backoff_seconds=0.01)
SAMPLING = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 64000}


def proved(script: Script) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    async def prove(url: str) -> dict[str, Any]:
        client = connect(
            Model("M", "org/m", None, "bf16", base_url=url, server=Server("sglang")), ENGINE, "scripted", 4
        )
        try:
            return await probe_tools(client, SAMPLING)
        finally:
            await client.close()

    with scripted_endpoint(script) as server:
        facts = asyncio.run(prove(server.base_url))
        return facts, [request.body for request in server.requests]


def test_one_call_not_streamed_and_streamed_with_the_runs_own_fields() -> None:
    facts, bodies = proved(lambda _: Answer(tool_calls=[CALL], reasoning="I need the weather."))
    assert facts == {"probe_tools": "called", "probe_tools_streamed": "called"}
    assert [bool(body.get("stream")) for body in bodies] == [False, True]
    for body in bodies:
        assert (body["temperature"], body["top_p"], body["messages"][0]["content"]) == (0.6, 0.95, TOOL_QUESTION)
        assert body["tools"][0]["function"]["name"] == "get_weather"


def test_a_broken_streaming_parser_is_a_fact_and_no_more() -> None:
    leaked = Answer("<tool_call>\n<function=get_weather>\n</function>\n</tool_call>")
    facts, _ = proved(lambda _: [Answer(tool_calls=[CALL]), leaked])
    assert facts == {"probe_tools": "called", "probe_tools_streamed": "leaked"}
    facts, _ = proved(lambda _: [Answer(tool_calls=[CALL]), Answer(status=500)])
    assert facts["probe_tools_streamed"] == "refused"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer("<tool_call>\n<function=get_weather>"), "leaves tool calls as text"),
        (Answer("", reasoning="<tool_call><function=get_weather>"), "leaves tool calls as text"),
        (Answer("It is sunny in Paris."), "gave no call"),
        (Answer(tool_calls=[{**CALL, "arguments": '{"city": '}]), "arguments are no JSON object"),
        (Answer(tool_calls=[{**CALL, "arguments": '"Paris"'}]), "arguments are no JSON object"),
        (Answer(status=400), "does not take tools: HTTP 400"),
    ],
)
def test_a_server_without_a_tool_parser_is_refused_with_the_cure(answer: Answer, says: str) -> None:
    with pytest.raises(EndpointUnusable) as found:
        proved(lambda _: answer)
    assert says in str(found.value)
    assert "--tool-call-parser" in str(found.value)


def test_a_model_that_is_still_thinking_at_the_cap_is_not_refused() -> None:
    facts, _ = proved(lambda _: Answer("", reasoning="Hmm. " * 10, finish_reason="length"))
    assert facts["probe_tools"] == "cut"


@pytest.mark.parametrize(
    ("message", "finish", "place"),
    [
        ({"content": "", "reasoning_content": "Hm"}, "length", "reasoning_content"),
        ({"content": None, "reasoning": "Hm"}, "length", "reasoning"),
        ({"content": "Hm"}, "length", "content"),
        ({"content": "a", "reasoning_content": "b"}, "length", "reasoning_content and content"),
        ({"content": None}, "length", "nowhere"),
        ("a text", "length", "nowhere"),
        ({"content": "Hm"}, None, "content"),
    ],
)
def test_where_a_cut_answers_text_lands(message: Any, finish: str | None, place: str) -> None:
    body = {"choices": [{"message": message, "finish_reason": finish}]}
    assert cut_answer_facts(body) == {"probe_cut_finish": finish, "probe_cut_text": place}


def test_an_answer_that_ended_by_itself_shows_nothing() -> None:
    assert cut_answer_facts({"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}]}) == {}
    assert cut_answer_facts({}) == {}


@given(st.integers(1, 10_000), st.one_of(st.none(), st.integers(1, 10**6)), st.one_of(st.none(), st.integers(2, 10**6)))
def test_a_check_generates_no_more_than_the_run_and_the_context_allow(
    most: int, asked: int | None, context: int | None
) -> None:
    limit = token_limit(most, {"max_tokens": asked}, context)
    assert 1 <= limit <= min(most, asked or most)
    assert context is None or limit <= max(1, context // 2)
    assert limit == most or limit in (asked, context and context // 2)


def test_a_tool_call_is_tried_once_more_after_a_dropped_connection() -> None:
    lost = Answer(hang_up=True)
    facts, bodies = proved(lambda _: [lost, Answer(tool_calls=[CALL]), lost, Answer(tool_calls=[CALL])])
    assert facts == {"probe_tools": "called", "probe_tools_streamed": "called"}
    assert len(bodies) == 4
