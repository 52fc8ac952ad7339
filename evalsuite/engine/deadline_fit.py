"""Which attempts of a lane still fit into the window: what ``windows`` reckons, from what the replies have shown."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evalsuite.engine.lengths import ExpectedLengths
from evalsuite.engine.scheduler import Attempt
from evalsuite.stats.reply_lengths import longest, p99_tokens, slow_rate
from evalsuite.store.attempts import CutRequest

ENOUGH = 20
"""Replies of a cell from which its own rate is taken rather than its endpoint's."""
KEPT = 2000
"""Newest replies that count for a rate."""


@dataclass(slots=True)
class CellFit:
    """What is known of the lengths and the speed of one cell's replies."""

    lengths: ExpectedLengths
    max_tokens: int | None
    single_turn: bool
    """False: an attempt is a dialogue, and what has to fit is its next request."""
    cuts: Mapping[tuple[str, int], Sequence[CutRequest]] = field(default_factory=dict)
    finished: list[float] = field(default_factory=list)
    """Lengths of whole replies, recorded ones first."""
    paces: list[tuple[float, float]] = field(default_factory=list)
    p99: float | None = None
    due: int = 0
    """Replies at which ``p99`` and ``rate`` are computed again."""
    rate: float | None = None

    def known(self, todo: Attempt) -> float | None:
        """Recorded tokens of this very item; one that was cut is at least as long as it had become."""
        if not self.single_turn:
            return None
        reached = [cut.tokens for cut in self.cuts.get((todo.item.id, todo.repeat), ()) if cut.tokens]
        recorded = todo.expected if todo.learned else self.lengths.items.get(todo.item.id)
        return max([*reached, *([] if recorded is None else [recorded])], default=None)


@dataclass(slots=True)
class Fit:
    """The end of the window, held against what is known of every cell of a lane."""

    ends: float
    """``time.monotonic()`` at which running requests are cut."""
    cells: Sequence[CellFit]
    rate: float | None = None
    """Tokens per second of one stream, stated by the user; used until something was measured."""
    begun: dict[tuple[int, str, int], float] = field(default_factory=dict)
    """(cell, item, repeat) of running requests -> when they were sent."""

    def learn(self, cell: int, tokens: float, seconds: float) -> None:
        """A whole reply of ``tokens`` came after ``seconds``."""
        one = self.cells[cell]
        one.finished.append(tokens)
        one.paces.append((tokens, seconds))

    def seconds(self, todo: Attempt) -> float | None:
        """Seconds in which the next request of an attempt ends in 99 of 100 cases; None: nobody can say."""
        one = self.cells[todo.cell]
        if len(one.finished) >= one.due:
            self._look(todo.cell)
        tokens = p99_tokens(one.known(todo), one.p99, one.max_tokens)
        rate = one.rate or self.rate
        return None if tokens is None or not rate else tokens / rate

    def fits(self, todo: Attempt) -> bool:
        """Whether an attempt may still begin. Where nothing is known it may."""
        seconds = self.seconds(todo)
        return seconds is None or seconds <= self.ends - time.monotonic()

    def _look(self, cell: int) -> None:
        one, now = self.cells[cell], time.monotonic()
        everywhere = [pace for other in self.cells for pace in (*other.lengths.paces[-KEPT:], *other.paces[-KEPT:])]
        mine = [*one.lengths.paces[-KEPT:], *one.paces[-KEPT:]]
        one.rate = slow_rate(
            one.paces[-KEPT:] if len(one.paces) >= ENOUGH else mine if len(mine) >= ENOUGH else everywhere
        )
        running = [(now - at) * (one.rate or 0.0) for (number, *_), at in self.begun.items() if number == cell]
        cut = [cut.tokens for cuts in one.cuts.values() for cut in cuts if cut.tokens]
        one.p99 = longest(one.finished, [*running, *cut])
        one.due = len(one.finished) + max(1, len(one.finished) // 20)
