"""Simulated suites: what two models' answers would look like, and what every method makes of them.

Item chances are Beta with mean mu and within-item share phi; "moved" items shift by tau up or down without moving the
mean; a true loss scales every chance. The arrays hold one entry (or row) per simulated suite.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from evalsuite.stats.decision import Tier
from evalsuite.stats.delta import FEW_ITEMS, Delta, effective_sources, paired_delta, sources_resolution
from evalsuite.stats.design import Design
from evalsuite.stats.intervals import Codes, Floats
from evalsuite.stats.power import widened

STEPS = np.repeat([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12], [9, 9, 14, 17, 12, 7, 5, 3, 2, 1, 1])
"""Scored steps of SciCode's 80 problems: 338 in all, as unequal as 62 equal ones (the split is assumed)."""
SETS = np.sort(np.arange(100) % 30)
"""AA-LCR's sets of documents."""
ALPHA = 0.045
"""One-sided, of the bounds: as in conf/gate/release.yaml."""
CHUNK = 400_000


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark as `suite=release` runs it."""

    task: str
    n: int
    score: float
    phi: float
    margin: float
    repeats: int
    answers: float
    units: float
    tier: Tier = "critical"

    def design(self, tau: float) -> Design:
        """As `plan` sees it."""
        sources = self.units if self.clusters is not None else None
        few = self.n < FEW_ITEMS and sources is None and self.weights is None
        return Design(self.answers, self.units, self.score, self.phi, tau, self.repeats, self.repeats, sources, few)

    @property
    def weights(self) -> Floats | None:
        return STEPS.astype(np.float64) if self.task == "scicode" else None

    @property
    def clusters(self) -> Codes | None:
        return SETS if self.task == "aa_lcr" else None


BENCHES = (
    Bench("mmlu_pro", 12032, 0.878, 0.4, 0.01, 1, 12032, 12032),
    Bench("gsm8k", 1319, 0.96, 0.4, 0.01, 6, 1319, 1319),
    Bench("mmmu_pro", 1730, 0.787, 0.4, 0.02, 4, 1730, 1730),
    Bench("gpqa_diamond", 198, 0.872, 0.4, 0.02, 24, 198, 198),
    Bench("ifbench", 300, 0.761, 0.4, 0.03, 10, 300, 300),
    Bench("scicode", 80, 0.467, 0.4, 0.03, 24, 170, 62),
    Bench("aa_lcr", 100, 0.688, 0.4, 0.03, 16, 100, 30, "supporting"),
    Bench("tau2_telecom", 114, 0.954, 0.97, 0.03, 20, 114, 114),
)
"""Scores, phi and tau as in the benchmarks' cards; repeats, margins and tiers as in conf/suite and conf/gate."""
DAY0 = (
    Bench("livecodebench", 454, 0.75, 0.4, 0.03, 8, 454, 454),
    Bench("aime", 30, 0.9, 0.5, 0.04, 64, 30, 30),
)
"""What only ``suite=day0`` asks, likewise."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of one method on many simulated comparisons; one entry each."""

    delta: Floats
    stderr: Floats
    lower: Floats
    upper: Floats
    p_loss: Floats
    p_value: Floats
    resolution: float = 0.0
    """The same in all of them: of the number of sources."""

    def as_delta(self, place: int, n: int) -> Delta:
        """One of them as the real code returns it, as far as a verdict needs it."""
        ends = float(self.lower[place]), float(self.upper[place])
        p_value, p_loss = float(self.p_value[place]), float(self.p_loss[place])
        return Delta(
            n,
            float(self.delta[place]),
            float(self.stderr[place]),
            None,
            None,
            p_value,
            "",
            ends,
            p_loss,
            self.resolution,
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """Simulated comparisons of one benchmark: by evalsuite's method, and by the others on the same answers."""

    ours: Measured
    pooled: Measured
    """McNemar on repeats as if they were items."""
    unpaired: Measured
    """Two independent proportions of n x k answers."""
    checked: int
    """Comparisons in which the real ``paired_delta`` gave the same numbers."""


def simulate(bench: Bench, delta: float, tau: float, count: int, seed: int, check: int = 5) -> Drawn:
    """``count`` comparisons with a true difference ``delta``; the first ``check`` are compared with the real code."""
    rng = np.random.default_rng([seed, round(-delta * 1e4), round(tau * 1e4), bench.n])
    if bench.repeats == 1:
        return _single(bench, delta, count, rng, check)
    size = max(1, CHUNK // (bench.n * (24 * 5 if bench.task == "scicode" else 1)))
    drawn = -(-count // 4) if bench.n < FEW_ITEMS else count  # each through the bootstrap; then taken four times
    parts = [
        _chunk(bench, delta, tau, min(size, drawn - at), rng, check if not at else 0) for at in range(0, drawn, size)
    ]
    return Drawn(
        _joined([part.ours for part in parts], count),
        _joined([part.pooled for part in parts], count),
        _joined([part.unpaired for part in parts], count),
        sum(part.checked for part in parts),
    )


def _single(bench: Bench, delta: float, count: int, rng: np.random.Generator, check: int) -> Drawn:
    """One answer an item: losses and gains are multinomial, because items are drawn independently."""
    both = (1 + delta / bench.score) * (bench.score**2 + (1 - bench.phi) * bench.score * (1 - bench.score))
    chances = [bench.score - both, bench.score + delta - both, both, 1 - 2 * bench.score - delta + both]
    lost, gained, right, _ = rng.multinomial(bench.n, chances, count).T
    ours = from_counts(lost, gained, bench.n)
    for place in range(check):
        base, cand = np.zeros(bench.n), np.zeros(bench.n)
        base[: right[place] + lost[place]] = 1
        cand[: right[place]] = 1
        cand[bench.n - gained[place] :] = 1
        _same(paired_delta(base, cand, single=True, alpha=ALPHA), ours, place)
    unpaired = _unpaired((lost + right) / bench.n, (gained + right) / bench.n, bench.n)
    return Drawn(ours, ours, unpaired, check)


def _chunk(bench: Bench, delta: float, tau: float, count: int, rng: np.random.Generator, check: int) -> Drawn:
    steps = bench.task == "scicode"
    questions = int(STEPS.sum()) if steps else bench.n
    chance, moved = chances(bench, tau, count, questions, rng)
    moved = moved * (1 + delta / bench.score)
    if steps:
        base, cand = (_attempts(bench, p, rng) for p in (chance, moved))
        trials = float(questions * bench.repeats)
        right = [np.average(arm, axis=1, weights=STEPS) for arm in (base, cand)]
        lost = gained = None
    else:
        counts = [rng.binomial(bench.repeats, p) for p in (chance, moved)]
        base, cand = (one / bench.repeats for one in counts)
        trials = float(bench.n * bench.repeats)
        right = [base.mean(axis=1), cand.mean(axis=1)]
        lost = rng.hypergeometric(counts[0], bench.repeats - counts[0], bench.repeats - counts[1]).sum(axis=1)
        gained = lost + counts[1].sum(axis=1) - counts[0].sum(axis=1)
    ours = by_t(cand - base, bench.weights, bench.clusters, base, cand)
    for place in range(check):
        real = paired_delta(
            base[place], cand[place], single=False, weights=bench.weights, clusters=bench.clusters, alpha=ALPHA
        )
        _same(real, ours, place)
    unpaired = _unpaired(right[0], right[1], trials)
    pooled = unpaired if lost is None or gained is None else from_counts(lost, gained, int(trials))
    return Drawn(ours, pooled, unpaired, check)


def chances(bench: Bench, tau: float, count: int, questions: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Chances of both arms, (suites, questions), before any loss."""
    spread = (1 - bench.phi) * bench.score * (1 - bench.score)
    room = (bench.score - tau) * (1 - tau - bench.score)
    inside = tau if room > spread * 1.05 else 0.0  # chances in [tau, 1 - tau], so that each can move by tau
    mean, width = (bench.score - inside) / (1 - 2 * inside), spread / (1 - 2 * inside) ** 2
    total = mean * (1 - mean) / width - 1
    chance = inside + (1 - 2 * inside) * rng.beta(mean * total, (1 - mean) * total, (count, questions))
    if tau == 0:
        return chance, chance
    groups = np.repeat(np.arange(len(STEPS)), STEPS) if bench.task == "scicode" else bench.clusters
    codes = np.arange(questions) if groups is None else groups
    sign = rng.choice([-1.0, 1.0], (count, int(codes.max()) + 1))[:, codes]
    reach = np.minimum(chance, 1 - chance)
    return chance, chance + sign * (tau if inside else reach * min(1.0, tau / _reach(bench)))


@cache
def _reach(bench: Bench) -> float:
    """Root mean square of the largest move that keeps each chance in [0, 1] either way."""
    total = bench.phi / (1 - bench.phi)
    chance = np.random.default_rng(1).beta(bench.score * total, (1 - bench.score) * total, 400_000)
    return float(np.sqrt((np.minimum(chance, 1 - chance) ** 2).mean()))


def _attempts(bench: Bench, chance: Floats, rng: np.random.Generator) -> Floats:
    """Mean over repeats of each problem's share of steps; the steps of one attempt hang together."""
    problem = np.repeat(np.arange(len(STEPS)), STEPS)
    shape = (len(chance), bench.repeats)
    together = rng.random((*shape, len(STEPS))) < _together(bench)
    luck = np.where(
        together[:, :, problem], rng.random((*shape, len(STEPS)))[:, :, problem], rng.random((*shape, len(problem)))
    )
    right = (luck < chance[:, None, :]).mean(axis=1)
    starts = np.concatenate(([0], np.cumsum(STEPS)[:-1]))
    return np.asarray(np.add.reduceat(right, starts, axis=1) / STEPS, dtype=np.float64)


@cache
def _together(bench: Bench) -> float:
    """Share of attempts whose steps share their luck, such that the steps are worth ``bench.answers``."""
    total = bench.phi / (1 - bench.phi)
    one, other = np.random.default_rng(2).beta(bench.score * total, (1 - bench.score) * total, (2, 400_000))
    covariance = float((np.minimum(one, other) - one * other).mean())
    pairs = float((STEPS**2).sum() / STEPS.sum() - 1)
    within = bench.phi * bench.score * (1 - bench.score)
    return (STEPS.sum() / bench.answers - 1) * within / covariance / pairs


def by_t(difference: Floats, weights: Floats | None, clusters: Codes | None, base: Floats, cand: Floats) -> Measured:
    """``paired_delta`` for repeats on rows of item differences; the real function takes skewed rows and few items."""
    weight = np.ones(difference.shape[1]) if weights is None else weights
    mean = difference @ weight / weight.sum()
    parts = (difference - mean[:, None]) * weight
    if clusters is not None:
        parts = np.stack([parts[:, clusters == code].sum(axis=1) for code in np.unique(clusters)], axis=1)
    units = parts.shape[1]
    stderr = np.sqrt(units / (units - 1) * (parts**2).sum(axis=1)) / weight.sum()
    half = stats.t.isf(ALPHA, units - 1) * stderr
    loss = stats.t.cdf(mean / stderr, units - 1)
    resolution = 0.0
    lower, upper = mean - half, mean + half
    if clusters is not None:
        resolution = sources_resolution(effective_sources(None, clusters), ALPHA)
        lower, upper = widened(mean, lower, upper, resolution)
    elif weights is None:
        z = float(stats.t.isf(ALPHA, units - 1))
        shift = stderr * stats.skew(difference, axis=1) * (2 * z * z + 1) / (6 * np.sqrt(units))
        lower, upper = lower + np.minimum(shift, 0), upper + np.maximum(shift, 0)
    found = [mean, stderr, lower, upper, loss, 2 * np.minimum(loss, 1 - loss)]
    if clusters is None:
        for place in np.flatnonzero(
            (len(weight) < FEW_ITEMS) | (len(weight) <= 25 * stats.skew(difference, axis=1) ** 2)
        ):
            real = paired_delta(base[place], cand[place], single=False, weights=weights, alpha=ALPHA)
            ends = real.one_sided or (np.nan, np.nan)
            numbers = (real.delta, real.stderr or np.nan, *ends, real.p_loss, real.p_value)
            for array, number in zip(found, numbers, strict=True):
                array[place] = number
    return Measured(*found, resolution)


def from_counts(lost: Codes, gained: Codes, n: int) -> Measured:
    """Tango's bounds and the exact McNemar test on rows of counts, as ``paired_delta`` for single answers."""
    delta = (gained - lost) / n
    stderr = np.sqrt(np.maximum((lost + gained) / n - delta**2, 0) / (n - 1))
    z = float(stats.norm.isf(ALPHA))
    lower, upper = _tango(lost, gained, n, -1.0, z), _tango(lost, gained, n, 1.0, -z)
    half = stats.binom(lost + gained, 0.5)
    p_value = np.minimum(1.0, 2 * half.cdf(np.minimum(lost, gained)))
    return Measured(delta, stderr, lower, upper, half.cdf(gained), p_value)


def _tango(lost: Codes, gained: Codes, n: int, far: float, target: float) -> Floats:
    """Where the score statistic equals ``target``, by bisection between ``far`` and the estimate."""
    outer, inner = np.full(len(lost), far), (gained - lost) / n
    for _ in range(50):
        shift = (outer + inner) / 2
        b = (2 * n - gained + lost) * shift - gained - lost
        q = (np.sqrt(np.maximum(b * b + 8 * n * lost * shift * (1 - shift), 0)) - b) / (4 * n)
        spread = np.sqrt(np.maximum(n * (2 * q + shift * (1 - shift)), 1e-300))
        beyond = (gained - lost - n * shift) / spread * np.sign(target) > abs(target)
        outer, inner = np.where(beyond, shift, outer), np.where(beyond, inner, shift)
    return (outer + inner) / 2


def _unpaired(before: Floats, after: Floats, trials: float) -> Measured:
    delta = after - before
    stderr = np.sqrt((before * (1 - before) + after * (1 - after)) / trials)
    half = float(stats.norm.isf(ALPHA)) * stderr
    loss = stats.norm.cdf(delta / stderr)
    return Measured(delta, stderr, delta - half, delta + half, loss, 2 * np.minimum(loss, 1 - loss))


def _same(real: Delta, ours: Measured, place: int) -> None:
    """The vectorised numbers are the real function's; a skewed t bound that reaches 0 raises its p value to 2 alpha."""
    assert real.one_sided is not None
    wanted = (real.delta, real.stderr, *real.one_sided)
    arrays = (ours.delta, ours.stderr, ours.lower, ours.upper)
    assert np.allclose([array[place] for array in arrays], np.array(wanted, dtype=float), rtol=1e-6, atol=1e-9), real
    room = 0.03 if real.method == "paired t on item means" else 1e-6
    p_values = [ours.p_loss[place], ours.p_value[place]]
    assert np.allclose(p_values, np.array([real.p_loss, real.p_value], dtype=float), atol=room), real


def _joined(parts: list[Measured], count: int) -> Measured:
    names = ("delta", "stderr", "lower", "upper", "p_loss", "p_value")
    arrays = (np.resize(np.concatenate([getattr(part, name) for part in parts]), count) for name in names)
    return Measured(*arrays, parts[0].resolution)
