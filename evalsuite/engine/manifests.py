"""What a command asks for: benchmarks with their questions, the manifest of every cell, the first request of each."""

from typing import Any

from evalsuite.config import aa as arms
from evalsuite.config.settings import DEMO, Model, Run
from evalsuite.endpoint.thinking import stated_switch
from evalsuite.records import SCHEMA
from evalsuite.tasks.loading import LoadedTask
from evalsuite.version import __version__


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
            **({"thinking_switch": switch} if (switch := stated_switch(model)) else {}),
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
