"""Sequential testing: an e-process that may fail at any time, and five looks at which a benchmark may pass.

Failing direction: E = mean over bets l of prod (1 - l (x_i + m)) is a test martingale of "the loss is at most m" for
differences x_i in [-1, 1]. By Ville's inequality it reaches 1 / alpha with chance at most alpha, no matter how often it
is checked (Waudby-Smith and Ramdas, JRSS B 86, 2024). Passing direction: O'Brien-Fleming boundary with five equally
spaced looks (Biometrics 35, 1979).

The two directions are two claims with error alpha each. They replace the verdict for a fixed number of items: after a
look at the data the fixed bounds are no longer valid. Items must come in random order and be counted in the order in
which they were sent, because items that finish first are the short ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, log, sqrt
from typing import Literal

import numpy as np
from scipy.special import logsumexp

from evalsuite.stats import rounding
from evalsuite.stats.intervals import Floats

LOOKS = 5
"""Number of equally spaced looks at which a benchmark may pass."""
BOUNDARY = 1.77
"""At look k the z score must reach BOUNDARY * sqrt(5 / k). One-sided alpha 0.05 needs 1.753 for a normal score
(Jennison and Turnbull 2000; checked with 4 million simulated paths). With few flips the score is slightly larger; 1.77
keeps 5 % there too."""
BETS = tuple(float(bet) for bet in np.geomspace(0.02, 0.6, 10))
"""Bets as fractions of the largest allowed stake, tuned for losses of a few points at 4 to 15 % flips."""
MIN_ITEMS = 500
"""Smallest number of items for which the z score at a look is assumed to be near normal."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Parameters of a sequential test, fixed before the first item."""

    items: int
    """Number of planned items; all of them are measured when nothing is decided earlier."""
    margin: float
    """Largest tolerated loss, a fraction above 0."""
    alpha: float = 0.05
    """Error of the failing direction. The passing direction always has 0.05, for which the boundary is tabled."""
    may_pass: bool = True
    """Whether there are looks at which the benchmark may pass. Without looks it can only fail early, and the e-value is
    valid for any number of items."""

    def __post_init__(self) -> None:
        least = MIN_ITEMS if self.may_pass else 1
        if not 0 < self.margin < 1 or self.items < least:
            raise ValueError(f"needs a margin in (0, 1) and at least {least} items, not {self.margin}, {self.items}")

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of items at which passing is tested: five, equally spaced but for rounding, the last one all items;
        empty without ``may_pass``.
        """
        return () if not self.may_pass else tuple(round(self.items * look / LOOKS) for look in range(1, LOOKS + 1))


@dataclass(frozen=True, slots=True)
class BettingState:
    """State of the sequential test after ``n`` items; created by ``start`` and ``update`` only."""

    n: int
    """Number of counted items."""
    total: float
    """Sum of the differences, candidate - baseline."""
    squares: float
    """Sum of the squared differences."""
    wealth: tuple[float, ...]
    """Log wealth of each bet against "the loss is at most the margin"."""
    highest: float
    """Largest log e-value so far."""
    decided: Literal["pass", "fail"] | None
    """The verdict; None while there is none."""
    reason: str
    """Reason of the verdict, for reports; empty while there is none."""

    @property
    def delta(self) -> float | None:
        """Mean difference (candidate - baseline, a fraction) of the items counted so far, None without items; biased
        away from the margin when the test stopped early.
        """
        return self.total / self.n if self.n else None


def start(rule: Rule) -> BettingState:
    """Create the state before the first item.

    Args:
        rule: Parameters of the test.

    Returns:
        A state with no items.
    """
    return BettingState(0, 0.0, 0.0, (0.0,) * len(BETS), -inf, None, "")


def update(rule: Rule, state: BettingState, differences: Floats) -> BettingState:
    """Add a finished block of items in the order in which they were sent.

    The block may contain looks and is taken in parts that end at them. A state with a verdict stays unchanged: parts
    after the one that decides are not counted.

    Args:
        rule: Parameters of the test.
        state: State before the block.
        differences: Candidate minus baseline of each item's mean over repeats, in [-1, 1], shape (items,). Fractional
            scores are as valid as 0/1 ones.

    Returns:
        State after the block.

    Raises:
        ValueError: There are more items than planned, or a counted difference lies outside [-1, 1].
    """
    if state.n + len(differences) > rule.items:
        raise ValueError(f"{state.n + len(differences)} items, but {rule.items} were planned")
    for part in _split_at_looks(rule, state.n, differences):
        if state.decided:
            return state
        distinct, counts = np.unique(part, return_counts=True)
        state = _after(rule, state, distinct, counts.astype(np.float64))
    return state


def implied(rule: Rule, state: BettingState, differences: Floats) -> Literal["pass", "fail"] | None:
    """Find the verdict of a block that has unfinished items, with the least favourable result of those.

    It is a pass if ``update`` passes with each of them counted as -1 (lost), a fail if ``update`` fails with each as 1
    (gained), so that the longest answers of a block need not be awaited. The state does not change.

    Args:
        rule: Parameters of the test.
        state: State before the block.
        differences: As for ``update``; NaN where an item is not finished.

    Returns:
        The verdict, also one that ``state`` already has; None when there is neither such a pass nor such a fail.

    Raises:
        ValueError: As for ``update``.
    """
    if update(rule, state, np.where(np.isnan(differences), -1.0, differences)).decided == "pass":
        return "pass"
    best = update(rule, state, np.where(np.isnan(differences), 1.0, differences)).decided
    return "fail" if best == "fail" else None


def closed(finished: Sequence[bool], block: int) -> int:
    """Count the items that may enter the test: whole finished blocks from the start of the dispatch order.

    Args:
        finished: Whether each item is finished, in the order of sending.
        block: Number of items per block. A shorter last block counts once all items are finished.

    Returns:
        The number of items from the first on; those after the first unfinished one never count.
    """
    done = next((index for index, is_finished in enumerate(finished) if not is_finished), len(finished))
    return done if done == len(finished) else done - done % block


def _split_at_looks(rule: Rule, seen: int, differences: Floats) -> list[Floats]:
    """Split a block of differences, which follows ``seen`` counted items, at the looks inside it; parts are
    never empty.
    """
    cuts = [look - seen for look in rule.looks if seen < look < seen + len(differences)]
    return [part for part in np.split(differences, cuts) if len(part)]


def _after(rule: Rule, state: BettingState, values: Floats, counts: Floats) -> BettingState:
    """Return the state after a part of a block without a look inside, with the verdict if it decides; ``counts`` items
    have each of ``values``.

    Raises ``ValueError`` for a value outside [-1, 1].
    """
    if np.abs(values).max() > 1:
        raise ValueError("differences lie in [-1, 1]")
    stakes = np.asarray(BETS) / (1 + rule.margin)
    wealth = np.asarray(state.wealth) + np.log1p(-np.outer(stakes, values + rule.margin)) @ counts
    evidence = float(logsumexp(wealth) - log(len(wealth)))
    state = replace(
        state,
        n=state.n + int(counts.sum()),
        total=state.total + float(values @ counts),
        squares=state.squares + float(values**2 @ counts),
        wealth=tuple(float(log_wealth) for log_wealth in wealth),
        highest=max(state.highest, evidence),
    )
    if evidence >= log(1 / rule.alpha):
        reason = f"e-value above {1 / rule.alpha:.0f} against a loss of at most {100 * rule.margin:g} pt"
        return replace(state, decided="fail", reason=f"{reason}, after {state.n} of {rule.items} items")
    return _looked(rule, state) if state.n in rule.looks else state


def _looked(rule: Rule, state: BettingState) -> BettingState:
    """Test for a pass at a look (``state.n`` must be one of ``rule.looks``): return the state with the verdict pass, or
    unchanged.
    """
    look = rule.looks.index(state.n) + 1
    mean = state.total / state.n
    variance = max(state.squares - state.n * mean**2, 0.0) / (state.n - 1)
    bound = BOUNDARY * sqrt(LOOKS / look)
    # no difference so far: the spread of less than one item, so that a pass is not free
    error = sqrt(max(variance, 1 / state.n) / state.n)
    if (mean + rule.margin) / error < bound:
        return state
    reason = f"look {look} of {LOOKS}: {rounding.points(mean)} pt is {bound:.2f} standard errors above the margin"
    return replace(state, decided="pass", reason=reason)
