"""Builds a plan from settings: facts, recorded baselines, chances, costs and placement.

    benchmarks  what card.yaml and model cards state of a benchmark: items, strata, typical lengths, assumed variances
    recorded    what an earlier baseline measured: scores, repeats, lengths
    decisions   detectable difference, chance to pass, repeats that would reach a margin
    cost        tokens, hours, time windows, disk
    hardware    which models fit side by side on a machine, else the serving order with launch commands
    document    all of it as JSON; ``report.plan`` has the tables

Nothing is sent, downloaded or written, except the JSON of ``to=FILE``; ``docs/reference/plan.md`` lists its fields.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from evalsuite.config import files, sampling
from evalsuite.config.deadline import duration
from evalsuite.config.files import ConfigSource, read_yaml
from evalsuite.config.margins import gate_problems
from evalsuite.config.settings import Gate, Margin, Model, Run
from evalsuite.errors import BadInput
from evalsuite.plan import benchmarks, cost, decisions, hardware, recorded, warnings
from evalsuite.plan.benchmarks import SourcedNumber, TaskFacts
from evalsuite.plan.cost import ModelCost, Speed
from evalsuite.plan.decisions import ExpectedBaseline, ReleaseChance, TaskChance
from evalsuite.plan.hardware import Placement
from evalsuite.plan.recorded import RecordedBaseline
from evalsuite.tasks.published import Card, published_cards
from evalsuite.tasks.registry import load

DEFAULT_GATE = "release"
"""Gate whose margins a plan uses when none is chosen."""
NO_THINKING = "-nothink"
"""Ending of the folder name of a model whose thinking is switched off."""


@dataclass(frozen=True, slots=True)
class BaselineGroup:
    """A baseline and the models that are compared with it."""

    baseline: str | None
    """Key of the baseline; None when no model declares one, so that a model measured in the same way is assumed."""
    label: str
    """Name of the baseline's folder in a run."""
    model: Model
    """Settings of the baseline."""
    candidates: tuple[str, ...]
    """Keys of the models that are compared with it."""


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What chances and costs are computed from."""

    run: Run
    groups: tuple[BaselineGroup, ...]
    tasks: Mapping[str, TaskFacts]
    recorded: Mapping[tuple[str, str], RecordedBaseline]
    """(folder label, task) -> recorded cell of the baseline."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The result of planning: chances, costs, placement and warnings."""

    suite: str | None
    """Name of the suite; None without one."""
    gate: Gate
    """The margins."""
    gate_origin: str
    """Where the gate comes from."""
    speed: Speed
    """Generation rate and time window."""
    chances: tuple[TaskChance, ...]
    """What each benchmark can decide."""
    releases: Mapping[str, ReleaseChance]
    """Baseline -> chance of the whole gate."""
    costs: tuple[ModelCost, ...]
    """Cost of each model."""
    placement: Placement | None
    """Servers on the chosen machine; None without a machine."""
    node_hours: float | None
    """Machines x hours; None when unknown."""
    notes: tuple[str, ...]
    """Warnings."""


def make_plan(run: Run) -> Plan:
    """Plan a run without sending anything.

    Args:
        run: The settings of the run, as ``load_settings`` returns them.

    Returns:
        What the run can decide (fractions of 1), what it costs (tokens, seconds, bytes) and, with ``run.hardware``,
            where it fits.

    Raises:
        BadInput: A machine, gate, published card, selection, baseline file or a baseline's model file is unknown or
            wrong, or no task has a card.
        StorageFailed: The baseline file cannot be unpacked, or a file of a recorded cell cannot be read (then also
            ``OSError``).
    """
    source = files.config_source("run", Run, (), run.config_dir)
    gate, gate_origin = (run.gate, "gate=") if run.gate is not None else (default_gate(source), f"gate/{DEFAULT_GATE}")
    known = {name: benchmarks.task_facts(name, task, run.limit) for name, task in run.tasks.items()}
    notes = [f"{name}: no card.yaml describes it; left out of this plan" for name in known if known[name] is None]
    tasks = {name: facts for name, facts in known.items() if facts is not None}
    if not tasks:
        raise BadInput("nothing to plan: none of these tasks has a card.yaml (tasks/<adapter>/card.yaml)")
    machine = None if run.hardware is None else hardware.read_machine(run.hardware, source)
    window = None if run.window is None else duration(run.window)
    speed = Speed(run.rate, window)
    groups = _baseline_groups(run, source)
    cells = _recorded(run, groups)
    inputs = _Inputs(run, _comparable_groups(run, groups, cells), tasks, cells)
    chances = _chances(inputs, gate)
    costs = tuple(_model_cost(name, model, inputs, speed) for name, model in run.models.items())
    placement = None if machine is None else hardware.place_servers(run.models, _auxiliaries(run, tasks), machine)
    releases: dict[str, ReleaseChance] = {}
    for baseline in dict.fromkeys(chance.baseline for chance in chances):
        release = decisions.release_chance([chance for chance in chances if chance.baseline == baseline], gate)
        releases |= {} if release is None else {baseline: release}
    for group in inputs.groups:
        here = {name: cells[group.label, name] for name in tasks if (group.label, name) in cells}
        notes += warnings.baseline_warnings(run, group.baseline, tasks, here)
    notes += [*warnings.auxiliary_warnings(run, tasks), *warnings.window_warnings(costs, speed)]
    hours = None if placement is None else _node_hours(placement, costs)
    return Plan(run.suite, gate, gate_origin, speed, chances, releases, costs, placement, hours, tuple(notes))


