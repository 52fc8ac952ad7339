"""The only rounding of scores, changes and shares for people: ties go away from zero.

A float is taken as the decimal number that it approximates, at ``DECIMALS`` decimals, and only then rounded: 1,849 of
2,000 is 92.5 % on every page, whatever its binary digits are. For every count of up to 10^8 answers this equals
rounding the exact fraction. ``round`` in ``report/templates/core.js`` does the same in a browser.
"""

from decimal import ROUND_HALF_UP, Decimal
from math import isfinite

DECIMALS = 12
"""Decimals at which a float is taken as the number that it approximates."""


def fixed(value: float, digits: int) -> str:
    """Round a number to a fixed number of decimals.

    Args:
        value: The number; what is not finite is returned as Python writes it.
        digits: Number of decimals.

    Returns:
        The text: ``-0.925`` for -0.9245 and three digits; a number that rounds to 0 has no sign, a positive one has
            none either.
    """
    return _text(value, digits, 0)


def percent(fraction: float, digits: int = 1) -> str:
    """Round a fraction to percent: ``92.5`` for 0.9245.

    Args:
        fraction: Share, score or change as a fraction of 1; what is not finite is returned as Python writes it.
        digits: Number of decimals of the percentage.

    Returns:
        The percentage without the character ``%``; below 0 with ``-``, unless it rounds to 0.
    """
    return _text(fraction, digits, 2)


def points(delta: float, digits: int = 2) -> str:
    """Round a change to percentage points with its sign: ``-3.10`` for -0.031, ``0.00`` for what rounds to 0.

    Args:
        delta: The change as a fraction of 1.
        digits: Number of decimals of the percentage points.

    Returns:
        The percentage points with ``+`` or ``-``; 0 has no sign. What is not finite is ``+inf``, ``-inf`` or ``nan``.
    """
    text = percent(delta, digits)
    return f"+{text}" if delta > 0 and text.strip("0.") else text


def _text(value: float, digits: int, shift: int) -> str:
    if not isfinite(value):
        return f"{value}"
    exact = Decimal(f"{value:.{DECIMALS}f}").scaleb(shift)
    rounded = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{rounded:f}" if rounded else f"{abs(rounded):f}"
