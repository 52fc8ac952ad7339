"""Are verdicts calibrated: simulated suites of the eight benchmarks through the real decision code.

``release_lines`` is the figure; the tests call ``release`` small. Seeds are fixed; errors are those of Monte Carlo.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from scipy import stats

from evalsuite.stats.decision import Calls, decide_arrays, decide_release, evidence, release_arrays
from evalsuite.stats.delta import mean_delta
from evalsuite.stats.intervals import sign_flip
from evalsuite.stats.paired import mcnemar
from evalsuite.stats.power import PlannedBenchmark as Planned
from evalsuite.stats.power import chance_to_pass, release_chances
from figures.line import Line
from figures.simulate import ALPHA, BENCHES, Bench, Drawn, Measured, simulate

SUITE_MARGIN = 0.01
TAUS = (0.0, 0.05)
STEPS = (0.0, -0.5, -1.0, -2.0)
"""True deltas in margins."""
METHODS: Mapping[str, Callable[[Drawn], Measured]] = {
    "evalsuite": lambda drawn: drawn.ours,
    "unpaired z on all answers": lambda drawn: drawn.unpaired,
    "McNemar on pooled repeats": lambda drawn: drawn.pooled,
    "95 % interval inside the margin": lambda drawn: _two_sided(drawn.ours),
}
"""How each makes bounds and p values of the same answers; the last has no test beside its interval."""
INSIDE = "95 % interval inside the margin"


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of simulated suites."""

    passes: float
    fails: float

    @property
    def undecided(self) -> float:
        return 1 - self.passes - self.fails

    def __str__(self) -> str:
        return f"{100 * self.passes:.1f} / {100 * self.fails:.1f} / {abs(100 * self.undecided):.1f}"


