"""How long one request may take: what its token cap needs at a quarter of the slowest measured rate.

A shorter limit would cut long answers and repeat the request until a short one arrives, which would bias the results.
"""

import time
from collections import deque
from dataclasses import dataclass, field

from evalsuite.records import Reply

KEPT = 512
"""Number of the newest rates that are kept."""
ENOUGH = 20
"""Replies after which the slowest rate is known."""
SHORTEST = 32
"""Tokens below which a reply is too short to measure the rate."""
ASSUMED = 2.5
"""Generated tokens per second of one request, for one that is not streamed while nothing is measured: 64,000 tokens may
take seven hours."""
ASSUMED_TOKENS = 64_000
"""Where the request states no cap."""
EVERY = 16
"""Replies after which the percentile is computed again."""


@dataclass(slots=True)
class RequestTimeout:
    """Generated tokens per second of one request, over the newest replies."""

    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _seen: int = 0
    slowest: float | None = None
    """First percentile, tokens per second; None while unknown."""

    def note(self, reply: Reply) -> None:
        """Measure the generated tokens per second of a whole reply, without the wait for its first token where that is
        known.

        Replies without a token count, below 32 tokens or of no duration are ignored. ``slowest`` is computed from the
        newest 512 of the others at every 16th of them, for the first time at the 32nd.
        """
        tokens = reply.usage.completion_tokens or 0
        seconds = reply.seconds - (reply.first_token_seconds or 0.0)
        if tokens < SHORTEST or seconds <= 0:
            return
        self._rates.append(tokens / seconds)
        self._seen += 1
        if len(self._rates) >= ENOUGH and self._seen % EVERY == 0:
            ordered = sorted(self._rates)
            self.slowest = ordered[len(ordered) // 100]

    def longest(self, max_tokens: int | None, first_token_seconds: float) -> float | None:
        """Seconds after which a request of ``max_tokens`` is given up: its first token's time-out
        ``first_token_seconds``, plus its tokens at a quarter of the slowest rate. None while that rate is unknown, or
        where ``max_tokens`` is None."""
        if self.slowest is None or max_tokens is None:
            return None
        return first_token_seconds + max_tokens / (self.slowest / 4.0)


def unmeasured_seconds(max_tokens: int | None, first_token_seconds: float) -> float:
    """Seconds after which a request that is not streamed is given up while the endpoint's speed is not known.

    ``first_token_seconds`` plus the time of ``max_tokens`` at 2.5 tokens a second; None or 0 count as 64,000.
    """
    return first_token_seconds + (max_tokens or ASSUMED_TOKENS) / ASSUMED


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """When one request is given up. Limits are times of the event loop, which may have a clock of its own (uvloop)."""

    began: float
    """When it was sent, ``time.monotonic()``."""
    first: float
    """When the answer must have begun; of one that is not streamed, when it must be whole."""
    idle: float
    """Seconds of silence after which an answer that has begun is given up."""
    whole: float
    """When the answer must be whole."""

    def passed(self) -> float:
        """Seconds since the request began."""
        return time.monotonic() - self.began
