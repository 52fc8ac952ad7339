"""The reader of boxes: every decoration of a number is understood, and what changes its value is never overlooked."""

import os
import signal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.errors import SampleFailed
from evalsuite.tasks.grading import expressions, extract, numbers

MINUS = ("-", "\u2212", "\u2013", "\uff0d", "{-}", "\\text{negative }", "\\text{minus }", "- ")
CURRENCY = ("", "", "\\$", "$", "€", "US\\$", "\\pounds ", "\\text{USD }", "Rs. ")
UNIT = (
    *("", "", "\\%", " percent", "^\\circ", "°C", "\\text{ dollars}", "~\\mathrm{km/h}", " apples", "\\text{ cm}^2"),
    *(" m²", "\\,\\text{kg}\\cdot\\text{m}", " per day", " euros.", " 元", "/\\text{hour}", " (rounded)"),
)
STYLE = (
    *("{}", "{}", "{{{}}}", "\\({}\\)", "\\left({}\\right)", "\\displaystyle {}", "\\boxed{{{}}}", "\\mathbf{{{}}}"),
    *("x = {}", "\\text{{Total}} = {}", "6 \\times 3 = {}", "\\textcolor{{red}}{{{}}}", "\\textbf{{{}}}", "**{}**"),
    *("\\text{{Answer: }}{}", "\\approx {}", "{{\\bf {}}}", "\\[{}\\]", "${}$", "\\text{{about }}{}"),
)
DIGITS = tuple({ord("0") + digit: chr(zero + digit) for digit in range(10)} for zero in (0x30, 0xFF10, 0x660))
SEPARATORS = ("", ",", "{,}", "\\,", " ", "\u202f", "\\!,\\!", "~")
CHANGES = (
    *(
        "x+{}",
        "{}x",
        ">{}",
        "\\geq {}",
        "\\pm{}",
        "{}\\pi",
        "{}i",
        "{} or 5",
        "{}, 5",
        "\\text{{more than }}{}",
        "{}:30",
    ),
    *(
        "\\text{{not }}{}",
        "{}+",
        "{}\\text{{ and a half}}",
        "{}_3",
        "{}\\ldots",
        "x={}, y=2",
        "y=2, x={}",
        "2x={}",
        "{}^n",
    ),
    *(
        "\\neq {}",
        "{}\\text{{ to }}5",
        "\\text{{at least }}{}",
        "\\log {}",
        "{}!",
        "\\sqrt{{{}}}",
        "{}^2",
        "\\frac{{{}}}{{7}}",
    ),
)


@st.composite
def decorated(draw: st.DrawFn) -> tuple[str, Fraction]:
    """A number between 12 and 10**7, or its negative, as models write it into boxes."""
    whole, decimals = draw(st.integers(12, 10**7)), draw(st.sampled_from(["", "", ".0", ".50", "."]))
    separator = draw(st.sampled_from(SEPARATORS))
    digits = (f"{whole:,}".replace(",", separator) + decimals).translate(draw(st.sampled_from(DIGITS)))
    negative, currency, unit = draw(st.booleans()), draw(st.sampled_from(CURRENCY)), draw(st.sampled_from(UNIT))
    minus = draw(st.sampled_from(MINUS)) if negative else ""
    text = draw(st.sampled_from([minus + currency + digits, currency + minus + digits, f"{minus}({currency}{digits})"]))
    inner, outer = draw(st.sampled_from(STYLE)), draw(st.sampled_from(("{}", "{{{}}}", "\\textbf{{{}}}")))
    value = Fraction(f"{whole}{decimals}")
    return outer.format(inner.format(text)) + unit, -value if negative else value


@settings(max_examples=400, deadline=None)
@given(decorated())
def test_every_decoration_is_understood(case: tuple[str, Fraction]) -> None:
    text, value = case
    read = numbers.number(text)
    assert read is not None, text
    assert Fraction(read) == value


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(CHANGES), st.integers(6, 10**6))
def test_what_changes_the_number_is_never_overlooked(form: str, whole: int) -> None:
    read = numbers.number(form.format(whole))
    assert read is None or Fraction(read) != whole


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18½", "18.5"),
        ("18\\frac{1}{2}\\text{ miles}", "18.5"),
        ("-18 1/2", "-18.5"),
        ("\\dfrac{-36}{2}", "-18"),
        ("\\frac12", "0.5"),
        ("1.8\\times10^{3}", "1800"),
        ("1.8\u00d710³", "1800"),
        ("1.8e3", "1800"),
        ("\\$1.5\\text{ million}", "1500000"),
        ("\\$18k", "18000"),
        ("\\$18K", "18000"),
        ("18\\text{ K}", "18"),
        ("18^{\\text{th}}", "18"),
        ("18\\,\\frac{\\text{km}}{\\text{h}}", "18"),
        ("1,00,000", "100000"),
        ("-(-18)", "18"),
        ("18 = x", "18"),
        ("\\{18\\}", "18"),
        ("\\text{twenty (20)}", "20"),
        ("18\\text{-inch}", "18"),
    ],
)
def test_fractions_and_powers_of_ten(text: str, value: str) -> None:
    assert Fraction(str(numbers.number(text))) == Fraction(value)


@settings(max_examples=500, deadline=None)
@given(
    st.text(st.sampled_from("18.,-+=()[]{}\\$%^_/ xk√²½\ue000\ue001\ue002π٣ textfrac"), max_size=30)
    | st.text(max_size=30)
)
def test_any_text_is_one_number_or_none(text: str) -> None:
    read = numbers.number(text)
    assert read is None or isinstance(Fraction(read), Fraction)
    numbers.expression(text)


OPERATORS = (("+", "+"), ("-", "-"), ("\\times ", "*"), (" \\cdot ", "*"), ("*", "*"))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 99), st.lists(st.tuples(st.sampled_from(OPERATORS), st.integers(1, 99)), min_size=1, max_size=3))
def test_arithmetic_is_evaluated(first: int, steps: list[tuple[tuple[str, str], int]]) -> None:
    latex = str(first) + "".join(f"{operator[0]}{operand}" for operator, operand in steps)
    value = eval(str(first) + "".join(f"{operator[1]}{operand}" for operator, operand in steps))
    read = extract.boxed_number(f"\\boxed{{x = {latex}}}")
    assert (read.answer, read.stage, read.in_range) == (str(value), "boxed_arithmetic", True)


@pytest.mark.parametrize(
    ("box", "value"),
    [
        ("\\sqrt{324}", "18"),
        ("3^2+9", "18"),
        ("18²", "324"),
        ("\\frac{6\\times 6}{2}\\text{ eggs}", "18"),
        ("2(9)", "18"),
        ("0.1*3", "3/10"),
        ("18!", "6402373705728000"),
        ("\\sqrt{2}", None),
        ("1/0+1", None),
        pytest.param("9^{9^{9^9}}", None, marks=pytest.mark.slow),  # its five seconds of processor time
        ("\\mathbf{6}(", None),
    ],
)
def test_values_of_arithmetic(box: str, value: str | None) -> None:
    text = numbers.expression(box)
    assert (None if text is None else expressions.value(text)) == value


def test_a_process_that_was_killed_is_replaced() -> None:
    worker = expressions._Worker()
    assert worker.ask("6+3") == '"9"\n'
    assert worker.process is not None
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    assert worker.ask("6+4") == '"10"\n'


def test_without_math_verify_nothing_is_graded() -> None:
    with pytest.raises(SampleFailed, match="math-verify cannot be loaded: false ends with 1"):
        expressions._Worker(("false",)).ask("6+3")
