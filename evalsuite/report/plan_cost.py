"""Tables of what a plan costs: tokens, hours, disk, and the placement of servers on a node."""

from collections.abc import Sequence

from evalsuite.plan.build import Plan
from evalsuite.plan.cost import ModelCost, TaskCost
from evalsuite.plan.hardware import PlacedServer, Placement
from evalsuite.plan.screen import LEADS, Price, Screen
from evalsuite.report import formats
from evalsuite.report.console import Column, Table
from evalsuite.report.formats import amount, hours
from evalsuite.tasks.datasets import benchmark_title

_GENERATED = "generated"


def cost_table(plan: Plan) -> Table:
    """Build the table of attempts, tokens and disk of each model and benchmark, with a sum per model; with a known rate
    also of time and, where windows are limited, of whether a request fits one (in the sum: how many windows).
    """
    auxiliaries = [
        role for role in ("judge", "simulator") if any(sum(getattr(task, role)) for task in _all_tasks(plan.costs))
    ]
    columns = (
        Column("model", number=False),
        Column("benchmark", number=False),
        Column("attempts"),
        Column(_GENERATED),
        Column("read", essential=False),
        *(Column(role, essential=False) for role in auxiliaries),
        *([Column("time")] if plan.speed.rate else []),
        *([Column("long attempt", essential=False)] if plan.speed.rate else []),
        *([Column("windows")] if plan.speed.window and plan.speed.rate else []),
        Column("disk", essential=False),
    )
    rows: list[tuple[str, ...]] = []
    for model in plan.costs:
        rows += [_cost_row(model.model, task, plan, auxiliaries) for task in model.tasks]
        totals = [sum(sum(getattr(task, role)) for task in model.tasks) for role in auxiliaries]
        rows.append(
            (
                model.model,
                "together",
                f"{model.total('attempts'):,.0f}",
                amount(model.total("completion")),
                amount(model.total("prompt")),
                *map(amount, totals),
                *([hours(model.seconds), ""] if plan.speed.rate else []),
                *([_windows(model)] if plan.speed.window and plan.speed.rate else []),
                _bytes(model.total("disk")),
            )
        )
    return Table("What it costs", columns, tuple(rows), tuple(_cost_notes(plan)))


def _cost_row(model: str, task: TaskCost, plan: Plan, auxiliaries: Sequence[str]) -> tuple[str, ...]:
    return (
        model,
        benchmark_title(task.task),
        f"{task.attempts:,}",
        amount(task.completion) + ("*" if task.lengths.completion.assumed else ""),
        amount(task.prompt) + ("*" if task.lengths.prompt.assumed else ""),
        *(amount(tokens) if (tokens := sum(getattr(task, role))) else formats.UNKNOWN for role in auxiliaries),
        *([hours(task.seconds), hours(task.p99_seconds)] if plan.speed.rate else []),
        *(["fits" if task.fits else "none"] if plan.speed.window and plan.speed.rate else []),
        _bytes(task.disk),
    )


def _cost_notes(plan: Plan) -> list[str]:
    notes = [
        "Tokens. * assumed: no source states it. Read: before any prefix cache; judge, simulator: read and generated."
    ]
    notes.append(_probe_note(plan))
    if plan.speed.rate is None:
        notes.append("rate=2500 (generated tokens a second of one endpoint) gives hours, window=4h gives windows.")
        return notes
    seconds = [cost.seconds for cost in plan.costs if cost.seconds is not None]
    notes.append(
        f"At {plan.speed.rate:g} generated tokens a second of each endpoint; {hours(sum(seconds))} of all endpoints. "
        "Long attempt: 99 of 100 are shorter, at an equal share of the rate."
    )
    return notes


PROBE_ANSWERS, PROBE_PASSES, PROBE_RATES = 200, 3, (10_000, 20_000)
"""Of ``evalsuite probe``: answers, passes over them, tokens a second of prefill (slow and fast, as published)."""


def _probe_note(plan: Plan) -> str:
    """Return a note on what ``evalsuite probe`` would read before the run: prefill tokens of its 200 answers (of
    each at most 1,024 tokens) with prompts in three passes, and the minutes that takes.
    """
    tasks = _all_tasks(plan.costs)
    attempts = sum(task.attempts for task in tasks)
    tokens = sum(min(task.completion, 1024 * task.attempts) + task.prompt for task in tasks)
    read = PROBE_PASSES * PROBE_ANSWERS * tokens / max(1, attempts)
    slow, fast = (read / rate / 60 for rate in PROBE_RATES)
    return (
        f"evalsuite probe before the questions: {amount(read)} tokens of prefill a candidate, no generated one, "
        f"{fast:.0f} to {slow:.0f} minutes at {PROBE_RATES[0]:,} to {PROBE_RATES[1]:,} tokens a second."
    )


