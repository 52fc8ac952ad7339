"""The number of requests in flight at one endpoint: it falls under overload and recovers up to the configured limit.

Additive increase, multiplicative decrease (Chiu and Jain 1989), at most one decrease per round trip: requests sent
before the last decrease were sent at the level before it.
"""

import math
from dataclasses import dataclass, field

from evalsuite.records import Reply

REFUSED = 0.5
"""Factor after a 429 or 503."""
QUEUED = 0.8
"""Factor when the time to the first byte shows a queue."""
ROUNDS = 8
"""Round trips of good replies from zero to the full limit."""
SMOOTH = 0.2
"""Weight of the newest queue time in the moving average."""
ABOVE_FLOOR = 4.0
"""A queue time above this multiple of the shortest time to a first byte counts as a queue."""
PATIENCE = 20.0
"""A queue time below the first-token timeout divided by this is accepted."""


@dataclass(slots=True)
class ConcurrencyLimit:
    """The concurrency of one endpoint. Times are ``time.monotonic()``."""

    most: int
    """The configured limit."""
    first_token_seconds: float
    """Time-out of the first byte of a reply."""
    level: float = 0.0
    changed: float = -math.inf
    """Time of the last decrease."""
    _floors: dict[int, float] = field(default_factory=dict)
    """Size class of the prompt (bits of its token count) -> shortest time to a first byte, which is prefill."""
    _queue: float = 0.0

    def __post_init__(self) -> None:
        self.level = float(self.most)

    @property
    def allowed(self) -> int:
        """Most requests in flight now, at least 1."""
        return max(1, int(self.level))

    def refused(self, sent: float, running: int, now: float) -> None:
        """Set the level to half of the requests in flight (or of the level, if lower; at least 1) after a refusal for
        overload.

        Nothing changes if the level has fallen since the request was sent. ``sent`` and ``now``: times of
        ``time.monotonic()``; ``running``: requests in flight.
        """
        self._fall(REFUSED, sent, running, now)

    def answered(self, reply: Reply, sent: float, running: int, now: float) -> None:
        """Adapt the level to a whole reply: lower it if the times to the first byte show a queue (as ``refused``, but
        to 80 %), else raise it a little towards ``most``.

        ``sent`` and ``now``: times of ``time.monotonic()``; ``running``: requests in flight.
        """
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
