"""Replies in many shapes, sent by a real HTTP server: our reading equals that of the stock OpenAI client."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.reference import (
    Reading,
    ReferenceCheck,
    ReferenceFailed,
    compare_with_reference,
    differences,
    own_reading,
    reference_reading,
)
from evalsuite.errors import SampleFailed
from evalsuite.records import Request, Usage
from tests.endpoint.test_client import serving
from tests.endpoint.test_shapes import CALLS, FAULTS, READ, TEXT, call, delta, sse, whole
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.scripted_endpoint import Server as ScriptedServer

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 3}}
LIMIT = 64
"""``max_tokens`` of every request here."""


def with_usage(body: bytes, usage: Mapping[str, Any]) -> bytes:
    return json.dumps(json.loads(body) | {"usage": usage}).encode()


def counts(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The last event of a stream."""
    return {"model": "m", "choices": [], "usage": usage}


def calls_of(*indices: Any, as_object: bool = False) -> list[dict[str, Any]]:
    return [call(index, position, as_object=as_object) for position, index in enumerate(indices)]


MORE: dict[str, bytes] = {
    "whole, reasoning_content": with_usage(whole(content=TEXT, reasoning_content="7"), USAGE),
    "whole, reasoning": with_usage(whole(content=TEXT, reasoning="7"), USAGE),
    "whole, tags in the text": with_usage(whole(content=f"<think>\n7\n</think>\n{TEXT}"), USAGE),
    "whole, reasoning tokens beside the others": with_usage(
        whole(content=TEXT), {"prompt_tokens": 5, "completion_tokens": 7, "reasoning_tokens": 3}
    ),
    "whole, cut": with_usage(whole("length", content=TEXT), USAGE),
    "whole, cut, said to be finished": with_usage(whole(content=TEXT), {"completion_tokens": LIMIT}),
    "whole, filtered": whole("content_filter", content=TEXT),
    "whole, null usage": with_usage(whole(content=TEXT), None),  # type: ignore[arg-type]
    "whole, calls": with_usage(whole("tool_calls", content=None, tool_calls=calls_of(0, 1)), USAGE),
    "whole, calls, equal indices": whole("tool_calls", content=None, tool_calls=calls_of(0, 0)),
    "whole, calls, indices the other way round": whole("tool_calls", content=None, tool_calls=calls_of(5, 2)),
    "whole, calls, arguments as objects": whole("tool_calls", content=None, tool_calls=calls_of(0, 1, as_object=True)),
    "whole, count beyond all bounds": with_usage(whole(content=TEXT), {"prompt_tokens": 2**63, "completion_tokens": 7}),
    "stream, reasoning_content": sse(delta(reasoning_content="7"), delta(content=TEXT), delta("stop"), counts(USAGE)),
    "stream, reasoning": sse(delta(reasoning="7"), delta(content=TEXT), delta("stop"), counts(USAGE)),
    "stream, cut": sse(delta(content=TEXT), delta("length"), counts(USAGE)),
    "stream, two finish reasons": sse(delta("length", content=TEXT), delta("stop")),
    "stream, calls": sse(*(delta(tool_calls=[piece]) for piece in calls_of(0, 1)), delta("tool_calls"), counts(USAGE)),
    "stream, calls in one event": sse(delta(tool_calls=calls_of(0, 1)), delta("tool_calls")),
    "stream, calls, equal indices": sse(*(delta(tool_calls=[piece]) for piece in calls_of(0, 0)), delta("tool_calls")),
    "stream, calls, no index": sse(*(delta(tool_calls=[piece]) for piece in calls_of(None, None)), delta("tool_calls")),
}


def served(data: bytes) -> str:
    """A reply as text; the events of a stream with their type, without which the stock client passes them over."""
    text = data.decode()
    return text.replace('"model": ', '"object": "chat.completion.chunk", "model": ') if "data:" in text else text


SHAPES: dict[str, str] = {
    name: served(data)
    for name, data in {**READ, **MORE, **FAULTS}.items()
    if name not in ("garbage", "nested too deep")  # no UTF-8; nothing that a text of the server can hold
}