def screen_table(screen: Screen) -> Table:
    """Build the table of a screen of all candidates that is followed by the whole suite for the best of them: cost, and
    chance of dropping the best, by size of the screen.
    """
    unit = "GPU-hours" if screen.whole.gpu_hours is not None else "hours" if screen.whole.hours is not None else ""
    columns = (
        Column("items of each benchmark, once", number=False),
        Column("tokens of the screen"),
        Column("tokens together"),
        *([Column(f"{unit} together")] if unit else []),
        *(Column(f"best dropped %, {100 * lead:g} pt ahead") for lead in LEADS),
    )
    rows = [
        (
            str(option.limit),
            amount(option.screen.tokens),
            amount(option.total.tokens),
            *([_hours(option.total)] if unit else []),
            *(formats.percent(option.dropped[lead]) for lead in LEADS),
        )
        for option in screen.options
    ]
    everything = amount(screen.whole.tokens)
    rows.append(("no screen", "", everything, *([_hours(screen.whole)] if unit else []), *[""] * len(LEADS)))
    against = f" against {screen.baseline}" if screen.baseline else ""
    title = f"A screen of {len(screen.candidates)} candidates{against}, then the suite for the best {screen.kept}"
    return Table(title, columns, tuple(rows), tuple(_screen_notes(screen, unit)))


def _screen_notes(screen: Screen, unit: str) -> list[str]:
    low, high = LEADS
    option, saved = screen.recommended, f"dropping {len(screen.candidates) - screen.kept} candidates"
    lines = [
        f"No size of a screen drops a candidate that leads by {100 * high:g} points in at most 5 %: {saved} is a bet."
    ]
    if option is not None:
        hours = f" ({_hours(option.total)} instead of {_hours(screen.whole)} {unit})" if unit else ""
        lines = [
            f"{option.limit} items of each benchmark, asked once (limit={option.limit} and tasks.NAME.repeats=1), cost "
            f"{amount(option.screen.tokens)} tokens for all; with the suite for the best {screen.kept}, "
            f"{amount(option.total.tokens)} instead of {amount(screen.whole.tokens)} tokens{hours}. A best "
            f"candidate that is {100 * high:g} points ahead of all others on the mean is dropped with chance "
            f"{formats.percent(option.dropped[high])} %, one that is {100 * low:g} point ahead with "
            f"{formats.percent(option.dropped[low])} %; where all are equal, dropping costs nothing."
        ]
    return [
        *lines,
        "The same run_id= with the suite's own items and repeats then asks the best ones only what is left. The "
        "baseline is extra: once, at full size.",
    ]


def _hours(price: Price) -> str:
    hours_together = price.hours if price.gpu_hours is None else price.gpu_hours
    return f"{hours_together or 0:,.1f}"


def _windows(cost: ModelCost) -> str:
    return "never" if cost.windows is None else str(cost.windows)


def _bytes(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.1f} MB"


def _all_tasks(costs: Sequence[ModelCost]) -> list[TaskCost]:
    return [task for cost in costs for task in cost.tasks]


def placement_table(placement: Placement, node_hours: float | None) -> Table:
    """Build the table of the steps in which a machine serves the models, with what is not served; ``node_hours``, shown
    in a note, is None when unknown.
    """
    columns = (
        Column("step"),
        Column("served", number=False),
        Column("devices"),
        Column("machines", essential=False),
        Column("number of devices is from", number=False, essential=False),
    )
    rows: list[tuple[str, ...]] = []
    for number, step in enumerate(placement.steps, 1):
        rows += [
            (str(number), _server_names(server), str(server.devices), str(step.machines), server.origin)
            for server in step.servers
        ]
        rows += [
            (str(number), f"{_server_names(server)}, elsewhere", str(server.devices), "+1", server.origin)
            for server in step.elsewhere
        ]
    rows += [
        (formats.UNKNOWN, _server_names(server), "none", formats.UNKNOWN, server.origin)
        for server in placement.unserved
    ]
    notes = [
        *placement.notes,
        *(f"Not served here: {_server_names(server)}. {server.origin}." for server in placement.unserved),
    ]
    if placement.side_by_side:
        notes.insert(0, "All of it fits on one machine at the same time.")
    elif len(placement.steps) > 1:
        notes.insert(0, "Serve step after step, each evaluated with the same run_id= before the next.")
    if node_hours is not None:
        notes.append(
            f"Node-hours: {node_hours:,.1f} (steps last as long as their slowest model; a later judge is extra)."
        )
    return Table(f"Served on {placement.machine.title}", columns, tuple(rows), tuple(notes))


def _server_names(server: PlacedServer) -> str:
    return " and ".join(server.names)
