"""Detection of a slow accuracy loss over nightly runs: a one-sided CUSUM chart of one checkpoint against itself.

The chart is S = max(0, S - z - reference) with z = (delta - accepted offset) / standard error of one night, and it
raises an alarm at S > limit (Page, Biometrika 41, 1954). All nights share the sampling error of the same frozen
baseline, which does not average out over nights, and nights hang together (load, mix of batches, kernels): night
effects are taken as an AR(1) process with correlation ``NIGHT_CORRELATION`` and a standard deviation of at least
``ASSUMED_NIGHT`` standard errors of a night. Limits average over both. Without night effects run lengths (nights until
an alarm) come from the Markov chain of Brook and Evans (Biometrika 59, 1972), with them from simulation at a fixed
seed. The baseline needs at least 8 times the repeats of one night.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from evalsuite.stats.delta import Delta
from evalsuite.stats.design import Design
from evalsuite.stats.distributions import norm_cdf, norm_ppf
from evalsuite.stats.intervals import Floats

NIGHTS = 200
"""Default false-alarm rate: one false alarm is expected in this many nights of an unchanged model."""
REFERENCE = 0.5
"""Reference value of the chart in standard errors of one night; optimal for a shift of one standard error."""
RATIO = 8
"""Smallest allowed ratio of the baseline's repeats to one night's repeats."""
CONFIRM_ALPHA = 0.0004
"""One-sided error of the test that confirms an alarm. It is small because what may have caused the alarm also enters
the confirming test: the baseline's sampling error and the effect of the same night. With it at most 1 % of unchanged
checkpoints fail within 200 nights (measured: docs/figures.md)."""
FIRST_NIGHTS = 20
"""Number of first nights from which the variance between nights is estimated."""
ASSUMED_NIGHT = 0.5
"""Standard deviation of night effects that is assumed at least, in standard errors of one night: the first nights
cannot exclude a smaller one, because neighbouring nights are alike."""
NIGHT_CORRELATION = 0.8
"""Assumed correlation of the effects of neighbouring nights."""
_CHARTS, _LENGTH, _SEED = 2_000, 400, 20261126
"""Simulated charts, nights of each, and the seed, for limits with night effects."""
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
    night: float = 0.0
    """Standard deviation of night effects, in standard errors of one night without them."""
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


def tuned(design: Design, nights: int = NIGHTS, night: float = ASSUMED_NIGHT, offset: float = 0.0) -> Cusum:
    """Create an empty chart whose limit gives one expected false alarm in ``nights`` nights.

    The expectation includes the sampling error of the frozen baseline and night effects.

    Args:
        design: The measurement of one night: ``repeats_cand`` is the night's number of repeats, ``repeats_base`` that
            of the frozen baseline.
        nights: Number of nights of an unchanged model in which one false alarm is expected.
        night: Standard deviation of night effects, in standard errors of one night (``night_effect``); rounded to two
            decimals.
        offset: Standard error of an accepted offset, in standard errors of one night; shared by all nights.

    Returns:
        A chart with its limit, value 0 and no nights.

    Raises:
        ValueError: The baseline has fewer than ``RATIO`` (8) times the repeats of a night, or ``limit`` finds none.
    """
    if design.repeats_base < RATIO * design.repeats_cand:
        need = RATIO * design.repeats_cand
        raise ValueError(f"the baseline has {design.repeats_base} repeats; nights like these need at least {need}")
    share = (baseline_share(design) + offset**2) / (1 + offset**2)
    night = round(night, 2)
    return Cusum(limit(round(share, 2) if night else share, nights, night=night), night=night)


def night_effect(deviations: Floats, share: float) -> float:
    """Estimate the standard deviation of night effects from the first nights.

    It is the root of the variance of the first ``FIRST_NIGHTS`` (20) nights about their own mean less their sampling
    variance 1 - ``share``; never below ``ASSUMED_NIGHT`` (0.5), which also stands for fewer nights.

    Args:
        deviations: (delta - accepted offset) / standard error of each night, shape (nights,), oldest first.
        share: Fraction of one night's variance that comes from the baseline (``baseline_share``).

    Returns:
        The standard deviation, in standard errors of one night.
    """
    if len(deviations) < FIRST_NIGHTS:
        return ASSUMED_NIGHT
    excess = float(np.var(deviations[:FIRST_NIGHTS], ddof=1)) - (1 - share)
    return float(np.sqrt(max(ASSUMED_NIGHT**2, excess)))


@cache
def limit(share: float, nights: int = NIGHTS, reference: float = REFERENCE, night: float = 0.0) -> float:
    """Compute the limit at which one false alarm is expected in ``nights`` nights.

    It is computed by a Markov chain for ``night`` = 0, else by simulation with a fixed seed.

    Args:
        share: Fraction of one night's variance that comes from the baseline: kB / (kA + kB), with kA the baseline's and
            kB the night's number of repeats.
        nights: Number of nights of an unchanged model in which one false alarm is expected.
        reference: Reference value of the chart, in standard errors of one night.
        night: Standard deviation of night effects, in standard errors of one night without them.

    Returns:
        The limit in standard errors of one night, night effects included.

    Raises:
        ValueError: No limit between 0.5 and 30 (500 with night effects) has this rate of alarms.
    """
    from scipy import optimize  # 0.25 s, which only nightly charts need

    if night:
        paths = _simulated(share, night)

        def excess(height: float) -> float:
            return nights * _simulated_rate(height, paths, reference) - 1

        return float(optimize.brentq(excess, 0.5, 500.0, xtol=1e-2))
    return float(optimize.brentq(lambda h: nights * _alarm_rate(h, 0.0, share, reference) - 1, 0.5, 30.0, xtol=1e-3))


def update(chart: Cusum, delta: float, stderr: float) -> Cusum:
    """Add one finished night to the chart: S = max(0, S - z - reference), an alarm at S > limit.

    z is ``delta`` over the standard error of a night with night effects, ``stderr`` sqrt(1 + night^2). After an alarm
    the chart starts again from 0, because alarms are confirmed or dismissed by a separate test. Unfinished nights must
    not be added.

    Args:
        chart: The chart before this night.
        delta: Candidate minus baseline of this night, less an accepted offset, a fraction.
        stderr: Standard error of ``delta``, a fraction; it includes the baseline's sampling error.

    Returns:
        A new chart with the new value, one more night, and whether this night ended with an alarm.

    Raises:
        ValueError: ``stderr`` is 0 or below.
    """
    if stderr <= 0:
        raise ValueError("a night needs a standard error above 0")
    before = 0.0 if chart.alarm else chart.value
    value = max(0.0, before - delta / (stderr * np.sqrt(1 + chart.night**2)) - chart.reference)
    return replace(chart, value=float(value), nights=chart.nights + 1, alarm=value > chart.limit)


def confirmed(fresh: Delta, *, offset: float = 0.0, error: float = 0.0, alpha: float = CONFIRM_ALPHA) -> bool | None:
    """Decide whether new answers confirm an alarm.

    Args:
        fresh: The change between the baseline and answers that were generated after the alarm, measured by
            ``paired_delta`` with the same ``alpha``. None of the nights that caused the alarm may be part of it.
        offset: Accepted difference from the baseline, a fraction; 0 for the checkpoint's own frozen answers.
        error: Standard deviation of the night's effect and of the offset, a fraction.
        alpha: One-sided error of the test.

    Returns:
        True when ``fresh.delta`` + sqrt(h^2 + (z ``error``)^2) is below the offset, where h is the distance from the
            change to its one-sided upper bound and z the normal quantile of 1 - ``alpha``; else False. None when the
            change has no one-sided bounds (the alarm then stays open).
    """
    if fresh.one_sided is None:
        return None
    half = float(np.hypot(fresh.one_sided[1] - fresh.delta, norm_ppf(1 - alpha) * error))
    return fresh.delta - offset + half < 0


def delays(design: Design, losses: Sequence[float] = (0.0, 0.01, 0.02, 0.03)) -> tuple[Delay, ...]:
    """Simulate how many nights the chart needs to detect each true loss, for a chart with one false alarm in ``NIGHTS``
    (200) nights and night effects of ``ASSUMED_NIGHT``.

    Args:
        design: The measurement of one night, as for ``tuned``, with a standard error for exactly these questions
            (``stderr_exact``) above 0.
        losses: True losses, fractions of 1; 0 shows the false alarms.

    Returns:
        One ``Delay`` for each loss, in the same order: the loss in percentage points, the night by which half of the
            charts have raised an alarm (None beyond ``MAX_NIGHTS``, 500), and the chances of an alarm within 7 and
            within 30 nights, fractions.

    Raises:
        ValueError: The baseline has fewer than ``RATIO`` (8) times the repeats of a night.
    """
    share, chart = baseline_share(design), tuned(design)
    table = []
    for loss in losses:
        alarmed = _alarm_curve(chart, loss / design.stderr_exact, share)
        half = int(np.searchsorted(alarmed, 0.5)) + 1
        table.append(Delay(100 * loss, half if half <= MAX_NIGHTS else None, float(alarmed[6]), float(alarmed[29])))
    return tuple(table)


def baseline_share(design: Design) -> float:
    """Compute the fraction of one night's variance that comes from the baseline: kB / (kA + kB).

    Args:
        design: The measurement of one night, as for ``tuned``: kA is its ``repeats_base``, kB its ``repeats_cand``.

    Returns:
        The fraction.
    """
    return design.repeats_cand / (design.repeats_base + design.repeats_cand)


def _errors(share: float) -> tuple[Floats, Floats]:
    """Return (possible errors of the baseline, their probabilities), each of shape (21,): Gauss-Hermite quadrature.

    The errors are in standard errors of a night; ``share`` is the fraction of a night's variance that comes from the
    baseline.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    return np.sqrt(share) * nodes, weights / weights.sum()


