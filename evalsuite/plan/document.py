"""The plan for programs: schema 1, documented in ``docs/reference/plan.md``. Fractions of 1, seconds, tokens, bytes."""

from dataclasses import asdict
from typing import Any

from evalsuite.plan.benchmarks import SourcedNumber
from evalsuite.plan.build import Plan
from evalsuite.plan.cost import ModelCost, TaskCost
from evalsuite.plan.decisions import ReleaseChance, StratumChance, TaskChance, VerdictChances
from evalsuite.plan.hardware import PlacedServer, Placement, commands
from evalsuite.records import SCHEMA
from evalsuite.stats.power import ReleaseChances


def as_json(plan: Plan) -> dict[str, Any]:
    """Everything that the tables show, unrounded."""
    return {
        "schema": SCHEMA,
        "suite": plan.suite,
        "gate": {"origin": plan.gate_origin, "alpha": plan.gate.alpha, "suite_points": plan.gate.suite_points},
        "rate": plan.speed.rate,
        "window_seconds": plan.speed.window,
        "tasks": [_task(one) for one in plan.chances],
        "release": [{"baseline": baseline or None, **_release(found)} for baseline, found in plan.releases.items()],
        "cost": {one.model: _model(one) for one in plan.costs},
        "total": {
            "completion_tokens": sum(one.total("completion") for one in plan.costs),
            "prompt_tokens": sum(one.total("prompt") for one in plan.costs),
            "judge_tokens": _aides(plan, "judge"),
            "simulator_tokens": _aides(plan, "simulator"),
            "endpoint_seconds": _sum([one.seconds for one in plan.costs]),
            "node_hours": plan.node_hours,
            "windows": _sum([one.windows for one in plan.costs]),
            "disk_bytes": sum(one.total("disk") for one in plan.costs),
        },
        "hardware": None if plan.placement is None else _placement(plan.placement),
        "notes": list(plan.notes),
    }


def _task(one: TaskChance) -> dict[str, Any]:
    facts, margin = one.facts, one.margin
    return {
        "task": facts.name,
        "baseline": one.baseline or None,
        "candidates": list(one.candidates),
        "items": facts.items,
        "total_items": facts.total,
        "repeats": [one.design.repeats_base, one.design.repeats_cand],
        "baseline_fixed": one.base_fixed,
        "margin": None if margin is None else margin.points / 100,
        "tier": None if margin is None else margin.tier,
        "owner": None if margin is None else margin.owner,
        "stderr": one.design.stderr,
        "detectable": one.detectable,
        "chance": _outlook(one.outlook),
        "reached": one.reached,
        "repeats_needed": one.repeats,
        "assumptions": {
            "score": _known(one.score),
            "phi": _known(facts.phi),
            "tau": _known(facts.tau),
            "answers": facts.answers,
            "units": facts.units,
        },
        "groups": {group: [_stratum(part) for part in parts] for group, parts in one.strata.items()},
    }


def _stratum(part: StratumChance) -> dict[str, Any]:
    return {
        "value": part.value,
        "items": part.items,
        "score": _known(part.score),
        "stderr": part.stderr,
        "detectable": part.detectable,
        "detectable_holm": part.detectable_holm,
        "chance": _outlook(part.outlook),
    }


def _outlook(found: VerdictChances | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)


def _release(found: ReleaseChance) -> dict[str, Any]:
    return {
        "tasks": list(found.tasks),
        "missing": list(found.missing),
        "chance": {
            name: _chances(chances)
            for name, chances in (("identical", found.identical), ("moved", found.moved), ("half", found.half))
        },
        "monte_carlo_error": found.identical.error,
    }


def _chances(found: ReleaseChances) -> dict[str, float]:
    return {**asdict(found.release), "any_fail": found.any_fail}


def _model(one: ModelCost) -> dict[str, Any]:
    return {
        "tasks": {task.task: _cost(task) for task in one.tasks},
        "completion_tokens": one.total("completion"),
        "prompt_tokens": one.total("prompt"),
        "attempts": int(one.total("attempts")),
        "seconds": one.seconds,
        "windows": one.windows,
        "disk_bytes": one.total("disk"),
    }


def _cost(task: TaskCost) -> dict[str, Any]:
    return {
        "attempts": task.attempts,
        "completion_tokens": task.completion,
        "prompt_tokens": task.prompt,
        "judge_tokens": {"prompt": task.judge[0], "completion": task.judge[1]},
        "simulator_tokens": {"prompt": task.simulator[0], "completion": task.simulator[1]},
        "each": {"completion": _known(task.lengths.completion), "prompt": _known(task.lengths.prompt)},
        "p99_tokens": task.p99,
        "seconds": task.seconds,
        "p99_seconds": task.p99_seconds,
        "request_seconds": task.request_seconds,
        "fits_window": task.fits,
        "unfit_attempts": task.unfit,
        "disk_bytes": task.disk,
    }


def _placement(found: Placement) -> dict[str, Any]:
    return {
        "machine": found.machine.name,
        "title": found.machine.title,
        "side_by_side": found.side_by_side,
        "steps": [
            {
                "machines": step.machines,
                "servers": [{**_server(one), "command": command} for one, command in commands(step, found.machine)],
                "elsewhere": [{**_server(one), "command": one.command} for one in step.elsewhere],
            }
            for step in found.steps
        ],
        "unserved": [_server(one) for one in found.unserved],
        "notes": list(found.notes),
    }


def _server(one: PlacedServer) -> dict[str, Any]:
    return {"as": list(one.names), "checkpoint": one.checkpoint, "devices": one.devices, "origin": one.origin}


def _aides(plan: Plan, who: str) -> dict[str, float]:
    spent = [getattr(task, who) for one in plan.costs for task in one.tasks]
    return {"prompt": sum(one[0] for one in spent), "completion": sum(one[1] for one in spent)}


def _known(one: SourcedNumber) -> dict[str, Any]:
    return {"value": one.value, "origin": one.origin, "assumed": one.assumed}


def _sum(parts: "list[float | None] | list[int | None]") -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
