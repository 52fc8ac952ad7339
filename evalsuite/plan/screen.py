"""Prices a screen of many candidates: few items for all of them, then the whole suite for the best few.

The screen's answers are kept: items and repeats extend a cell, so that the survivors are asked only what is left. The
best candidate is assumed to lead all others, which are equal, on the mean over the benchmarks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from evalsuite.plan.build import Plan
from evalsuite.plan.cost import ModelCost
from evalsuite.plan.decisions import TaskChance
from evalsuite.stats.selection import chance_best_dropped

FEWEST = 3
"""Candidates of one baseline from which on a screen is priced."""
LIMITS = (25, 50, 100, 200, 400)
"""Items of each benchmark that a screen may ask, once each."""
LEADS = (0.01, 0.02)
"""Leads of the best candidate over all others, fractions."""
ACCEPTED_RISK = 0.05
"""Chance to drop a candidate that leads by the larger of ``LEADS`` up to which a screen is recommended."""


@dataclass(frozen=True, slots=True)
class Price:
    """Cost of all candidates together."""

    tokens: float
    """Generated tokens."""
    hours: float | None
    """Hours of all endpoints; None without a rate."""
    gpu_hours: float | None
    """Hours times devices; None without a rate, or where a model's devices are unknown."""


@dataclass(frozen=True, slots=True)
class ScreenOption:
    """One size of a screen."""

    limit: int
    """Items of each benchmark, asked once."""
    screen: Price
    """All candidates on the screen."""
    total: Price
    """The screen, and what the suite asks beyond it of the candidates that are kept."""
    dropped: Mapping[float, float]
    """Lead of the best candidate -> chance that it is not among those kept; fractions."""


@dataclass(frozen=True, slots=True)
class Screen:
    """The screens of the candidates of one baseline."""

    baseline: str
    """Key of the baseline; empty without one."""
    candidates: tuple[str, ...]
    """Keys of the candidates."""
    kept: int
    """Candidates that are asked the whole suite."""
    options: tuple[ScreenOption, ...]
    """The sizes, the smallest first."""
    whole: Price
    """The whole suite for all candidates."""

    @property
    def recommended(self) -> ScreenOption | None:
        """The smallest screen that drops a candidate leading by 2 points in at most 5 % of cases and, together with the
        rest of the suite for the candidates that are kept, needs fewer tokens than the whole suite for all; None if
        there is no such.
        """
        cheaper = (option for option in self.options if option.total.tokens < self.whole.tokens)
        return next((option for option in cheaper if option.dropped[LEADS[-1]] <= ACCEPTED_RISK), None)


def screens(plan: Plan) -> tuple[Screen, ...]:
    """Price screens of several sizes for every baseline of a plan, in order, that has at least ``FEWEST`` (3)
    candidates; empty without any. Models of which none declares a baseline are the candidates of one, ``""``.

    Where some candidates of a baseline think and others do not, only those with the first one's switch are counted.
    """
    costs, devices = {cost.model: cost for cost in plan.costs}, _devices(plan)
    found = []
    for baseline in dict.fromkeys(chance.baseline for chance in plan.chances):
        group = next(chance.candidates for chance in plan.chances if chance.baseline == baseline)
        chances = [chance for chance in plan.chances if (chance.baseline, chance.candidates) == (baseline, group)]
        candidates = tuple(name for name in group if name in costs)
        if len(candidates) >= FEWEST:
            found.append(_screen(baseline, [costs[name] for name in candidates], chances, devices))
    return tuple(found)


def _devices(plan: Plan) -> dict[str, int]:
    """Return name of a model, judge or simulator -> devices of its server on the chosen machine, for those that are
    placed there; empty without a machine.
    """
    servers = [server for step in plan.placement.steps for server in step.servers] if plan.placement else []
    return {name: server.devices for server in servers for name in server.names if server.devices is not None}


def _screen(
    baseline: str, costs: Sequence[ModelCost], chances: Sequence[TaskChance], devices: Mapping[str, int]
) -> Screen:
    kept = max(2, ceil(len(costs) / 4))
    whole, options = _price(costs, devices, {}), []
    for limit in LIMITS:
        shares = {chance.facts.name: min(1.0, limit / chance.facts.items) for chance in chances}
        asked = {chance.facts.name: shares[chance.facts.name] / chance.facts.repeats for chance in chances}
        error = sqrt(sum(_variance(chance, shares[chance.facts.name]) for chance in chances)) / len(chances)
        dropped = {lead: chance_best_dropped(error, lead, len(costs), kept) for lead in LEADS}
        screen = _price(costs, devices, asked)
        total = _followed(screen, whole, kept / len(costs))
        options.append(ScreenOption(limit, screen, total, dropped))
        if min(shares.values()) == 1:
            break  # every item is asked
    return Screen(baseline, tuple(cost.model for cost in costs), kept, tuple(options), whole)


def _followed(screen: Price, whole: Price, share: float) -> Price:
    """Return the cost of a screen of all candidates plus the rest of the suite for the fraction ``share`` of them;
    ``whole``: the suite for all. Hours are None where unknown.
    """
    hours, gpu_hours = (
        None if part is None or full is None else part + share * (full - part)
        for part, full in ((screen.hours, whole.hours), (screen.gpu_hours, whole.gpu_hours))
    )
    return Price(screen.tokens + share * (whole.tokens - screen.tokens), hours, gpu_hours)


def _variance(chance: TaskChance, share: float) -> float:
    """Return the variance (a fraction squared) of a candidate's own score on a ``share`` of the items, each asked once,
    without the random variation that all candidates share.
    """
    design = chance.design
    return (design.tau**2 / design.units + design.within / design.answers) / share


def _price(costs: Sequence[ModelCost], devices: Mapping[str, int], shares: Mapping[str, float]) -> Price:
    """Return the cost of all models together; ``shares``: task -> fraction of its attempts, whole tasks without one.
    Hours are None without a rate, GPU-hours also when a model is not in ``devices`` (model -> number).
    """
    parts = [(cost.model, task, shares.get(task.task, 1.0)) for cost in costs for task in cost.tasks]
    tokens = sum(task.completion * share for _, task, share in parts)
    if any(task.seconds is None for _, task, _ in parts):
        return Price(tokens, None, None)
    hours = [(model, (task.seconds or 0.0) * share / 3600) for model, task, share in parts]
    placed = all(cost.model in devices for cost in costs)
    gpu_hours = sum(hour * devices[model] for model, hour in hours) if placed else None
    return Price(tokens, sum(hour for _, hour in hours), gpu_hours)
