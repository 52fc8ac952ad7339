"""The letter extractors: equal to the published ones, and explicit about what they found."""

import gzip
import json
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.tasks.grading import extract
from tests.support import published_scores as published
from tests.support.shared import shared_data

TEN = "ABCDEFGHIJ"
PIECES = (
    *("answer", "Answer", "ANSWER", ":", " : ", " ", "\n", "\t", "*", "**", "_", "A", "B", "J", "K", "Z", "b", "I"),
    *("answer is ", "answer is (", ")", "(", ".", ",", "$", "1", "é", "x", "\\boxed{", "\\boxed", "{", "}", "\\text{"),
    *("The final answer is ", " is the correct answer", "is", "the", "correct", "Answer: ", "answer: Answer: "),
)
texts = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@settings(max_examples=1000, deadline=None)
@given(texts)
def test_every_chain_equals_the_published_one_on_short_texts(text: str) -> None:
    letter, stage, hits = published.aa_v3(text)
    found = extract.aa_chain(text, TEN)
    assert (found.answer, found.candidates) == (letter, hits)
    assert found.stage == (extract._AA_STAGES[stage][0] if hits else "")
    assert extract.official_chain(text, TEN).answer == published.official(text)
    assert extract.boxed_chain(text, TEN).answer == published.nemo_skills(text)


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "model", ["Meta-Llama-3-70B", "Meta-Llama-3_1-70B", "Meta-Llama-3_1-70B-Instruct", "Qwen1.5-72B-Chat"]
)
def test_every_chain_equals_the_published_one_on_real_answers(model: str, step: int) -> None:
    compared = 0
    with gzip.open(shared_data() / "mmlu_pro" / f"outputs_{model}.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in islice(file, None, None, step):
            text = json.loads(line)["output"]
            if len(text) >= 1200:
                continue
            compared += 1
            assert extract.aa_chain(text, TEN).answer == published.aa_v3(text)[0]
            assert extract.official_chain(text, TEN).answer == published.official(text)
            assert extract.boxed_chain(text, TEN).answer == published.nemo_skills(text)
    assert compared > 8_000 / step


@pytest.mark.parametrize(
    ("text", "answer", "stage", "candidates"),
    [
        ("So the answer is (B). The answer is (C).", "B", "answer_is", 2),
        ("the answer is K", None, "", 0),
        ("answer: A or answer: B\nAnswer: C", "B", "answer_colon", 3),
        ("answer: Answer: B", "B", "answer_colon", 2),
        ("Answer:\n\nD", "D", "answer_colon", 1),
        ("I think B, perhaps.", "B", "last_letter", 2),
        ("i do not know", None, "", 0),
    ],
)
def test_the_official_chain(text: str, answer: str | None, stage: str, candidates: int) -> None:
    found = extract.official_chain(text, TEN)
    assert (found.answer, found.stage, found.candidates) == (answer, stage, candidates)


@pytest.mark.parametrize(
    ("text", "answer", "stage"),
    [
        (r"Answer: \boxed{B}", "B", "boxed"),
        (r"\boxed{A} no, \boxed{\text{(C)}}", "C", "boxed"),
        (r"\boxed{A} and an open \boxed{B", None, ""),
        (r"Answer: D, \boxed{}", "D", "answer_label"),
        ("The final answer is **E**.", "E", "final_answer"),
        ("The final answer is E\nor so", None, ""),
        ("So.\nThe final answer is E\n", "E", "final_answer"),
        ("**Answer:** b", "B", "answer_label"),
        ("Answer: Because", None, ""),
        (r"\boxed{none of them} Answer: F", "F", "answer_label"),
        (r"\boxed{b}", "b", "boxed"),
    ],
)
def test_the_boxed_chain(text: str, answer: str | None, stage: str) -> None:
    found = extract.boxed_chain(text, TEN)
    assert (found.answer, found.stage) == (answer, stage)
    assert found.in_range == (answer is not None and answer in TEN)


@pytest.mark.parametrize(
    ("text", "answer", "stage"),
    [
        ("Answer: A\nAnswer: B", "B", "answer_label"),
        (r"\boxed{A \boxed{B} \boxed{C", "B", "boxed"),
        ("the answer is the second, so answer is (B)", "t", "answer_is"),
        ("answer is (D)", "D", "answer_is_bracket"),
        ("A) first B) second", "B", "choice"),
        ("C is the\ncorrect answer", "C", "is_correct"),
        ("it must be\nG  \nsurely", "G", "line_end"),
        ("H. that is it", "H", "full_stop"),
        ("perhaps Q, though", "Q", "loose"),
        ("nothing here", None, ""),
    ],
)
def test_the_nine_stages_of_artificial_analysis(text: str, answer: str | None, stage: str) -> None:
    found = extract.aa_chain(text, "ABCD")
    assert (found.answer, found.stage) == (answer, stage)
    assert found.in_range == (answer is not None and answer in "ABCD")


@pytest.mark.parametrize(
    ("text", "answer"),
    [("Answer: A. Answer: B", "A"), ("answer :\t$C$", "C"), ("Answer: d", "d"), ("Answer:\nA", None), ("B", None)],
)
def test_the_first_label_of_simple_evals(text: str, answer: str | None) -> None:
    assert extract.simple_evals_letter(text, "ABCD").answer == answer


def test_a_letter_beyond_the_options_is_found_and_marked() -> None:
    assert extract.official_chain("The answer is (J).", "ABCD") == extract.Extracted("J", "answer_is", 1, False)
