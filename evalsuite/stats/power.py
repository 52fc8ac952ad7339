"""What a budget can decide: standard errors, detectable differences and chances of verdicts before (or after) a run.

Normal approximation (chances of passing: noncentral t) of the paired mean of item means,
Var(delta) = tau^2 / units + v / (answers kA) + v / (answers kB), v = phi mu (1 - mu) (Miller 2024, arXiv 2411.00640,
in its paired form). ``figures/calibration.py`` holds it against Monte Carlo through the real decision code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, sqrt
from typing import Literal

import numpy as np
from scipy import stats

from evalsuite.stats.decision import Calls, Tier, decide_arrays, release_arrays
from evalsuite.stats.intervals import Floats


@dataclass(frozen=True, slots=True)
class Design:
    """How one benchmark is measured in both arms."""

    answers: float
    """Independent answers that one repeat of all items is worth (items, where each is one answer)."""
    units: float
    """Independent units of true change: items, or sources where items share one."""
    score: float
    """Expected score, a fraction: mu."""
    phi: float
    """Share of mu (1 - mu) that is coin tossing within items: 0 every item fixed, 1 every item the same coin."""
    tau: float
    """Standard deviation over items of the true change, a fraction."""
    repeats_base: int
    repeats_cand: int

    @property
    def within(self) -> float:
        """Variance of one answer around its item's own chance: v."""
        return self.phi * self.score * (1 - self.score)

    @property
    def floor(self) -> float:
        """Standard error of the delta that no number of repeats goes below: tau / sqrt(units)."""
        return self.tau / sqrt(self.units)

    @property
    def stderr(self) -> float:
        """Standard error of the delta, for questions like these."""
        return sqrt(self.floor**2 + self.stderr_exact**2)

    @property
    def stderr_exact(self) -> float:
        """Standard error of the delta on exactly these questions (no tau)."""
        return sqrt(self.within / self.answers * (1 / self.repeats_base + 1 / self.repeats_cand))


@dataclass(frozen=True, slots=True)
class Chances:
    """Chances of the three verdicts; they sum to 1."""

    passes: float
    fails: float
    undecided: float


@dataclass(frozen=True, slots=True)
class ReleaseChances:
    """Chances of a whole release, by Monte Carlo."""

    release: Chances
    any_fail: float
    """At least one critical or supporting benchmark, or the suite mean, fails."""
    each: tuple[Chances, ...]
    """Of every benchmark, then of the suite mean where one is asked."""
    error: float
    """Largest Monte Carlo standard error of a chance above."""


@dataclass(frozen=True, slots=True)
class PlannedBenchmark:
    """One benchmark of a planned release."""

    task: str
    design: Design
    margin: float
    """Fraction, above 0."""
    tier: Tier = "critical"


@dataclass(frozen=True, slots=True)
class WouldDecide:
    """What would turn an undecided result into a verdict, if the truth is what was estimated."""

    verdict: Literal["pass", "fail"]
    """Where the estimate points."""
    stderr: float
    """Standard error that decides with the asked power."""
    repeats: int | None
    """Repeats in each arm (the candidate's alone where the baseline is fixed) on these items; None: no number would."""
    items: int | None
    """Items of this kind at the present repeats; None: the estimate lies on the margin and no number would."""


def detectable(stderr: float, *, alpha: float = 0.05, power: float = 0.8, sides: Literal[1, 2] = 2) -> float:
    """The smallest true difference that a test finds with ``power``: (z_(alpha / sides) + z_power) SE."""
    return (_z(alpha / sides) + _z(1 - power)) * stderr


def power_at(delta: float, stderr: float, alpha: float = 0.05) -> float:
    """Chance that the two-sided test of no change is significant when the true difference is ``delta``."""
    z, shift = _z(alpha / 2), abs(delta) / stderr
    return float(stats.norm.sf(z - shift) + stats.norm.cdf(-z - shift))


def chances(design: Design, margin: float, delta: float = 0.0, *, alpha: float = 0.05, family: int = 1) -> Chances:
    """Chances of the verdicts of ``decision.decide`` when the true difference is ``delta`` (0: identical models).

    ``family``: how many benchmarks are judged together; Holm is taken at its first step, alpha / family, so that a
    fail is a little rarer here than in a suite where several lose.
    """
    passes = chance_to_pass(design, margin, delta, alpha=alpha)
    df, error = _df(design), design.stderr
    if error == 0:
        fails = float(delta < -margin)
        return Chances(passes, fails, 1 - passes - fails)
    t, t_family = (float(stats.t.isf(level, df)) for level in (alpha, alpha / family))
    lost = min(-t_family * error, -margin / 2, -margin + t * error)
    fails = float(stats.norm.cdf((max(-margin - t * error, lost) - delta) / error))
    fails = min(fails, 1 - passes)
    return Chances(passes, fails, 1 - passes - fails)


def chance_to_pass(design: Design, margin: float, delta: float = 0.0, *, alpha: float = 0.05) -> float:
    """Chance that the one-sided lower bound lies above ``-margin`` when the true difference is ``delta``.

    The power function of the non-inferiority t test: noncentral t with units - 1 degrees of freedom.
    """
    if design.stderr == 0:
        return float(delta > -margin)
    df, shift = _df(design), (margin + delta) / design.stderr
    if df > 1_000:
        return float(stats.norm.sf(_z(alpha) - shift))
    return float(stats.nct.sf(stats.t.isf(alpha, df), df, shift))


