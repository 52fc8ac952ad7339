"""What is left to do in the cells of a run: lanes of jobs for the engine, each with what is known of its lengths."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from evalsuite import arms, run_folder, store
from evalsuite.cells import LoadedTask
from evalsuite.connecting import Aides
from evalsuite.endpoint.pool import Pool, base_urls
from evalsuite.guard import Guard
from evalsuite.lane import Job, Lane
from evalsuite.lengths import Lengths, recorded
from evalsuite.records import Item
from evalsuite.settings import Model, Run
from evalsuite.store import Cell

Opened = Mapping[run_folder.Place, Cell]
"""(model label, task) -> its cell."""


def needs(task: LoadedTask) -> tuple[str, ...]:
    """Who else a task talks with: ``judge``, ``simulator``."""
    found: tuple[str, ...] = getattr(task.adapter, "needs", ())
    return found


def pending(cell: Cell, task: LoadedTask, aides: Aides) -> bool:
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
    aides: Aides,
    guards: Mapping[str, Guard],
) -> list[Lane]:
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
            looks = tuple(guards[name].look for name in names if name in guards)
            found.append(Lane(" + ".join(names), limit, jobs, looks))
    return found


def _job(cell: Cell, task: LoadedTask, pool: Pool, settings: Run, limit: int, aides: Aides, lengths: Lengths) -> Job:
    return Job(
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


def _lengths(cell: Cell, settings: Run, baseline: Mapping[str, Path]) -> Lengths:
    known = baseline.get(cell.folder.name)
    return recorded(Path(settings.results_dir), cell.folder, cell.manifest, cell.lengths(), baseline=known)


@contextmanager
def baseline_cells(path: str | None) -> Iterator[dict[str, Path]]:
    """Task -> cell folder of ``baseline_run=``: an artefact, unpacked for as long as the block lasts, or a run folder.

    Raises ``BadInput`` for a file that is no artefact.
    """
    if path is None:
        yield {}
    elif Path(path).is_dir():
        yield {folder.name: folder for folder in store.cells(Path(path))}
    else:
        from evalsuite.baseline import open_artefact  # pandas

        with open_artefact(Path(path)) as artefact:
            yield {cell.task: cell.folder for cell in artefact.cells}
