"""The work of a run: for every endpoint the cells that it serves, and the attempts that are still to be made."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evalsuite.endpoint.pool import Pool
from evalsuite.endpoint.stream import PartialReply
from evalsuite.engine.auxiliary import Auxiliaries, AuxiliaryClient
from evalsuite.engine.lengths import ExpectedLengths
from evalsuite.engine.scheduler import Attempt, ordered
from evalsuite.records import Item
from evalsuite.store.cell import Cell
from evalsuite.tasks.base import Adapter
from evalsuite.tasks.loading import LoadedTask


@dataclass(frozen=True, slots=True)
class CellWork:
    """One cell of a run with all that is needed to make its attempts."""

    cell: Cell
    adapter: Adapter
    pool: Pool
    items: tuple[Item, ...]
    repeats: int
    sampling: Mapping[str, Any]
    """Fields of every request, ``seed`` excepted."""
    seed: int
    limit: int
    """Most attempts of this cell at the same time."""
    judge: AuxiliaryClient | None = None
    simulator: AuxiliaryClient | None = None
    lengths: ExpectedLengths = field(default_factory=ExpectedLengths)
    """What is known of the lengths of its answers before the run."""

    def open_attempts(self, number: int, *, shuffle: bool) -> list[Attempt]:
        """The attempts of the cell that are still to be made (without score, failed, or ungraded while the cell has a
        judge), in the order in which they are to be made (see ``scheduler.ordered``).

        ``number`` is the cell's index among the cells of its endpoint; ``shuffle``: in random order, by the cell's
        seed.
        """
        planned = ordered(
            number,
            self.items,
            self.repeats,
            expected=self.lengths.expected,
            shuffle_seed=self.seed if shuffle else None,
            together=getattr(self.adapter, "shares_prefix", False),
        )
        judged = self.judge is not None
        return [attempt for attempt in planned if self.cell.needs_attempt(attempt.key, judged=judged)]


@dataclass(frozen=True, slots=True)
class Workload:
    """One endpoint with all cells of the run that it serves."""

    name: str
    """The models at the endpoint, joined by `` + ``."""
    limit: int
    """Most requests in flight."""
    cells: tuple[CellWork, ...]
    identity_checks: tuple[Callable[[], Awaitable[None]], ...] = ()
    """Called every ``engine.reprobe_seconds``; each raises ``EndpointUnusable`` when its server has changed."""

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The pools of the models at the endpoint, each once."""
        return tuple({id(work.pool): work.pool for work in self.cells}.values())


@dataclass(slots=True)
class RunningAttempt:
    """An attempt that is being made."""

    attempt: Attempt
    tokens: int = 0
    """Generated tokens of its whole replies."""
    partial: PartialReply | None = None
    """The reply to the request that is in flight, as far as it has arrived; None: no request is in flight."""
    sent_at: float = 0.0
    """When the last request was sent, ``time.monotonic()``."""
    sent: bool = False
    """Whether any request was sent."""

    @property
    def characters(self) -> int:
        """Characters that have arrived of the reply in flight; 0 if no request is in flight."""
        return 0 if self.partial is None else self.partial.characters


def has_open_attempts(cell: Cell, task: LoadedTask, auxiliaries: Auxiliaries) -> bool:
    """Whether any planned attempt of a cell is still to be made: without score, failed, or ungraded while
    ``auxiliaries`` has a judge."""
    judged = auxiliaries.judge is not None
    keys = ((item.id, repeat) for repeat in range(task.settings.repeats) for item in planned_items(cell, task))
    return any(cell.needs_attempt(key, judged=judged) for key in keys)


def planned_items(cell: Cell, task: LoadedTask) -> tuple[Item, ...]:
    """The items of ``task`` that the cell's manifest holds: all that are asked for, unless the cell stopped early."""
    planned = set(cell.manifest["items"])
    return tuple(item for item in task.items if item.id in planned)
