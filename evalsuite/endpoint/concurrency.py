"""How many requests an endpoint may have in flight: falls when it is overloaded, recovers, never above the user's word.

Additive increase, multiplicative decrease (Chiu and Jain 1989), once a round: what was sent before the last decrease
says nothing about the level after it.
"""

import math
from dataclasses import dataclass, field

from evalsuite.records import Reply

REFUSED = 0.5
"""Factor after a 429 or 503."""
QUEUED = 0.8
"""Factor when the time to the first byte grows."""
ROUNDS = 8
"""Rounds of good replies from nothing to the full limit."""
SMOOTH = 0.2
"""Weight of the newest queue time in the moving average."""
ABOVE_FLOOR = 4.0
"""Queue time above this times the shortest time to a first byte is well above it."""
PATIENCE = 20.0
"""Queue time below the first-token timeout over this does no harm yet."""


@dataclass(slots=True)
class ConcurrencyLimit:
    """The concurrency of one endpoint. Times are ``time.monotonic()``."""

    most: int
    """What the user set."""
    first_token_seconds: float
    """After this much silence a request is given up."""
    level: float = 0.0
    changed: float = -math.inf
    """When it fell last."""
    _floors: dict[int, float] = field(default_factory=dict)
    """Size class of the prompt (bits of its token count) -> shortest time to a first byte: prefill is no queue."""
    _queue: float = 0.0

    def __post_init__(self) -> None:
        self.level = float(self.most)

    @property
    def allowed(self) -> int:
        """Most requests in flight now, at least 1."""
        return max(1, int(self.level))

    def refused(self, sent: float, running: int, now: float) -> None:
        """A request sent at ``sent``, while ``running`` were in flight, was turned away for overload."""
        self._fall(REFUSED, sent, running, now)

    def answered(self, reply: Reply, sent: float, running: int, now: float) -> None:
        """A whole reply came."""
        if self._queues(reply):
            self._fall(QUEUED, sent, running, now)
        elif self.level < self.most:
            self.level = min(float(self.most), self.level + max(self.most / ROUNDS, 1.0) / self.level)

    def _fall(self, factor: float, sent: float, running: int, now: float) -> None:
        if sent >= self.changed:
            self.level = max(1.0, min(self.level, float(running)) * factor)
            self.changed, self._queue = now, 0.0

    def _queues(self, reply: Reply) -> bool:
        waited = reply.first_token_seconds
        if waited is None:
            return False
        size = (reply.usage.prompt_tokens or 0).bit_length()
        floor = self._floors[size] = min(self._floors.get(size, waited), waited)
        self._queue += SMOOTH * (waited - floor - self._queue)
        return self._queue > max(ABOVE_FLOOR * floor, self.first_token_seconds / PATIENCE)
