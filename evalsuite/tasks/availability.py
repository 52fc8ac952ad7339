"""What the tasks of a run lack on this machine: questions, packages, resources for grading."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evalsuite.config.settings import Run, Task
from evalsuite.errors import BadInput
from evalsuite.tasks import datasets, hub
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.downloads import has_card, required_files
from evalsuite.tasks.loading import LoadedTask, load_task


@dataclass(frozen=True, slots=True)
class AvailableTasks:
    """The tasks of a run as far as this machine has what they need."""

    tasks: Mapping[str, LoadedTask]
    """Every task whose adapter can be built; without items where ``problems`` has the task."""
    problems: Mapping[str, tuple[str, ...]]
    """Task -> one message for each thing that it lacks."""


def load_available(settings: Run, *, without_items: bool = False) -> AvailableTasks:
    """Load the tasks of a run that can be loaded, and collect as messages what the others lack on this machine.

    ``without_items``: no question is loaded or downloaded, except those of ``lm_eval`` tasks; only the presence of
    their files (or of a connection to the hub) and of what the adapter needs is checked. Otherwise the questions are
    loaded, and the first request is built where the adapter has ``prompt``.

    The result's ``tasks`` has every task (without items where it lacks something, or with ``without_items``), its
    ``problems`` the messages of those that lack something. Raises ``BadInput`` when an adapter cannot be built (its
    class, variant or an option does not exist or is rejected), an ``lm_eval`` task cannot be loaded, or ``data=local``
    has no ``data.root``; ``StorageFailed`` when a cache cannot be used. Every other ``BadInput``, such as for missing
    data of the hub or a missing package, becomes a message.
    """
    tasks: dict[str, LoadedTask] = {}
    problems: dict[str, tuple[str, ...]] = {}
    for name, task in settings.tasks.items():
        bare = tasks[name] = load_task(name, task, settings, without_items=True)  # an unknown variant is a mistake
        messages = list(_missing_files(task, settings)) if without_items else []
        try:
            if not without_items:
                tasks[name] = load_task(name, task, settings)
                tasks[name].first_request()
        except BadInput as error:
            messages.append(str(error))
        try:
            if messages or without_items:
                tasks[name] = bare
                getattr(bare.adapter, "check_installed", lambda: None)()
        except BadInput as error:
            messages.append(str(error))
        if messages:
            problems[name] = tuple(dict.fromkeys(messages))
    return AvailableTasks(tasks, problems)


def _missing_files(task: Task, settings: Run) -> Iterator[str]:
    """Yield at most one message: what is missing to get a task's questions, as far as can be seen without loading them.

    Checked is the package that holds them; for datasets of the hub whether at least one of their files is cached, or
    the hub accepts connections; with ``data=local`` whether a file is in the folder. Adapters without a card yield
    nothing.
    """
    if not has_card(task.adapter):
        return
    try:
        list(required_files(task.adapter))  # of a package: whether it is installed
        if "hub" not in datasets.card(task.adapter)["dataset"]:
            return
        source = Source(settings.data.kind, settings.data.root)
        pinned = datasets.pin(task.adapter)
        splits = [(pinned.holding(split), file) for split in pinned.splits for file in pinned.splits[split].files]
        if source.kind == "hub" and not any(hub.is_cached(dataset, file) for dataset, file in splits):
            hub.check_reachable(*splits[0], "or use data.root=DIR with what `evalsuite fetch` wrote")
        folder = Path(str(source.root)) / task.adapter
        local = [file for _, file in splits]
        local += [f"{split}.jsonl{ending}" for split in pinned.splits for ending in ("", ".gz")]
        if source.kind == "local" and not any((folder / file).exists() for file in local):
            datasets.local_path(Path(str(source.root)), task.adapter, next(iter(pinned.splits)))
    except BadInput as error:
        yield str(error)
