"""MMMU's parsers: worked cases, the published patterns where linear ones replace them, and looping answers."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.tasks.mmmu import parsing as mmmu
from evalsuite.tasks.mmmu.parsing import open_answer, pro_letter, sglang_letter
from tests.support.machine_speed import cpu_budget

FOUR = ("a red fox", "the blue whale", "no bird at all", "ant")
EXPLICIT = (
    r"\banswer\s*:\s*\*{0,2}\s*\(?([A-Z])\)?\s*\*{0,2}(?![A-Za-z])",
    r"(?:^|\n)\s*\*{0,2}\s*\(?([A-Z])\)?\s*\*{0,2}\s*\.?\s*$",
    r"\\boxed\{\s*\*{0,2}\s*\(?([A-Z])\)?\s*\*{0,2}\s*\}",
    r"\b(?:the\s+)?answer\s+is\s*\*{0,2}\s*\(?([A-Z])\)?\s*\*{0,2}(?![A-Za-z])",
    r"^\s*\(?([A-Z])\)?\s*\.",
)
"""As published by SGLang; all are matched without regard to case."""
NUMBERS = (
    r"-?\b\d{1,3}(?:,\d{3})+\b",
    r"-?\d+(?:\.\d+)?[eE][+-]?\d+",
    r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])",
)
pieces = st.sampled_from(
    ["answer", "Answer", "the ", "is", "\\boxed{", *" \n\t:*().AbCZ{}xé,1", "  ", "**", "***", "ab"]
)
digits = st.sampled_from([*"0123456789", "12", "345", ",", ".", "e", "E", "-", "+", " ", "a", "_", "٣", "\n", ",111"])


@pytest.mark.parametrize(
    ("text", "letter", "stage"),
    [
        ("Answer: B", "B", "answer_label"),
        ("Answer: A\nThen again, Answer: **C**", "C", "answer_label"),
        ("Answer: Band C", "C", "letter_space"),  # the label names two letters
        ("I say (A), or (C). Answer: none", "C", "bracket"),
        ("I say (C), or (A).", "A", "bracket"),
        ("so B it is", "B", "letter_space"),
        ("B or D or B then D", "D", "letter_space"),
        ("ABCD C", "C", "letter_space"),  # C stands between spaces; of D, "D " alone does not count
        ("it is B.)", "B", "letter_dot"),
        ("either B.) or A.)", "A", "letter_dot"),
        ("it must have been the blue whale over there", "B", "option_text"),
        ("a red fox chased the ant and an ant", "D", "option_text"),
        ("an ant", None, ""),
        ("", None, ""),
        ("Answer:", None, ""),
        ("Answer: E", None, ""),
    ],
)
def test_mmmu_pro(text: str, letter: str | None, stage: str) -> None:
    found = pro_letter(text, FOUR)
    assert (found.answer, found.stage, found.in_range) == (letter, stage, letter is not None)


def test_mmmu_pro_knows_only_the_letters_that_an_item_has() -> None:
    assert pro_letter("Answer: L", [f"o{number}" for number in range(12)]).answer == "L"
    assert pro_letter("Answer: A or B", ["the only one"]).answer == "A"


@pytest.mark.parametrize(
    ("text", "letter", "stage"),
    [
        ("answer: a good one", "A", "explicit"),
        ("Answer: (B), though the answer is **C**", "C", "explicit"),
        ("The answer is B. Rather \\boxed{ **D** }", "D", "explicit"),
        ("(B). That is why.", "B", "explicit"),
        ("Because.\n\n**D**.", "D", "explicit"),
        ("Because. D", "D", "letter"),
        ("Answer: E, so (C) or (B)", "B", "bracket"),
        ("B and then D and so on", "D", "letter"),
        ("it must have been the blue whale over there", "B", "option_text"),
        ("[C], not [B]", "C", "alone"),
        ("no idea", None, ""),
        ("", None, ""),
    ],
)
def test_sglang_choices(text: str, letter: str | None, stage: str) -> None:
    found = sglang_letter(text, FOUR)
    assert (found.answer, found.stage) == (letter, stage)


@settings(max_examples=600, deadline=None)
@given(st.lists(pieces, max_size=14).map("".join))
def test_the_explicit_forms_are_the_published_ones(text: str) -> None:
    published = [
        (hit.start(1), hit.group(1)) for form in EXPLICIT for hit in re.finditer(form, text, flags=re.IGNORECASE)
    ]
    assert set(mmmu._explicit(text)) == set(published)


@settings(max_examples=600, deadline=None)
@given(st.lists(digits, max_size=16).map("".join))
def test_the_numbers_are_the_published_ones(text: str) -> None:
    assert mmmu._numbers(text) == [number for pattern in NUMBERS for number in re.findall(pattern, text)]


@pytest.mark.parametrize(
    ("text", "keys", "right"),
    [
        ("The length is 1.06 m", ["1.06"], True),
        ("Therefore the result is 1.0600", ["1.06"], True),
        ("1,464", ["1464"], True),
        ("x = 12.974", ["12.97"], True),
        ("x = 12.98", ["12.97"], False),
        ("About 24/7 ft", ["24/7", "3.429"], True),
        ("it is 3.429", ["24/7", "3.429"], True),
        ("It is the Embryonic stage.", ["embryonic"], True),
        ("It is the fetal stage.", ["embryonic"], False),
        ("Region A", ["A"], True),
        ("so 1,000 or 2,000", ["1000"], True),
        ("There are 14 of them.", ["4"], False),
        ("4.014x", ["4"], False),
        ("There are 4 of them.", ["4"], True),
        ("Red or blue.\nThe answer is green", ["red"], False),  # an announced result hides the rest of the reply
    ],
)
def test_open_questions(text: str, keys: list[str], right: bool) -> None:
    assert open_answer(text, keys)[0] is right


def test_an_empty_open_answer_is_none() -> None:
    assert open_answer(" \n", ["4"]) == (False, None)
    assert open_answer("So it is\nThe answer is Paris.", ["Rome"]) == (False, "paris")


REPEATED = (
    *("answer: ", "answer is ", "answer", "Answer:", "(A", "A ", "A.", "A", "a red fox ", "\n", " ", "*", "* ", "\n*"),
    *(
        "\\boxed{",
        "\\boxed{ ",
        "\\boxed{A",
        "\nA\n",
        "1",
        "1.",
        ".1",
        "1,",
        "1,111,",
        "1e",
        "1e1",
        "-",
        "so ",
        "=",
        ".\n",
    ),
    *(".()[]", "is the ", "the ", "could be 1 ", "٣", "1a"),
)


@pytest.mark.parametrize("shape", [*REPEATED, "answer: + spaces", "digits + a", "line breaks + x"])
def test_no_looping_answer_takes_a_second(shape: str) -> None:
    size = 300_000
    text = {
        "answer: + spaces": "answer:" + " " * size + "x",
        "digits + a": "1" * size + "a",
        "line breaks + x": "so x" + "\n" * size + "x",
    }.get(shape, (shape * (size // len(shape) + 1))[:size])
    began = time.process_time()
    pro_letter(text, FOUR)
    sglang_letter(text, FOUR)
    open_answer(text, ["embryonic", "12.97"])
    assert time.process_time() - began < cpu_budget(1.5)  # three parsers, each under half a second
