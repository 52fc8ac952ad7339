"""Detection of a slow accuracy loss over nightly runs: a one-sided CUSUM chart against a frozen baseline.

The chart is S = max(0, S - z - reference) with z = delta / standard error of one night, and it raises an alarm at S >
limit (Page, Biometrika 41, 1954). Run lengths (nights until an alarm) are computed with the Markov chain of Brook and
Evans (Biometrika 59, 1972). All nights share the sampling error of the same frozen baseline, which does not average out
over nights. The limits are therefore computed as an average over that error, and the baseline needs at least 8 times
the repeats of one night.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from evalsuite.stats.delta import Delta
from evalsuite.stats.distributions import norm_cdf
from evalsuite.stats.intervals import Floats
from evalsuite.stats.power import Design

NIGHTS = 200
"""Default false-alarm rate: one false alarm is expected in this many nights of an unchanged model."""
REFERENCE = 0.5
"""Reference value of the chart in standard errors of one night; optimal for a shift of one standard error."""
RATIO = 8
"""Smallest allowed ratio of the baseline's repeats to one night's repeats."""
CONFIRM_ALPHA = 0.01
"""One-sided error of the test that confirms an alarm. It is below 0.05 because the baseline's sampling error, which may
have caused the alarm, also enters the confirming test."""
MAX_NIGHTS = 500
"""Number of nights up to which ``delays`` computes the chance of an alarm."""
_STATES = 100
"""Number of states of the Markov chain that approximates the chart's value."""


@dataclass(frozen=True, slots=True)
class Cusum:
    """State of the CUSUM chart after some nights."""

    limit: float
    """The chart raises an alarm when ``value`` exceeds this (standard errors of one night)."""
    reference: float = REFERENCE
    """Subtracted at each night, in standard errors of one night."""
    value: float = 0.0
    """Present value S of the chart, in standard errors of one night."""
    nights: int = 0
    """Number of nights that were added."""
    alarm: bool = False
    """Whether the last night ended above the limit."""


@dataclass(frozen=True, slots=True)
class Delay:
    """How fast the chart detects one true loss, at one size of a night's measurement."""

    points: float
    """True loss in percentage points; for 0 the model is unchanged and every alarm is false."""
    median: int | None
    """Night by which half of the charts have raised an alarm, averaged over the baseline's possible errors; None when
    that is later than ``MAX_NIGHTS`` nights."""
    within_week: float
    """Chance of an alarm within 7 nights, a fraction."""
    within_month: float
    """Chance of an alarm within 30 nights, a fraction."""


def tuned(design: Design, nights: int = NIGHTS) -> Cusum:
    """Create an empty chart whose limit gives one expected false alarm in ``nights`` nights.

    The expectation includes the sampling error of the frozen baseline.

    Args:
        design: The measurement of one night: ``repeats_cand`` is the night's number of repeats, ``repeats_base`` that
            of the frozen baseline.
        nights: Number of nights of an unchanged model in which one false alarm is expected.

    Returns:
        A chart with value 0 and no nights.

    Raises:
        ValueError: The baseline has fewer than ``RATIO`` times the repeats of a night.
    """
    if design.repeats_base < RATIO * design.repeats_cand:
        need = RATIO * design.repeats_cand
        raise ValueError(f"the baseline has {design.repeats_base} repeats; nights like these need at least {need}")
    return Cusum(limit(_baseline_share(design), nights))


@cache
def limit(share: float, nights: int = NIGHTS, reference: float = REFERENCE) -> float:
    """Compute the limit at which one false alarm is expected in ``nights`` nights.

    Args:
        share: Fraction of one night's variance that comes from the baseline: kB / (kA + kB), with kA the baseline's and
            kB the night's number of repeats.
        nights: Number of nights of an unchanged model in which one false alarm is expected.
        reference: Reference value of the chart, in standard errors of one night.

    Returns:
        The limit in standard errors of one night.
    """
    from scipy import optimize  # 0.25 s, which only nightly charts need

    return float(optimize.brentq(lambda h: nights * _alarm_rate(h, 0.0, share, reference) - 1, 0.5, 30.0, xtol=1e-3))


