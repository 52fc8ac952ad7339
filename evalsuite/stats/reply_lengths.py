"""How long replies become: quantiles of censored lengths, and the rate that nearly all tokens keep."""

from collections.abc import Iterable, Sequence

SPREAD = 3.0
"""An attempt at an item stays below this times the item's recorded mean in 99 of 100 cases: lengths of repeats of one
question are about lognormal with a standard deviation of log up to 0.45, and exp(2.33 * 0.45) is 2.9."""
SURE = 100
"""Replies from which their own 99th percentile is taken; below that an answer may be as long as ``max_tokens``."""
SLOW_SHARE = 0.1
"""Share of the generated tokens that came at less than the rate that is reckoned with."""


def slow_rate(paces: Iterable[tuple[float, float]]) -> float | None:
    """Tokens per second of one stream that 90 % of all generated tokens came at, or faster; None without any.

    ``paces`` are (generated tokens, seconds) of single replies; seconds include waiting and prefill.
    """
    known = sorted((tokens / seconds, tokens) for tokens, seconds in paces if tokens > 0 and seconds > 0)
    below, total = 0.0, sum(tokens for _, tokens in known)
    for rate, tokens in known:
        below += tokens
        if below >= SLOW_SHARE * total:
            return rate
    return None


def longest(finished: Sequence[float], unfinished: Sequence[float], share: float = 0.99) -> float | None:
    """The length that ``share`` of all answers stay below (Kaplan and Meier 1958); None where the data do not say.

    ``unfinished`` are the lengths that running or cut answers had reached: they will be longer. Leaving them out would
    take the short answers, which are finished first, for all of them.
    """
    if len(finished) < SURE:
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
    """Tokens that one request stays below in 99 of 100 cases; None: there is no bound.

    ``known`` is the recorded mean of this very item (``SPREAD`` times that, then), ``p99`` the 99th percentile of the
    task's replies (``longest``), ``max_tokens`` the cap of the request, which holds where nothing else is known.
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
    """Seconds in which one request ends in 99 of 100 cases, at ``rate`` tokens a second; None: nobody can say.

    ``lengths`` are recorded replies of the task in tokens, ``known`` is the recorded mean of this very item, if there
    is one. What ``plan`` reports as fitting no window is what exceeds the window's length by this.
    """
    tokens = p99_tokens(known, longest(lengths, ()), max_tokens)
    return None if tokens is None or not rate else tokens / rate
