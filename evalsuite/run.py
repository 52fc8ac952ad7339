"""The ``run`` command: cells asked for -> endpoints -> journals -> tables -> report."""

import asyncio
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from evalsuite import run_folder
from evalsuite.asking import Stop
from evalsuite.cells import DEMO, LoadedTask, dry_run, load_task, manifest
from evalsuite.connecting import Aides, connect_aides, connect_model
from evalsuite.endpoint.client import Client
from evalsuite.engine import Job, Lane, run_lanes
from evalsuite.errors import BadInput, EndpointUnusable, EvalsuiteError, Exit
from evalsuite.progress import drawn
from evalsuite.settings import Model, Run
from evalsuite.store import MANIFEST, Cell, CommitThread, open_cell, read_manifest, seal


def run(settings: Run) -> Exit:
    """Ask what was asked for, grade it and report. Raises ``EvalsuiteError`` before anything is sent."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
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
    code = asyncio.run(_execute(folder, models, tasks, asked, settings, console))
    if settings.report:
        _report(folder, settings, console)
    return code


async def _execute(
    folder: Path,
    models: Mapping[str, Model],
    tasks: Mapping[str, LoadedTask],
    asked: Mapping[run_folder.Place, dict[str, Any]],
    settings: Run,
    console: Console,
) -> Exit:
    """Open cells and endpoints, ask everything, close and seal."""
    opened: dict[run_folder.Place, Cell] = {}
    clients: dict[str, Client] = {}
    aides = Aides()
    stop = Stop()
    with ExitStack() as stack:
        commits = stack.enter_context(CommitThread())
        served = _serve_demo(models, stack)
        try:
            needed = {who for task in tasks.values() for who in needs(task)}
            aides = await connect_aides(settings.judge, settings.simulator, needed, settings.engine)
            able = _able(tasks, aides, console)
            for place, one in asked.items():
                if place[1] in able:
                    _same_judge(folder / place[0] / place[1], aides)
                    opened[place] = open_cell(folder / place[0] / place[1], one, commits)
            refused = await _connect(served, able, opened, settings, clients, aides)
            lanes = _lanes(served, able, opened, settings, clients, aides)
            _listen(stop, console)
            with drawn(console) as draw:
                faults = {**refused, **await run_lanes(lanes, settings.engine, stop, draw)}
        finally:
            for client in clients.values():
                await client.api.close()
            await aides.close()
            if commits.failure is None:
                for cell in opened.values():
                    await cell.flush()
            for cell in opened.values():
                cell.close()
    for cell in opened.values():
        seal(cell.folder)
    code = _verdict(list(opened.values()), faults, stop, console)
    skipped = len(able) < len(tasks)
    return Exit.STOPPED if skipped and code in (Exit.DONE, Exit.INCOMPLETE) else code


def needs(task: LoadedTask) -> tuple[str, ...]:
    """Who else a task talks with: ``judge``, ``simulator``."""
    found: tuple[str, ...] = getattr(task.adapter, "needs", ())
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
    """The models with real base URLs; embedded servers are started for those that ask for them."""
    wanted = [name for name, model in models.items() if model.base_url == DEMO]
    if not wanted:
        return dict(models)
    from evalsuite.demo.launch import serving

    urls = stack.enter_context(serving(wanted))
    return {name: replace(model, base_url=urls.get(name, model.base_url)) for name, model in models.items()}


async def _connect(
    models: Mapping[str, Model],
    tasks: Mapping[str, LoadedTask],
    cells: Mapping[run_folder.Place, Cell],
    settings: Run,
    clients: dict[str, Client],
    aides: Aides,
) -> dict[str, EvalsuiteError]:
    """Connect to every model that has work left, and write down who it is. Returns those that were refused."""
    refused: dict[str, EvalsuiteError] = {}
    for name, model in models.items():
        mine = {task: cells[run_folder.label(name, model.thinking), task] for task in tasks}
        if not any(_pending(cell, tasks[task], aides) for task, cell in mine.items()):
            continue
        try:
            clients[name], facts = await connect_model(model, tasks.values(), settings.engine)
        except EndpointUnusable as error:
            refused[name] = error
            continue
        for task, cell in mine.items():
            who = {name: found for name, found in aides.names().items() if name in needs(tasks[task])}
            cell.update({"server": [*cell.manifest["server"], facts], **who})
    return refused


def _pending(cell: Cell, task: LoadedTask, aides: Aides) -> bool:
    judged = aides.judge is not None
    pairs = ((item.id, repeat) for repeat in range(task.settings.repeats) for item in task.items)
    return any(cell.needs(pair, judged=judged) for pair in pairs)


def _lanes(
    models: Mapping[str, Model],
    tasks: Mapping[str, LoadedTask],
    cells: Mapping[run_folder.Place, Cell],
    settings: Run,
    clients: Mapping[str, Client],
    aides: Aides,
) -> list[Lane]:
    """One lane per base URL, over all cells that it serves."""
    by_url: dict[str, list[str]] = {}
    for name in clients:
        by_url.setdefault(models[name].base_url, []).append(name)
    lanes = []
    for names in by_url.values():
        limit = min(models[name].concurrency for name in names)
        jobs = tuple(
            Job(
                cells[run_folder.label(name, models[name].thinking), task.name],
                task.adapter,
                clients[name],
                task.items,
                task.settings.repeats,
                task.sampling,
                settings.seed,
                min(limit, task.settings.concurrency or limit),
                aides.judge if "judge" in needs(task) else None,
                aides.simulator if "simulator" in needs(task) else None,
            )
            for name in names
            for task in tasks.values()
        )
        lanes.append(Lane(" + ".join(names), limit, jobs))
    return lanes


def _listen(stop: Stop, console: Console) -> None:
    """First Ctrl-C or SIGTERM: drain. Second: end now."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def heard(name: str) -> None:
        if stop.requested:
            if main is not None:
                main.cancel()
            return
        stop.request(name)
        console.print(f"{name}: running requests may finish, no new ones start (once more: end now)")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard, number.name)