def scripted(prompt: str) -> Answer:
    """A prompt is the name of a shape, or the reply itself."""
    return Answer(body=SHAPES.get(prompt, prompt))


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with scripted_endpoint(scripted, model="m") as running:
        yield running


def model(url: str, **changes: Any) -> Model:
    dialect = Server("openai", thinking_via=None, stream=False)
    return Model("M", "org/m", None, "bf16", base_url=url, server=dialect, served_name="m", **changes)


def asked(prompt: str) -> Request:
    return Request(({"role": "user", "content": prompt},), sampling={"max_tokens": LIMIT, "temperature": 0.0})


def both(url: str, prompt: str, *, streamed: bool) -> tuple[Reading | str, Reading | str]:
    """(our reading, the stock client's); what it raised as a text where there is none."""

    async def ask() -> tuple[Reading | str, Reading | str]:
        client = connect(model(url, thinking=False), Engine(retries=0), "m", 4)
        own: Reading | str
        reference: Reading | str
        try:
            try:
                own = await own_reading(client, asked(prompt), streamed=streamed)
            except SampleFailed as error:
                own = str(error)
            try:
                reference = await reference_reading(client, asked(prompt), streamed=streamed)
            except ReferenceFailed as error:
                reference = str(error)
        finally:
            await client.close()
        return own, reference

    return asyncio.run(ask())


UNREADABLE_THERE = {
    "whole, parts": "content has to be a text",
    "whole, thinking part": "content has to be a text",
    "whole, reference part": "content has to be a text",
    "whole, calls, arguments as objects": "arguments have to be a text",
    "stream, parts": "content has to be a text",
    "stream, no empty lines": "all events are taken for one",
    "stream, empty data": "an event without data is parsed as JSON",
    "stream, null choices": "choices have to be a list",
    "stream, last event repeats the message": "a choice needs an index and a delta",
    "stream, calls, no index": "pieces of calls are told apart by their index only",
}
"""Shape -> why the stock client cannot read it, or hands out what is no text. Another version of it may."""
READ_OTHERWISE = {
    "whole, count beyond all bounds": ["prompt tokens"],  # any integer is a count
    "stream, no last line end": ["finish reason"],  # the last event is lost with its line end
    "stream, byte order mark": ["text"],  # the first event is lost
    "stream, two finish reasons": ["finish reason"],  # the last one counts, so that a cut answer passes for a whole one
    "stream, calls, equal indices": ["tool calls", "ids of tool calls"],  # two calls become one
}
"""Shape -> fields that the stock client reads wrongly."""
FAULTS_READ = {
    "text behind the end": "appended to the answer",
    "another model in the middle": "names of models are not compared",
    "finish lost": "an answer without an end is handed out as one",
}
"""Fault -> what the stock client makes of it, where it raises nothing."""


@pytest.mark.parametrize("shape", SHAPES)
def test_both_clients_read_the_same_wherever_both_can(server: ScriptedServer, shape: str) -> None:
    own, reference = both(server.base_url, shape, streamed="data:" in SHAPES[shape])
    if shape in FAULTS:
        assert isinstance(own, str)
        assert isinstance(reference, Reading) == (shape in FAULTS_READ)
        return
    assert isinstance(own, Reading)
    if shape in UNREADABLE_THERE and isinstance(reference, str):
        return
    assert isinstance(reference, Reading), reference
    assert [field for field, _, _ in differences([own], reference)] == READ_OTHERWISE.get(shape, [])


