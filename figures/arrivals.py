"""Stopping early where long answers finish last and are the lost ones, through the engine's own bookkeeping.

``arrival_lines`` is the figure; the tests call ``event_driven`` small.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from evalsuite.engine.early_stopping.sequential_test import ArmScores, SequentialTest, rule_for
from figures.line import Line
from figures.sequential import began

ITEMS, MARGIN, FLIPS, SLOTS = 1_000, 0.02, 0.08, 64
LONGER = 8.0
"""Times that an answer is longer where the candidate loses it."""
LOOK_EVERY = 200
"""Answers between two looks: the engine looks more often, which changes when a decision is known and not what it is."""


@dataclass(frozen=True, slots=True)
class Decided:
    """Shares of simulated runs, and the mean share of items that decisions rest on."""

    passes: float
    fails: float
    counted: float


def event_driven(runs: int, seed: int = 12) -> Decided:
    """``runs`` runs whose true loss is the margin: both arms are asked in one order, ``SLOTS`` answers at a time, and
    every answer is scored when it ends; lost ones are ``LONGER`` times as long, and end last."""
    rng = np.random.default_rng(seed)
    order = tuple(map(str, range(ITEMS)))
    calls: list[str] = []
    counted = 0.0
    chances = [(FLIPS + MARGIN) / 2, (FLIPS - MARGIN) / 2, 1 - FLIPS]
    for _ in range(runs):
        moved = rng.choice([-1.0, 1.0, 0.0], ITEMS, p=chances)
        base = np.where(moved == 0, rng.random(ITEMS) < 0.9, moved < 0).astype(float)
        lengths = rng.lognormal(0.0, 1.0, (2, ITEMS))
        lengths[1, moved < 0] *= LONGER
        test = SequentialTest(
            rule_for(ITEMS, MARGIN, 0.05), order, ArmScores.empty(ITEMS, 1), ArmScores.empty(ITEMS, 1)
        )
        ends = np.concatenate([began(arm, SLOTS) + arm for arm in lengths])
        for number, place in enumerate(np.argsort(ends).tolist()):
            arm, item = divmod(place, ITEMS)
            scores, value = (test.candidate, base[item] + moved[item]) if arm else (test.baseline, base[item])
            test.scored(scores, order[item], 0, float(value))
            if number % LOOK_EVERY == 0 and test.interim_look() is not None:
                break
        calls.append(test.interim_look() or "open")
        counted += test.ends / ITEMS
    return Decided(calls.count("pass") / runs, calls.count("fail") / runs, counted / runs)


def arrival_lines(runs: int = 2_000) -> list[Line]:
    """The page's rows."""
    found = event_driven(runs)
    error = 100 * sqrt(0.05 * 0.95 / runs)
    return [
        Line(
            f"{runs:,} event-driven runs, {ITEMS:,} items, {SLOTS} slots an arm, {100 * FLIPS:g} % flips, true loss = "
            f"margin = {100 * MARGIN:g} pt, lost answers {LONGER:g} times as long",
            "passes and wrong fails at most 5 %",
            f"passes {100 * found.passes:.1f} %, fails {100 * found.fails:.1f} % (Monte Carlo error {error:.1f}); "
            f"decisions rest on {100 * found.counted:.0f} % of the items",
        )
    ]
