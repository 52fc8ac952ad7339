"""One run from open cells to closed ones: connect, ask everything, close and seal."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from evalsuite.config import aa as arms
from evalsuite.config.deadline import Window
from evalsuite.config.settings import DEMO, Model, Run
from evalsuite.endpoint.pool import Pool
from evalsuite.engine import stopping as ending
from evalsuite.engine.auxiliary import Auxiliaries, connect_auxiliaries
from evalsuite.engine.identity.monitor import IdentityMonitor, final_checks
from evalsuite.engine.identity.preflight import open_model
from evalsuite.engine.jobs import lanes, needs, pending
from evalsuite.engine.loop import Draw, LoopResult, run_lanes
from evalsuite.engine.stopping import Stop
from evalsuite.errors import BadInput, EndpointUnusable, EvalsuiteError
from evalsuite.store import runs as run_folder
from evalsuite.store.cell import Cell, close_cells, open_cell
from evalsuite.store.manifest import MANIFEST, read_manifest
from evalsuite.store.samples import seal
from evalsuite.store.writer import JournalWriter
from evalsuite.tasks.loading import LoadedTask

if TYPE_CHECKING:
    from evalsuite.engine.early_stopping.controller import EarlyStopping


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What a run did, for the command that turns it into text and an exit code."""

    cells: tuple[Cell, ...]
    """The sealed cells; empty if every model was refused before its first question."""
    ended: LoopResult
    """With the models that were refused among its faults."""
    skipped: bool
    """Whether a task could not be asked because its simulator was missing."""


async def execute(
    folder: Path,
    models: Mapping[str, Model],
    tasks: Mapping[str, LoadedTask],
    asked: Mapping[run_folder.Place, dict[str, Any]],
    settings: Run,
    closes: Window | None,
    stop: Stop,
    console: Console,
    contests: "EarlyStopping | None",
    draw: Draw,
) -> SessionResult:
    """Open cells and endpoints, ask everything, close and seal."""
    opened: dict[run_folder.Place, Cell] = {}
    pools: dict[str, Pool] = {}
    guards: dict[str, IdentityMonitor] = {}
    aides = Auxiliaries()
    with ExitStack() as stack:
        commits = stack.enter_context(JournalWriter())
        served = _serve_demo(models, stack)
        try:
            needed = {who for task in tasks.values() for who in needs(task)}
            aides = await connect_auxiliaries(settings.judge, settings.simulator, needed, settings.engine)
            able = _able(tasks, aides, console)
            for place, one in asked.items():
                if place[1] in able:
                    _same_judge(folder / place[0] / place[1], aides)
                    opened[place] = open_cell(folder / place[0] / place[1], one, commits)
            if contests is not None:
                contests.attach(opened)
            refused = await _connect(served, able, opened, settings, pools, guards, aides, console)
            if len(refused) == len(models):
                return SessionResult((), LoopResult(refused, {}), skipped=len(able) < len(tasks))
            work = lanes(served, able, opened, settings, pools, aides, guards)
            ending.listen(stop, settings.engine.drain_seconds, console)
            ended = await run_lanes(
                work, settings.engine, stop, draw, window=closes, rate=settings.rate, contests=contests
            )
            changed = await final_checks(guards, ended.faults, stop)
            if contests is not None:
                contests.finish(console)
            _flag(pools, opened, console)
        finally:
            for pool in pools.values():
                await pool.close()
            await aides.close()
            await close_cells(opened.values(), commits)
    for cell in opened.values():
        seal(cell.folder)
    faults = {**refused, **ended.faults, **changed}
    return SessionResult(tuple(opened.values()), LoopResult(faults, ended.progress), skipped=len(able) < len(tasks))


def _same_judge(folder: Path, aides: Auxiliaries) -> None:
    """Raises ``BadInput`` if a cell holds verdicts of another judge: they must not be mixed."""
    if aides.judge is None or not (folder / MANIFEST).exists():
        return
    before, now = read_manifest(folder).get("judge"), aides.names()["judge"]
    if before not in (None, now):
        raise BadInput(f"{folder} was judged by {before}, now it is {now}: judge all of it with evalsuite judge")


def _able(tasks: Mapping[str, LoadedTask], aides: Auxiliaries, console: Console) -> dict[str, LoadedTask]:
    """The tasks that can be asked now: a dialogue needs its simulator, while a judge may come later."""
    missing = aides.missing or {}
    able = {name: task for name, task in tasks.items() if not ("simulator" in needs(task) and "simulator" in missing)}
    for name in tasks.keys() - able.keys():
        console.print(f"{name} is skipped: {missing['simulator']} (simulator=NAME; the same command adds it later)")
    if "judge" in missing:
        judged = ", ".join(name for name, task in able.items() if "judge" in needs(task))
        console.print(f"answers of {judged} are stored ungraded: {missing['judge']}. Later: evalsuite judge run=...")
    return able


def _serve_demo(models: Mapping[str, Model], stack: ExitStack) -> dict[str, Model]:
    """The models with real base URLs; embedded servers are started for those that ask for them, one for both arms."""
    wanted = dict.fromkeys(arms.first(name) for name, model in models.items() if model.base_url == DEMO)
    if not wanted:
        return dict(models)
    from evalsuite.demo.process import serving

    urls = stack.enter_context(serving(list(wanted)))
    return {
        name: replace(model, base_url=urls[arms.first(name)]) if model.base_url == DEMO else model
        for name, model in models.items()
    }


async def _connect(
    models: Mapping[str, Model],
    tasks: Mapping[str, LoadedTask],
    cells: Mapping[run_folder.Place, Cell],
    settings: Run,
    pools: dict[str, Pool],
    guards: dict[str, IdentityMonitor],
    aides: Auxiliaries,
    console: Console,
) -> dict[str, EvalsuiteError]:
    """Connect to every model that has work left, and write down who it is. Returns those that were refused."""
    refused: dict[str, EvalsuiteError] = {}
    for name, model in models.items():
        mine = {task: cells[run_folder.label(name, model.thinking), task] for task in tasks}
        if not any(pending(cell, tasks[task], aides) for task, cell in mine.items()):
            continue
        try:
            pools[name], entry, notes = await open_model(name, model, tasks.values(), settings, list(mine.values()))
        except EndpointUnusable as error:
            refused[name] = error
            continue
        for note in notes:
            console.print(note, markup=False)
        for task, cell in mine.items():
            who = {name: found for name, found in aides.names().items() if name in needs(tasks[task])}
            cell.update({"server": [*cell.manifest["server"], entry], **who})
        if settings.engine.probe:
            served_name = pools[name].served_name
            guards[name] = IdentityMonitor(name, model, served_name, settings.engine, list(mine.values()), entry)
            pools[name].on_reconnect = guards[name].check
    return refused


def _flag(pools: Mapping[str, Pool], cells: Mapping[run_folder.Place, Cell], console: Console) -> None:
    """Say what the endpoints did that bears on their scores, and keep it with their cells (``flags``)."""
    for name, pool in pools.items():
        flags = pool.tally.flags()
        for flag in flags:
            console.print(f"{name}: {flag}", markup=False)
        for place, cell in cells.items():
            if flags and place[0] == run_folder.label(name, pool.model.thinking):
                cell.update({"flags": list(dict.fromkeys([*cell.manifest.get("flags", []), *flags]))})
