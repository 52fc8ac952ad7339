"""Loads a benchmark of a run with its questions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from evalsuite.config.sampling import effective, fields, model_sampling, sampling_origin
from evalsuite.config.settings import Model, Run, Sampling, Task
from evalsuite.errors import BadInput
from evalsuite.records import Item, Request, data_sha
from evalsuite.tasks.base import Adapter, SingleTurn
from evalsuite.tasks.datasets import Source, gated_datasets
from evalsuite.tasks.gating import adapter_is_gated
from evalsuite.tasks.provenance import data_facts, declared_items
from evalsuite.tasks.registry import build, typed_options
from evalsuite.tasks.selection import selected_items


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """A benchmark of this run with its questions."""

    name: str
    settings: Task
    adapter: Adapter
    items: tuple[Item, ...]
    """The items asked for, in the dataset's order."""
    order: tuple[str, ...]
    """Their ids in the order in which smaller limits are nested."""
    total: int
    """Items of the whole task, as its card states them; a local copy may hold fewer."""
    found: int
    """Items that the data holds."""
    selection: Mapping[str, Any] | None
    """``limit``, ``groups`` and ``ids`` that chose the items; None: the whole task is asked."""
    data_sha: str
    """Hash of all items of the task."""
    seed: int
    """The run's seed, from which the adapter draws orders and the limit draws items."""
    sampling: Mapping[str, Any]
    """Request field -> value, where the model has none of its own (see ``for_model``)."""
    origin: Mapping[str, str]
    """Request field -> which source states its value."""
    run_sampling: Sampling = field(default_factory=Sampling)
    """The run's sampling, before that of a model and of this task."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Where the questions come from (``provenance.data_facts``)."""
    gated: bool = False
    """Whether the items must not be shown."""

    @property
    def lacks(self) -> str:
        """A sentence naming how many of the items stated by the card the data holds; empty when none is missing.

        Of a task loaded without its items it states that 0 are held, if the card states a number.
        """
        if self.found >= self.total:
            return ""
        where = self.data.get("root") or self.data.get("kind")
        return f"{self.name}: {where} holds {self.found:,} of the {self.total:,} items that its card states (part)"

    @property
    def needs(self) -> tuple[str, ...]:
        """The auxiliary models that the task uses, of ``judge`` and ``simulator``; empty when it needs none."""
        roles: tuple[str, ...] = getattr(self.adapter, "needs", ())
        return roles

    def for_model(self, model: Model) -> "LoadedTask":
        """Return a copy of the task whose ``sampling`` and ``origin`` hold for one model.

        The sampling is the run's as it holds for the model (``config.sampling.model_sampling``), with the fields
        that the task sets in their place.
        """
        sampling = effective(model_sampling(self.run_sampling, model), self.settings.sampling)
        return replace(self, sampling=fields(sampling), origin=sampling_origin(sampling))

    def cannot_grade(self) -> str:
        """Return why answers cannot be graded on this machine; empty if they can, or if the adapter does not check it.

        Blocks while a sandbox starts, if one is used.
        """
        reason: Callable[[], str] = getattr(self.adapter, "cannot_grade", str)
        return reason()

    @property
    def single_turn(self) -> bool:
        """Whether the adapter has a method ``prompt``: an attempt is then one request to the model, and not several."""
        return hasattr(self.adapter, "prompt")

    def first_request(self) -> Request | None:
        """Return the request for the first item in repeat 0, without sampling; None unless ``single_turn``.

        If it is, raises ``IndexError`` without items, and what the adapter's ``prompt`` raises, such as ``BadInput``.
        """
        return cast("SingleTurn", self.adapter).prompt(self.items[0], 0) if self.single_turn else None


def load_tasks(settings: Run) -> dict[str, LoadedTask]:
    """Build the adapters of all tasks of a run and load their questions; return name of the task -> loaded task.

    Missing data of the hub is downloaded (not with ``data=local``). Raises ``BadInput`` for unknown adapters, variants
    and options, data that cannot be loaded, two items with the same id, and selections that are unknown or leave
    nothing; ``StorageFailed`` when a cache cannot be used.
    """
    return {name: load_task(name, task, settings) for name, task in settings.tasks.items()}


def load_task(name: str, task: Task, settings: Run, *, without_items: bool = False) -> LoadedTask:
    """Build the adapter of one task, load its questions and choose those to ask
    (``task.select`` and the run's ``limit``).

    ``name`` is the name of the task in the run. ``without_items``: only the adapter is built, and ``items`` stays
    empty; an ``lm_eval`` task is loaded even so, because only then its datasets are known. Raises as ``load_tasks``.
    """
    source = Source(settings.data.kind, settings.data.root)
    task = replace(task, options=typed_options(task.adapter, task.options))
    adapter = build(task.adapter, variant=task.variant, options=task.options, source=source, seed=settings.seed)
    with gated_datasets() as gated_read:
        items = () if without_items else all_items(name, adapter, source)
    doubles = len(items) - len({item.id for item in items})
    if doubles:
        raise BadInput(f"task {name} has {doubles} items whose id another item has; every id must be unique")
    selected = () if without_items else selected_items(items, task.select, settings.limit, settings.seed)
    order = tuple(item.id for item in selected)
    asked = frozenset(order)
    chosen = tuple(item for item in items if item.id in asked)
    part = {"limit": settings.limit, "groups": dict(task.select.groups), "ids": task.select.ids}
    sampling = effective(settings.sampling, task.sampling)
    return LoadedTask(
        name=name,
        settings=task,
        adapter=adapter,
        items=chosen,
        order=order,
        total=max(len(items), declared_items(task.adapter, task.variant) or 0),
        found=len(items),
        data={} if without_items else data_facts(task.adapter, source),
        selection=part if len(chosen) < len(items) else None,
        data_sha=data_sha(items),
        seed=settings.seed,
        sampling=fields(sampling),
        origin=sampling_origin(sampling),
        run_sampling=settings.sampling,
        gated=adapter_is_gated(adapter, gated_read),
    )


def all_items(name: str, adapter: Adapter, source: Source) -> tuple[Item, ...]:
    """Load all items of task ``name``. Raises ``BadInput`` for an id or cluster that is no text or not UTF-8, and what
    ``adapter.items`` raises; for a local ``source`` its ``LookupError``, ``TypeError``, ``AttributeError`` and
    ``ValueError``, which rows of another form cause, become ``BadInput``."""
    try:
        items = tuple(adapter.items())
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        if source.kind != "local":
            raise
        raise BadInput(
            f"a question of {name} below data.root={source.root} is not of the dataset's form: "
            f"{type(error).__name__}: {error}"
        ) from error
    for item in items:
        for text in (item.id, item.cluster):
            if not isinstance(text, str) or (not text.isascii() and not _is_utf8(text)):
                raise BadInput(f"task {name}: the id or cluster {text!r} of an item is not valid text")
    return items


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True
