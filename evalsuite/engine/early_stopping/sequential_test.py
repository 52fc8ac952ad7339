"""One comparison that may stop early: two arms, one random order of items, one rule that was fixed beforehand.

Pure functions of values on top of ``stats.sequential``. An item counts when every repeat that both arms have is
measured in both; items count in the order in which they are sent, over closed blocks, because those that finish first
are the short ones. An item that is not measured yet, or failed, is waited for unless the decision is the same whatever
its value. Everything can be computed again from the journals: the order depends on the seed and the items' ids alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evalsuite.engine.scheduler import ordered
from evalsuite.records import Item
from evalsuite.stats.decision import Call
from evalsuite.stats.intervals import Floats
from evalsuite.stats.sequential import MIN_ITEMS, BettingState, Rule, closed, start, update

BLOCKS = 100
"""Blocks in a whole run: how often failing is looked at."""


def random_order(items: Sequence[Item], seed: int) -> tuple[str, ...]:
    """Item ids in the random order in which the engine sends them with ``engine.stop=sequential``: it depends on
    ``seed`` and the ids alone, so that every arm and resume has the same."""
    return tuple(attempt.item.id for attempt in ordered(0, items, 1, shuffle_seed=seed))


def rule_for(items: int, margin: float, alpha: float) -> Rule:
    """The rule of a comparison of ``items`` items; with fewer than ``MIN_ITEMS`` (500) it can only fail early, not
    pass.

    ``margin`` (largest tolerated loss) and ``alpha`` (chance of a wrong fail; that of a wrong pass is 0.05) are
    fractions of 1. Raises ``ValueError`` without items and for a margin that is not above 0 and below 1.
    """
    return Rule(items, margin, alpha, may_pass=items >= MIN_ITEMS)


@dataclass(slots=True)
class ArmScores:
    """What one model's items have scored."""

    values: Floats
    """Items in random order x repeats; NaN where nothing is measured."""

    @classmethod
    def empty(cls, items: int, repeats: int) -> "ArmScores":
        """Scores of ``items`` x ``repeats`` attempts of which none is measured (all NaN)."""
        return cls(np.full((items, repeats), np.nan))


