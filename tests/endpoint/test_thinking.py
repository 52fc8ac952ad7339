"""One rule for thinking: the same split however the answer arrived, at a cost linear in its length."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.config.settings import Model, Server
from evalsuite.endpoint.reply import Assembler
from evalsuite.endpoint.thinking import KNOWN_TAGS, split_thinking, stated_switch, switch_fields, tags_of
from evalsuite.records import Reply

PAIRS = st.sampled_from(KNOWN_TAGS)
MARKS = sorted({tag for pair in KNOWN_TAGS for tag in pair} | {"<|end|>", "<|return|>", "<|start|>assistant"})
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="<[|\u25c1")).map(lambda text: text.strip("\n"))
"""Text without the beginning of a tag, and without line breaks around it."""
TAGGED = st.lists(st.one_of(PLAIN, st.sampled_from(MARKS))).map("".join)
"""Text with tags of all kinds in any order."""


@given(PAIRS, PLAIN, PLAIN, st.sampled_from(["", "\n", "\n\n"]), st.booleans(), st.booleans())
def test_a_closed_thought_and_its_answer_come_apart_again(
    pair: tuple[str, str], thought: str, answer: str, gap: str, opened: bool, cut: bool
) -> None:
    text = f"{gap}{pair[0] if opened else ''}{gap}{thought}{gap}{pair[1]}{gap}{answer}"
    assert split_thinking(text, cut=cut) == (answer, thought)


@given(PAIRS, PLAIN, PLAIN, st.sampled_from(["", "\n", " \n"]), st.booleans())
def test_an_opening_tag_alone_is_a_cut_thought_whatever_the_finish_reason(
    pair: tuple[str, str], before: str, thought: str, gap: str, cut: bool
) -> None:
    answer, thinking = split_thinking(f"{gap}{pair[0]}{thought}", cut=cut)
    assert (answer, thinking) == ("", thought)
    answer, thinking = split_thinking(f"{before}{pair[0]}{thought}", cut=cut)
    assert answer == ""
    assert thinking.endswith(thought)


@given(PAIRS, st.lists(PLAIN, min_size=2, max_size=6), PLAIN)
def test_nested_and_repeated_thoughts_end_at_the_last_closing_tag(
    pair: tuple[str, str], thoughts: list[str], answer: str
) -> None:
    opening, closing = pair
    nested = opening.join(["", *thoughts]) + closing * len(thoughts) + answer
    row = "".join(f"{opening}{thought}{closing}" for thought in thoughts) + answer
    for text in (nested, row):
        found, thinking = split_thinking(text)
        assert found == answer
        assert all(thought in thinking for thought in thoughts)
    assert split_thinking(f"{row}{opening}{thoughts[0]}")[0] == ""  # it began to think once more


@given(TAGGED, st.booleans())
def test_nothing_is_lost_and_nothing_is_added(text: str, cut: bool) -> None:
    answer, thinking = split_thinking(text, cut=cut)
    assert answer in text
    assert thinking in text
    left = text.replace(thinking, "", 1).replace(answer, "", 1)
    for mark in MARKS:
        left = left.replace(mark, "")
    assert left.strip() == ""


@given(TAGGED)
def test_an_answer_is_never_split_twice(text: str) -> None:
    answer, _ = split_thinking(text)
    if not any(tag in answer for pair in KNOWN_TAGS for tag in pair):
        assert split_thinking(answer) == (answer, "")


@given(TAGGED, PLAIN.filter(bool), st.booleans())
def test_what_the_server_took_out_stands_before_what_it_left(text: str, sent: str, cut: bool) -> None:
    answer, thinking = split_thinking(text, sent, cut=cut)
    alone = split_thinking(text)
    assert answer == alone[0]
    assert thinking == (f"{sent}\n{alone[1]}" if alone[1] else sent)


@given(PLAIN)
def test_a_text_without_tags_is_thinking_only_where_it_was_cut(text: str) -> None:
    assert split_thinking(text) == (text, "")
    assert split_thinking(text, cut=True) == ("", text)
    assert split_thinking(text, "sent", cut=True) == (text, "sent")


def streamed(text: str, sizes: list[int], **how: Any) -> Reply:
    assembler = Assembler()
    place = 0
    for size in [*sizes, len(text)]:
        assembler.add({"choices": [{"delta": {"content": text[place : place + size]}}]})
        place += size
    assembler.add({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    return assembler.reply(max_tokens=None, seconds=0.0, first=None, **how)


@given(TAGGED, st.lists(st.integers(1, 5), max_size=12), st.booleans())
def test_tags_may_be_split_over_chunks(text: str, sizes: list[int], thinking: bool) -> None:
    reply = streamed(text, sizes, thinking=thinking)
    assert (reply.text, reply.reasoning) == split_thinking(text)


@pytest.mark.parametrize(
    "text",
    [
        "<|channel|>analysis<|message|>17 + 1 = 18<|end|><|start|>assistant<|channel|>final<|message|>18<|return|>",
        "<|channel|>analysis<|message|>17 + 1 = 18<|end|><|start|>assistant<|channel|>final<|message|>18",
        "[THINK]17 + 1 = 18[/THINK]18",
        "<thinking>\n17 + 1 = 18\n</thinking>\n\n18",
        "17 + 1 = 18\n</think>\n\n18",
        "\u25c1think\u25b717 + 1 = 18\u25c1/think\u25b718",
        "<seed:think>17 + 1 = 18</seed:think>18",
        "<|START_THINKING|>17 + 1 = 18<|END_THINKING|>18",
    ],
)
def test_public_formats(text: str) -> None:
    assert split_thinking(text) == ("18", "17 + 1 = 18")


def test_a_model_names_its_own_tags() -> None:
    own = (("<reflect>", "</reflect>"),)
    assert split_thinking("<reflect>a</reflect>b <think>", tags=own) == ("b <think>", "a")
    assert split_thinking("a</think>b", tags=own) == ("a</think>b", "")
    assert streamed("a</reflect>b", [], thinking=True, tags=own).text == "b"


def test_an_answer_may_name_the_tags_of_other_models() -> None:
    assert split_thinking("hm</think>Mistral writes [THINK].") == ("Mistral writes [THINK].", "hm")


@pytest.mark.parametrize(
    "made",
    [
        lambda n: "<think>" * n,
        lambda n: "</think>" * n,
        lambda n: "x" * n + "</think>" + "<|end|>" * n,
        lambda n: "<|start|>assistant" * n + "</think>" + "\n" * n,
        lambda n: "<thin" * n,
        lambda n: "<|channel|>" * n,
        lambda n: "<think>" * n + "</think>" * n,
    ],
)
def test_time_is_linear(made: Callable[[int], str]) -> None:
    def seconds(text: str) -> float:
        began = time.process_time()
        split_thinking(text, cut=True)
        return time.process_time() - began

    small, large = made(20_000), made(320_000)
    ratio = min(seconds(large) for _ in range(3)) / max(min(seconds(small) for _ in range(5)), 2e-5)
    assert ratio < 16 * 6  # quadratic: 256


def model(**changes: Any) -> Model:
    return Model("M", "c", None, "bf16", base_url="http://localhost/v1", server=Server("vllm"), **changes)


@pytest.mark.parametrize(
    ("switch", "on", "off"),
    [
        ({}, {"chat_template_kwargs": {"enable_thinking": True}}, {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"on": {"thinking": True}, "off": {}}, {"chat_template_kwargs": {"thinking": True}}, {}),
        ({True: {"thinking": True}, False: {}}, {"chat_template_kwargs": {"thinking": True}}, {}),
        ({"on": {}, "off": {}}, {}, {}),
        (
            {"off": {"thinking": 0}},
            {"chat_template_kwargs": {"enable_thinking": True}},
            {"chat_template_kwargs": {"thinking": 0}},
        ),
    ],
)
def test_the_switch_is_the_models_and_its_place_the_servers(switch: dict[Any, Any], on: Any, off: Any) -> None:
    assert switch_fields(model(thinking_switch=switch)) == on
    assert switch_fields(model(thinking_switch=switch, thinking=False)) == off


def test_a_switch_may_be_a_field_of_the_request_itself_or_not_be_carried() -> None:
    switched = model(thinking_switch={"on": {"reasoning_effort": "high"}})
    switched.server.thinking_via = "body"
    assert switch_fields(switched) == {"reasoning_effort": "high"}
    switched.server.thinking_via = None
    assert switch_fields(switched) == {}


def test_manifests_keep_a_switch_that_is_not_the_common_one() -> None:
    assert stated_switch(model()) is None
    own = model(thinking_switch={True: {"thinking": True}, "tags": [["<r>", "</r>"]]})
    assert tags_of(own) == (("<r>", "</r>"),)
    assert stated_switch(own) == {
        "on": {"thinking": True},
        "off": {"enable_thinking": False},
        "tags": [["<r>", "</r>"]],
    }
