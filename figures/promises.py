"""What ``plan`` promises, held against simulated comparisons by the verdict's methods; a bare threshold beside.

``promise_lines`` is the figure; the tests call ``promised`` small.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from evalsuite.config.compose import load_settings
from evalsuite.config.settings import Gate, Run
from evalsuite.stats.decision import Tier, release_arrays
from evalsuite.stats.power import PlannedBenchmark, chance_to_pass, release_chances, threshold_rule
from figures.calibration import suite_calls
from figures.line import Line
from figures.plan import SUITES
from figures.simulate import ALPHA, BENCHES, DAY0, Bench, Drawn, simulate

TAUS = (0.0, 0.05)
SEED, THRESHOLD = 20261126, 0.01


@dataclass(frozen=True, slots=True)
class Promise:
    """One task of a suite, identical on the mean."""

    bench: Bench
    planned: float
    drawn: Drawn

    @property
    def simulated(self) -> float:
        """Share of comparisons that pass."""
        ours = self.drawn.ours
        return float((ours.lower > -self.bench.margin).mean()) if self.bench.margin > ours.resolution else 0.0


def gate_of(suite: str) -> tuple[Run, Gate]:
    """The settings of a suite with the gate of its name."""
    run = load_settings(["model=fp8", f"suite={suite}", f"gate={suite}"])
    assert run.gate is not None
    assert run.gate.alpha == ALPHA, "the simulated bounds are at this alpha"
    return run, run.gate


def promised(suite: str, tau: float, count: int) -> Iterator[Promise]:
    """Every task of a suite; the simulation has to know all of them."""
    run, gate = gate_of(suite)
    known = {bench.task: bench for bench in (*BENCHES, *DAY0)}
    for name, task in run.tasks.items():
        margin = gate.margins[name]
        tier = cast("Tier", margin.tier)
        planned = replace(known[name], repeats=task.repeats, margin=margin.points / 100, tier=tier)
        chance = chance_to_pass(planned.design(tau), planned.margin, alpha=ALPHA)
        yield Promise(planned, chance, simulate(planned, 0.0, tau, count, SEED))


def released(suite: str, tau: float, promises: list[Promise]) -> Line:
    """How often the simulated suites pass the whole gate and fail anywhere, beside what ``plan`` states."""
    gate = gate_of(suite)[1]
    assert gate.suite_points is not None
    benches = [promise.bench for promise in promises]
    drawn = {promise.bench.task: promise.drawn.ours for promise in promises}
    calls = suite_calls(drawn, benches=benches, suite_margin=gate.suite_points / 100)
    tiers: list[Tier] = [*(bench.tier for bench in benches), "critical"]
    passes = float((release_arrays(calls, tiers) == 1).mean())
    fails = float((calls[:, [tier != "advisory" for tier in tiers]] == -1).any(axis=1).mean())
    planned = [PlannedBenchmark(bench.task, bench.design(tau), bench.margin, bench.tier) for bench in benches]
    chance = release_chances(planned, suite_margin=gate.suite_points / 100, alpha=ALPHA)
    widest = max((bench for bench in benches if bench.task != "aa_lcr"), key=lambda bench: bench.margin)
    return Line(
        f"suite={suite} gate={suite}, identical means, tau {100 * tau:g} pt, {len(calls):,} suites: the gate passes; "
        "fails anywhere; widest margin but AA-LCR's",
        f"{SUITES[suite]}; at most 5 %; at most 4 pt",
        f"{100 * passes:.1f} % (planned {100 * chance.release.passes:.1f}); {100 * fails:.1f} % (planned "
        f"{100 * chance.any_fail:.1f}); {100 * widest.margin:g} pt ({widest.task})",
    )


def promise_lines(count: int = 4_000) -> list[Line]:
    """The page's rows."""
    lines = []
    for suite in SUITES:
        for tau in TAUS:
            promises = list(promised(suite, tau, count))
            worst = max(promises, key=lambda promise: abs(promise.planned - promise.simulated))
            each = ", ".join(
                f"{promise.bench.task} {100 * promise.planned:.1f}/{100 * promise.simulated:.1f}"
                for promise in promises
            )
            lines.append(
                Line(
                    f"suite={suite} gate={suite}, identical means, tau {100 * tau:g} pt: planned / simulated passes, %",
                    "every task within 2 points",
                    f"{each}; farthest: {worst.bench.task}, {100 * abs(worst.planned - worst.simulated):.1f} points",
                )
            )
            lines.append(released(suite, tau, promises))
            lines += _threshold_lines(suite, tau, promises) if suite != "release" else []
    return lines


def _threshold_lines(suite: str, tau: float, promises: list[Promise]) -> list[Line]:
    """How often "no estimate more than one point down" is wrong, simulated, and as ``plan`` states it."""
    falls = np.array([promise.drawn.ours.delta < -THRESHOLD for promise in promises])
    rule = threshold_rule([promise.bench.design(tau).stderr for promise in promises], THRESHOLD)
    accepted = [
        float((simulate(promise.bench, -2 * THRESHOLD, tau, falls.shape[1], SEED).ours.delta >= -THRESHOLD).mean())
        for promise in promises
    ]
    low, high = rule.accepts_double
    return [
        Line(
            f"suite={suite}, a bare threshold of one point on every benchmark, tau {100 * tau:g} pt, seed {SEED}: "
            "an identical checkpoint rejected; a true loss of 2 points accepted, by task",
            "stated, beside what plan states",
            f"{100 * falls.any(axis=0).mean():.0f} %; {100 * min(accepted):.0f} to {100 * max(accepted):.0f} % "
            f"(plan: {100 * rule.rejects_identical:.0f} %; {100 * low:.0f} to {100 * high:.0f} %)",
        )
    ]
