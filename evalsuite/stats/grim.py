"""Can a published number be true: GRIM for rounded mean scores."""

from decimal import Decimal


def grim(value: str | float, n: int, k: int = 1, decimals: int | None = None) -> tuple[int, ...]:
    """Counts of right answers among ``n`` x ``k`` that round to the published fraction ``value``; empty: impossible.

    ``decimals``: digits after the point that were published (None: those of ``value`` as text). A half may have been
    rounded either way. Only for 0/1 scores: an average of fractional scores escapes it. For a percentage, divide by
    100 and add two decimals. Source: Brown and Heathers, Social Psychological and Personality Science 8, 2017.
    """
    stated = Decimal(str(value))
    exponent = stated.as_tuple().exponent
    digits = decimals if decimals is not None else -int(exponent)
    half = Decimal(1).scaleb(-digits) / 2
    trials = n * k
    first = int((stated - half) * trials) - 1
    last = int((stated + half) * trials) + 1
    return tuple(j for j in range(max(first, 0), min(last, trials) + 1) if abs(Decimal(j) / trials - stated) <= half)
