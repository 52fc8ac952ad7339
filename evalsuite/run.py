"""The ``run`` command: cells asked for -> endpoints -> journals -> tables -> report."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from evalsuite import arms, ending, run_folder
from evalsuite.asking import Stop
from evalsuite.cells import DEMO, LoadedTask, dry_run, load_task, manifest
from evalsuite.connecting import Aides, connect_aides, open_model
from evalsuite.endpoint.pool import Pool
from evalsuite.engine import Ended, run_lanes
from evalsuite.errors import BadInput, EndpointUnusable, EvalsuiteError, Exit
from evalsuite.guard import Guard, last_looks
from evalsuite.jobs import lanes, needs, pending
from evalsuite.memory import give_back_large_blocks
from evalsuite.progress import drawn
from evalsuite.settings import Model, Run
from evalsuite.store import MANIFEST, Cell, Commits, close_cells, open_cell, read_manifest, seal
from evalsuite.windows import Window, window

if TYPE_CHECKING:
    from evalsuite.contests import Contests


def run(settings: Run) -> Exit:
    """Ask what was asked for, grade it and report. Raises ``EvalsuiteError`` before anything is sent."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    closes = None if settings.engine.deadline is None or settings.dry_run else window(settings.engine.deadline)
    settings = arms.doubled(settings)
    tasks = {name: load_task(name, task, settings) for name, task in settings.tasks.items()}
    for task in tasks.values():
        if hasattr(task.adapter, "prompt"):
            task.adapter.prompt(task.items[0], 0)  # what is missing for a prompt shows before anything is sent
    models = {name: _with_thinking(model, settings.thinking) for name, model in settings.models.items()}
    if settings.dry_run:
        return dry_run(tasks, models, settings)
    asked = {
        (run_folder.label(name, model.thinking), task.name): manifest(name, model, task, settings)
        for name, model in models.items()
        for task in tasks.values()
    }
    results = Path(settings.results_dir)
    choice = run_folder.choose(results, settings.run_id, settings.suite, asked)
    folder = results / choice.run_id
    console.print(f"run {choice.run_id} ({choice.why})")
    _redo(folder, asked, settings)
    contests = _contests(folder, models, tasks, asked, settings, console)
    give_back_large_blocks()
    stop = Stop()
    try:
        code = asyncio.run(_execute(folder, models, tasks, asked, settings, closes, stop, console, contests))
    except asyncio.CancelledError:  # the second signal
        console.print("Ended at once. Everything that arrived is kept; the same command goes on from here.")
        return ending.SIGNALS[stop.reason]
    if settings.report:
        _report(folder, settings, console)
    return code


async def _execute(
    folder: Path,
    models: Mapping[str, Model],
    tasks: Mapping[str, LoadedTask],
    asked: Mapping[run_folder.Place, dict[str, Any]],
    settings: Run,
    closes: Window | None,
    stop: Stop,
    console: Console,
    contests: "Contests | None",
) -> Exit:
    """Open cells and endpoints, ask everything, close and seal."""
    opened: dict[run_folder.Place, Cell] = {}
    pools: dict[str, Pool] = {}
    guards: dict[str, Guard] = {}
    aides = Aides()
    with ExitStack() as stack:
        commits = stack.enter_context(Commits())
        served = _serve_demo(models, stack)
        try:
            needed = {who for task in tasks.values() for who in needs(task)}
            aides = await connect_aides(settings.judge, settings.simulator, needed, settings.engine)
            able = _able(tasks, aides, console)
            for place, one in asked.items():
                if place[1] in able:
                    _same_judge(folder / place[0] / place[1], aides)
                    opened[place] = open_cell(folder / place[0] / place[1], one, commits)
            if contests is not None:
                contests.attach(opened)
            refused = await _connect(served, able, opened, settings, pools, guards, aides, console)
            if len(refused) == len(models):
                for name, error in refused.items():  # nothing was asked, so there is nothing to seal and to count
                    console.print(f"{name} was refused: {error}", markup=False)
                return Exit.ENDPOINT
            work = lanes(served, able, opened, settings, pools, aides, guards)
            ending.listen(stop, settings.engine.drain_seconds, console)
            with drawn(console) as draw:
                ended = await run_lanes(
                    work, settings.engine, stop, draw, window=closes, rate=settings.rate, contests=contests
                )
            changed = await last_looks(guards, ended.faults, stop)
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
    code = ending.verdict(opened.values(), Ended(faults, ended.progress), stop, closes, console)
    skipped = len(able) < len(tasks)
    return Exit.STOPPED if skipped and code in (Exit.DONE, Exit.INCOMPLETE) else code


def _contests(
    folder: Path,
    models: Mapping[str, Model],
    tasks: Mapping[str, LoadedTask],
    asked: Mapping[run_folder.Place, dict[str, Any]],
    settings: Run,
    console: Console,
) -> "Contests | None":
    """The comparisons that ``engine.stop=sequential`` decides. Raises ``BadInput`` where that cannot be, and for
    cells that were begun with it and would now be asked without it.
    """
    if settings.engine.stop is None:
        for model, task in asked:
            cell = folder / model / task
            if (cell / MANIFEST).exists() and read_manifest(cell).get("sequential"):
                raise BadInput(
                    f"{cell} was begun with engine.stop=sequential, and its verdict is the sequential one: go on with "
                    f'engine.stop=sequential, or redo={task} reason="..." to ask anew'
                )
        return None
    from evalsuite import sequential  # numpy and scipy are of no use to other runs

    found = sequential.planned(folder, models, tasks, asked, settings)
    for note in found.notes:
        console.print(note, markup=False)
    return found


def _same_judge(folder: Path, aides: Aides) -> None:
    """Raises ``BadInput`` if a cell holds verdicts of another judge: they must not be mixed."""
    if aides.judge is None or not (folder / MANIFEST).exists():
        return
    before, now = read_manifest(folder).get("judge"), aides.names()["judge"]
    if before not in (None, now):
        raise BadInput(f"{folder} was judged by {before}, now it is {now}: judge all of it with evalsuite judge")


def _able(tasks: Mapping[str, LoadedTask], aides: Aides, console: Console) -> dict[str, LoadedTask]:
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
    from evalsuite.demo.launch import serving

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
    guards: dict[str, Guard],
    aides: Aides,
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
            guards[name] = Guard(name, model, served_name, settings.engine, list(mine.values()), entry)
            pools[name].on_reconnect = guards[name].look
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


def _redo(folder: Path, asked: Mapping[run_folder.Place, Any], settings: Run) -> None:
    if settings.redo in (None, "failed"):  # failed samples are asked again anyway
        return
    if settings.redo not in {task for _, task in asked}:
        raise BadInput(f"redo={settings.redo}: not among the asked tasks ({', '.join({task for _, task in asked})})")
    for model, task in asked:
        if task == settings.redo and (folder / model / task).is_dir():
            run_folder.archive(folder / model / task, settings.reason or "")


def _report(folder: Path, settings: Run, console: Console) -> None:
    if any(folder.glob("*/*/summary.json")):
        from evalsuite.report.build import report_run  # pandas and matplotlib are of no use before there is a cell

        report_run(folder, settings.baseline)
    else:
        console.print("nothing to report yet")


def _with_thinking(model: Model, thinking: bool | None) -> Model:
    return model if thinking is None else replace(model, thinking=thinking)
