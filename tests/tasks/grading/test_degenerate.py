"""Signs of a sick reply: every kind is found, real outputs of healthy models are not, in linear time."""

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evalsuite.records import Item, Reply, call_in_text
from evalsuite.tasks.grading.degenerate import KINDS, degenerate, loops, repeated_end
from tests.support.shared import shared_data

ENGLISH = Item("q", {"question": "How many apples are left?", "options": ["3", "4"]}, "4")
WORDS = "The farm sells twelve apples, keeps seven and gives the rest of them to a neighbour who bakes pies. "


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply("", finish_reason="stop"), "empty"),
        (Reply(" \n", finish_reason="length"), "empty"),
        (Reply("", "Twelve minus seven is five.", "stop"), "thought_only"),
        (Reply("", "Twelve minus seven is", "length"), ""),  # an ordinary truncation
        (Reply("", "It is refused.", "content_filter"), ""),
        (Reply("", finish_reason="tool_calls", tool_calls=({"name": "f", "arguments": "{}"},)), ""),
        (Reply("!" * 16, finish_reason="length"), "loop"),
        (Reply("!" * 400, finish_reason="stop"), "loop"),
        (Reply("", "Wait, let me check. " * 9, "length"), "loop"),
        (Reply(WORDS * 3, "", "length"), "loop"),
        (Reply(WORDS + "\n" * 300, "", "length"), "loop"),
        (Reply("The answer is 4." + "\n" * 300, "", "stop"), ""),
        (Reply("The answer is 3.3333333333333333333", "", "stop"), ""),
        (Reply(WORDS + "| --- | --- | --- | --- |\n| 1 | 2 | 3 | 4 |", "", "stop"), ""),
        (Reply("<tool_call>\n<function=f>\n</function>", "", "stop"), "call_as_text"),
        (Reply("The answer \ufffdis\ufffd 4.", "", "stop"), "garbled"),
        (Reply("The answer is 4\ufffd", "", "length"), ""),  # a character that the cap cut in two
        (Reply("The answer is 因为我们还剩下五个苹果所以答案是四个苹果而不是三个", "", "stop"), "garbled"),
        (Reply("π ≈ 3.14, ∑ αᵢ and café: the answer is 4", "", "stop"), ""),
        (Reply("The word is 苹果.", "", "stop"), ""),
    ],
)
def test_each_sign_is_found_and_an_ordinary_answer_has_none(reply: Reply, kind: str) -> None:
    assert degenerate(reply, ENGLISH) == kind


@pytest.mark.parametrize("question", ["Answer in Chinese: 4?", "五个苹果减一个", "Translate 'apple' into Mandarin."])
def test_scripts_and_languages_of_the_item_are_its_own(question: str) -> None:
    reply = Reply("因为我们还剩下五个苹果所以答案是四个苹果而不是三个", "", "stop")
    assert degenerate(reply, Item("q", {"question": question})) == ""
    assert degenerate(reply, Item("q", {"question": "How many?"})) == "garbled"
    assert degenerate(reply) == ""  # without the item nothing is foreign


def test_a_task_that_found_a_call_in_a_text_has_the_last_word() -> None:
    assert degenerate(Reply("Done.", "", "stop"), ENGLISH, call_as_text=True) == "call_as_text"


@given(st.text(max_size=300), st.text(min_size=1, max_size=60), st.integers(3, 40), st.integers(0, 59))
def test_a_repeated_end_is_found_whole(head: str, cycle: str, times: int, more: int) -> None:
    text = head + cycle * times + cycle[: more % len(cycle)]
    assume(len(text) - len(head) - len(cycle) >= min(24, len(text) // 3))
    run, period = repeated_end(text, 2)
    assert run >= len(text) - len(head)
    assert period
    assert text[len(text) - run : -period] == text[len(text) - run + period :]  # and it is one


@given(st.text(max_size=200), st.text(min_size=1, max_size=60))
def test_a_loop_to_the_cap_is_one_wherever_it_stands(head: str, cycle: str) -> None:
    looped = head + cycle * (1 + 300 // len(cycle))
    assume(looped.strip("\ufffd"))
    assert loops(Reply(looped, "", "length"))
    assert loops(Reply("", looped, "length"))
    assert loops(Reply(" \n", looped, "length"))


@given(st.text(min_size=1, max_size=60), st.text(max_size=400), st.integers(256, 900), st.integers(0, 59))
def test_an_earlier_copy_of_the_cycle_hides_no_loop(cycle: str, between: str, size: int, more: int) -> None:
    looped = cycle * (1 + size // len(cycle)) + cycle[: more % len(cycle)]
    assume(looped.strip("\ufffd"))
    assert loops(Reply(cycle * 2 + between + looped, "", "length"))


def test_a_conclusion_repeated_to_the_cap_is_a_loop_though_the_answer_gave_it_before() -> None:
    sentence = "The answer is $9600.\n\n"
    text = sentence + WORDS * 3 + sentence * 20 + "The answer is $9"
    assert repeated_end(text, 3) == (len(sentence) * 20 + 16, len(sentence))
    assert loops(Reply(text, "", "length"))


@given(st.text(max_size=400), st.text(max_size=400), st.sampled_from([None, "stop", "length", "tool_calls"]))
def test_any_reply_has_a_sign_or_none(text: str, reasoning: str, finish: str | None) -> None:
    assert degenerate(Reply(text, reasoning, finish), ENGLISH) in ("", *KINDS)


@pytest.mark.parametrize(
    "mark",
    ["<tool_call>", "<function=f>", "<|tool_call_begin|>", "[TOOL_CALLS]", "<|python_tag|>", '<invoke name="f">'],
)
def test_calls_of_every_known_format_are_one_list(mark: str) -> None:
    assert call_in_text(WORDS + mark)
    assert not call_in_text(WORDS)
    assert degenerate(Reply(WORDS + mark, "", "stop")) == "call_as_text"


@pytest.mark.parametrize(
    "unit",
    ["a", "ab" * 500 + "c", "a" * 60 + "b", WORDS, "漢字 " + WORDS],
    ids=["one", "torn", "runs", "words", "wide"],
)
def test_the_time_is_linear_in_the_length(unit: str) -> None:
    def seconds(size: int) -> float:
        text = (unit * (size // len(unit) + 1))[:size]
        replies = [Reply(text + end, "", "length") for end in ("", "x", unit[:10], "xyz" * 40)]
        best = float("inf")
        for _ in range(5):
            began = time.process_time()
            for reply in replies:
                degenerate(reply, ENGLISH)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(1_600_000) < 100 * seconds(100_000) + 0.05  # 16 times the text; quadratic time would be 256 times


def _outputs(path: Path, field: str) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)[field] or ""


@pytest.mark.parametrize(
    ("file", "field", "most"),
    [
        ("mmmu_pro/outputs_gpt-4o_standard10-cot.jsonl.gz", "output", 0.0),
        ("gsm8k/outputs_openai-175b-verification.jsonl.gz", "output", 0.0),
        ("gsm8k/outputs_openai-6b-finetuning.jsonl.gz", "output", 0.001),  # one answer ends in 18181818...
        ("mmlu_pro/outputs_Qwen1.5-72B-Chat.jsonl.gz", "output", 0.0),
        ("mmlu_pro/outputs_Meta-Llama-3_1-70B-Instruct.jsonl.gz", "output", 0.013),  # loops up to its cap
    ],
)
def test_healthy_outputs_of_real_models_are_below_the_flag(file: str, field: str, most: float) -> None:
    signs = Counter(degenerate(Reply(text)) for text in _outputs(shared_data() / file, field))
    assert 1 - signs[""] / signs.total() <= most