def release_chances(
    benches: Sequence[PlannedBenchmark],
    *,
    suite_margin: float | None,
    deltas: Sequence[float] | None = None,
    alpha: float = 0.05,
    draws: int = 20_000,
    seed: int = 20261120,
) -> ReleaseChances:
    """Chances of a release: estimates and their errors are drawn ``draws`` times and judged by the real rule.

    ``deltas``: true differences (None: identical models). ``suite_margin``: margin of the equal-weight mean over the
    critical benchmarks, a fraction; None: not asked. Seeded; raises ``ValueError`` without a benchmark.
    """
    if not benches:
        raise ValueError("a release needs a benchmark")
    rng = np.random.default_rng(seed)
    true = np.zeros(len(benches)) if deltas is None else np.asarray(deltas, dtype=np.float64)
    error = np.array([one.design.stderr for one in benches])
    df = np.array([_df(one.design) for one in benches])
    found = true + error * rng.standard_normal((draws, len(benches)))
    measured = error * np.sqrt(rng.chisquare(df, (draws, len(benches))) / df)
    t = stats.t.isf(alpha, df)
    lower, upper, loss = found - t * measured, found + t * measured, _loss(found, measured, df)
    margins = [one.margin for one in benches]
    tiers = [one.tier for one in benches]
    critical = [place for place, tier in enumerate(tiers) if tier == "critical"]
    if suite_margin is not None and critical:
        mean = found[:, critical].mean(axis=1)
        spread = np.sqrt((measured[:, critical] ** 2).sum(axis=1)) / len(critical)
        half = _z(alpha) * spread
        found, lower, upper = (
            np.column_stack(pair) for pair in ((found, mean), (lower, mean - half), (upper, mean + half))
        )
        loss = np.column_stack((loss, _loss(mean, spread, np.inf)))
        margins, tiers = [*margins, suite_margin], [*tiers, "critical"]
    calls = decide_arrays(found, lower, upper, loss, np.array(margins), alpha)
    released = release_arrays(calls, tiers)
    counted = [tier != "advisory" for tier in tiers]
    return ReleaseChances(
        _shares(released),
        float((calls[:, counted] == -1).any(axis=1).mean()),
        tuple(_shares(calls[:, place]) for place in range(calls.shape[1])),
        0.5 / sqrt(draws),
    )


def repeats_needed(
    design: Design,
    margin: float,
    *,
    delta: float = 0.0,
    power: float = 0.8,
    alpha: float = 0.05,
    base: int | None = None,
) -> int | None:
    """Fewest repeats with which a true difference ``delta`` passes ``margin`` with chance ``power``; None: no number.

    In both arms, or in the candidate's alone where the baseline's number is fixed at ``base``.
    """
    gap = margin + delta
    return None if gap <= 0 else _repeats(design, gap / (_z_t(alpha, design) + _z(1 - power)), base)


def items_needed(
    design: Design, margin: float, *, delta: float = 0.0, power: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Fewest items of this kind, at the design's repeats, with which ``delta`` passes with chance ``power``.

    Items are counted as the design's ``answers``; units grow with them. None where ``delta`` is not above -margin.
    """
    gap = margin + delta
    if gap <= 0:
        return None
    return ceil(design.answers * (design.stderr * (_z(alpha) + _z(1 - power)) / gap) ** 2)


def would_decide(
    design: Design, margin: float, delta: float, *, power: float = 0.8, alpha: float = 0.05, base: int | None = None
) -> WouldDecide:
    """How many repeats, or items, would decide an undecided result whose estimate is ``delta``.

    ``design`` holds what was measured (``variance.design_of``). A loss that is significant may fail beyond half the
    margin, which is not counted on. ``base`` as in ``repeats_needed``.
    """
    gap = margin + delta
    verdict: Literal["pass", "fail"] = "pass" if gap > 0 else "fail"
    wanted = abs(gap) / (_z(alpha) + _z(1 - power))
    if wanted == 0:
        return WouldDecide(verdict, 0.0, None, None)
    items = ceil(design.answers * (design.stderr / wanted) ** 2)
    return WouldDecide(verdict, wanted, _repeats(design, wanted, base), items)


def _repeats(design: Design, wanted: float, base: int | None) -> int | None:
    """Repeats that bring the standard error down to ``wanted``."""
    one = design.within / design.answers
    room = wanted**2 - design.floor**2 - (one / base if base else 0.0)
    if one == 0:
        return 1 if room >= 0 else None
    needed = (one if base else 2 * one) / room if room > 0 else inf
    return max(1, ceil(needed - 1e-9)) if needed < inf else None


def _shares(calls: Calls) -> Chances:
    passes, fails = float((calls == 1).mean()), float((calls == -1).mean())
    return Chances(passes, fails, 1 - passes - fails)


def _loss(found: Floats, error: Floats, df: Floats | float) -> Floats:
    return np.asarray(stats.t.cdf(found / np.where(error > 0, error, 1e-300), df), dtype=np.float64)


def _df(design: Design) -> float:
    return max(design.units - 1, 1.0)


def _z(alpha: float) -> float:
    return float(stats.norm.isf(alpha))


def _z_t(alpha: float, design: Design) -> float:
    return float(stats.t.isf(alpha, _df(design)))
