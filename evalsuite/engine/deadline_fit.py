"""Which attempts of an endpoint still fit into the time window, from what earlier and present replies have shown.

A request is not sent when it would probably be cut: a cut answer is paid for and lost, and asking again favours answers
that happen to be shorter. The time that a request may need is the number of tokens of which 99 in 100 such answers stay
below, at a rate that nearly all of the model's tokens keep.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evalsuite.engine.lengths import ExpectedLengths
from evalsuite.engine.scheduler import Attempt
from evalsuite.stats.reply_lengths import longest, p99_tokens, slow_rate
from evalsuite.store.attempts import AttemptKey, CutRequest

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
    cuts: Mapping[AttemptKey, Sequence[CutRequest]] = field(default_factory=dict)
    """Recorded requests that were cut."""
    finished: list[float] = field(default_factory=list)
    """Lengths of whole replies in tokens, recorded ones first."""
    paces: list[tuple[float, float]] = field(default_factory=list)
    """(tokens, seconds) of this run's replies."""
    p99: float | None = None
    """Tokens that 99 of 100 replies stay below."""
    due: int = 0
    """Number of replies at which ``p99`` and ``rate`` are computed again."""
    rate: float | None = None
    """Tokens per second of one reply that nearly all replies keep."""

    def known(self, attempt: Attempt) -> float | None:
        """Known tokens of an attempt: what another repeat of its item took in this run, else the recorded mean of its
        item; or those that had arrived of a request of the attempt that was cut, if that is more.

        None where nothing is known, and for dialogues.
        """
        if not self.single_turn:
            return None
        reached = [cut.tokens for cut in self.cuts.get(attempt.key, ()) if cut.tokens]
        recorded = attempt.expected if attempt.learned else self.lengths.items.get(attempt.item.id)
        return max([*reached, *([] if recorded is None else [recorded])], default=None)


@dataclass(slots=True)
class Fit:
    """The end of the window against what is known of every cell of an endpoint."""

    ends: float
    """``time.monotonic()`` at which running requests are cut."""
    cells: Sequence[CellFit]
    rate: float | None = None
    """Tokens per second of one stream, stated by the user; used until something was measured."""
    sent_at: dict[tuple[int, str, int], float] = field(default_factory=dict)
    """(cell, item, repeat) of running requests -> when they were sent, ``time.monotonic()``."""

    def learn(self, cell: int, tokens: float, seconds: float) -> None:
        """Note that a whole reply in the cell with index ``cell`` had ``tokens`` and took ``seconds``."""
        self.cells[cell].finished.append(tokens)
        self.cells[cell].paces.append((tokens, seconds))

    def seconds(self, attempt: Attempt) -> float | None:
        """Estimated seconds in which the next request of an attempt ends in 99 of 100 cases: three times its known
        tokens, else ``p99`` of the cell's replies, ``max_tokens`` at most, at the measured rate, else at the one that
        the user states. None where none of the three, or no rate, is known."""
        cell = self.cells[attempt.cell]
        if len(cell.finished) >= cell.due:
            self._estimate(attempt.cell)
        tokens = p99_tokens(cell.known(attempt), cell.p99, cell.max_tokens)
        rate = cell.rate or self.rate
        return None if tokens is None or not rate else tokens / rate

    def fits(self, attempt: Attempt) -> bool:
        """Whether the next request of an attempt is expected to end before the window does, so that it may be sent;
        True where its ``seconds`` are unknown."""
        seconds = self.seconds(attempt)
        return seconds is None or seconds <= self.ends - time.monotonic()

    def _estimate(self, number: int) -> None:
        """Compute ``p99`` and ``rate`` of the cell with index ``number`` again, and the number of replies at which
        they are due next."""
        cell, now = self.cells[number], time.monotonic()
        everywhere = [pace for other in self.cells for pace in (*other.lengths.paces[-KEPT:], *other.paces[-KEPT:])]
        own = [*cell.lengths.paces[-KEPT:], *cell.paces[-KEPT:]]
        cell.rate = slow_rate(
            cell.paces[-KEPT:] if len(cell.paces) >= ENOUGH else own if len(own) >= ENOUGH else everywhere
        )
        running = [(now - sent) * (cell.rate or 0.0) for (index, *_), sent in self.sent_at.items() if index == number]
        cut = [cut.tokens for cuts in cell.cuts.values() for cut in cuts if cut.tokens]
        cell.p99 = longest(cell.finished, [*running, *cut])
        cell.due = len(cell.finished) + max(1, len(cell.finished) // 20)
