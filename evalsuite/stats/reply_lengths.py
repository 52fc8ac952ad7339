"""Predicted reply lengths: quantiles of censored lengths, and the generation rate that nearly all tokens reach."""

from collections.abc import Iterable, Sequence

SPREAD = 3.0
"""An attempt at an item is shorter than this factor times the item's recorded mean in 99 of 100 cases. Lengths of
repeats of one question are about lognormal with a standard deviation of the logarithm up to 0.45, and exp(2.33 * 0.45)
is 2.9."""
MIN_REPLIES = 100
"""Smallest number of replies from which a 99th percentile is estimated; with fewer, an answer may be as long as
``max_tokens``."""
SLOW_SHARE = 0.1
"""Fraction of the generated tokens that may be slower than the rate of ``slow_rate``."""


def slow_rate(paces: Iterable[tuple[float, float]]) -> float | None:
    """Compute the generation rate of one stream that at least 90 % of all generated tokens reached.

    All tokens of a reply count with the reply's mean rate. Replies without tokens or duration do not count.

    Args:
        paces: (generated tokens, seconds) of single replies; seconds include waiting and prefill.

    Returns:
        Tokens per second, the mean rate of one of the replies; None without a reply that has tokens and a duration.
    """
    known = sorted((tokens / seconds, tokens) for tokens, seconds in paces if tokens > 0 and seconds > 0)
    below, total = 0.0, sum(tokens for _, tokens in known)
    for rate, tokens in known:
        below += tokens
        if below >= SLOW_SHARE * total:
            return rate
    return None


def longest(finished: Sequence[float], unfinished: Sequence[float], share: float = 0.99) -> float | None:
    """Estimate the length that a fraction ``share`` of all answers do not exceed (Kaplan and Meier 1958).

    Unfinished answers enter as censored observations. Leaving them out would bias the quantile down, because short
    answers finish first.

    Args:
        finished: Lengths of finished answers, tokens.
        unfinished: Lengths that running or truncated answers had reached, tokens.
        share: Quantile, a fraction.

    Returns:
        The length in tokens; None with fewer than ``MIN_REPLIES`` (100) finished answers or when the quantile is not
            reached.
    """
    if len(finished) < MIN_REPLIES:
        return None
    events = sorted([(length, False) for length in finished] + [(length, True) for length in unfinished])
    survival, at_risk = 1.0, len(events)
    for length, censored in events:
        if not censored:
            survival *= 1.0 - 1.0 / at_risk
            if survival <= 1.0 - share + 1e-12:
                return length
        at_risk -= 1
    return None


def p99_tokens(known: float | None, p99: float | None, max_tokens: int | None) -> float | None:
    """Estimate the tokens below which one request stays in 99 of 100 cases.

    Args:
        known: Recorded mean length of this item, tokens; when given, ``SPREAD`` (3) times it is a bound.
        p99: 99th percentile of the task's replies (``longest``), used when ``known`` is None.
        max_tokens: Token limit of the request; None when there is none.

    Returns:
        The smallest bound in tokens; None when there is no bound.
    """
    bounds = [float(max_tokens)] if max_tokens is not None else []
    if known is not None:
        bounds.append(SPREAD * known)
    elif p99 is not None:
        bounds.append(p99)
    return min(bounds) if bounds else None


def p99_seconds(
    rate: float | None, max_tokens: int | None, lengths: Sequence[float] = (), known: float | None = None
) -> float | None:
    """Estimate the seconds within which one request ends in 99 of 100 cases.

    Args:
        rate: Generation rate of one stream, tokens per second; None when unknown.
        max_tokens: Token limit of the request; None when there is none.
        lengths: Lengths of recorded replies of the task, tokens; used when ``known`` is None and there are at least
            ``MIN_REPLIES`` (100).
        known: Recorded mean length of this item, tokens; None when there is none.

    Returns:
        Seconds; None when the rate (also a rate of 0) or every bound of the length is unknown.
    """
    tokens = p99_tokens(known, longest(lengths, ()), max_tokens)
    return None if tokens is None or not rate else tokens / rate
