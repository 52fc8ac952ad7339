"""Stopping early on MMLU-Pro: errors, items and tokens saved, against the test at full size.

``sequential_lines`` is the figure; the tests call ``measure``, ``tokens_saved`` and ``real_run`` small.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.special import logsumexp

from evalsuite.stats.intervals import Codes, Floats
from evalsuite.stats.sequential import BETS, BOUNDARY, LOOKS, Rule, implied, start, update
from figures.line import Line
from tests.support.e_values import update_counts

ITEMS = 12_000
"""MMLU-Pro, rounded to whole blocks."""
BLOCK = 120
MARGIN = 0.01
RULE = Rule(ITEMS, MARGIN)
FLIPS = (0.04, 0.08, 0.15)
DELTAS = (0.0, -0.003, -0.01, -0.03)


@dataclass(frozen=True, slots=True)
class StoppedEarly:
    """Shares of simulated runs, and the mean share of items that were not asked."""

    passes: float
    fails: float
    saved: float
    fixed_passes: float
    """The t test at full size, on the same answers."""


def measure(flips: float, delta: float, count: int, seed: int = 3) -> StoppedEarly:
    """``count`` runs with this share of changed items and this true difference; 20 are held against the real code."""
    rng = np.random.default_rng([seed, round(flips * 1000), round(-delta * 10_000)])
    blocks = ITEMS // BLOCK
    draws = rng.multinomial(BLOCK, ((flips - delta) / 2, (flips + delta) / 2, 1 - flips), (count, blocks))
    lost, gained = draws[:, :, 0].cumsum(axis=1), draws[:, :, 1].cumsum(axis=1)
    passed, failed = _passing(lost, gained), _failing(lost, gained)
    ended = np.minimum(passed, failed)
    for run in range(min(count, 20)):
        _check_real_code(draws[run], int(passed[run]), int(failed[run]))
    full = (gained[:, -1] - lost[:, -1]) / ITEMS
    error = np.sqrt(((gained + lost)[:, -1] / ITEMS - full**2) / (ITEMS - 1))
    asked = np.minimum(ended + 1, blocks) / blocks
    return StoppedEarly(
        float((passed < failed).mean()),
        float((failed <= passed).mean() - ((failed == blocks) & (passed == blocks)).mean()),
        float(1 - asked.mean()),
        float(((full + MARGIN) / error > stats.t.ppf(0.95, ITEMS - 1)).mean()),
    )


def _passing(lost: Codes, gained: Codes) -> Codes:
    """Block at whose end each run passes; the number of blocks where it never does."""
    blocks = lost.shape[1]
    first = np.full(len(lost), blocks)
    for look in range(LOOKS, 0, -1):
        at = blocks * look // LOOKS
        n = at * BLOCK
        mean = (gained[:, at - 1] - lost[:, at - 1]) / n
        variance = ((gained + lost)[:, at - 1] - n * mean**2) / (n - 1)
        score = (mean + MARGIN) / np.sqrt(np.maximum(variance, 1 / n) / n)
        first = np.where(score >= BOUNDARY * sqrt(LOOKS / look), at - 1, first)
    return first


def _failing(lost: Codes, gained: Codes) -> Codes:
    """Block at whose end each run fails; the number of blocks where it never does."""
    blocks = lost.shape[1]
    n = BLOCK * np.arange(1, blocks + 1)
    stakes = np.asarray(BETS) / (1 + MARGIN)
    wealth = [
        gained * np.log1p(-stake * (1 + MARGIN))
        + (n - lost - gained) * np.log1p(-stake * MARGIN)
        + lost * np.log1p(stake * (1 - MARGIN))
        for stake in stakes
    ]
    reached = logsumexp(wealth, axis=0) - log(len(stakes)) >= log(1 / RULE.alpha)
    return np.where(reached.any(axis=1), reached.argmax(axis=1), blocks)


def _check_real_code(draws: Codes, passed: int, failed: int) -> None:
    state = start(RULE)
    for place, (lost, gained, _) in enumerate(draws.tolist()):
        state = update_counts(RULE, state, lost=lost, gained=gained, n=BLOCK)
        if state.decided:
            assert (state.decided, place) == (("fail", failed) if failed <= passed else ("pass", passed))
            return
    assert passed == failed == len(draws)


@dataclass(frozen=True, slots=True)
class TokensSaved:
    """Mean shares of a whole run's items and generated tokens, both arms."""

    items_saved: float
    """Never counted."""
    waited: float
    """Tokens saved where every answer of a block is waited for; what is in flight at the stop is paid for and lost."""
    implied: float
    """Tokens saved where the run stops as soon as the rest cannot change the decision."""


def tokens_saved(flips: float, runs: int, slots: int = 256, sigma: float = 1.0, seed: int = 5) -> TokensSaved:
    """Identical models; lengths lognormal (sigma 1: the 99th percentile is 10 medians), cut at 64,000 tokens, which is
    21.5 medians where the mean is 4,900; ``slots`` answers at a time in each arm.
    """
    rng = np.random.default_rng(seed)
    saved = np.zeros(3)
    for _ in range(runs):
        differences = rng.choice([-1.0, 1.0, 0.0], ITEMS, p=[flips / 2, flips / 2, 1 - flips])
        counted = ITEMS
        state = start(RULE)
        for at in range(0, ITEMS, BLOCK):
            state = update(RULE, state, differences[at : at + BLOCK])
            if state.decided:
                counted = at + BLOCK
                break
        arms = [np.minimum(rng.lognormal(0.0, sigma, ITEMS), 21.5) for _ in range(2)]
        begins = [began(lengths, slots) for lengths in arms]
        ends = np.maximum(begins[0] + arms[0], begins[1] + arms[1])[:counted]
        total = float(sum(length.sum() for length in arms))
        stops = (
            [float("inf")] * 2 if counted == ITEMS else [float(ends.max()), _implied_at(differences[:counted], ends)]
        )
        spent = [
            sum(float(np.clip(stop - begin, 0, length).sum()) for begin, length in zip(begins, arms, strict=True))
            for stop in stops
        ]
        saved += [1 - counted / ITEMS, *(1 - one / total for one in spent)]
    return TokensSaved(*(float(one) for one in saved / runs))