def default_gate(source: ConfigSource) -> Gate:
    """Return the gate of ``gate/release.yaml`` from ``source``; a file of the user with this name comes before the
    shipped one.

    Raises ``BadInput`` when the file is not a gate or cannot be read.
    """
    file = source.file(f"gate/{DEFAULT_GATE}")
    try:
        content = read_yaml(file)
        margins = {name: Margin(**margin) for name, margin in content.pop("margins").items()}
        gate = Gate(margins=margins, **content)
        problems = list(gate_problems(gate))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{file} is no gate ({error}); choose one with gate=NAME") from None
    if problems:
        raise BadInput(f"{file}: {'; '.join(problems)}")
    return gate


def _baseline_groups(run: Run, source: ConfigSource) -> tuple[BaselineGroup, ...]:
    """Group the candidates by declared baseline (``run.baseline`` for all, if set) and thinking switch; a model without
    baseline, or that is its own, is no candidate. All models form one group without baseline when none is a candidate.
    """
    groups: dict[tuple[str, bool], list[str]] = {}
    for name, model in run.models.items():
        baseline = run.baseline or model.baseline
        if baseline is not None and baseline != name:
            groups.setdefault((baseline, model.thinking), []).append(name)
    if not groups:
        first = next(iter(run.models.values()))
        return (BaselineGroup(None, "", first, tuple(run.models)),)
    return tuple(
        BaselineGroup(baseline, _label(baseline, thinking), _baseline_model(baseline, run, source), tuple(names))
        for (baseline, thinking), names in groups.items()
    )


def _comparable_groups(
    run: Run, groups: tuple[BaselineGroup, ...], cells: Mapping[tuple[str, str], RecordedBaseline]
) -> tuple[BaselineGroup, ...]:
    """Return the groups without those that cannot be compared; ``cells``: (folder label, task) -> recorded baseline.

    A group is left out when two things hold: its baseline is neither planned nor recorded, and each of its candidates
    is itself the baseline of a group.
    """
    labels = {label for label, _ in cells}
    here = {group.baseline for group in groups if group.baseline in run.models or group.label in labels}
    return tuple(group for group in groups if group.baseline in here or not set(group.candidates) <= here)


def _label(name: str, thinking: bool) -> str:
    return name if thinking else f"{name}{NO_THINKING}"


def _baseline_model(name: str, run: Run, source: ConfigSource) -> Model:
    """Return the settings of the baseline ``name``: those of the run, or title, checkpoint and precision from its model
    file, or minimal ones with its name. Raises ``BadInput`` for a model file that cannot be read.
    """
    if name in run.models:
        return run.models[name]
    file = source.file(f"model/{name}")
    content = read_yaml(file) if file.is_file() else {}
    return Model(
        title=str(content.get("title", name)),
        checkpoint=str(content.get("checkpoint", name)),
        precision=str(content.get("precision", "")),
        base_url="",
    )


def _recorded(run: Run, groups: tuple[BaselineGroup, ...]) -> dict[tuple[str, str], RecordedBaseline]:
    """Return (folder label, task) -> recorded cell, of baselines and of the run's own models; pairs without a usable
    cell are left out. Cells of the model and tasks that ``run.baseline_run`` holds come from there, others from
    ``run.results_dir``.

    Raises ``BadInput`` when ``baseline_run`` is unusable or holds a model that this plan neither compares with nor
    plans; ``StorageFailed`` when it cannot be unpacked; this or ``OSError`` when a file of a cell cannot be read.
    """
    cells: dict[tuple[str, str], RecordedBaseline] = {}
    labels = {group.label for group in groups if group.label} | {
        _label(name, model.thinking) for name, model in run.models.items()
    }
    with ExitStack() as stack:
        folders: dict[str, Path] = {}
        owner = ""
        if run.baseline_run is not None:
            owner, folders = stack.enter_context(recorded.open_baseline(run.baseline_run, run.baseline_max_gb))
            if owner not in labels:
                raise BadInput(
                    f"baseline_run={run.baseline_run} holds {owner}; this plan compares with "
                    f"{', '.join(sorted(group.label for group in groups if group.label)) or 'no baseline'}"
                )
        for label in sorted(labels):
            for name, task in run.tasks.items():
                if label == owner and name in folders:
                    cell = recorded.read_recorded(folders[name], f"{run.baseline_run}: {owner}/{name}", task)
                else:
                    cell = recorded.find_recorded(Path(run.results_dir), label, name, task)
                if cell is not None:
                    cells[label, name] = cell
    return cells


