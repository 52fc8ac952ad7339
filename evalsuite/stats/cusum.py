"""Nightly drift: a one-sided CUSUM of standardized deltas against a frozen baseline.

S = max(0, S - z - reference), alarm at S > limit (Page, Biometrika 41, 1954). Run lengths by Brook and Evans's Markov
chain (Biometrika 59, 1972). All nights share the frozen baseline's own error, which does not average out: limits are
tuned over it, which is why the baseline needs at least 8 x a night's repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import optimize, stats

from evalsuite.stats.delta import Delta
from evalsuite.stats.intervals import Floats
from evalsuite.stats.power import Design

NIGHTS = 200
"""At most one false alarm is expected in so many nights of an unchanged model."""
REFERENCE = 0.5
"""In standard errors of one night: tuned to a shift of one standard error."""
RATIO = 8
"""Baseline repeats over a night's repeats, at least."""
CONFIRM_ALPHA = 0.01
"""Of the fresh test; below 0.05 because the baseline's error that raised the alarm is still there."""
LONGEST = 500
"""Nights that the table of delays looks ahead."""
_STATES = 100


@dataclass(frozen=True, slots=True)
class Cusum:
    """The chart after some nights."""

    limit: float
    reference: float = REFERENCE
    value: float = 0.0
    nights: int = 0
    alarm: bool = False
    """The last night ended above the limit."""


@dataclass(frozen=True, slots=True)
class Delay:
    """How a chart with this night's size behaves."""

    points: float
    """True loss in percentage points; 0: unchanged, an alarm is false."""
    median: int | None
    """Nights by which half of the charts have alarmed, over the baseline's possible errors; None: later than
    ``LONGEST``."""
    within_week: float
    """Chance of an alarm within 7 nights."""
    within_month: float
    """Chance of an alarm within 30 nights."""


def tuned(design: Design, nights: int = NIGHTS) -> Cusum:
    """A fresh chart whose expected number of false alarms in ``nights`` nights is 1, baseline error included.

    ``design``: one night's repeats as the candidate's, the frozen baseline's as the baseline's. Raises ``ValueError``
    where the baseline has fewer than 8 x the night's repeats.
    """
    if design.repeats_base < RATIO * design.repeats_cand:
        need = RATIO * design.repeats_cand
        raise ValueError(f"the baseline has {design.repeats_base} repeats; nights like these need at least {need}")
    return Cusum(limit(_baseline_share(design), nights))


@cache
def limit(share: float, nights: int = NIGHTS, reference: float = REFERENCE) -> float:
    """The limit at which one false alarm is expected in ``nights`` nights.

    ``share``: part of one night's variance that is the baseline's, kB / (kA + kB).
    """
    return float(optimize.brentq(lambda h: nights * _alarm_rate(h, 0.0, share, reference) - 1, 0.5, 30.0, xtol=1e-3))


def update(chart: Cusum, delta: float, stderr: float) -> Cusum:
    """One more finished night: its delta (fraction) and standard error, the baseline's share included.

    After an alarm the chart starts again from 0 (the alarm is confirmed or dismissed elsewhere). An unfinished night
    is no night: do not pass it. Raises ``ValueError`` for a standard error not above 0.
    """
    if stderr <= 0:
        raise ValueError("a night needs a standard error above 0")
    before = 0.0 if chart.alarm else chart.value
    value = max(0.0, before - delta / stderr - chart.reference)
    return replace(chart, value=value, nights=chart.nights + 1, alarm=value > chart.limit)


def confirmed(fresh: Delta) -> bool | None:
    """Whether an alarm is confirmed by answers asked afresh after it (none of the nights that raised it).

    ``fresh`` must have been measured with ``paired_delta(..., alpha=CONFIRM_ALPHA)`` against the same baseline:
    confirmed where its one-sided upper bound is below 0. None: it could not be measured, so the alarm stays open.
    """
    return None if fresh.one_sided is None else fresh.one_sided[1] < 0


def delays(design: Design, losses: Sequence[float] = (0.0, 0.01, 0.02, 0.03)) -> tuple[Delay, ...]:
    """Mean delay to the alarm for true losses (fractions), as ``tuned`` sets the limit; the shipped table."""
    share, height = _baseline_share(design), tuned(design).limit
    found = []
    for loss in losses:
        alarmed = _alarmed(height, loss / design.stderr_exact, share)
        half = int(np.searchsorted(alarmed, 0.5)) + 1
        found.append(Delay(100 * loss, half if half <= LONGEST else None, float(alarmed[6]), float(alarmed[29])))
    return tuple(found)


def _baseline_share(design: Design) -> float:
    return design.repeats_cand / (design.repeats_base + design.repeats_cand)


def _errors(share: float) -> tuple[Floats, Floats]:
    """The baseline's possible errors in a night's standard errors, with their chances (Gauss-Hermite)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    return np.sqrt(share) * nodes, weights / weights.sum()


def _alarm_rate(height: float, shift: float, share: float, reference: float) -> float:
    """False alarms a night in the long run, averaged over baselines."""
    errors, weights = _errors(share)
    rates = [1 / _run_length(height, shift + error, share, reference) for error in errors]
    return float(weights @ np.array(rates))


def _run_length(height: float, shift: float, share: float, reference: float) -> float:
    """Mean nights to an alarm from 0, when the nightly loss has mean ``shift`` standard errors."""
    stay = _transitions(height, shift, share, reference)
    return float(np.linalg.solve(np.eye(len(stay)) - stay, np.ones(len(stay)))[0])


def _alarmed(height: float, shift: float, share: float) -> Floats:
    """Chance of an alarm up to each of ``LONGEST`` nights, averaged over baselines."""
    errors, weights = _errors(share)
    total = np.zeros(LONGEST)
    for error, weight in zip(errors, weights, strict=True):
        stay = _transitions(height, shift + float(error), share, REFERENCE)
        alive = np.zeros(len(stay))
        alive[0] = 1.0
        for night in range(LONGEST):
            alive = alive @ stay
            total[night] += weight * (1 - alive.sum())
    return total


def _transitions(height: float, shift: float, share: float, reference: float) -> Floats:
    """Chances of moving between the chart's levels without an alarm; level 0 is the first."""
    width = 2 * height / (2 * _STATES - 1)
    centre = width * np.arange(_STATES)
    spread = np.sqrt(1 - share)
    upper = (centre[None, :] + width / 2 - centre[:, None] - shift + reference) / spread
    below = stats.norm.cdf(upper)
    stay = np.diff(below, axis=1, prepend=0.0)
    stay[:, 0] = below[:, 0]
    return np.asarray(stay, dtype=np.float64)
