"""What ``plan`` promises, held against simulated comparisons by the verdict's methods; a bare threshold beside.

``promise_lines`` is the figure; the tests call ``promised`` small.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from evalsuite.config.compose import load_settings
from evalsuite.stats.power import chance_to_pass, threshold_rule
from figures.line import Line
from figures.simulate import ALPHA, BENCHES, Bench, Drawn, simulate

SUITES = (("card", "card"), ("release", "release"), ("day0", "card"))
"""Suites with the gates whose margins they are planned for."""
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


def promised(suite: str, gate: str, tau: float, count: int) -> Iterator[Promise]:
    """The tasks of a suite that the gate has a margin for and the simulation knows."""
    run = load_settings(["model=fp8", f"suite={suite}", f"gate={gate}"])
    assert run.gate is not None
    assert run.gate.alpha == ALPHA, "the simulated bounds are at this alpha"
    for bench in BENCHES:
        margin, task = run.gate.margins.get(bench.task), run.tasks.get(bench.task)
        if margin is not None and task is not None:
            planned = replace(bench, repeats=task.repeats, margin=margin.points / 100)
            chance = chance_to_pass(planned.design(tau), planned.margin, alpha=ALPHA)
            yield Promise(planned, chance, simulate(planned, 0.0, tau, count, SEED))


def promise_lines(count: int = 4_000) -> list[Line]:
    """The page's rows."""
    lines = []
    for suite, gate in SUITES:
        for tau in TAUS:
            promises = list(promised(suite, gate, tau, count))
            worst = max(promises, key=lambda promise: abs(promise.planned - promise.simulated))
            each = ", ".join(
                f"{promise.bench.task} {100 * promise.planned:.1f}/{100 * promise.simulated:.1f}"
                for promise in promises
            )
            lines.append(
                Line(
                    f"suite={suite} gate={gate}, identical means, tau {100 * tau:g} pt: planned / simulated passes, %",
                    "every task within 2 points",
                    f"{each}; farthest: {worst.bench.task}, {100 * abs(worst.planned - worst.simulated):.1f} points",
                )
            )
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
