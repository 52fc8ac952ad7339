"""One answer in every shape in which servers send it is read as that answer, or is a fault: never another answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalsuite.endpoint.client import encode
from evalsuite.endpoint.stream import ReplyStream
from evalsuite.errors import SampleFailed
from evalsuite.records import Reply, Request

REQUEST = Request(({"role": "user", "content": "q"},), sampling={"max_tokens": 64})
TEXT = "The answer is 42"
CALLS = [("c1", "get", '{"id": 1}'), ("c2", "put", '{"id": 2}')]


def read(data: bytes, *, step: int = 10**6) -> Reply:
    """The reply of a body or a stream that comes in chunks of ``step`` bytes."""
    stream = ReplyStream(10**7)
    for start in range(0, len(data), step):
        stream.feed(data[start : start + step])
    stream.end()
    return stream.reply(REQUEST, 0.0, thinking=False)


def whole(finish: Any = "stop", **message: Any) -> bytes:
    return json.dumps({"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}).encode()


def delta(finish: Any = None, model: str = "m", **part: Any) -> dict[str, Any]:
    return {"model": model, "choices": [{"index": 0, "delta": part, "finish_reason": finish}]}


def sse(*events: dict[str, Any], end: str = "\n", done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(event)}" for event in events] + ["data: [DONE]"] * done
    return "".join(line + end + end for line in lines).encode()


def indented(*events: dict[str, Any]) -> bytes:
    """Events of several lines each."""
    parts = ["".join(f"data: {line}\n" for line in json.dumps(event, indent=1).splitlines()) for event in events]
    return ("\n".join(parts) + "\n").encode()


HALVES = (delta(role="assistant", content="The answer"), delta(content=" is 42"), delta("stop"))
OTHER = {"index": 1, "delta": {"content": "999"}, "finish_reason": None}
READ: dict[str, bytes] = {
    "whole": whole(content=TEXT),
    "whole, byte order mark": b"\xef\xbb\xbf" + whole(content=TEXT),
    "whole, parts": whole(content=[{"type": "text", "text": "The answer"}, " is 42"]),
    "whole, thinking part": whole(
        content=[{"type": "thinking", "thinking": [{"type": "text", "text": "7"}]}, {"type": "text", "text": TEXT}]
    ),
    "whole, reference part": whole(
        content=[{"type": "text", "text": TEXT}, {"type": "reference", "reference_ids": [1]}]
    ),
    "whole, white space before": b" \n" * 50 + whole(content=TEXT),
    "stream": sse(*HALVES),
    "stream, CR LF": sse(*HALVES, end="\r\n"),
    "stream, CR": sse(*HALVES, end="\r"),
    "stream, several lines an event": indented(*HALVES),
    "stream, no empty lines": sse(*HALVES).replace(b"\n\n", b"\n"),
    "stream, comments and fields": b": ping\n\nevent: message\nid: 1\nretry: 5\n" + sse(*HALVES),
    "stream, empty data": b"data:\n\n" + sse(*HALVES),
    "stream, no [DONE]": sse(*HALVES, done=False),
    "stream, no last line end": sse(*HALVES, done=False).rstrip(b"\n"),
    "stream, byte order mark": b"\xef\xbb\xbf" + sse(*HALVES),
    "stream, empty finish reasons": sse(
        *(delta(event["choices"][0]["finish_reason"] or "", **event["choices"][0]["delta"]) for event in HALVES)
    ),
    "stream, second choice": sse(
        {"model": "m", "choices": [HALVES[0]["choices"][0], OTHER]}, {"model": "m", "choices": [OTHER]}, *HALVES[1:]
    ),
    "stream, null choices": sse({"model": "m", "choices": None}, *HALVES),
    "stream, last event repeats the message": sse(
        *HALVES[:2], {"model": "m", "choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}]}
    ),
    "stream, parts": sse(delta(content=[{"type": "text", "text": TEXT}]), delta("stop")),
    "stream, reasoning under both names": sse(delta(reasoning="7", reasoning_content="7"), *HALVES),
}
FAULTS: dict[str, bytes] = {
    "text behind the end": sse(delta("stop", content="The answer is 4"), delta(content="2")),
    "another model in the middle": sse(delta(content="The answer"), delta("stop", model="evil", content=" is 42")),
    "finish of another type": sse(delta({"a": 1}, content=TEXT)),
    "part of an unknown kind": whole(content=[{"type": "hologram"}]),
    "a number as text": whole(content=42),
    "nested too deep": b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no JSON": b"{torn",
    "garbage": bytes(range(1, 256)),
    "nothing": b"",
    "finish lost": sse(delta(content=TEXT)),
    "error event": sse(delta(content=TEXT), {"error": {"message": "boom", "code": 500}}),
}


@pytest.mark.parametrize("step", [1, 7, 10**6])
@pytest.mark.parametrize("shape", READ)
def test_every_shape_of_an_answer_is_that_answer(shape: str, step: int) -> None:
    reply = read(READ[shape], step=step)
    assert (reply.text, reply.finish_reason, reply.tool_calls) == (TEXT, "stop", ())
    assert reply.reasoning in ("", "7")


@pytest.mark.parametrize("shape", FAULTS)
def test_what_is_no_whole_answer_is_a_fault(shape: str) -> None:
    with pytest.raises(SampleFailed):
        read(FAULTS[shape])


def call(index: Any, position: int, *, as_object: bool = False) -> dict[str, Any]:
    identifier, name, arguments = CALLS[position]
    return {
        "index": index,
        "id": identifier,
        "type": "function",
        "function": {"name": name, "arguments": json.loads(arguments) if as_object else arguments},
    }


@pytest.mark.parametrize("indices", [(0, 0), (-1, -1), (None, None), (5, 2), (None, 1), ("0", "1")])
@pytest.mark.parametrize("as_object", [False, True])
def test_calls_of_a_whole_message_keep_the_order_of_the_list(indices: tuple[Any, Any], as_object: bool) -> None:
    calls = [call(index, position, as_object=as_object) for position, index in enumerate(indices)]
    reply = read(whole("tool_calls", content=None, tool_calls=calls))
    assert [tuple(made.values()) for made in reply.tool_calls] == CALLS


@pytest.mark.parametrize("indices", [(0, 1), (0, 0), (None, None), ("0", "1")])
def test_calls_of_a_stream_are_told_apart_by_index_or_id(indices: tuple[Any, Any]) -> None:
    events = [delta(tool_calls=[call(index, position)]) for position, index in enumerate(indices)]
    reply = read(sse(*events, delta("tool_calls")))
    assert [tuple(made.values()) for made in reply.tool_calls] == CALLS


@pytest.mark.parametrize("count", [2**64 - 1, 2**63, -5, True, "5", 1.5, None, [], 10**9])
def test_what_is_no_token_count_is_unknown(count: Any) -> None:
    body = json.loads(whole(content=TEXT)) | {"usage": {"prompt_tokens": count, "completion_tokens": 3.0}}
    usage = read(json.dumps(body).encode()).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (None, 3)


def test_the_worst_finish_reason_counts() -> None:
    assert read(sse(delta("length", content=TEXT), delta("stop"))).truncated


def test_a_line_without_end_costs_linear_work() -> None:
    class Counted(bytes):
        """Bytes that count how often they are looked through for a line end."""

        looks = 0

        def rfind(self, *arguments: Any) -> int:
            Counted.looks += 1
            return super().rfind(*arguments)

    stream = ReplyStream(10**9)
    stream.feed(b"data: ")
    for _ in range(500):
        stream.feed(Counted(b"x" * 1000))
    assert Counted.looks == 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
@example({"temperature": 1e-05})
@example({"temperature": 1e16})
def test_bodies_are_written_as_the_standard_library_writes_them(body: dict[str, Any]) -> None:
    assert encode(body) == json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def test_a_lone_surrogate_in_a_request_is_escaped() -> None:
    assert json.loads(encode({"a": "\ud800"})) == {"a": "\ud800"}


@given(st.binary(max_size=300), st.sampled_from([lambda data: data, lambda data: b"data: " + data + b"\n\n"]))
def test_bytes_raise_nothing_but_a_fault(data: bytes, framed: Callable[[bytes], bytes]) -> None:
    reply: Reply | SampleFailed
    try:
        reply = read(framed(data), step=17)
    except SampleFailed as fault:
        reply = fault
    assert str(reply)