def _alarm_rate(height: float, shift: float, share: float, reference: float) -> float:
    """Return the expected alarms per night in the long run, averaged over the baseline's errors, without night effects.

    ``height``: the limit; ``shift``: the mean nightly loss; both and ``reference`` in standard errors of a night.
    ``share``: fraction of a night's variance that comes from the baseline.
    """
    errors, weights = _errors(share)
    rates = [1 / _run_length(height, shift + error, share, reference) for error in errors]
    return float(weights @ np.array(rates))


def _run_length(height: float, shift: float, share: float, reference: float) -> float:
    """Return the mean number of nights until an alarm of a chart that starts at 0, by the Markov chain.

    ``height``: the limit; ``shift``: the mean nightly loss; both and ``reference`` in standard errors of a night.
    ``share``: fraction of a night's variance that comes from the baseline.
    """
    stay = _transitions(height, shift, share, reference)
    return float(np.linalg.solve(np.eye(len(stay)) - stay, np.ones(len(stay)))[0])


def _simulated(share: float, night: float, nights: int = _LENGTH) -> Floats:
    """Return minus z of simulated nights of unchanged models, shape (nights, charts), in standard errors with night
    effects.

    All nights of a chart share the baseline's error, the fraction ``share`` of a night's variance; night effects with
    the standard deviation ``night`` (standard errors without them) are AR(1). The seed is fixed.
    """
    rng = np.random.default_rng(_SEED)
    baseline = np.sqrt(share) * rng.standard_normal(_CHARTS)
    effects = rng.standard_normal((nights, _CHARTS))
    for place in range(1, nights):
        effects[place] = NIGHT_CORRELATION * effects[place - 1] + np.sqrt(1 - NIGHT_CORRELATION**2) * effects[place]
    sampling = np.sqrt(1 - share) * rng.standard_normal((nights, _CHARTS))
    return np.asarray((baseline + night * effects + sampling) / np.sqrt(1 + night**2))


