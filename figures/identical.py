"""Identical suites: how often anything on a candidate's page is marked, though nothing changed.

``identical_lines`` is the figure; the tests call ``marked`` small. A star needs the smallest p value of all group
values of all benchmarks, times their number, below 0.05 (the first step of Holm, as ``p_page``).
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

from evalsuite.config.compose import load_settings
from evalsuite.plan.benchmarks import task_facts
from evalsuite.stats.delta import paired_delta
from evalsuite.stats.intervals import Floats
from evalsuite.stats.multiplicity import holm_arrays
from figures.calibration import SUITE_MARGIN, suite_calls
from figures.line import Line
from figures.simulate import ALPHA, BENCHES, Bench, chances, simulate

SCREEN = 0.02
"""Group values whose t test gives a larger p value cannot get a star, so that only the others need the real method."""
CHUNK = 50


@dataclass(frozen=True, slots=True)
class Marked:
    """Shares of identical suites."""

    fail: float
    star: float
    anomalous: float
    group_values: int
    """Number of p values on the page."""


def marked(count: int, tau: float = 0.0, seed: int = 41) -> Marked:
    """``count`` suites of two identical models (``tau`` 0), or of a model whose items moved by ``tau``."""
    found = {bench.task: simulate(bench, 0.0, tau, count, seed).ours for bench in BENCHES}
    calls = suite_calls(found)
    counted = [bench.tier != "advisory" for bench in BENCHES] + [True]
    rows = [found[bench.task] for bench in BENCHES]
    gains = np.column_stack([np.where(row.delta > 0, row.p_value / 2, 1.0) for row in rows])
    above = np.column_stack([row.delta > bench.margin for row, bench in zip(rows, BENCHES, strict=True)])
    least, number = np.ones(count), 0
    for bench in BENCHES:
        for sizes in groupings(bench):
            rng = np.random.default_rng([seed, bench.n, len(sizes), number])
            number += len(sizes)
            for at in range(0, count, CHUNK):
                stop = min(at + CHUNK, count)
                least[at:stop] = np.minimum(least[at:stop], _least(bench, sizes, tau, stop - at, rng))
    return Marked(
        float((calls[:, counted] == -1).any(axis=1).mean()),
        float((least * number < 0.05).mean()),
        float(((holm_arrays(gains) <= ALPHA) & above).any(axis=1).mean()),
        number,
    )


def groupings(bench: Bench) -> list[list[int]]:
    """Numbers of items of the values of each group of a benchmark, as its card states them."""
    facts = task_facts(bench.task, load_settings(["model=fp8", "suite=release"]).tasks[bench.task], None)
    assert facts is not None
    if bench.weights is not None or bench.clusters is not None:
        return []
    return [_scaled(list(parts.values()), bench.n) for parts in facts.strata.values()]


def _scaled(sizes: list[int], n: int) -> list[int]:
    ends = np.round(np.cumsum(sizes) * n / sum(sizes)).astype(int)
    return [size for size in np.diff(ends, prepend=0).tolist() if size > 1]


def _least(bench: Bench, sizes: list[int], tau: float, count: int, rng: np.random.Generator) -> Floats:
    """The smallest p value of each suite over the values of one group."""
    pair = chances(bench, tau, count, bench.n, rng)
    base, cand = (rng.binomial(bench.repeats, chance) / bench.repeats for chance in pair)
    least, begin = np.ones(count), 0
    for size in sizes:
        old, new = base[:, begin : begin + size], cand[:, begin : begin + size]
        begin += size
        difference = new - old
        error = difference.std(axis=1, ddof=1) / sqrt(size)
        statistic = np.abs(difference.mean(axis=1)) / np.where(error > 0, error, np.inf)
        for place in np.flatnonzero(2 * stats.t.sf(statistic, size - 1) < SCREEN):
            p_value = paired_delta(old[place], new[place], single=bench.repeats == 1).p_value
            least[place] = min(least[place], 1.0 if p_value is None else p_value)
    return least


def identical_lines(count: int = 2_000) -> list[Line]:
    """The page's rows."""
    lines = []
    for tau in (0.0, 0.05):
        found = marked(count, tau)
        error = 100 * sqrt(0.05 * 0.95 / count)
        where = (
            f"suite=release gate=release (suite mean {100 * SUITE_MARGIN:g} pt), tau {100 * tau:g} pt, {count:,} suites"
        )
        lines.append(
            Line(
                f"identical means, {where}: a fail; any star or named loss; any `anomalous`",
                "at most 5 % each",
                f"{100 * found.fail:.2f} %; {100 * found.star:.2f} % (of {found.group_values} group values); "
                f"{100 * found.anomalous:.2f} % (Monte Carlo error {error:.2f})",
            )
        )
    return lines