def update(chart: Cusum, delta: float, stderr: float) -> Cusum:
    """Add one finished night to the chart.

    After an alarm the chart starts again from 0, because alarms are confirmed or dismissed by a separate test.
    Unfinished nights must not be added.

    Args:
        chart: The chart before this night.
        delta: Candidate minus baseline of this night, a fraction.
        stderr: Standard error of ``delta``, a fraction; it includes the baseline's sampling error.

    Returns:
        The chart after this night.

    Raises:
        ValueError: ``stderr`` is not above 0.
    """
    if stderr <= 0:
        raise ValueError("a night needs a standard error above 0")
    before = 0.0 if chart.alarm else chart.value
    value = max(0.0, before - delta / stderr - chart.reference)
    return replace(chart, value=value, nights=chart.nights + 1, alarm=value > chart.limit)


def confirmed(fresh: Delta) -> bool | None:
    """Decide whether new answers confirm an alarm.

    Args:
        fresh: The change between the baseline and answers that were generated after the alarm, measured by
            ``paired_delta(..., alpha=CONFIRM_ALPHA)``. None of the nights that caused the alarm may be part of it.

    Returns:
        True when the one-sided upper bound of the change is below 0, False when it is not, None when there is no bound
            (the alarm then stays open).
    """
    return None if fresh.one_sided is None else fresh.one_sided[1] < 0


def delays(design: Design, losses: Sequence[float] = (0.0, 0.01, 0.02, 0.03)) -> tuple[Delay, ...]:
    """Compute how many nights the chart needs to detect each true loss.

    Args:
        design: The measurement of one night, as for ``tuned``.
        losses: True losses, fractions of 1; 0 shows the false alarms.

    Returns:
        One ``Delay`` for each loss, in the same order.

    Raises:
        ValueError: The baseline has fewer than ``RATIO`` times the repeats of a night.
    """
    share, height = _baseline_share(design), tuned(design).limit
    table = []
    for loss in losses:
        alarmed = _alarm_curve(height, loss / design.stderr_exact, share)
        half = int(np.searchsorted(alarmed, 0.5)) + 1
        table.append(Delay(100 * loss, half if half <= MAX_NIGHTS else None, float(alarmed[6]), float(alarmed[29])))
    return tuple(table)


def _baseline_share(design: Design) -> float:
    """Fraction of one night's variance that comes from the baseline: kB / (kA + kB)."""
    return design.repeats_cand / (design.repeats_base + design.repeats_cand)


def _errors(share: float) -> tuple[Floats, Floats]:
    """Return possible errors of the baseline and their probabilities (Gauss-Hermite quadrature with 21 nodes).

    The errors are in standard errors of a night.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    return np.sqrt(share) * nodes, weights / weights.sum()


def _alarm_rate(height: float, shift: float, share: float, reference: float) -> float:
    """Return the expected alarms per night in the long run, averaged over the baseline's errors."""
    errors, weights = _errors(share)
    rates = [1 / _run_length(height, shift + error, share, reference) for error in errors]
    return float(weights @ np.array(rates))


def _run_length(height: float, shift: float, share: float, reference: float) -> float:
    """Return the mean number of nights until an alarm of a chart that starts at 0.

    ``shift`` is the mean nightly loss in standard errors of a night.
    """
    stay = _transitions(height, shift, share, reference)
    return float(np.linalg.solve(np.eye(len(stay)) - stay, np.ones(len(stay)))[0])


def _alarm_curve(height: float, shift: float, share: float) -> Floats:
    """Return the chance of an alarm up to each of ``MAX_NIGHTS`` nights, averaged over the baseline's errors."""
    errors, weights = _errors(share)
    total = np.zeros(MAX_NIGHTS)
    for error, weight in zip(errors, weights, strict=True):
        stay = _transitions(height, shift + float(error), share, REFERENCE)
        alive = np.zeros(len(stay))
        alive[0] = 1.0
        for night in range(MAX_NIGHTS):
            alive = alive @ stay
            total[night] += weight * (1 - alive.sum())
    return total


def _transitions(height: float, shift: float, share: float, reference: float) -> Floats:
    """Return the probabilities to move between the chart's states without an alarm; state 0 is the value 0."""
    width = 2 * height / (2 * _STATES - 1)
    centre = width * np.arange(_STATES)
    spread = np.sqrt(1 - share)
    upper = (centre[None, :] + width / 2 - centre[:, None] - shift + reference) / spread
    below = norm_cdf(upper)
    stay = np.diff(below, axis=1, prepend=0.0)
    stay[:, 0] = below[:, 0]
    return np.asarray(stay, dtype=np.float64)