def _simulated_rate(height: float, paths: Floats, reference: float) -> float:
    """Return the alarms per night of simulated charts with the limit ``height`` that start again from 0 after each
    alarm.

    ``paths``: minus z of each night, shape (nights, charts); ``reference`` is subtracted every night.
    """
    value, alarms = np.zeros(paths.shape[1]), 0
    for row in paths:
        value = np.maximum(0.0, value + row - reference)
        over = value > height
        alarms += int(over.sum())
        value[over] = 0.0
    return alarms / paths.size


def _alarm_curve(chart: Cusum, shift: float, share: float) -> Floats:
    """Return the chance that a chart has raised an alarm by each of the first ``MAX_NIGHTS`` nights, shape
    (MAX_NIGHTS,), by simulation.

    ``shift``: the nightly loss, in standard errors of a night without night effects. ``share``: fraction of a night's
    variance that comes from the baseline.
    """
    paths = _simulated(share, chart.night, MAX_NIGHTS) + shift / np.sqrt(1 + chart.night**2)
    value, alarmed = np.zeros(_CHARTS), np.zeros(_CHARTS, dtype=bool)
    curve = np.empty(MAX_NIGHTS)
    for place, row in enumerate(paths):
        value = np.maximum(0.0, value + row - chart.reference)
        alarmed |= value > chart.limit
        curve[place] = alarmed.mean()
    return curve


def _transitions(height: float, shift: float, share: float, reference: float) -> Floats:
    """Return the probabilities to move between the chart's states without an alarm, shape (states, states), rows from;
    state 0 is the value 0, the last ends at the limit ``height``.

    ``shift``: the mean nightly loss in standard errors; ``share``: fraction of a night's variance from the baseline.
    """
    width = 2 * height / (2 * _STATES - 1)
    centre = width * np.arange(_STATES)
    spread = np.sqrt(1 - share)
    upper = (centre[None, :] + width / 2 - centre[:, None] - shift + reference) / spread
    below = norm_cdf(upper)
    stay = np.diff(below, axis=1, prepend=0.0)
    stay[:, 0] = below[:, 0]
    return np.asarray(stay, dtype=np.float64)
