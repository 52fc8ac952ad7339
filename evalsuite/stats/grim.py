"""The GRIM test: whether a published mean score is arithmetically possible."""

from decimal import Decimal


def grim(value: str | float, n: int, k: int = 1, decimals: int | None = None) -> tuple[int, ...]:
    """Find the counts of right answers whose fraction rounds to a published score.

    Only for 0/1 scores: averages of fractional scores cannot be tested. A half may have been rounded up or down.
    Source: Brown and Heathers, Social Psychological and Personality Science 8, 2017.

    Args:
        value: The published score as a fraction of 1, a number or its text. For a percentage, divide by 100 and add two
            decimals.
        n: Number of items, at least 1.
        k: Repeats of each item, at least 1.
        decimals: Published digits after the decimal point; None takes those of ``value`` as text.

    Returns:
        Possible counts of right answers among ``n * k``, ascending; empty when the score is impossible.
    """
    stated = Decimal(str(value))
    exponent = stated.as_tuple().exponent
    digits = decimals if decimals is not None else -int(exponent)
    half = Decimal(1).scaleb(-digits) / 2
    trials = n * k
    first = int((stated - half) * trials) - 1
    last = int((stated + half) * trials) + 1
    return tuple(
        count for count in range(max(first, 0), min(last, trials) + 1) if abs(Decimal(count) / trials - stated) <= half
    )
