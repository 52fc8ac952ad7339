"""Stopping early without cheating: an e-process that may fail at any time, five looks that may pass.

Failing direction: E = mean over bets l of prod (1 - l (x_i + m)), a test martingale of "the loss is at most m" for
differences x_i in [-1, 1]; by Ville's inequality it reaches 1 / alpha with chance at most alpha, whenever one looks
(Waudby-Smith and Ramdas, JRSS B 86, 2024). Passing direction: O'Brien-Fleming boundary, Biometrics 35, 1979, with
five equal looks.
These are two claims with alpha each. They replace the fixed-size verdict: who has stopped or looked may not also use
the fixed bounds. Items must come in random order and be counted in the order they were sent, because those that
finish first are the short ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, log, sqrt
from typing import Literal

import numpy as np
from scipy.special import logsumexp

from evalsuite.stats.intervals import Floats

LOOKS = 5
BOUNDARY = 1.77
"""At look k the score must reach BOUNDARY * sqrt(5 / k). One-sided alpha 0.05 is 1.753 for a normal score (Jennison
and Turnbull 2000; 4 million drawn paths). With few flips the score runs a little high; 1.77 keeps 5 % there too."""
BETS = tuple(float(bet) for bet in np.geomspace(0.02, 0.6, 10))
"""Shares of what may be staked, 0 to 1: tuned for losses of a few points at 4 to 15 % flips."""
MANY_BETS = tuple(float(bet) for bet in np.geomspace(0.002, 0.999, 24))
"""Broader: nearly as fast, for any size of loss."""
FEWEST = 500
"""Items below which a look's score is not trusted to be near normal."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What was fixed before the first item."""

    items: int
    """Items planned; all of them are asked where nothing is decided earlier."""
    margin: float
    """Fraction above 0."""
    alpha: float = 0.05
    """Of the failing direction. The passing direction has 0.05, for which the boundary is tabled."""
    bets: tuple[float, ...] = BETS
    may_pass: bool = True
    """False: there are no looks, so that it can only fail early; the e-value is sound for any number of items."""

    def __post_init__(self) -> None:
        least = FEWEST if self.may_pass else 1
        if not 0 < self.margin < 1 or self.items < least:
            raise ValueError(f"needs a margin in (0, 1) and at least {least} items, not {self.margin}, {self.items}")

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of items at which passing is looked at."""
        return () if not self.may_pass else tuple(round(self.items * look / LOOKS) for look in range(1, LOOKS + 1))


@dataclass(frozen=True, slots=True)
class BettingState:
    """What is known after ``n`` items; made by ``start`` and ``update`` only."""

    n: int
    total: float
    """Sum of the differences, candidate - baseline."""
    squares: float
    wealth: tuple[float, ...]
    """Log wealth of each bet against "the loss is at most the margin"."""
    highest: float
    """Largest log e-value seen."""
    decided: Literal["pass", "fail"] | None
    reason: str

    @property
    def delta(self) -> float | None:
        """Estimate so far; biased away from the margin where the run stopped early."""
        return self.total / self.n if self.n else None


def start(rule: Rule) -> BettingState:
    """Nothing seen yet."""
    return BettingState(0, 0.0, 0.0, (0.0,) * len(rule.bets), -inf, None, "")


def update(rule: Rule, state: BettingState, differences: Floats) -> BettingState:
    """The state after a further closed block, in the order in which its items were sent.

    ``differences``: candidate minus baseline of each item's mean over repeats, in [-1, 1] (k > 1 and fractional scores
    are as sound as 0/1 ones). A block may cross looks. A decided state stays as it is. Raises ``ValueError`` beyond the
    planned items.
    """
    if state.n + len(differences) > rule.items:
        raise ValueError(f"{state.n + len(differences)} items, but {rule.items} were planned")
    for part in _split_at_looks(rule, state.n, differences):
        if state.decided:
            return state
        values, counts = np.unique(part, return_counts=True)
        state = _after(rule, state, values, counts.astype(np.float64))
    return state


def update_counts(rule: Rule, state: BettingState, *, lost: int, gained: int, n: int) -> BettingState:
    """As ``update`` for single 0/1 answers: a block of ``n`` items of which ``lost`` and ``gained`` changed.

    The block must not cross a look (``ValueError``): its order is unknown.
    """
    following = next((look for look in rule.looks if look > state.n), rule.items)
    if state.n + n > following or lost + gained > n:
        raise ValueError(f"a block of {n} items crosses the look at {following} or has more changes than items")
    if state.decided:
        return state
    return _after(
        rule, state, np.array([-1.0, 0.0, 1.0]), np.array([lost, n - lost - gained, gained], dtype=np.float64)
    )


def log_e(bets: Sequence[float], margin: float, *, lost: int, gained: int, n: int, inferior: bool) -> float:
    """Log e-value of counts: evidence that the loss exceeds ``margin`` (``inferior``), or that it does not.

    ``bets`` are shares of the largest allowed stake, 1 / (1 + margin) and 1 / (1 - margin). Closed form.
    """
    sign = -1.0 if inferior else 1.0
    stake = sign * np.asarray(bets) / (1 - sign * margin)
    logs = (
        gained * np.log1p(stake * (1 + margin))
        + (n - lost - gained) * np.log1p(stake * margin)
        + lost * np.log1p(-stake * (1 - margin))
    )
    return float(logsumexp(logs) - log(len(bets)))


def implied(rule: Rule, state: BettingState, differences: Floats) -> Literal["pass", "fail"] | None:
    """The decision that ``update`` will take whatever the unfinished items turn out to be, or None.

    ``differences`` as for ``update``, NaN where an item is not finished. Unfinished items count as lost for a pass and
    as gained for a fail, so that the longest answers of a block need not be waited for and nothing is looked at twice.
    """
    if update(rule, state, np.where(np.isnan(differences), -1.0, differences)).decided == "pass":
        return "pass"
    best = update(rule, state, np.where(np.isnan(differences), 1.0, differences)).decided
    return "fail" if best == "fail" else None


def closed(finished: Sequence[bool], block: int) -> int:
    """Items that may be counted: the longest prefix, in dispatch order, of whole blocks that are finished throughout.

    ``finished`` has one entry per item in the order of sending. A shorter last block counts once all is finished.
    """
    done = next((place for place, one in enumerate(finished) if not one), len(finished))
    return done if done == len(finished) else done - done % block


def _split_at_looks(rule: Rule, seen: int, differences: Floats) -> list[Floats]:
    cuts = [look - seen for look in rule.looks if seen < look < seen + len(differences)]
    return [part for part in np.split(differences, cuts) if len(part)]


def _after(rule: Rule, state: BettingState, values: Floats, counts: Floats) -> BettingState:
    if np.abs(values).max() > 1:
        raise ValueError("differences lie in [-1, 1]")
    stakes = np.asarray(rule.bets) / (1 + rule.margin)
    wealth = np.asarray(state.wealth) + np.log1p(-np.outer(stakes, values + rule.margin)) @ counts
    evidence = float(logsumexp(wealth) - log(len(wealth)))
    state = replace(
        state,
        n=state.n + int(counts.sum()),
        total=state.total + float(values @ counts),
        squares=state.squares + float(values**2 @ counts),
        wealth=tuple(float(one) for one in wealth),
        highest=max(state.highest, evidence),
    )
    if evidence >= log(1 / rule.alpha):
        said = f"e-value above {1 / rule.alpha:.0f} against a loss of at most {100 * rule.margin:g} pt"
        return replace(state, decided="fail", reason=f"{said}, after {state.n} of {rule.items} items")
    return _looked(rule, state) if state.n in rule.looks else state


def _looked(rule: Rule, state: BettingState) -> BettingState:
    look = rule.looks.index(state.n) + 1
    mean = state.total / state.n
    variance = max(state.squares - state.n * mean**2, 0.0) / (state.n - 1)
    bound = BOUNDARY * sqrt(LOOKS / look)
    # no difference so far: the spread of less than one item, so that a pass is not free
    error = sqrt(max(variance, 1 / state.n) / state.n)
    if (mean + rule.margin) / error < bound:
        return state
    said = f"look {look} of {LOOKS}: {100 * mean:+.2f} pt is {bound:.2f} standard errors above the margin"
    return replace(state, decided="pass", reason=said)