@dataclass(frozen=True, slots=True)
class Released:
    """What one method makes of the suites."""

    any_fail: float
    """Identical on the mean: a benchmark that counts (or the suite mean) fails."""
    identical: Shares
    """Of releases."""
    each: Mapping[str, Mapping[float, Shares]]
    """Benchmark -> its true delta in margins -> verdicts, all others identical."""
    at_margin: Mapping[str, Shares]
    """Benchmark -> releases in which it alone lost exactly its margin."""
    all_at_margin: Shares
    """Releases in which every benchmark lost exactly its margin."""
    type_one: Mapping[str, float]
    """Benchmark -> share of two-sided p values below 0.05 without a change."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """All methods at one tau."""

    tau: float
    count: int
    methods: Mapping[str, Released]
    planned: Mapping[str, float]
    """Benchmark -> the chance to pass that `plan` prints for identical means."""
    planned_release: float
    big_loss: float
    """Share of suites in which MMLU-Pro, 3 points down, fails."""

    @property
    def error(self) -> float:
        """Monte Carlo standard error of a share of 5 %."""
        return sqrt(0.05 * 0.95 / self.count)


def release(tau: float, count: int, seed: int = 20261120) -> Calibration:
    """Simulate ``count`` suites at every true delta and judge them by every method."""
    drawn = {
        bench.task: {step: simulate(bench, step * bench.margin, tau, count, seed) for step in STEPS}
        for bench in BENCHES
    }
    _check_real_code(drawn)
    mmlu = BENCHES[0]
    lost = {**{task: ours[0.0].ours for task, ours in drawn.items()}}
    lost[mmlu.task] = simulate(mmlu, -0.03, tau, count, seed).ours
    planned = [Planned(bench.task, bench.design(tau), bench.margin, bench.tier) for bench in BENCHES]
    return Calibration(
        tau,
        count,
        {name: _released(drawn, name) for name in METHODS},
        {bench.task: chance_to_pass(bench.design(tau), bench.margin, alpha=ALPHA) for bench in BENCHES},
        release_chances(planned, suite_margin=SUITE_MARGIN, alpha=ALPHA).release.passes,
        float((suite_calls(lost, "evalsuite")[:, 0] == -1).mean()),
    )


def _released(drawn: Mapping[str, Mapping[float, Drawn]], method: str) -> Released:
    arrays = {task: {step: METHODS[method](one) for step, one in steps.items()} for task, steps in drawn.items()}
    same = {task: steps[0.0] for task, steps in arrays.items()}
    calls = suite_calls(same, method)
    counted = [bench.tier != "advisory" for bench in BENCHES] + [True]
    each, alone = {}, {}
    for place, bench in enumerate(BENCHES):
        moved = {step: suite_calls({**same, bench.task: arrays[bench.task][step]}, method) for step in STEPS}
        each[bench.task] = {step: _shares(found[:, place]) for step, found in moved.items()}
        alone[bench.task] = _release_shares(moved[-1.0])
    return Released(
        float((calls[:, counted] == -1).any(axis=1).mean()),
        _release_shares(calls),
        each,
        alone,
        _release_shares(suite_calls({task: steps[-1.0] for task, steps in arrays.items()}, method)),
        {task: float((one.p_value < 0.05).mean()) for task, one in same.items()},
    )


def suite_calls(
    found: Mapping[str, Measured],
    method: str = "evalsuite",
    benches: Sequence[Bench] = BENCHES,
    suite_margin: float = SUITE_MARGIN,
) -> Calls:
    """Verdicts of every suite, the suite mean in the last column."""
    rows = [found[bench.task] for bench in benches]
    critical = [place for place, bench in enumerate(benches) if bench.tier == "critical"]
    mean = np.mean([rows[place].delta for place in critical], axis=0)
    spread = np.sqrt(np.sum([rows[place].stderr ** 2 for place in critical], axis=0)) / len(critical)
    half = stats.norm.isf(0.025 if method == INSIDE else ALPHA) * spread
    loss = stats.norm.cdf(mean / spread)
    columns = [[one.delta, one.lower, one.upper, one.p_loss] for one in rows]
    columns.append([mean, mean - half, mean + half, np.ones_like(loss) if method == INSIDE else loss])
    delta, lower, upper, p_loss = (np.column_stack(part) for part in zip(*columns, strict=True))
    margins = np.array([*(bench.margin for bench in benches), suite_margin])
    resolutions = np.array([*(one.resolution for one in rows), 0.0])
    return decide_arrays(delta, (lower, upper), p_loss, margins, ALPHA, resolutions)


def _release_shares(calls: Calls) -> Shares:
    return _shares(release_arrays(calls, [*(bench.tier for bench in BENCHES), "critical"]))


def _shares(calls: Calls) -> Shares:
    return Shares(float((calls == 1).mean()), float((calls == -1).mean()))


def _two_sided(found: Measured) -> Measured:
    """Bounds of the two-sided 95 % interval, and no test."""
    wider = float(stats.norm.isf(0.025) / stats.norm.isf(ALPHA))
    return replace(
        found,
        lower=found.delta + wider * (found.lower - found.delta),
        upper=found.delta + wider * (found.upper - found.delta),
        p_loss=np.ones_like(found.p_loss),
    )


def _check_real_code(drawn: Mapping[str, Mapping[float, Drawn]], count: int = 40) -> None:
    """The vectorised verdicts are those of ``decide_release`` on single suites."""
    for step in STEPS:
        arrays = {task: steps[step].ours for task, steps in drawn.items()}
        calls = suite_calls(arrays, "evalsuite")
        codes = {"pass": 1, "fail": -1, "undecided": 0}
        for place in range(min(count, len(calls))):
            changes = {bench.task: arrays[bench.task].as_delta(place, bench.n) for bench in BENCHES}
            found = [evidence(bench.task, changes[bench.task], bench.margin, bench.tier) for bench in BENCHES]
            critical = [changes[bench.task] for bench in BENCHES if bench.tier == "critical"]
            mean = mean_delta(critical, alpha=ALPHA)
            real = decide_release(found, evidence("suite mean", mean, SUITE_MARGIN), ALPHA)
            assert real.suite_mean is not None
            assert [codes[one.call] for one in (*real.parts, real.suite_mean)] == list(calls[place])


def exact_tests(count: int, seed: int = 7) -> dict[str, float]:
    """Share of p < 0.05 without a change: McNemar on 198 and 1,319 single answers, sign-flip on 12 items x 4."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, n, flips in (("exact McNemar, 198 items", 198, 0.09), ("exact McNemar, 1,319 items", 1319, 0.03)):
        lost, gained, _ = rng.multinomial(n, (flips / 2, flips / 2, 1 - flips), count).T
        known = {pair: mcnemar(*pair).p_exact for pair in set(zip(lost.tolist(), gained.tolist(), strict=True))}
        found[name] = float(np.mean([known[pair] < 0.05 for pair in zip(lost.tolist(), gained.tolist(), strict=True)]))
    few = min(count, 2_000)  # each enumerates up to 4,096 sign patterns
    chance = rng.beta(2.0, 0.8, (few, 12))
    base, cand = (rng.binomial(4, chance) / 4 for _ in range(2))
    found[f"exact sign-flip, 12 items x 4 ({few:,} runs)"] = float(
        np.mean([sign_flip(row) < 0.05 for row in cand - base])
    )
    return found


