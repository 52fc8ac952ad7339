"""A benchmark of a run with its questions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalsuite.config import sampling
from evalsuite.config.settings import Run, Task
from evalsuite.errors import BadInput
from evalsuite.records import Item, data_sha
from evalsuite.tasks.base import Adapter
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.registry import build
from evalsuite.tasks.selection import selected


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