def _implied_at(differences: Floats, ends: Floats) -> float:
    """When ``implied`` first decides, by bisection over the items in the order in which they finish."""
    order = np.sort(ends)
    low, high = 0, len(order) - 1
    while low < high:
        middle = (low + high) // 2
        known = np.where(ends <= order[middle], differences, np.nan)
        low, high = (low, middle) if implied(RULE, start(RULE), known) else (middle + 1, high)
    return float(order[low])


def began(lengths: Floats, slots: int) -> Floats:
    """When each answer starts, in dispatch order, one token a second in each slot."""
    free = [0.0] * slots
    began = np.empty(len(lengths))
    for place, length in enumerate(lengths.tolist()):
        began[place] = heapq.heappop(free)
        heapq.heappush(free, began[place] + length)
    return began


@dataclass(frozen=True, slots=True)
class RealRun:
    """What a run against two servers decided and did not ask; shares of one arm's items and tokens."""

    call: str
    counted: int
    """Items that the decision rests on."""
    items_saved: tuple[float, float]
    """Baseline, candidate: never asked, what was in flight when it was decided included."""
    tokens_saved: tuple[float, float]


def real_run(folder: Path, items: int, flips: float, margin: float, seed: int = 1) -> RealRun:
    """Two models of equal strength whose answers differ on a share ``flips`` of the items, asked over HTTP until
    decided; lognormal lengths (sigma 1). ``margin``: a fraction.
    """
    from evalsuite.cli.run import run
    from evalsuite.config.settings import Engine, Gate, Margin
    from evalsuite.store.manifest import read_manifest
    from tests.support.scripted_endpoint import Answer, scripted_endpoint
    from tests.support.toy import right, settings

    rng = np.random.default_rng(seed)
    draws, lengths = rng.random(items), rng.lognormal(3.0, 1.0, (2, items)).astype(int)

    def arm(number: int, low: float) -> Callable[[str], Answer]:
        def answer(prompt: str) -> Answer:
            place = int(prompt.split(" ")[0])
            wrong = low <= draws[place] < low + flips / 2
            return Answer("-1" if wrong else right(prompt), reasoning="so " * lengths[number, place])

        return answer

    with scripted_endpoint(arm(0, 0.0), model="a") as one, scripted_endpoint(arm(1, 0.5), model="b") as two:
        engine = Engine(probe=False, stop="sequential")
        gate = Gate({"additions": Margin(100 * margin, "the figure", "measured")})
        models = (("base", one.base_url), ("same", two.base_url))
        task = {"options": {"count": items}}
        asked = settings(folder, *models, task=task, engine=engine, gate=gate, baseline="base", report=False)
        run(asked)
        sent = [{int(one.prompt.split(" ")[0]) for one in server.requests} for server in (one, two)]
    decision = read_manifest(folder / "r" / "same" / "additions")["sequential"]["decision"]
    spent = [float(lengths[number][list(places)].sum() / lengths[number].sum()) for number, places in enumerate(sent)]
    return RealRun(
        decision["call"],
        decision["items"],
        (1 - len(sent[0]) / items, 1 - len(sent[1]) / items),
        (1 - spent[0], 1 - spent[1]),
    )


def real_line(folder: Path, items: int = ITEMS) -> Line:
    """The page's row of a real run."""
    found = real_run(folder, items, 0.04, MARGIN)
    saved, tokens = (
        " and ".join(f"{100 * one:.0f} %" for one in pair) for pair in (found.items_saved, found.tokens_saved)
    )
    return Line(
        f"a real run: {items:,} questions to two servers, 4 % flips, no true difference, margin 1, 32 slots an arm",
        "stated",
        f"{found.call} on {found.counted:,} items; saved in the arms: {saved} of the items, {tokens} of the tokens",
    )


def sequential_lines(count: int = 10_000, runs: int = 200) -> list[Line]:
    """The page's rows."""
    asked = {0.04: "saved at least 50 %", 0.08: "saved at least 38 %", 0.15: "stated"}
    lines = []
    for flips in FLIPS:
        for delta in DELTAS:
            found = measure(flips, delta, count)
            wanted = "stated"
            if delta == 0:
                wanted = f"{asked[flips]}; under 2 points of passes lost"
            elif delta == -MARGIN:
                wanted = (
                    f"wrong passes and wrong fails at most 5 % (Monte Carlo error {100 * sqrt(0.0475 / count):.2f})"
                )
            lines.append(
                Line(
                    f"MMLU-Pro, margin 1, {100 * flips:g} % flips, true delta {100 * delta:g}",
                    wanted,
                    f"passes {100 * found.passes:.1f} % (full size: {100 * found.fixed_passes:.1f}), "
                    f"fails {100 * found.fails:.1f} %, items saved {100 * found.saved:.0f} %",
                )
            )
    for flips in FLIPS:
        tokens = tokens_saved(flips, runs)
        lines.append(
            Line(
                f"{100 * flips:g} % flips, identical models, lognormal lengths (p99 = 10 medians), 256 slots an arm",
                "stated",
                f"{100 * tokens.items_saved:.0f} % of items; tokens: {100 * tokens.waited:.0f} % where whole blocks "
                f"are waited for, {100 * tokens.implied:.0f} % where the run stops as soon as the rest cannot matter",
            )
        )
    return lines