def release_lines(count: int = 20_000) -> list[Line]:
    """The page's rows."""
    lines = []
    for tau in TAUS:
        found = release(tau, count)
        lines += _identical_lines(found) + _table_lines(found) + _others_lines(found)
    error = 3 * sqrt(0.05 * 0.95 / count)
    lines += [
        Line(f"{name}: p < 0.05 without a change", f"at most {100 * (0.05 + error):.1f} %", f"{100 * share:.2f} %")
        for name, share in exact_tests(count).items()
    ]
    return lines


def _identical_lines(found: Calibration) -> list[Line]:
    ours, where = found.methods["evalsuite"], f"tau {100 * found.tau:g} pt"
    off = {task: abs(ours.each[task][0.0].passes - chance) for task, chance in found.planned.items()}
    worst = max(off, key=lambda task: off[task])
    at = {bench.task: ours.each[bench.task][-1.0].passes for bench in BENCHES}
    critical = {bench.task: ours.at_margin[bench.task].passes for bench in BENCHES if bench.tier == "critical"}
    lossy, risky = max(at, key=lambda task: at[task]), max(critical, key=lambda task: critical[task])
    t_tests = [share for task, share in ours.type_one.items() if task != "mmlu_pro"]
    error = f"(Monte Carlo error {100 * found.error:.2f})"
    return [
        Line(
            f"identical means, {where}, {found.count:,} suites: any benchmark fails",
            "at most 5 %",
            f"{100 * ours.any_fail:.2f} % {error}",
        ),
        Line(
            f"the release passes, {where}",
            "at least 80 %",
            f"{100 * ours.identical.passes:.1f} % (planned: {100 * found.planned_release:.1f} %)",
        ),
        Line(
            f"benchmark whose passing is farthest from the chance planned, {where}",
            "within 2 points",
            f"{worst}: {100 * ours.each[worst][0.0].passes:.1f} against {100 * found.planned[worst]:.1f} %",
        ),
        Line(
            f"true delta exactly -m, {where}: most frequent pass of a benchmark",
            "at most 5 %",
            f"{lossy}: {100 * at[lossy]:.2f} % {error}",
        ),
        Line(
            f"the release passes although one critical benchmark lost exactly m, most frequent, {where}",
            "at most 5 %",
            f"{risky}: {100 * critical[risky]:.2f} %; all at -m: {100 * ours.all_at_margin.passes:.2f} %",
        ),
        Line(f"MMLU-Pro 3 points down fails, {where}", "over 99 %", f"{100 * found.big_loss:.2f} %"),
        Line(
            f"t tests: p < 0.05 without a change, seven benchmarks, {where}",
            "3.5 to 6.5 %",
            f"{100 * min(t_tests):.2f} to {100 * max(t_tests):.2f} %",
        ),
    ]


def _table_lines(found: Calibration) -> list[Line]:
    ours = found.methods["evalsuite"]
    return [
        Line(
            f"{_named(bench)}, tau {100 * found.tau:g}: pass / fail / undecided at 0, -m/2, -m, -2m",
            "stated",
            "; ".join(str(ours.each[bench.task][step]) for step in STEPS),
        )
        for bench in BENCHES
    ]


def _others_lines(found: Calibration) -> list[Line]:
    """The same suites through other methods."""
    lines = []
    for name, one in found.methods.items():
        if name == "evalsuite":
            continue
        where = f"{name}, tau {100 * found.tau:g}"
        low = [f"{bench.task} {100 * one.each[bench.task][0.0].passes:.0f}" for bench in BENCHES]
        at = [f"{bench.task} {100 * one.each[bench.task][-1.0].passes:.1f}" for bench in BENCHES]
        half = [f"{bench.task} {100 * one.each[bench.task][-2.0].fails:.0f}" for bench in BENCHES]
        lines += [
            Line(
                f"{where}: identical suites with a fail, releases passed",
                "beside ours",
                f"{100 * one.any_fail:.2f} %, {100 * one.identical.passes:.1f} %",
            ),
            Line(f"{where}: passes without a loss, %", "beside ours", ", ".join(low)),
            Line(f"{where}: passes at exactly -m, %", "beside ours", ", ".join(at)),
            Line(f"{where}: fails at -2m, %", "beside ours", ", ".join(half)),
        ]
    return lines


def _named(bench: Bench) -> str:
    return f"{bench.task} ({bench.n:,} x {bench.repeats}, margin {100 * bench.margin:g}, {bench.tier})"
