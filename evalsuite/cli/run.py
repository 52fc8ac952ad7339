"""The ``run`` command: cells asked for -> endpoints -> journals -> tables -> report."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from evalsuite.cli.dry_run import dry_run
from evalsuite.cli.progress import drawn
from evalsuite.cli.startup import give_back_large_blocks
from evalsuite.config import aa as arms
from evalsuite.config.deadline import Window, window
from evalsuite.config.settings import Model, Run
from evalsuite.endpoint import environment
from evalsuite.engine import stopping as ending
from evalsuite.engine.jobs import needs
from evalsuite.engine.loop import LoopResult
from evalsuite.engine.manifests import manifest
from evalsuite.engine.session import SessionResult, execute
from evalsuite.engine.stopping import BUDGET, SIGNALS, Stop
from evalsuite.errors import BadInput, EndpointDown, Exit
from evalsuite.store import runs as run_folder
from evalsuite.store.manifest import MANIFEST, read_manifest
from evalsuite.tasks.loading import LoadedTask, load_task

if TYPE_CHECKING:
    from evalsuite.engine.early_stopping.controller import EarlyStopping


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
    prepared = environment.prepare(models, _auxiliaries(tasks, settings), settings.engine.connect_seconds)
    models = prepared.models
    for note in prepared.notes:
        console.print(note, markup=False)
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
        with drawn(console) as draw:
            done = asyncio.run(execute(folder, models, tasks, asked, settings, closes, stop, console, contests, draw))
    except asyncio.CancelledError:  # the second signal
        console.print("Ended at once. Everything that arrived is kept; the same command goes on from here.")
        return ending.SIGNALS[stop.reason]
    if not done.cells:
        for name, error in done.ended.faults.items():
            console.print(f"{name} was refused: {error}", markup=False)
        code = Exit.ENDPOINT
    else:
        code = verdict(done, stop, closes, console)
    if settings.report:
        _report(folder, settings, console)
    return code


def _auxiliaries(tasks: Mapping[str, LoadedTask], settings: Run) -> dict[str, Model]:
    """The judge and the simulator, where the tasks need them."""
    needed = {who for task in tasks.values() for who in needs(task)}
    return {who: model for who in ("judge", "simulator") if who in needed and (model := getattr(settings, who))}


def _contests(
    folder: Path,
    models: Mapping[str, Model],
    tasks: Mapping[str, LoadedTask],
    asked: Mapping[run_folder.Place, dict[str, Any]],
    settings: Run,
    console: Console,
) -> "EarlyStopping | None":
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
    from evalsuite.engine.early_stopping import rules as sequential  # numpy and scipy are of no use to other runs

    found = sequential.planned(folder, models, tasks, asked, settings)
    for note in found.notes:
        console.print(note, markup=False)
    return found


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

        report_run(folder, settings.baseline, settings.config_dir)
    else:
        console.print("nothing to report yet")


def _with_thinking(model: Model, thinking: bool | None) -> Model:
    return model if thinking is None else replace(model, thinking=thinking)


def verdict(done: SessionResult, stop: Stop, window: Window | None, console: Console) -> Exit:
    """The exit code, and one line for every cell that is not whole or whose answers were cut too often."""
    from evalsuite.analysis.summary import summarize  # pandas and scipy are of no use before the last answer

    incomplete, ended = 0, done.ended
    for cell in done.cells:
        summary = summarize(cell.folder)
        where = f"{cell.label}/{cell.folder.name}"
        if not summary["complete"]:
            incomplete += 1
            counts = {"not asked": summary["planned"] - summary["samples"]}
            counts |= {name: summary["outcomes"][name] for name in ("failed", "ungraded")}
            what = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            later = "; evalsuite judge, or the same command, grades what is stored" if counts["ungraded"] else ""
            console.print(f"{where} is incomplete: {what}{later}")
        if summary["cut"]["flagged"]:
            console.print(f"{where}: {summary['cut']['words']}", markup=False)
    for name, fault in ended.faults.items():
        console.print(f"{name} was stopped: {fault}", markup=False)
    cut = sum(one.cut for one in ended.progress.values())
    if stop.reason in SIGNALS or (stop.requested and (ended.unsent or cut)):
        return _stopped(ended, stop, window, console)
    if ended.faults:
        down = all(isinstance(fault, EndpointDown) for fault in ended.faults.values())
        return Exit.STOPPED if down else Exit.ENDPOINT
    if done.skipped:
        return Exit.STOPPED
    return Exit.INCOMPLETE if incomplete else Exit.DONE


def _stopped(ended: LoopResult, stop: Stop, window: Window | None, console: Console) -> Exit:
    """What is left, how it goes on, and the code: a signal's own, 75, or 64 where no such window will ever do."""
    if stop.reason in SIGNALS:
        console.print("Everything that arrived is kept. The same command goes on where this one stopped.")
        return SIGNALS[stop.reason]
    if ended.nothing_fitted and stop.reason != BUDGET and window is not None:
        return _nothing_fits(ended, window, console)
    cut = sum(one.cut for one in ended.progress.values())
    were = f", {cut:,} answers were cut" if cut else ""
    console.print(
        f"Stopped by {stop.reason}: {ended.unsent:,} requests were not sent{were}. Everything that arrived is kept; "
        "the same command goes on where this one stopped."
    )
    return Exit.STOPPED


def _nothing_fits(ended: LoopResult, window: Window, console: Console) -> Exit:
    needed = ended.needed
    may = "may take longer" if needed is None else f"may take {duration_text(needed)} (99 of 100 are quicker)"
    whole = needed is not None and window.seconds is not None and needed > window.seconds
    console.print(f"Nothing was sent: even the shortest of {ended.unsent:,} open requests {may}, ", end="")
    if whole and window.seconds is not None:
        console.print(
            f"and a whole window is {duration_text(window.seconds)}. No window of this length will do: use longer "
            "ones, a faster server (fewer requests at a time are quicker, too: models.NAME.concurrency), or a "
            "smaller max_tokens"
        )
        return Exit.BAD_INPUT
    left = duration_text(max(0.0, window.left()))
    console.print(f"and {left} of the window are left. The same command goes on in the next one.")
    return Exit.STOPPED


def duration_text(seconds: float) -> str:
    """``3 h 50 min``, ``27 min``, ``45 s``."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 120 else f"{minutes} min"
