"""Nightly drift: unchanged checkpoints that fail, and nights until a true loss is seen.

``drift_lines`` is the figure; the tests call ``nights`` small.
"""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from evalsuite.stats import cusum as drift
from evalsuite.stats.delta import paired_delta
from evalsuite.stats.design import Design
from evalsuite.stats.intervals import Floats
from figures.line import Line

SIZES = (300, 1_200, 3_000)
"""Items a night, one answer each; baseline 8 repeats."""
ITEMS = 1_200
EFFECT, CORRELATION = 0.5, 0.8
"""Of correlated nights: standard errors of one night, AR(1)."""
SCORE, PHI = 0.878, 0.4


CASES = (
    *((0.0, correlated) for correlated in (False, True)),
    *((offset, correlated) for offset in (0.005, 0.01) for correlated in (False, True)),
)
"""Accepted loss, and whether nights hang together (0.5 standard errors, AR(1) 0.8)."""


@dataclass(frozen=True, slots=True)
class Nights:
    """What charts over simulated items did."""

    false_alarms: float
    """Alarms per 200 nights."""
    confirmed: float
    """Of these, confirmed by fresh repeats, per 200 nights."""
    error: float
    """Monte Carlo standard error of the false alarms."""
    median: float
    """Nights to the first alarm; infinite where half of the charts had none."""
    failed: float
    """Share of charts with a confirmed alarm."""
    failed_after: float
    """Share of charts whose first confirmed alarm came after the loss began."""


@dataclass(frozen=True, slots=True)
class Course:
    """What happens to a checkpoint over the nights."""

    loss: float = 0.0
    """Fraction lost from night ``begin`` on."""
    begin: int = 0
    accepted: float = 0.0
    """The baseline is of another checkpoint, which is better by this fraction; the charts start from the offset that a
    release of as many repeats measured. 0: the baseline is the checkpoint's own."""
    correlated: bool = False


def nights(items: int, course: Course, charts: int, length: int, seed: int = 9) -> Nights:
    """``charts`` baselines, each with ``length`` nights of real answers drawn item by item, on the real chart."""
    loss, begin, accepted, correlated = course.loss, course.begin, course.accepted, course.correlated
    rng = np.random.default_rng([seed, items, round(loss * 1000), round(accepted * 1000), correlated])
    design = Design(items, items, SCORE, PHI, 0.0, drift.RATIO, 1)
    total = PHI / (1 - PHI)
    alarms, confirmed, first, failed, after = [], 0, [], 0, 0
    for _ in range(charts):
        own = rng.beta(SCORE * total, (1 - SCORE) * total, items)
        frozen = own if not accepted else 1 - (1 - own) * (1 - accepted / (1 - SCORE))
        base = rng.binomial(drift.RATIO, frozen) / drift.RATIO
        released = (rng.binomial(drift.RATIO, own) / drift.RATIO - base) if accepted else np.zeros(items)
        offset, offset_error = float(released.mean()), float(released.std(ddof=1)) / sqrt(items)
        effects = _effects(length, rng) * (EFFECT * design.stderr_exact if correlated else 0.0)
        effects[begin:] -= loss
        chance = np.clip(own * (1 + effects[:, None] / SCORE), 0, 1)
        deltas = (rng.random((length, items), dtype=np.float32) < chance) - base
        errors = deltas.std(axis=1, ddof=1) / sqrt(items)
        seen, found = _charted(deltas.mean(axis=1) - offset, errors, offset_error, design)
        alarms.append(len(seen) * drift.NIGHTS / length)
        first.append(seen[0] + 1.0 if seen else float("inf"))
        confirming = []
        for place in seen:
            again = rng.binomial(drift.RATIO, chance[place]) / drift.RATIO
            change = paired_delta(base, again, single=False, alpha=drift.CONFIRM_ALPHA)
            error = float(np.hypot(found[place] * errors[place], offset_error))
            if drift.confirmed(change, offset=offset, error=error):
                confirming.append(place)
        confirmed += len(confirming)
        failed += bool(confirming)
        after += bool(confirming) and confirming[0] >= begin
    return Nights(
        float(np.mean(alarms)),
        confirmed * drift.NIGHTS / length / charts,
        float(np.std(alarms, ddof=1)) / sqrt(charts),
        float(np.median(first)),
        failed / charts,
        after / charts,
    )


def _charted(deltas: Floats, errors: Floats, offset_error: float, design: Design) -> tuple[list[int], list[float]]:
    """Nights with an alarm, and the night effect that each night's chart assumed, as ``analysis.drift`` charts them."""
    relative = offset_error / float(errors[0])
    chart = drift.tuned(design, offset=relative)
    night = drift.night_effect(deltas / errors, drift.baseline_share(design))
    seen, effects = [], []
    for place, (delta, error) in enumerate(zip(deltas.tolist(), errors.tolist(), strict=True)):
        if place == drift.FIRST_NIGHTS:
            tuned = drift.tuned(design, night=night, offset=relative)
            chart = replace(chart, limit=tuned.limit, night=tuned.night)
        chart = drift.update(chart, delta, float(np.hypot(error, offset_error)))
        effects.append(chart.night)
        if chart.alarm:
            seen.append(place)
    return seen, effects


def _effects(length: int, rng: np.random.Generator) -> Floats:
    """Night effects of unit variance, AR(1)."""
    effects = rng.standard_normal(length)
    for place in range(1, length):
        effects[place] = CORRELATION * effects[place - 1] + sqrt(1 - CORRELATION**2) * effects[place]
    return effects


def drift_lines(charts: int = 2_000) -> list[Line]:
    """The page's rows."""
    where = f"{ITEMS:,} MMLU-Pro items a night, baseline x {drift.RATIO}, {charts:,} simulated charts"
    lines = []
    for accepted, correlated in CASES:
        same = nights(ITEMS, Course(accepted=accepted, correlated=correlated), charts, drift.NIGHTS)
        kind = "correlated nights (0.5 SE, AR(1) 0.8)" if correlated else "independent nights"
        reference = f"accepted offset -{100 * accepted:g} pt" if accepted else "its own frozen answers"
        error = 100 * sqrt(max(same.failed, 1 / charts) / charts)
        lines.append(
            Line(
                f"unchanged checkpoint against {reference}, {kind}: confirmed FAIL within 200 nights, {where}",
                "at most 1 %",
                f"{100 * same.failed:.2f} % (Monte Carlo error {error:.2f}); alarms in 200 nights: "
                f"{same.false_alarms:.2f}",
            )
        )
    for correlated in (False, True):
        lost = nights(ITEMS, Course(0.02, 20, correlated=correlated), charts // 2, 50)
        kind = "correlated" if correlated else "independent"
        lines.append(
            Line(
                f"-2 pt from night 21 on, {kind} nights, {ITEMS:,} items: confirmed FAIL within 30 nights",
                "at least 90 %",
                f"{100 * lost.failed_after:.1f} % (before night 21: {100 * (lost.failed - lost.failed_after):.2f} %)",
            )
        )
    for items in SIZES:
        delays = drift.delays(Design(items, items, SCORE, PHI, 0.0, drift.RATIO, 1))[1:]
        said = "; ".join(f"-{one.points:g} pt: {_night(one.median)} ({100 * one.within_week:.0f} %)" for one in delays)
        lines.append(Line(f"median nights to the alarm (share within a week), {items:,} items a night", "stated", said))
    return lines


def _night(median: int | None) -> str:
    return f"over {drift.MAX_NIGHTS}" if median is None else str(median)
