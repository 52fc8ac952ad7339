"""Builds the JSON form of a plan: schema 1, documented in ``docs/reference/plan.md``.

Scores and chances are fractions of 1; other units are seconds, tokens and bytes.
"""

from dataclasses import asdict
from typing import Any

from evalsuite.plan.benchmarks import SourcedNumber
from evalsuite.plan.build import Plan
from evalsuite.plan.cost import ModelCost, TaskCost
from evalsuite.plan.decisions import ReleaseChance, StratumChance, TaskChance, VerdictChances
from evalsuite.plan.hardware import PlacedServer, Placement, commands
from evalsuite.plan.screen import Screen, screens
from evalsuite.records import SCHEMA
from evalsuite.stats.power import ReleaseChances


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON types: chances of each task and of the release, cost, screens, placement and warnings
    (``notes``), unrounded. Chances, scores and margins are fractions (``suite_points``: percentage points), times
    seconds (``node_hours``, ``hours`` and ``gpu_hours``: hours), unknown values null.
    """
    return {
        "schema": SCHEMA,
        "suite": plan.suite,
        "gate": {"origin": plan.gate_origin, "alpha": plan.gate.alpha, "suite_points": plan.gate.suite_points},
        "rate": plan.speed.rate,
        "window_seconds": plan.speed.window,
        "tasks": [_task(entry) for entry in plan.chances],
        "release": [{"baseline": baseline or None, **_release(release)} for baseline, release in plan.releases.items()],
        "cost": {entry.model: _model(entry) for entry in plan.costs},
        "total": {
            "completion_tokens": sum(entry.total("completion") for entry in plan.costs),
            "prompt_tokens": sum(entry.total("prompt") for entry in plan.costs),
            "judge_tokens": _auxiliary_tokens(plan, "judge"),
            "simulator_tokens": _auxiliary_tokens(plan, "simulator"),
            "endpoint_seconds": _sum([entry.seconds for entry in plan.costs]),
            "node_hours": plan.node_hours,
            "windows": _sum([entry.windows for entry in plan.costs]),
            "disk_bytes": sum(entry.total("disk") for entry in plan.costs),
        },
        "screens": [_screen(screen) for screen in screens(plan)],
        "hardware": None if plan.placement is None else _placement(plan.placement),
        "notes": list(plan.notes),
    }


def _task(chance: TaskChance) -> dict[str, Any]:
    facts, margin = chance.facts, chance.margin
    return {
        "task": facts.name,
        "baseline": chance.baseline or None,
        "candidates": list(chance.candidates),
        "items": facts.items,
        "total_items": facts.total,
        "repeats": [chance.design.repeats_base, chance.design.repeats_cand],
        "baseline_fixed": chance.base_fixed,
        "margin": None if margin is None else margin.points / 100,
        "tier": None if margin is None else margin.tier,
        "owner": None if margin is None else margin.owner,
        "stderr": chance.design.stderr,
        "detectable": chance.detectable,
        "chance": _outlook(chance.outlook),
        "reached": chance.reached,
        "repeats_needed": chance.repeats,
        "resolution": chance.resolution,
        "assumptions": {
            "score": _sourced(chance.score),
            "phi": _sourced(facts.phi),
            "tau": _sourced(facts.tau),
            "answers": facts.answers,
            "units": facts.units,
        },
        "groups": {group: [_stratum(part) for part in parts] for group, parts in chance.strata.items()},
    }


def _stratum(part: StratumChance) -> dict[str, Any]:
    return {
        "value": part.value,
        "items": part.items,
        "score": _sourced(part.score),
        "stderr": part.stderr,
        "detectable": part.detectable,
        "detectable_holm": part.detectable_holm,
        "chance": _outlook(part.outlook),
    }


def _outlook(chances: VerdictChances | None) -> dict[str, Any] | None:
    return None if chances is None else asdict(chances)


def _release(release: ReleaseChance) -> dict[str, Any]:
    return {
        "tasks": list(release.tasks),
        "missing": list(release.missing),
        "chance": {
            name: _chances(chances)
            for name, chances in (("identical", release.identical), ("moved", release.moved), ("half", release.half))
        },
        "monte_carlo_error": release.identical.error,
        "bare_threshold": dict(
            zip(("identical", "moved"), (rule.to_json() for rule in release.threshold), strict=True)
        ),
    }


def _chances(chances: ReleaseChances) -> dict[str, float]:
    return {**asdict(chances.release), "any_fail": chances.any_fail}


def _model(cost: ModelCost) -> dict[str, Any]:
    return {
        "tasks": {task.task: _cost(task) for task in cost.tasks},
        "completion_tokens": cost.total("completion"),
        "prompt_tokens": cost.total("prompt"),
        "attempts": int(cost.total("attempts")),
        "seconds": cost.seconds,
        "windows": cost.windows,
        "disk_bytes": cost.total("disk"),
    }


def _cost(task: TaskCost) -> dict[str, Any]:
    return {
        "attempts": task.attempts,
        "completion_tokens": task.completion,
        "prompt_tokens": task.prompt,
        "judge_tokens": {"prompt": task.judge[0], "completion": task.judge[1]},
        "simulator_tokens": {"prompt": task.simulator[0], "completion": task.simulator[1]},
        "each": {"completion": _sourced(task.lengths.completion), "prompt": _sourced(task.lengths.prompt)},
        "p99_tokens": task.p99,
        "seconds": task.seconds,
        "p99_seconds": task.p99_seconds,
        "request_seconds": task.request_seconds,
        "fits_window": task.fits,
        "unfit_attempts": task.unfit,
        "disk_bytes": task.disk,
    }


def _screen(screen: Screen) -> dict[str, Any]:
    return {
        "baseline": screen.baseline or None,
        "candidates": list(screen.candidates),
        "kept": screen.kept,
        "whole": asdict(screen.whole),
        "options": [
            {
                "limit": option.limit,
                "screen": asdict(option.screen),
                "total": asdict(option.total),
                "best_dropped": [{"lead": lead, "chance": chance} for lead, chance in option.dropped.items()],
            }
            for option in screen.options
        ],
    }


def _placement(placement: Placement) -> dict[str, Any]:
    return {
        "machine": placement.machine.name,
        "title": placement.machine.title,
        "side_by_side": placement.side_by_side,
        "steps": [
            {
                "machines": step.machines,
                "servers": [
                    {**_server(server), "command": command} for server, command in commands(step, placement.machine)
                ],
                "elsewhere": [{**_server(server), "command": server.command} for server in step.elsewhere],
            }
            for step in placement.steps
        ],
        "unserved": [_server(server) for server in placement.unserved],
        "notes": list(placement.notes),
    }


def _server(server: PlacedServer) -> dict[str, Any]:
    return {
        "as": list(server.names),
        "checkpoint": server.checkpoint,
        "devices": server.devices,
        "origin": server.origin,
    }


def _auxiliary_tokens(plan: Plan, role: str) -> dict[str, float]:
    tokens = [getattr(task, role) for model in plan.costs for task in model.tasks]
    return {"prompt": sum(pair[0] for pair in tokens), "completion": sum(pair[1] for pair in tokens)}


def _sourced(number: SourcedNumber) -> dict[str, Any]:
    return {"value": number.value, "origin": number.origin, "assumed": number.assumed}


def _sum(parts: "list[float | None] | list[int | None]") -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
