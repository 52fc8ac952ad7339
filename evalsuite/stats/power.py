"""Power analysis: standard errors, detectable differences and chances of verdicts, before or after a run.

Uses the normal approximation (noncentral t for the chance to pass) of the paired mean of item means: Var(delta) = tau^2
/ units + v / (answers kA) + v / (answers kB) with v = phi mu (1 - mu) (Miller 2024, arXiv 2411.00640, in its paired
form). Chances of benchmarks with few items are simulated (``few_items``). ``figures/promises.py`` compares all with
simulation through the real decision code.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, inf, prod, sqrt
from typing import Any, Literal

import numpy as np

from evalsuite.stats.decision import Calls, Tier, decide_arrays, release_arrays
from evalsuite.stats.design import Design
from evalsuite.stats.distributions import nct_sf, norm_cdf, norm_isf, norm_sf, t_cdf, t_isf
from evalsuite.stats.few_items import DRAWS, comparisons
from evalsuite.stats.intervals import Floats

MOST_REPEATS = 1_024
"""Largest number of repeats that is simulated for few items."""


@dataclass(frozen=True, slots=True)
class Chances:
    """Chances of the three verdicts, fractions that sum to 1."""

    passes: float
    """Chance to pass."""
    fails: float
    """Chance to fail."""
    undecided: float
    """Chance to stay undecided."""


@dataclass(frozen=True, slots=True)
class ReleaseChances:
    """Chances of the verdicts on a whole release, from Monte Carlo simulation."""

    release: Chances
    """Of the release."""
    any_fail: float
    """Chance that at least one critical or supporting benchmark, or the suite mean, fails."""
    each: tuple[Chances, ...]
    """Of each benchmark, followed by the suite mean when it is tested."""
    error: float
    """Largest Monte Carlo standard error of the chances that follows from the number of simulated releases."""


@dataclass(frozen=True, slots=True)
class PlannedBenchmark:
    """One benchmark of a planned release."""

    task: str
    """Name of the benchmark."""
    design: Design
    """How it is measured."""
    margin: float
    """Largest tolerated loss, a fraction above 0."""
    tier: Tier = "critical"
    """Role of the benchmark in the release."""


@dataclass(frozen=True, slots=True)
class WouldDecide:
    """What would turn an undecided result into a verdict, if the true change equals the estimate."""

    verdict: Literal["pass", "fail"]
    """The verdict that the estimate points to."""
    stderr: float
    """Standard error that decides with the requested power."""
    repeats: int | None
    """Repeats on the same items, in each model (in the candidate alone when the baseline is fixed); None when no number
    is enough."""
    items: int | None
    """Items of this kind at the present repeats; None when the estimate lies on the margin, so that no number is
    enough."""


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """What the rule "the estimate fell by at most a threshold on every benchmark" does, without regard to errors."""

    threshold: float
    """The threshold, a fraction."""
    rejects_identical: float
    """Chance that an identical checkpoint is rejected, a fraction."""
    accepts_double: tuple[float, float]
    """Lowest and highest chance over the benchmarks that a true loss of twice the threshold is accepted there."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``verdict.json`` and of a plan.

        Returns:
            A dict of all fields: ``threshold``, ``rejects_identical`` and ``accepts_double`` (a list), fractions.
        """
        return {
            "threshold": self.threshold,
            "rejects_identical": self.rejects_identical,
            "accepts_double": list(self.accepts_double),
        }


def threshold_rule(stderrs: Sequence[float], threshold: float = 0.01) -> ThresholdRule:
    """Compute what a bare threshold on the estimates does, in the normal approximation with independent benchmarks.

    Args:
        stderrs: Standard error of the difference on each benchmark, fractions.
        threshold: Largest fall of an estimate that the rule accepts, a fraction.

    Returns:
        The threshold, the chance that an identical checkpoint is rejected on at least one benchmark, and the lowest
            and highest chance over the benchmarks that a loss of twice the threshold is accepted there. A standard
            error of 0 counts as no chance of either.

    Raises:
        ValueError: There is no benchmark.
    """
    if not stderrs:
        raise ValueError("a rule needs a benchmark")
    wrong = [float(norm_cdf(-threshold / stderr)) if stderr > 0 else 0.0 for stderr in stderrs]
    return ThresholdRule(threshold, 1 - prod(1 - chance for chance in wrong), (min(wrong), max(wrong)))


def detectable(stderr: float, *, alpha: float = 0.05, power: float = 0.8, sides: Literal[1, 2] = 2) -> float:
    """Compute the smallest true difference that a test detects: (z_(alpha / sides) + z_power) standard errors.

    Args:
        stderr: Standard error of the difference.
        alpha: Error of the test.
        power: Chance to detect, a fraction.
        sides: 1 for a one-sided, 2 for a two-sided test.

    Returns:
        The difference in the unit of ``stderr``.
    """
    return (_z(alpha / sides) + _z(1 - power)) * stderr


def chances(design: Design, margin: float, delta: float = 0.0, *, alpha: float = 0.05, family: int = 1) -> Chances:
    """Compute the chances of the verdicts of ``decision.decide`` on one benchmark.

    For few items (``design.few_items``) with a standard error above 0 by simulation, else by formula.

    Args:
        design: How the benchmark is measured.
        margin: Largest tolerated loss, a fraction above 0.
        delta: True difference, a fraction; 0 for identical models.
        alpha: One-sided error of the bounds.
        family: Number of benchmarks that are decided together. Holm's correction is taken at its first step, alpha /
            family, so that a fail is slightly rarer here than in a suite where several benchmarks lose.

    Returns:
        The chances of pass, fail and undecided.
    """
    df, error = _df(design), design.stderr
    if design.few_items and error > 0:
        drawn = comparisons(design, delta, alpha)
        bounds, loss = (drawn.lower[:, None], drawn.upper[:, None]), np.minimum(family * drawn.p_loss[:, None], 1.0)
        return _shares(decide_arrays(drawn.delta[:, None], bounds, loss, np.array([margin]), alpha))
    passes = chance_to_pass(design, margin, delta, alpha=alpha)
    if error == 0:
        fails = float(delta < -margin)
        return Chances(passes, fails, 1 - passes - fails)
    t, t_family = (t_isf(level, df) for level in (alpha, alpha / family))
    lost = min(-t_family * error, -margin / 2, -margin + t * error)
    fails = norm_cdf((max(-margin - t * error, lost) - delta) / error)
    fails = min(fails, 1 - passes)
    return Chances(passes, fails, 1 - passes - fails)


def chance_to_pass(design: Design, margin: float, delta: float = 0.0, *, alpha: float = 0.05) -> float:
    """Compute the chance that the one-sided lower bound lies above ``-margin``.

    This is the power function of the non-inferiority t test: noncentral t with units - 1 degrees of freedom, at least 1
    (normal beyond 1,000). Where items share sources, the bound is that of ``delta.paired_delta`` for clusters. For few
    items (``design.few_items``) the chance is simulated. A standard error of 0 gives 1 or 0.

    Args:
        design: How the benchmark is measured.
        margin: Largest tolerated loss, a fraction above 0.
        delta: True difference, a fraction; 0 for identical models.
        alpha: One-sided error of the bound.

    Returns:
        The chance, a fraction. 0 for a margin that the number of sources cannot exclude.
    """
    if margin <= design.resolution(alpha):
        return 0.0
    if design.sources is not None:
        return _clustered_chance(design, margin, delta, alpha)
    if design.stderr == 0:
        return float(delta > -margin)
    if design.few_items:
        return float((comparisons(design, delta, alpha).lower > -margin).mean())
    df, shift = _df(design), (margin + delta) / design.stderr
    return norm_sf(_z(alpha) - shift) if df > 1_000 else nct_sf(t_isf(alpha, df), df, shift)


def _clustered_chance(design: Design, margin: float, delta: float, alpha: float) -> float:
    """Return the chance to pass where items share sources, integrated over the standard error that is measured.

    ``margin`` and the true difference ``delta`` are fractions; ``alpha`` is the one-sided error. With R the resolution
    of ``design``, a pass needs a lower t bound above -margin and, because ``widened`` widens the bounds, an estimate
    above R - margin and an upper t bound of at least 2 R - margin (of at least 0 where that is positive).
    """
    df, error, resolution = _df(design), design.stderr, design.resolution(alpha)
    clear = -max(margin - 2 * resolution, 0.0)
    if error == 0:
        return float(delta > resolution - margin and delta >= clear)
    ratio = np.linspace(0.0, 5.0, 4_001)[1:]  # measured over true standard error: sqrt(chi2 / df)
    log_density = (df - 1) * np.log(ratio) - df * ratio**2 / 2
    density = np.exp(log_density - log_density.max())
    half = t_isf(alpha, df) * error * ratio
    least = np.maximum(np.maximum(half - margin, resolution - margin), clear - half)
    return float(density @ norm_sf((least - delta) / error) / density.sum())


def release_chances(
    benchmarks: Sequence[PlannedBenchmark],
    *,
    suite_margin: float | None,
    deltas: Sequence[float] | None = None,
    alpha: float = 0.05,
    draws: int = 20_000,
    seed: int = 20261120,
) -> ReleaseChances:
    """Simulate the verdicts on a release with the real decision rule.

    Args:
        benchmarks: The benchmarks of the release.
        suite_margin: Margin of the equal-weight mean over the critical benchmarks, a fraction; None when the mean is
            not tested. Without a critical benchmark it is not tested either.
        deltas: True difference of each benchmark, fractions; None for identical models.
        alpha: One-sided error of the bounds.
        draws: Number of simulated releases.
        seed: Seed of the random numbers.

    Returns:
        The chances of pass, fail and undecided of the release and of each benchmark in the given order, followed by the
            suite mean when it is tested; the chance that a benchmark that is not advisory, or the mean, fails; and the
            largest Monte Carlo error that ``draws`` leave (few items are drawn from 5,000 simulated comparisons, whose
            own error comes on top).

    Raises:
        ValueError: There is no benchmark.
    """
    if not benchmarks:
        raise ValueError("a release needs a benchmark")
    rng = np.random.default_rng(seed)
    true = np.zeros(len(benchmarks)) if deltas is None else np.asarray(deltas, dtype=np.float64)
    error = np.array([benchmark.design.stderr for benchmark in benchmarks])
    df = np.array([_df(benchmark.design) for benchmark in benchmarks])
    estimates = true + error * rng.standard_normal((draws, len(benchmarks)))
    measured = error * np.sqrt(rng.chisquare(df, (draws, len(benchmarks))) / df)
    t = t_isf(alpha, df)
    lower, upper, loss = estimates - t * measured, estimates + t * measured, _loss(estimates, measured, df)
    resolutions = np.array([benchmark.design.resolution(alpha) for benchmark in benchmarks])
    lower, upper = widened(estimates, lower, upper, resolutions)
    for place, benchmark in enumerate(benchmarks):
        if benchmark.design.few_items and benchmark.design.stderr > 0:
            drawn, pick = comparisons(benchmark.design, float(true[place]), alpha), rng.integers(DRAWS, size=draws)
            estimates[:, place], measured[:, place] = drawn.delta[pick], drawn.stderr[pick]
            lower[:, place], upper[:, place], loss[:, place] = drawn.lower[pick], drawn.upper[pick], drawn.p_loss[pick]
    margins = [benchmark.margin for benchmark in benchmarks]
    tiers = [benchmark.tier for benchmark in benchmarks]
    critical = [place for place, tier in enumerate(tiers) if tier == "critical"]
    if suite_margin is not None and critical:
        mean = estimates[:, critical].mean(axis=1)
        spread = np.sqrt((measured[:, critical] ** 2).sum(axis=1)) / len(critical)
        half = _z(alpha) * spread
        estimates, lower, upper = (
            np.column_stack(pair) for pair in ((estimates, mean), (lower, mean - half), (upper, mean + half))
        )
        loss = np.column_stack((loss, _loss(mean, spread, np.inf)))
        margins, tiers, resolutions = [*margins, suite_margin], [*tiers, "critical"], np.append(resolutions, 0.0)
    calls = decide_arrays(estimates, (lower, upper), loss, np.array(margins), alpha, resolutions)
    released = release_arrays(calls, tiers)
    counted = [tier != "advisory" for tier in tiers]
    return ReleaseChances(
        _shares(released),
        float((calls[:, counted] == -1).any(axis=1).mean()),
        tuple(_shares(calls[:, place]) for place in range(calls.shape[1])),
        0.5 / sqrt(draws),
    )


def widened(estimates: Floats, lower: Floats, upper: Floats, resolutions: Floats | float) -> tuple[Floats, Floats]:
    """Widen simulated t bounds of clustered benchmarks as ``delta.paired_delta`` does; bounds with resolution 0 stay.

    Where the bounds exclude 0, the one towards 0 stays. Nothing is cut off at -1 and 1.

    Args:
        estimates: Candidate minus baseline, fractions, shape (suites, benchmarks).
        lower: One-sided lower t bounds, same shape.
        upper: One-sided upper t bounds, same shape.
        resolutions: Smallest losses that the sources can exclude, fractions, shape (benchmarks,) or one number for all.

    Returns:
        (lower bounds, upper bounds), each of the same shape.
    """
    clustered, unclear = np.asarray(resolutions) > 0, (lower <= 0) & (upper >= 0)
    low = np.minimum(lower, np.where(unclear, np.minimum(estimates, 0.0), estimates) - resolutions)
    high = np.maximum(upper, np.where(unclear, np.maximum(estimates, 0.0), estimates) + resolutions)
    low = np.where(upper < 0, np.minimum(low, upper - 2 * resolutions), low)
    high = np.where(lower > 0, np.maximum(high, lower + 2 * resolutions), high)
    return np.where(clustered & (lower <= 0), low, lower), np.where(clustered & (upper >= 0), high, upper)


def repeats_needed(
    design: Design,
    margin: float,
    *,
    delta: float = 0.0,
    power: float = 0.8,
    alpha: float = 0.05,
    base: int | None = None,
) -> int | None:
    """Compute the fewest repeats with which a benchmark passes with chance ``power``.

    By the formula of the standard error. For a design with few items by simulation, which starts at the formula's
    number, doubles it while the chance is too low and it stays within ``MOST_REPEATS`` (1,024), and then searches for
    a smaller one.

    Args:
        design: How the benchmark is measured.
        margin: Largest tolerated loss, a fraction above 0.
        delta: True difference, a fraction.
        power: Requested chance to pass, a fraction above 0.5.
        alpha: One-sided error of the bound.
        base: Repeats of the baseline when they are fixed; None when both models get the same number.

    Returns:
        Repeats in each model (in the candidate alone when ``base`` is given); None when no number (of those simulated)
            is enough, as with a loss beyond the margin.
    """
    gap, room = margin + delta, margin + delta - design.resolution(alpha)
    if gap <= 0 or room <= 0:
        return None
    target = gap / (_z_t(alpha, design) + _z(1 - power))
    needed = _repeats(design, target if design.sources is None else min(target, room / _z(1 - power)), base)
    if needed is None or not design.few_items:
        return needed

    def enough(repeats: int) -> bool:
        measured = replace(design, repeats_base=base or repeats, repeats_cand=repeats)
        return chance_to_pass(measured, margin, delta, alpha=alpha) >= power

    fewer, more = 0, needed
    while not enough(more):
        fewer, more = more, 2 * more
        if more > MOST_REPEATS:
            return None
    return fewer + 1 + bisect_left(range(fewer + 1, more), True, key=enough)


def would_decide(
    design: Design, margin: float, delta: float, *, power: float = 0.8, alpha: float = 0.05, base: int | None = None
) -> WouldDecide:
    """Compute how many repeats, or items, would decide an undecided result.

    A significant loss may fail already beyond half the margin; this is not taken into account.

    Args:
        design: What was measured (``variance.design_of``).
        margin: Largest tolerated loss, a fraction above 0.
        delta: The estimated difference, a fraction; taken as the true one.
        power: Requested chance of the verdict, a fraction.
        alpha: One-sided error of the bounds.
        base: Repeats of the baseline when they are fixed; None when both models get the same number.

    Returns:
        The verdict that the estimate points to: "pass" above ``-margin``, else "fail"; with the standard error that
            decides, and two ways to it: repeats on the same items (in each model, in the candidate alone when ``base``
            is given; None when no number is enough), or items at the present repeats. For an estimate on the margin the
            error is 0 and both numbers are None.
    """
    gap = margin + delta
    verdict: Literal["pass", "fail"] = "pass" if gap > 0 else "fail"
    target = abs(gap) / (_z(alpha) + _z(1 - power))
    if target == 0:
        return WouldDecide(verdict, 0.0, None, None)
    items = ceil(design.answers * (design.stderr / target) ** 2)
    repeats = _repeats(design, target, base)
    if verdict == "pass" and design.sources is not None:
        room = min(gap, margin)  # as many sources without a change must exclude the margin
        sources = _z(alpha) ** 2 * (1 - room) / room
        items = max(items, ceil(design.answers * sources / design.sources))
        repeats = None if sources >= design.sources else repeats
    return WouldDecide(verdict, target, repeats, items)


def _repeats(design: Design, target: float, base: int | None) -> int | None:
    """Return the repeats (at least 1) that reduce the standard error to ``target``, a fraction: in the candidate alone
    when the baseline's repeats ``base`` are given, else in both models; None when no number does.
    """
    per_repeat = design.within / design.answers
    room = target**2 - design.floor**2 - (per_repeat / base if base else 0.0)
    if per_repeat == 0:
        return 1 if room >= 0 else None
    needed = (per_repeat if base else 2 * per_repeat) / room if room > 0 else inf
    return max(1, ceil(needed - 1e-9)) if needed < inf else None


def _shares(calls: Calls) -> Chances:
    """Return the fractions of pass (1), fail (-1) and undecided (0) in an array of verdicts."""
    passes, fails = float((calls == 1).mean()), float((calls == -1).mean())
    return Chances(passes, fails, 1 - passes - fails)


def _loss(estimates: Floats, error: Floats, df: Floats | float) -> Floats:
    """Return the one-sided p values of "no loss" of simulated estimates, by Student's t with ``df``; 0.5 for all that
    are not below 0.

    ``error``: their standard errors, same shape. The exact value above 0.5 is not needed: such a p value is never
    significant and makes no other one significant in Holm's correction.
    """
    statistic = estimates / np.where(error > 0, error, 1e-300)
    p_values = np.full(statistic.shape, 0.5)
    below = statistic < 0
    p_values[below] = t_cdf(statistic[below], np.broadcast_to(df, statistic.shape)[below])
    return p_values


def _df(design: Design) -> float:
    return max(design.units - 1, 1.0)


def _z(alpha: float) -> float:
    return norm_isf(alpha)


def _z_t(alpha: float, design: Design) -> float:
    return t_isf(alpha, _df(design))
