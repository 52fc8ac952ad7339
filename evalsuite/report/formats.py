"""Formats numbers for people; every number in tables, pages and plots is formatted here.

Scores and deltas are fractions of 1 in the arguments, percent and percentage points in the text. An unknown number
(None) is an en dash.
"""

from collections.abc import Callable, Sequence
from math import floor, isfinite, log10, sqrt

from evalsuite.stats import rounding

UNKNOWN = "–"  # noqa: RUF001 (an en dash, on purpose)
"""Text of an unknown number."""
OUTCOME_TITLES = {
    "correct": "correct",
    "wrong": "wrong",
    "truncated": "truncated",
    "no_answer": "no answer",
    "refused": "refused",
    "ungraded": "ungraded",
    "failed": "failed",
}
"""Outcome -> its name in tables."""

Interval = Sequence[float]
"""Lower and upper end, fractions."""


def percent(fraction: float | None, digits: int = 1) -> str:
    """Format a fraction as percent without the character ``%``, with ``digits`` decimals: ``0.9097`` -> ``91.0``; None
    is a dash.
    """
    return UNKNOWN if fraction is None else rounding.percent(fraction, digits)


def score(fraction: float | None, interval: Interval | None) -> str:
    """Format a score with its interval, both fractions, in percent: ``91.0 [89.7, 92.2]``; without interval only the
    score, None is a dash.
    """
    if fraction is None:
        return UNKNOWN
    return percent(fraction) if interval is None else f"{percent(fraction)} {bounds(interval, percent)}"


def points(delta: float | None, digits: int = 2) -> str:
    """Format a change, a fraction, as signed percentage points (``-0.031`` -> ``-3.10``): what rounds to 0 has no
    sign, None is a dash.
    """
    return UNKNOWN if delta is None else rounding.points(delta, digits)


def standard_errors(z: float) -> str:
    """Format a change in units of its standard error with sign and one decimal: ``-2.3``; what rounds to 0 has no
    sign.
    """
    return points(z / 100, 1)


def change(delta: float | None, interval: Interval | None) -> str:
    """Format a change with its interval, both fractions, in percentage points: ``-3.10 [-4.21, -1.98]``; without
    interval only the change, None is a dash.
    """
    if delta is None:
        return UNKNOWN
    return points(delta) if interval is None else f"{points(delta)} {bounds(interval, points)}"


def bounds(interval: Interval, text: Callable[[float], str]) -> str:
    """Format an interval in brackets, each end formatted by the function ``text``: ``[89.7, 92.2]``."""
    return f"[{text(interval[0])}, {text(interval[1])}]"


def probability(p_value: float | None) -> str:
    """Format a p value: ``0.034``, or ``<0.001`` for one below 0.001; None is a dash."""
    if p_value is None:
        return UNKNOWN
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def count(number: float | None) -> str:
    """Format a number of items: ``1,043``; expected (fractional) numbers keep one decimal: ``12.3``; None is a dash."""
    if number is None:
        return UNKNOWN
    return f"{number:,.0f}" if abs(number - round(number)) < 1e-9 else f"{number:,.1f}"


def ratio(value: float | None) -> str:
    """Format a ratio with two decimals: ``x1.03``; None is a dash."""
    return UNKNOWN if value is None else f"x{rounding.fixed(value, 2)}"


def tokens(number: float | None) -> str:
    """Format a number of tokens, rounded to three significant digits and whole tokens: ``127``, ``4,310``; below 1 one
    decimal. None, NaN and infinite numbers are a dash.
    """
    if number is None or not isfinite(number):
        return UNKNOWN
    if number < 1:
        return f"{number:.1f}"
    return f"{round(number, 2 - floor(log10(number))):,.0f}"


def heterogeneity(title: str, q: float, df: int, p_value: float, tau2: float) -> str:
    """Format a test of whether group values changed differently: ``FP8 Q 10.2 on 13 df, p 0.680, spread 0.40 pt``.

    ``title``: the model. ``q`` and ``df``: Cochran's Q and its degrees of freedom. ``tau2``: variance of the true
    changes, fractions squared.
    """
    return f"{title} Q {q:.1f} on {df} df, p {probability(p_value)}, spread {percent(sqrt(tau2), 2)} pt"


HETEROGENEITY = (
    "Did the values change differently? (Cochran's Q; a small p says yes; spread: between their true changes)"
)
"""What these tests answer."""


def amount(number: float) -> str:
    """Format a number of tokens shortly: ``4,120`` (whole numbers below 10,000), ``64 k``, ``58.7 M``, ``1.2 G``."""
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1e3:,.0f} k" if number >= 1e4 else f"{number:,.0f}"


def hours(seconds: float | None) -> str:
    """Format a duration in hours, under one hour in minutes: ``5.2 h``, ``12.0 min``; None is a dash."""
    if seconds is None:
        return UNKNOWN
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds / 60:,.1f} min"
