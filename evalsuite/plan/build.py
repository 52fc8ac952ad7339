"""From settings to a plan: facts, what is recorded, chances, costs and placement put together.

    benchmarks  what card.yaml and model cards state of a benchmark: items, strata, typical lengths, assumed variances
    recorded    what an earlier baseline really did: scores, repeats, lengths
    decisions   detectable difference, chance to pass, repeats that would reach a margin
    cost        tokens, hours, windows, disk
    hardware    which models fit side by side on a machine, else the serving order with launch commands
    document    all of it as JSON; ``report.plan`` has the tables

Nothing is sent, downloaded or written, except the JSON that ``to=FILE`` asks for; ``docs/reference/plan.md`` lists its
fields.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalsuite.config import files as conf_files
from evalsuite.config import sampling
from evalsuite.config.deadline import duration
from evalsuite.config.files import ConfigSource
from evalsuite.config.settings import Gate, Margin, Model, Run
from evalsuite.errors import BadInput
from evalsuite.plan import benchmarks as facts
from evalsuite.plan import cost, hardware, recorded
from evalsuite.plan import decisions as chance
from evalsuite.plan import warnings as said
from evalsuite.plan.benchmarks import TaskFacts
from evalsuite.plan.cost import ModelCost, Speed
from evalsuite.plan.decisions import ReleaseChance, TaskChance
from evalsuite.plan.hardware import Placement
from evalsuite.plan.recorded import RecordedBaseline
from evalsuite.tasks.published import published_cards
from evalsuite.tasks.registry import load

DEFAULT_GATE = "release"
NO_THINKING = "-nothink"


@dataclass(frozen=True, slots=True)
class BaselineGroup:
    """A baseline and the models that are compared with it."""

    baseline: str | None
    """None: no model is declared; an arm asked alike is reckoned with."""
    label: str
    """Name of the baseline's folder in a run."""
    model: Model
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that ``plan`` says."""

    suite: str | None
    gate: Gate
    gate_origin: str
    speed: Speed
    chances: tuple[TaskChance, ...]
    releases: Mapping[str, ReleaseChance]
    """Baseline -> chance of the whole gate."""
    costs: tuple[ModelCost, ...]
    placement: Placement | None
    node_hours: float | None
    notes: tuple[str, ...]


def make_plan(run: Run) -> Plan:
    """The plan of a run. Raises ``BadInput`` for unknown machines, gates, selections and baseline files."""
    source = conf_files.source("run", Run, (), run.config_dir)
    gate, gate_origin = (run.gate, "gate=") if run.gate is not None else (default_gate(source), f"gate/{DEFAULT_GATE}")
    known = {name: facts.task_facts(name, task, run.limit) for name, task in run.tasks.items()}
    notes = [f"{name}: no card.yaml says what it holds; left out of this plan" for name in known if known[name] is None]
    tasks = {name: one for name, one in known.items() if one is not None}
    if not tasks:
        raise BadInput("nothing to plan: none of these tasks has a card.yaml (tasks/<adapter>/card.yaml)")
    where = None if run.hardware is None else hardware.machine(run.hardware, source)
    window = None if run.window is None else duration(run.window)
    speed = Speed(run.rate, window)
    arms = _arms(run, source)
    found = _recorded(run, arms)
    arms = _worth_it(run, arms, found)
    chances = _chances(run, source, arms, tasks, found, gate)
    costs = tuple(_model_cost(name, model, run, arms, tasks, found, speed) for name, model in run.models.items())
    placement = None if where is None else hardware.place(run.models, _aides(run, tasks), where)
    releases = {
        baseline: release
        for baseline in dict.fromkeys(one.baseline for one in chances)
        if (release := chance.release_chance([one for one in chances if one.baseline == baseline], gate)) is not None
    }
    for arm in arms:
        here = {name: found[arm.label, name] for name in tasks if (arm.label, name) in found}
        notes += said.of_baseline(run, arm.baseline, tasks, here)
    notes += [*said.of_aides(run, tasks), *said.of_windows(costs, speed)]
    hours = None if placement is None else _node_hours(placement, costs)
    return Plan(run.suite, gate, gate_origin, speed, chances, releases, costs, placement, hours, tuple(notes))


def default_gate(source: ConfigSource) -> Gate:
    """The gate of ``conf/gate/release.yaml``, the user's own first. Raises ``BadInput`` when it is no gate."""
    import yaml

    file = source.file(f"gate/{DEFAULT_GATE}")
    try:
        content: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
        margins = {name: Margin(**margin) for name, margin in content.pop("margins").items()}
        return Gate(margins=margins, **content)
    except (yaml.YAMLError, OSError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{file} is no gate ({error}); choose one with gate=NAME") from None


def _arms(run: Run, source: ConfigSource) -> tuple[BaselineGroup, ...]:
    """Candidates by their baseline and thinking switch; all models together where none declares a baseline."""
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


def _worth_it(
    run: Run, arms: tuple[BaselineGroup, ...], found: Mapping[tuple[str, str], RecordedBaseline]
) -> tuple[BaselineGroup, ...]:
    """Without arms whose baseline is neither planned nor recorded and whose candidates are only others' baselines."""
    here = {arm.baseline for arm in arms if arm.baseline in run.models or any(label == arm.label for label, _ in found)}
    return tuple(arm for arm in arms if arm.baseline in here or not set(arm.candidates) <= here)


def _label(name: str, thinking: bool) -> str:
    return name if thinking else f"{name}{NO_THINKING}"


def _baseline_model(name: str, run: Run, source: ConfigSource) -> Model:
    """The baseline's settings: chosen, or of its file; for a name without a file, that name."""
    import yaml

    if name in run.models:
        return run.models[name]
    file = source.file(f"model/{name}")
    content = yaml.safe_load(file.read_text("utf-8")) if file.is_file() else {}
    return Model(
        title=str(content.get("title", name)),
        checkpoint=str(content.get("checkpoint", name)),
        precision=str(content.get("precision", "")),
        base_url="",
    )


def _recorded(run: Run, arms: tuple[BaselineGroup, ...]) -> dict[tuple[str, str], RecordedBaseline]:
    """(folder label, task) -> what the baseline recorded, in ``baseline_run`` or else in ``results_dir``."""
    found: dict[tuple[str, str], RecordedBaseline] = {}
    labels = {arm.label for arm in arms if arm.label} | {
        _label(name, model.thinking) for name, model in run.models.items()
    }
    with ExitStack() as stack:
        held: dict[str, Path] = {}
        owner = ""
        if run.baseline_run is not None:
            owner, held = stack.enter_context(recorded.opened(run.baseline_run))
            if owner not in labels:
                raise BadInput(
                    f"baseline_run={run.baseline_run} holds {owner}; this plan compares with "
                    f"{', '.join(sorted(arm.label for arm in arms if arm.label)) or 'no baseline'}"
                )
        for label in sorted(labels):
            for name, task in run.tasks.items():
                if label == owner and name in held:
                    one = recorded.read(held[name], f"{run.baseline_run}: {owner}/{name}", task)
                else:
                    one = recorded.find(Path(run.results_dir), label, name, task)
                if one is not None:
                    found[label, name] = one
    return found


def _chances(
    run: Run,
    source: ConfigSource,
    arms: tuple[BaselineGroup, ...],
    tasks: Mapping[str, TaskFacts],
    found: Mapping[tuple[str, str], RecordedBaseline],
    gate: Gate,
) -> tuple[TaskChance, ...]:
    cards = tuple(published_cards(run.config_dir).values())
    rows: list[TaskChance] = []
    for arm in arms:
        for name, plain in tasks.items():
            cell = found.get((arm.label, name))
            fixed = cell is not None and cell.complete and arm.baseline not in run.models
            one = plain if cell is None else _measured(plain, cell, fixed=fixed)
            score = facts.expected_score(plain, arm.model, cards)
            strata: dict[str, dict[str, facts.SourcedNumber]] = {
                group: facts.published_strata(plain, group, arm.model, cards) for group in plain.strata
            }
            if cell is not None:
                score = facts.SourcedNumber(cell.score, f"recorded: {cell.where}")
                for group, values in cell.strata.items():
                    strata[group] = {
                        value: facts.SourcedNumber(
                            (n * mean + 0.5) / (n + 1), score.origin
                        )  # 0 and 1 are never certain
                        for value, (n, mean) in values.items()
                    }
            fixed = cell is not None and cell.complete and arm.baseline not in run.models
            base = cell.repeats if cell is not None and fixed else None
            rows.append(chance.task_chance(one, arm.baseline or "", arm.candidates, score, strata, gate, base))
    return tuple(rows)


def _measured(plain: TaskFacts, cell: RecordedBaseline, *, fixed: bool) -> TaskFacts:
    """The facts with the baseline's spread over repeats, its sources, and its strata where the card knows none.

    ``fixed``: it is not asked again, so that only the items that it has are compared.
    """
    items = min(plain.items, cell.items) if fixed else plain.items
    share = items / cell.items
    strata = {group: facts.scaled(parts, items) for group, parts in plain.strata.items()} or {
        group: {value: max(1, round(count * share)) for value, (count, _) in values.items()}
        for group, values in cell.strata.items()
        if 1 < len(values) <= 60
    }
    changed = replace(plain, items=items, strata=strata, units=max(1.0, cell.units * share))
    if cell.phi is None:
        return replace(changed, answers=plain.answers * items / plain.items)
    return replace(changed, phi=recorded.phi_of(cell, plain), answers=float(items))


def _model_cost(
    name: str,
    model: Model,
    run: Run,
    arms: tuple[BaselineGroup, ...],
    tasks: Mapping[str, TaskFacts],
    found: Mapping[tuple[str, str], RecordedBaseline],
    speed: Speed,
) -> ModelCost:
    arm = next((arm for arm in arms if name in arm.candidates), None)
    labels = [arm.label if arm else "", _label(name, model.thinking)]
    parts = []
    for task, one in tasks.items():
        lengths = facts.typical_lengths(one, thinking=model.thinking)
        cell = next((found[label, task] for label in labels if (label, task) in found), None)
        if cell is not None:
            lengths = recorded.lengths_of(cell, lengths)
        most = sampling.effective(run.sampling, run.tasks[task].sampling).max_tokens
        cap = run.tasks[task].concurrency
        slots = model.concurrency if cap is None else min(cap, model.concurrency)
        single = hasattr(load(run.tasks[task].adapter), "prompt")
        parts.append(cost.task_cost(one, lengths, most, slots, speed, single=single))
    return cost.model_cost(name, parts, speed)


def _aides(run: Run, tasks: Mapping[str, TaskFacts]) -> dict[str, Model]:
    """Judge and simulator, where a task needs them and they are configured."""
    found: dict[str, Model] = {}
    for who, aide in (("judge", run.judge), ("simulator", run.simulator)):
        if aide is not None and any(one.typical[who] is not None for one in tasks.values()):
            found[who] = aide
    return found


def _node_hours(placement: Placement, costs: tuple[ModelCost, ...]) -> float | None:
    if placement.unserved or not placement.steps:
        return None
    hours = {one.model: one.seconds / 3600 for one in costs if one.seconds is not None}
    simulated = {
        one.model: sum((task.seconds or 0.0) / 3600 for task in one.tasks if any(task.simulator)) for one in costs
    }
    return hardware.node_hours(placement, hours, simulated)