def _verdict(cells: list[Cell], faults: Mapping[str, EvalsuiteError], stop: Stop, console: Console) -> Exit:
    """The exit code, and one line for every cell that is not whole."""
    from evalsuite.summary import summarize  # pandas and scipy are of no use before the last answer

    incomplete = 0
    for cell in cells:
        summary = summarize(cell.folder)
        if not summary["complete"]:
            incomplete += 1
            counts = {"not asked": summary["planned"] - summary["samples"]}
            counts |= {name: summary["outcomes"][name] for name in ("failed", "ungraded")}
            what = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            console.print(f"{cell.label}/{cell.folder.name} is incomplete: {what}")
    for name, fault in faults.items():
        console.print(f"{name} was stopped: {fault}", markup=False)
    if stop.requested:
        console.print("Everything that arrived is kept. The same command goes on where this one stopped.")
        return Exit.SIGINT if stop.reason == "SIGINT" else Exit.SIGTERM
    if faults:
        return Exit.ENDPOINT
    return Exit.INCOMPLETE if incomplete else Exit.DONE


def _redo(folder: Path, asked: Mapping[run_folder.Place, Any], settings: Run) -> None:
    if settings.redo in (None, "failed"):  # failed samples are asked again anyway
        return
    if settings.redo not in {task for _, task in asked}:
        raise BadInput(f"redo={settings.redo}: not among the asked tasks ({', '.join({task for _, task in asked})})")
    for model, task in asked:
        if task == settings.redo and (folder / model / task).is_dir():
            run_folder.archive(folder / model / task, settings.reason or "")


def _report(folder: Path, settings: Run, console: Console) -> None:
    from evalsuite.report.build import report_run

    if any(folder.glob("*/*/summary.json")):
        report_run(folder, settings.baseline)
    else:
        console.print("nothing to report yet")


def _with_thinking(model: Model, thinking: bool | None) -> Model:
    return model if thinking is None else replace(model, thinking=thinking)