answers = st.fixed_dictionaries(
    {
        "pieces": st.lists(st.text(max_size=9), min_size=1, max_size=5),
        "reasoning": st.lists(st.text(max_size=9), max_size=3),
        "name": st.sampled_from(["reasoning_content", "reasoning"]),
        "calls": st.sampled_from([[], CALLS[:1], CALLS]),
        "finish": st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
        "tokens": st.integers(20, 2 * LIMIT),
        "thought": st.integers(0, 20),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=answers)
def test_any_answer_in_the_common_shapes_is_read_alike(server: ScriptedServer, answer: dict[str, Any]) -> None:
    usage = USAGE | {
        "completion_tokens": answer["tokens"],
        "completion_tokens_details": {"reasoning_tokens": answer["thought"]},
    }
    calls = [call(position, position) for position in range(len(answer["calls"]))]
    message = {"content": "".join(answer["pieces"]), answer["name"]: "".join(answer["reasoning"]), "tool_calls": calls}
    events = [delta(**{answer["name"]: piece}) for piece in answer["reasoning"]]
    events += [delta(content=piece) for piece in answer["pieces"]]
    events += [delta(tool_calls=[piece]) for piece in calls]
    stream = sse(delta(role="assistant", content=""), *events, delta(answer["finish"]), counts(usage))
    readings = [
        *both(server.base_url, with_usage(whole(answer["finish"], **message), usage).decode(), streamed=False),
        *both(server.base_url, served(stream), streamed=True),
    ]
    for one, other in pairwise(readings):
        assert isinstance(one, Reading), one
        assert isinstance(other, Reading), other
        assert differences([one], other) == []
    assert readings[0].usage == Usage(5, answer["tokens"], answer["thought"])  # type: ignore[union-attr]


def compare(url: str, prompt: str, *, streamed: bool = False) -> ReferenceCheck:
    async def ask() -> ReferenceCheck:
        client = connect(model(url, thinking=False), Engine(retries=0), "m", 4)
        try:
            return await compare_with_reference(client, asked(prompt), streamed=streamed)
        finally:
            await client.close()

    return asyncio.run(ask())


def test_what_a_comparison_finds(server: ScriptedServer) -> None:
    same = compare(server.base_url, "whole, reasoning")
    assert (same.same, same.finding) == (True, "the stock OpenAI client reads the same reply")
    otherwise = compare(server.base_url, "stream, two finish reasons", streamed=True)
    assert not otherwise.same
    assert otherwise.finding.endswith("reads the reply otherwise: finish reason 'length' here, 'stop' there")
    assert "the stock OpenAI client cannot: TypeError" in compare(server.base_url, "whole, parts").finding
    assert "evalsuite does not: the reply ended" in compare(server.base_url, "finish lost", streamed=True).finding
    assert compare(server.base_url, "no JSON").finding.startswith("no client can read the reply")


def test_texts_that_change_are_not_compared() -> None:
    numbers = iter(range(99))
    with scripted_endpoint(lambda _: Answer(f"answer {next(numbers)}")) as changing:
        found = compare(changing.base_url, "q")
    assert found.same
    assert "differ when asked twice" in found.finding


async def received_of(status: int) -> tuple[list[web.BaseRequest], list[Any], ReferenceCheck]:
    """(requests, their bodies, what was found) at an address with a query; errors of its server repeat all secrets."""
    requests: list[web.BaseRequest] = []
    bodies: list[Any] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        requests.append(request)
        bodies.append(await request.json())
        if status != 200:
            words = f"{request.headers['Authorization']} {request.headers['X-Via']} {request.query_string} refused"
            return web.json_response({"error": {"message": words}}, status=status)
        return web.Response(text=SHAPES["whole"], content_type="application/json")

    async with serving(handle) as port:
        url = f"http://127.0.0.1:{port}/v1?api-version=2026-01-01&code=canary-query"
        client = connect(model(url, headers={"X-Via": "canary-header"}), Engine(retries=0), "m", 4)
        try:
            found = await compare_with_reference(client, asked("a question"), streamed=False)
        finally:
            await client.close()
    return requests, bodies, found


def test_both_clients_send_the_same_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALSUITE_API_KEY", "canary-key")
    monkeypatch.setenv("OPENAI_ORG_ID", "canary-organisation")
    requests, bodies, found = asyncio.run(received_of(200))
    assert found.same
    assert len(requests) == 3
    assert bodies[0] == bodies[1] == bodies[2]
    for request in requests:
        assert request.headers["Authorization"] == "Bearer canary-key"
        assert request.headers["X-Via"] == "canary-header"
        assert request.query_string == "api-version=2026-01-01&code=canary-query"
        assert "OpenAI-Organization" not in request.headers


def test_no_secret_is_part_of_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALSUITE_API_KEY", "canary-key")
    _, _, found = asyncio.run(received_of(400))
    assert "refused" in found.finding
    assert "canary" not in found.finding
