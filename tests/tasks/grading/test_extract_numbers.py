"""The number extractors: equal to the published ones, and able to read what models write into boxes."""

import ast
import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.tasks.grading import extract
from tests.support import published_scores as published

PIECES = (
    "#### ",
    "####",
    "-",
    "$",
    "1",
    "08",
    "1,000",
    "3.50",
    ".",
    ",",
    " ",
    "\n",
    "A: ",
    "0",
    "[invalid]",
    "٣",
    "7.",
    "\ud800",
)
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@settings(max_examples=1000, deadline=None)
@given(texts)
def test_the_number_extractors_equal_the_published_ones(text: str) -> None:
    strict = published.lm_eval_gsm8k(text, r"#### (\-?[0-9\.\,]+)", 0)
    flexible = published.lm_eval_gsm8k(text, r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1)
    assert (extract.strict_number(text).answer or "[invalid]") == (strict or "[invalid]")
    extracted = extract.flexible_number(text)
    assert (extracted.answer or "[invalid]") == (flexible or "[invalid]")
    assert extracted.candidates == len(re.findall(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", text))
    numbers = re.findall(r"\d+", text.replace(",", ""))
    try:
        sglang = ast.literal_eval(numbers[-1]) if numbers else None
    except SyntaxError:
        sglang = None
    assert extract.last_integer(text).answer == (None if sglang is None else str(sglang))


@pytest.mark.parametrize(
    ("box", "number"),
    [
        ("18", "18"),
        ("-3", "-3"),
        ("- 3", "-3"),
        ("\u22123", "-3"),
        ("-\\$5", "-5"),
        ("1,319", "1319"),
        ("1{,}319", "1319"),
        ("1\\,319", "1319"),
        ("12 345 678", "12345678"),
        ("18.00", "18"),
        ("18.", "18"),
        (".5", "0.5"),
        ("\\$18", "18"),
        ("$18$", "18"),
        ("50\\%", "50"),
        ("50 %", "50"),
        ("18 dollars", "18"),
        ("18\\text{ dollars}", "18"),
        ("\\text{18 eggs}", "18"),
        ("\\textbf{\\text{18}}", "18"),
        ("\\$1{,}234.50\\ \\text{per day}", "1234.5"),
        ("5\\text{ cm}^2", "5"),
        ("5\\,\\mathrm{m}^{2}", "5"),
        ("90^\\circ", "90"),
        ("6*3 = 18", "18"),
        ("x = 18", "18"),
        ("\\approx 18", "18"),
        ("007", "7"),
        ("\\frac{1}{2}", "0.5"),
    ],
)
def test_a_number_in_a_box(box: str, number: str) -> None:
    found = extract.boxed_number(f"First \\boxed{{1}}, then \\boxed{{{box}}}.")
    assert found.in_range
    assert found.stage == "boxed"
    assert found.candidates == 2
    assert Fraction(str(found.answer)) == Fraction(number)


@pytest.mark.parametrize(
    "box",
    ["3 or 4", "2^n", "12,5", "1,2,3", "18:00", "none", "2 \\times n", "1.2.3", "\\sqrt{2}"],
)
def test_what_is_not_one_number_is_kept_and_never_right(box: str) -> None:
    found = extract.boxed_number(f"\\boxed{{{box}}}")
    assert (found.answer, found.in_range) == (box, False)


@pytest.mark.parametrize(
    "text", ["", "18", "\\boxed{}", "\\boxed{ }", "\\boxed{18", "\\boxed 18", "\\boxed{1} \\boxed"]
)
def test_no_closed_box_is_no_answer(text: str) -> None:
    assert extract.boxed_number(text) == extract.NOTHING


@pytest.mark.parametrize(
    ("solution", "key"),
    [("a <<1+1=2>>2\n#### 2", "2"), ("#### 1,000", "1000"), ("#### -10", "-10"), ("no mark", None), ("#### two", None)],
)
def test_the_key_of_a_solution(solution: str, key: str | None) -> None:
    assert extract.gsm8k_key(solution) == key
