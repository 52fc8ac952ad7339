"""``dry_run=true``: the first request of every task, and nothing is sent."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.console import Console

from evalsuite.config.settings import Model, Run
from evalsuite.endpoint.client import connect
from evalsuite.engine.conversation import request_seed
from evalsuite.errors import Exit
from evalsuite.records import Request
from evalsuite.tasks.datasets import is_gated
from evalsuite.tasks.loading import LoadedTask


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
