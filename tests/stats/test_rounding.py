"""One rounding: that of the exact fraction, ties away from zero, in every place that shows a number."""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from evalsuite.stats import rounding


def exact(fraction: Fraction, digits: int) -> Decimal:
    """The fraction rounded without any float."""
    units, rest = divmod(abs(fraction) * 10**digits, 1)
    rounded = Decimal(int(units) + (rest >= Fraction(1, 2))).scaleb(-digits)
    return rounded if fraction >= 0 else -rounded


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(-n, n), st.just(n))), st.integers(0, 4))
@example((1849, 2000), 1)
@example((-1849, 2000), 1)
@example((9, 8), 0)
def test_counts_are_rounded_as_their_exact_fraction(counts: tuple[int, int], digits: int) -> None:
    part, whole = counts
    wanted = exact(Fraction(100 * part, whole), digits)
    for value in (part / whole, sum([part / whole / 8] * 8)):  # a mean adds up with errors in the last bits
        assert Decimal(rounding.percent(value, digits)) == wanted
        assert Decimal(rounding.points(value, digits)) == wanted
        assert Decimal(rounding.fixed(value, digits)) == exact(Fraction(part, whole), digits)
    assert rounding.points(part / whole, digits).startswith("+") == (wanted > 0)
    assert not rounding.percent(part / whole, digits).startswith("-0.00000")


@given(st.decimals(-2, 2, places=9))
def test_decimals_are_rounded_as_written(number: Decimal) -> None:
    assert Decimal(rounding.fixed(float(number), 3)) == number.quantize(Decimal("0.001"), ROUND_HALF_UP)


def test_texts() -> None:
    assert rounding.percent(1849 / 2000) == rounding.percent(0.1849 * 5) == "92.5"
    assert rounding.fixed(1849 / 2000, 3) == "0.925"
    assert (rounding.points(-0.031), rounding.points(0.00001), rounding.points(-0.00001)) == ("-3.10", "0.00", "0.00")
    assert (rounding.percent(1.0, 0), rounding.percent(float("nan"))) == ("100", "nan")