def _chances(inputs: _Inputs, gate: Gate) -> tuple[TaskChance, ...]:
    cards = tuple(published_cards(inputs.run.config_dir).values())
    rows: list[TaskChance] = []
    for group in inputs.groups:
        for name, card_facts in inputs.tasks.items():
            cell = inputs.recorded.get((group.label, name))
            fixed = cell is not None and cell.complete and group.baseline not in inputs.run.models
            facts = card_facts if cell is None else _with_recorded(card_facts, cell, fixed=fixed)
            score, strata = _expected_scores(card_facts, group.model, cards, cell)
            repeats = cell.repeats if cell is not None and fixed else None
            baseline = ExpectedBaseline(group.baseline or "", score, strata, repeats)
            rows.append(decisions.task_chance(facts, baseline, group.candidates, gate))
    return tuple(rows)


def _expected_scores(
    facts: TaskFacts, baseline: Model, cards: Sequence[Card], cell: RecordedBaseline | None
) -> tuple[SourcedNumber, dict[str, dict[str, SourcedNumber]]]:
    """Return (expected score of the baseline; group -> value -> score), fractions with sources; those recorded in
    ``cell`` (None for none) before published ones. Recorded group scores are moved a little towards 0.5, so that none
    is 0 or 1.
    """
    strata = {group: benchmarks.published_strata(facts, group, baseline, cards) for group in facts.strata}
    if cell is None:
        return benchmarks.expected_score(facts, baseline, cards), strata
    origin = f"recorded: {cell.location}"
    for group, values in cell.strata.items():
        smoothed = {value: (n * mean + 0.5) / (n + 1) for value, (n, mean) in values.items()}  # never exactly 0 or 1
        strata[group] = {value: SourcedNumber(mean, origin) for value, mean in smoothed.items()}
    return SourcedNumber(cell.score, origin), strata


def _with_recorded(facts: TaskFacts, cell: RecordedBaseline, *, fixed: bool) -> TaskFacts:
    """Return the facts with what ``cell`` recorded: the number of independent sources (``units``), the variance over
    repeats (``phi``) if there is one (``answers`` is then the number of items), and, where ``facts`` have no groups,
    the sizes of the cell's groups with 2 to 60 values. Counts are scaled to the items that are compared.

    ``fixed``: the baseline is not measured again, so that at most as many items as it has are compared.
    """
    items = min(facts.items, cell.items) if fixed else facts.items
    share = items / cell.items
    strata = {group: benchmarks.scale_strata(parts, items) for group, parts in facts.strata.items()} or {
        group: {value: max(1, round(count * share)) for value, (count, _) in values.items()}
        for group, values in cell.strata.items()
        if 1 < len(values) <= 60
    }
    changed = replace(facts, items=items, strata=strata, units=max(1.0, cell.units * share))
    if cell.phi is None:
        return replace(changed, answers=facts.answers * items / facts.items)
    return replace(changed, phi=recorded.phi_of(cell, facts), answers=float(items))


def _model_cost(name: str, model: Model, inputs: _Inputs, speed: Speed) -> ModelCost:
    run, cells = inputs.run, inputs.recorded
    group = next((group for group in inputs.groups if name in group.candidates), None)
    labels = [group.label if group else "", _label(name, model.thinking)]
    parts = []
    own = sampling.model_sampling(run.sampling, model)
    for task, facts in inputs.tasks.items():
        lengths = benchmarks.typical_lengths(facts, thinking=model.thinking)
        cell = next((cells[label, task] for label in labels if (label, task) in cells), None)
        if cell is not None:
            lengths = recorded.lengths_of(cell, lengths)
        max_tokens = sampling.effective(own, run.tasks[task].sampling).max_tokens
        cap = run.tasks[task].concurrency
        slots = model.concurrency if cap is None else min(cap, model.concurrency)
        single = hasattr(load(run.tasks[task].adapter), "prompt")
        parts.append(cost.task_cost(facts, lengths, max_tokens, slots, speed, single=single))
    return cost.model_cost(name, parts, speed)


def _auxiliaries(run: Run, tasks: Mapping[str, TaskFacts]) -> dict[str, Model]:
    """Return role -> model for "judge" and "simulator", as far as a task needs them and the run configures them."""
    models: dict[str, Model] = {}
    for role, model in (("judge", run.judge), ("simulator", run.simulator)):
        if model is not None and any(facts.typical[role] is not None for facts in tasks.values()):
            models[role] = model
    return models


def _node_hours(placement: Placement, costs: tuple[ModelCost, ...]) -> float | None:
    if placement.unserved or not placement.steps:
        return None
    hours = {model.model: model.seconds / 3600 for model in costs if model.seconds is not None}
    simulated = {
        model.model: sum((task.seconds or 0.0) / 3600 for task in model.tasks if any(task.simulator)) for model in costs
    }
    return hardware.node_hours(placement, hours, simulated)
