"""What is left to do in the cells of a run: the jobs of each endpoint, their expected lengths and their counts."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalsuite.config import aa as arms
from evalsuite.config.settings import Model, Run
from evalsuite.endpoint.pool import Pool, base_urls
from evalsuite.engine.auxiliary import Auxiliaries, AuxiliaryClient
from evalsuite.engine.identity.monitor import IdentityMonitor
from evalsuite.engine.lengths import ExpectedLengths, recorded
from evalsuite.engine.scheduler import Attempt, Order, ordered
from evalsuite.records import Item
from evalsuite.store import runs as run_folder
from evalsuite.store.baseline import baseline_cells
from evalsuite.store.cell import Cell
from evalsuite.tasks.base import Adapter
from evalsuite.tasks.loading import LoadedTask


@dataclass(frozen=True, slots=True)
class CellWork:
    """One cell of a run, ready to be asked."""

    cell: Cell
    adapter: Adapter
    client: Pool
    items: tuple[Item, ...]
    repeats: int
    sampling: Mapping[str, Any]
    """Fields of every request, ``seed`` excepted."""
    seed: int
    cap: int
    """Most attempts of this cell at the same time."""
    judge: AuxiliaryClient | None = None
    simulator: AuxiliaryClient | None = None
    lengths: ExpectedLengths = field(default_factory=ExpectedLengths)
    """What is known beforehand of its answers' lengths."""

    def todo(self, number: int, order: Order = "longest") -> list[Attempt]:
        """The attempts that are not on record yet, in the order in which they are made (``schedule.ordered``)."""
        planned = ordered(
            number,
            self.items,
            self.repeats,
            expected=self.lengths.expected,
            order=order,
            seed=self.seed,
            together=getattr(self.adapter, "shares_prefix", False),
        )
        judged = self.judge is not None
        return [todo for todo in planned if self.cell.needs((todo.item.id, todo.repeat), judged=judged)]


@dataclass(frozen=True, slots=True)
class Workload:
    """One endpoint with all its cells of this run."""

    name: str
    limit: int
    """Most requests in flight."""
    jobs: tuple[CellWork, ...]
    looks: tuple[Callable[[], Awaitable[None]], ...] = ()
    """Asked again and again: each raises ``EndpointUnusable`` when its server is no longer who it was."""


@dataclass(slots=True)
class Progress:
    """Counts of one lane, for whoever draws them."""

    planned: int = 0
    done: int = 0
    failed: int = 0
    truncated: int = 0
    tokens: int = 0
    running: int = 0
    started: int = 0
    """Attempts that were begun."""
    cut: int = 0
    """Answers that were cut while they came."""
    unsent: int = 0
    """Attempts that were not begun, or not gone on with, because of the window, a stop or a spent budget."""
    needed: float | None = None
    """Seconds that the shortest unsent attempt is expected to need at most, where that is known."""
    stopped: str = ""
    """Why the endpoint was given up, if it was."""
    recorded: int = 0
    """Attempts of its cells that were on record before."""
    limit: int = 0
    """Most requests in flight now: fewer than the user set while the endpoint is overloaded or a replica is away."""
    in_flight: int = 0
    """Requests in flight."""
    arriving: float = 0.0
    """Generated tokens of replies that are still coming, estimated from their text; not in ``tokens`` yet."""
    tokens_left: float | None = None
    """Tokens that all open attempts are expected to generate yet, where anything is known of their lengths."""
    longest_left: float = 0.0
    """Of which the running attempt that is expected to last longest."""
    state: str = ""
    """What holds it up: an outage, overload, a stop; empty: nothing."""


Opened = Mapping[run_folder.Place, Cell]
"""(model label, task) -> its cell."""


def needs(task: LoadedTask) -> tuple[str, ...]:
    """Who else a task talks with: ``judge``, ``simulator``."""
    found: tuple[str, ...] = getattr(task.adapter, "needs", ())
    return found


def pending(cell: Cell, task: LoadedTask, aides: Auxiliaries) -> bool:
    """Whether a cell has an attempt that is still to be made."""
    judged = aides.judge is not None
    pairs = ((item.id, repeat) for repeat in range(task.settings.repeats) for item in wanted(cell, task))
    return any(cell.needs(pair, judged=judged) for pair in pairs)


def wanted(cell: Cell, task: LoadedTask) -> tuple[Item, ...]:
    """The items asked for that the cell's plan holds: all of them, unless it stopped early."""
    planned = set(cell.manifest["items"])
    return tuple(item for item in task.items if item.id in planned)


def lanes(
    models: Mapping[str, Model],
    tasks: Mapping[str, LoadedTask],
    cells: Opened,
    settings: Run,
    pools: Mapping[str, Pool],
    aides: Auxiliaries,
    guards: Mapping[str, IdentityMonitor],
) -> list[Workload]:
    """One lane per endpoint, over all cells that it serves. Models that serve from the same place share its slots."""
    at: dict[tuple[str, ...], list[str]] = {}
    for name in pools:
        at.setdefault(base_urls(models[name]), []).append(name)
    found = []
    with baseline_cells(settings.baseline_run) as known:
        for names in at.values():
            limit = min(models[name].concurrency for name in names)
            jobs = tuple(
                _job(cells[place], task, pools[name], settings, limit, aides, _lengths(cells[place], settings, known))
                for name in names
                for task in tasks.values()
                if (place := (run_folder.label(name, models[name].thinking), task.name)) in cells
            )
            looks = tuple(guards[name].check for name in names if name in guards)
            found.append(Workload(" + ".join(names), limit, jobs, looks))
    return found


def _job(
    cell: Cell, task: LoadedTask, pool: Pool, settings: Run, limit: int, aides: Auxiliaries, lengths: ExpectedLengths
) -> CellWork:
    return CellWork(
        cell,
        task.adapter,
        pool,
        wanted(cell, task),
        task.settings.repeats,
        task.sampling,
        arms.draw_seed(settings.seed, cell.manifest["identity"]),
        min(limit, task.settings.concurrency or limit),
        aides.judge if "judge" in needs(task) else None,
        aides.simulator if "simulator" in needs(task) else None,
        lengths,
    )


def _lengths(cell: Cell, settings: Run, baseline: Mapping[str, Path]) -> ExpectedLengths:
    known = baseline.get(cell.folder.name)
    return recorded(Path(settings.results_dir), cell.folder, cell.manifest, cell.lengths(), baseline=known)
