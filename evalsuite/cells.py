"""What a command asks for: benchmarks with their questions, the manifest of every cell, the first request of each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from evalsuite import __version__, arms, sampling
from evalsuite.adapters import build
from evalsuite.adapters.base import Adapter
from evalsuite.data import Source, is_gated
from evalsuite.endpoint.client import connect
from evalsuite.errors import BadInput, Exit
from evalsuite.records import SCHEMA, Item, Request, data_sha
from evalsuite.selection import selected
from evalsuite.settings import Model, Run, Task
from evalsuite.turns import request_seed

DEMO = "demo"
"""The ``base_url`` of models that evalsuite serves itself for the time of a run."""


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """A benchmark of this run with its questions."""

    name: str
    settings: Task
    adapter: Adapter
    items: tuple[Item, ...]
    """The items asked for."""
    total: int
    """Items of the whole task."""
    data_sha: str
    sampling: Mapping[str, Any]
    origin: Mapping[str, str]


def load_task(name: str, task: Task, settings: Run) -> LoadedTask:
    """Build the adapter and load its questions."""
    source = Source(settings.data.kind, settings.data.root)
    adapter = build(task.adapter, variant=task.variant, options=task.options, source=source, seed=settings.seed)
    items = tuple(adapter.items())
    doubles = len(items) - len({item.id for item in items})
    if doubles:
        raise BadInput(f"task {name} has {doubles} items whose id another item has; every id must be unique")
    drawn_with = sampling.effective(settings.sampling, task.sampling)
    return LoadedTask(
        name,
        task,
        adapter,
        selected(items, task.select, settings.limit, settings.seed),
        len(items),
        data_sha(items),
        sampling.fields(drawn_with),
        sampling.sampling_origin(drawn_with),
    )


def manifest(name: str, model: Model, task: LoadedTask, settings: Run) -> dict[str, Any]:
    """What is written down of a cell; ``identity`` is what a continuation must share."""
    part = len(task.items) < task.total
    groups, ids = dict(task.settings.select.groups), task.settings.select.ids
    return {
        "schema": SCHEMA,
        "identity": {
            "model": name,
            "checkpoint": model.checkpoint,
            "revision": model.revision,
            "thinking": model.thinking,
            "task": task.name,
            "adapter": task.settings.adapter,
            "protocol": task.adapter.version.partition(".")[0],
            "variant": task.settings.variant,
            "options": _options(task),
            "sampling": dict(task.sampling),
            "seed": settings.seed,
            "data_sha": task.data_sha,
            **arms.draw(name),
        },
        "version": task.adapter.version,
        "title": model.title,
        "precision": model.precision,
        "quantized": dict(model.quantized),
        "baseline": model.same_as if arms.draw(name) else settings.baseline or model.baseline,
        "same_as": model.same_as,
        "sampling_origin": dict(task.origin),
        "items": [item.id for item in task.items],
        "total_items": task.total,
        "selection": {"limit": settings.limit, "groups": groups, "ids": ids} if part else None,
        "repeats": task.settings.repeats,
        "imported": None,
        "demo": model.base_url == DEMO or name.startswith("demo_"),
        "server": [],
        "evalsuite": __version__,
    }


def _options(task: LoadedTask) -> dict[str, Any]:
    """The options that say what was asked or how it is graded; where something lies on this machine does not."""
    local: tuple[str, ...] = getattr(task.adapter, "local_options", ())
    return {name: value for name, value in task.settings.options.items() if name not in local}


def dry_run(tasks: Mapping[str, LoadedTask], models: Mapping[str, Model], settings: Run) -> Exit:
    """Print the first full request of every task, once per distinct dialect, and send nothing."""
    console = Console(highlight=False, soft_wrap=True)
    for task in tasks.values():
        shown: list[dict[str, Any]] = []
        if not hasattr(task.adapter, "prompt"):
            console.print(f"# {task.name}: a dialogue of several requests; only a run makes them")
        for name, model in models.items() if hasattr(task.adapter, "prompt") else ():
            body = first_body(task, model, settings)
            if is_gated(task.settings.adapter):
                body["messages"] = "(not shown: the items of this task are gated)"
            if (rest := {key: value for key, value in body.items() if key != "model"}) not in shown:
                shown.append(rest)
                console.print(f"# {task.name} ({task.settings.variant}, version {task.adapter.version}) to {name}:")
                console.print_json(data=_brief(body))
        origins = ", ".join(f"{field}={task.sampling[field]} ({origin})" for field, origin in task.origin.items())
        console.print(f"# sampling and where it comes from: {origins}")
        console.print(f"# {len(task.items)} of {task.total} items x {task.settings.repeats} repeats. Nothing was sent.")
    return Exit.DONE


def _brief(value: Any) -> Any:
    """A body for people: pictures are named by their size."""
    if isinstance(value, dict):
        return {key: _brief(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_brief(one) for one in value]
    if isinstance(value, str) and value.startswith("data:"):
        return f"{value[:40]}... ({len(value):,} characters)"
    return value


def first_body(task: LoadedTask, model: Model, settings: Run) -> dict[str, Any]:
    """The JSON of the first request of a task whose adapter has a ``prompt``."""
    item = task.items[0]
    request: Request = task.adapter.prompt(item, 0)  # type: ignore[attr-defined]
    fields = {**task.sampling, "seed": request_seed(settings.seed, item.id, 0)}
    name = model.checkpoint if model.served_name == "auto" else model.served_name
    client = connect(replace(model, base_url="http://localhost/v1"), settings.engine, name, 1)
    return client.body(replace(request, sampling=fields))
