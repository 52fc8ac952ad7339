"""Nightly drift: false alarms with a frozen baseline, and nights until a true loss is seen.

``drift_lines`` is the figure; the tests call ``nights`` small.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from evalsuite.stats import cusum as drift
from evalsuite.stats.delta import paired_delta
from evalsuite.stats.power import Design
from figures.line import Line

SIZES = (300, 1_200, 3_000)
"""Items a night, one answer each; baseline 8 repeats."""
SCORE, PHI = 0.878, 0.4


@dataclass(frozen=True, slots=True)
class Nights:
    """What charts over simulated items did."""

    false_alarms: float
    """Per 200 nights of an unchanged model."""
    confirmed: float
    """Of these, confirmed by fresh repeats, per 200 nights."""
    error: float
    """Monte Carlo standard error of the false alarms."""
    median: float
    """Nights to the first alarm; infinite where half of the charts had none."""


def nights(items: int, loss: float, charts: int, length: int, seed: int = 9) -> Nights:
    """``charts`` baselines, each with ``length`` nights of real answers drawn item by item, on the real chart."""
    rng = np.random.default_rng([seed, items, round(loss * 1000)])
    design = Design(items, items, SCORE, PHI, 0.0, drift.RATIO, 1)
    fresh_chart = drift.tuned(design)
    total = PHI / (1 - PHI)
    alarms, confirmed, first = [], 0, []
    for _ in range(charts):
        chance = rng.beta(SCORE * total, (1 - SCORE) * total, items)
        worse = chance * (1 - loss / SCORE)
        base = rng.binomial(drift.RATIO, chance) / drift.RATIO
        answers = rng.random((length, items)) < worse
        deltas = answers - base
        errors = deltas.std(axis=1, ddof=1) / sqrt(items)
        chart, seen = fresh_chart, 0
        for night in range(length):
            chart = drift.update(chart, float(deltas[night].mean()), float(errors[night]))
            if chart.alarm:
                seen += 1
                if seen == 1:
                    first.append(night + 1.0)
                again = rng.binomial(drift.RATIO, worse) / drift.RATIO
                change = paired_delta(base, again, single=False, alpha=drift.CONFIRM_ALPHA)
                confirmed += bool(drift.confirmed(change))
        first += [float("inf")] * (seen == 0)
        alarms.append(seen * drift.NIGHTS / length)
    error = float(np.std(alarms, ddof=1)) / sqrt(charts)
    return Nights(float(np.mean(alarms)), confirmed * drift.NIGHTS / length / charts, error, float(np.median(first)))


def drift_lines(charts: int = 2_000) -> list[Line]:
    """The page's rows."""
    lines = []
    for items in SIZES:
        design = Design(items, items, SCORE, PHI, 0.0, drift.RATIO, 1)
        where = f"{items:,} MMLU-Pro items a night, baseline x {drift.RATIO}"
        if items == SIZES[0]:
            same = nights(items, 0.0, charts, drift.NIGHTS)
            lines.append(
                Line(
                    f"false alarms in {drift.NIGHTS} nights, {where}, {charts:,} simulated charts",
                    "at most 1",
                    f"{same.false_alarms:.2f} (Monte Carlo error {same.error:.2f}); "
                    f"confirmed by fresh repeats: {same.confirmed:.3f}",
                )
            )
        delays = drift.delays(design)[1:]
        said = "; ".join(f"-{one.points:g} pt: {_night(one.median)} ({100 * one.within_week:.0f} %)" for one in delays)
        lines.append(Line(f"median nights to the alarm (share within a week), {where}", "stated", said))
    simulated = nights(SIZES[0], 0.02, max(charts // 4, 20), 60)
    lines.append(
        Line(
            f"-2 pt, {SIZES[0]} items, simulated item by item",
            "beside the table",
            f"median {simulated.median:g} nights",
        )
    )
    return lines


def _night(median: int | None) -> str:
    return f"over {drift.MAX_NIGHTS}" if median is None else str(median)