@dataclass(slots=True)
class SequentialTest:
    """A candidate against its baseline on one task."""

    rule: Rule
    order: tuple[str, ...]
    baseline: ArmScores
    candidate: ArmScores
    state: BettingState = field(init=False)
    """After the closed blocks."""
    call: Call | None = None
    """``undecided``: everything is measured and neither boundary was reached."""
    ends: int = 0
    """Items that the decision rests on: the first so many of ``order``."""
    implied: bool = False
    """Whether some of those are not measured, and cannot change the decision."""
    _unseen: int = 0
    """Attempts since the last look."""
    _places: dict[str, int] = field(init=False)
    _differences: Floats = field(init=False)

    def __post_init__(self) -> None:
        self._places = {item: place for place, item in enumerate(self.order)}
        self.replay()

    @property
    def block(self) -> int:
        """Number of items that are counted together: a hundredth of all, rounded down, at least 1."""
        return max(1, self.rule.items // BLOCKS)

    def replay(self) -> None:
        """Start the test again on all that the arms hold: after a resume, or where attempts were invalidated.

        A former decision is dropped; ``call`` is set if the values decide (``interim_look``).
        """
        shared = min(self.baseline.values.shape[1], self.candidate.values.shape[1])
        self._differences = self.candidate.values[:, :shared].mean(1) - self.baseline.values[:, :shared].mean(1)
        self.state, self.call, self.ends, self.implied = start(self.rule), None, 0, False
        self.interim_look()

    def scored(self, arm: ArmScores, item: str, repeat: int, value: float | None) -> None:
        """Take the value of an attempt that ended in ``arm`` (``baseline`` or ``candidate``); None: not measured.

        Items and repeats for which the arm has no place are ignored; repeats that only one arm has do not count.
        Decides nothing: ``interim_look`` does.
        """
        place = self._places.get(item)
        if place is None or repeat >= arm.values.shape[1]:
            return
        arm.values[place, repeat] = np.nan if value is None else value
        shared = min(self.baseline.values.shape[1], self.candidate.values.shape[1])
        old, new = (scores.values[place, :shared].mean() for scores in (self.baseline, self.candidate))
        self._differences[place] = new - old
        self._unseen += 1

    @property
    def due(self) -> bool:
        """Whether a look is worth its time: not decided, and since the last look at least a quarter as many attempts
        have ended as a block has items."""
        return self.call is None and 4 * self._unseen >= self.block

    def interim_look(self) -> Call | None:
        """Count the blocks that were closed since the last look (all their items and all before them are measured);
        returns the decision, None as long as there is none.

        The decision is ``undecided`` once all items are counted without a pass or a fail. Blocks that are not closed
        decide where their unmeasured items cannot matter (``_look_ahead``). After a decision nothing is counted.
        """
        if self.call is not None:
            return self.call
        self._unseen = 0
        counted = self.state.n
        finished = ~np.isnan(self._differences[counted:])
        ready = closed(finished.tolist(), self.block)
        for at in range(counted, counted + ready, self.block):
            self.state = update(self.rule, self.state, self._differences[at : min(at + self.block, counted + ready)])
            if self.state.decided is not None:
                self.call, self.ends = self.state.decided, self.state.n
                return self.call
        if self.state.n == self.rule.items:
            self.call, self.ends = "undecided", self.state.n
        else:
            self._look_ahead()
        return self.call

    def _look_ahead(self) -> None:
        """Decide (set ``call``, ``ends`` and ``implied``) on the blocks that end before or with the last measured item,
        where their unmeasured items cannot matter.

        They are taken as lost (-1) for a pass, as gained (+1) for a fail.
        """
        known = np.flatnonzero(~np.isnan(self._differences))
        reached = int(known[-1]) + 1 if len(known) else 0
        end = reached if reached == self.rule.items else reached - reached % self.block
        for fill, call in ((-1.0, "pass"), (1.0, "fail")):
            state = self.state
            for at in range(self.state.n, end, self.block):
                part = self._differences[at : min(at + self.block, end)]
                state = update(self.rule, state, np.where(np.isnan(part), fill, part))
                if state.decided is not None:
                    break
            if state.decided == call:
                self.call, self.ends, self.implied = state.decided, state.n, True
                return

    @property
    def delta(self) -> float | None:
        """Mean difference, candidate minus baseline (fraction of 1), over those items that the decision rests on and
        that are measured.

        Over all that were counted where there is no decision; None without any. It tends to lie too far from the margin
        where the test stopped early.
        """
        known = self._differences[: self.ends or self.state.n]
        known = known[~np.isnan(known)]
        return float(known.mean()) if len(known) else None

    @property
    def reason(self) -> str:
        """The reason of the decision, as text for reports; ``not decided yet`` where there is none."""
        total, alpha = f"{self.rule.items:,}", 100 * self.rule.alpha
        if self.call is None:
            return "not decided yet"
        if self.call == "undecided":
            passing = "was looked at five times, never enough" if self.rule.may_pass else "is not looked at early"
            return f"all {total} items measured: no failure at {alpha:g} %, and passing {passing}"
        if self.implied:
            return f"after {self.ends:,} of {total} items, whatever those of them become that are not measured"
        reason = self.state.reason
        return reason if self.call == "fail" else f"{reason}, after {self.ends:,} of {total} items"

    def to_json(self) -> dict[str, Any]:
        """The decision for the candidate's manifest, which adds the grading version: ``call`` (None without one),
        ``reason``, ``items`` (the number of items that it rests on, 0 without one), ``delta`` and ``implied`` (whether
        some of these items are not measured)."""
        names = {"call": self.call, "reason": self.reason, "items": self.ends, "delta": self.delta}
        return {**names, "implied": self.implied}
