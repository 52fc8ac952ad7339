"""The ``run`` command: the cells asked for -> endpoints -> journals -> tables -> report."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from evalsuite.cli.ending import exit_code
from evalsuite.cli.missing import check_complete
from evalsuite.cli.progress import progress_display
from evalsuite.cli.startup import give_back_large_blocks
from evalsuite.config.deadline import open_window
from evalsuite.config.margins import unmet_margins
from evalsuite.config.settings import Run
from evalsuite.endpoint import environment
from evalsuite.engine.manifests import run_spec
from evalsuite.engine.progress import Draw
from evalsuite.engine.session import Session, SessionResult
from evalsuite.engine.stopping import SIGNALS, RunLimits, Stop, TokenBudget
from evalsuite.errors import EvalsuiteError, Exit
from evalsuite.report.console import lines_output
from evalsuite.store.runs import check_can_create, choose_run

POLL_SECONDS = 0.2
"""Where a run has a thread of its own: longest time until Ctrl-C is seen that was delivered to another thread."""


@dataclass(frozen=True, slots=True)
class Executed:
    """What a run did before its report."""

    code: Exit
    folder: Path
    """The run's folder."""
    written: bool
    """Whether any cell was written, or is there as it was asked for."""
    stop: Stop
    """What stopped it early, if anything."""
    faults: Mapping[str, EvalsuiteError]
    """Model or endpoint -> why it was refused or given up."""
    ending: str
    """Lines on what is missing or refused, and how to go on."""


def run(settings: Run) -> Exit:
    """Execute a run: generate the requested cells, grade them, write and print the report (unless ``report=false``).

    With ``dry_run`` the first requests are printed and nothing is sent.

    Args:
        settings: The settings of the run, as ``load_settings`` returns them.

    Returns:
        The exit code: done, incomplete, or stopped and resumable; that of a refused server or a signal; or bad input
        where no request fits a whole time window.

    Raises:
        EvalsuiteError: Something prevents the run, or its report.
        StorageFailed: The results cannot be written.
    """
    if settings.dry_run:
        from evalsuite.cli.dry_run import dry_run

        return dry_run(settings)
    console = lines_output(stderr=True)
    executed = execute(settings, console)
    try:
        if settings.report and executed.written:
            _report(executed.folder, settings, console)
    finally:  # the last lines are what is missing or refused; without such lines, the verdict
        console.print(executed.ending, end="", markup=False)
    return executed.code


def execute(settings: Run, console: Console) -> Executed:
    """Generate and grade the requested cells in their run's folder; progress and messages go to ``console``.

    The last messages are not printed but returned as ``ending``; no report is written. Raises ``EvalsuiteError`` for
    what prevents the run; ``StorageFailed`` where the results cannot be written.
    """
    window = None if settings.engine.deadline is None else open_window(settings.engine.deadline)
    spec = run_spec(settings, check_complete(settings))
    prepared = environment.prepare(spec.models, spec.auxiliaries, settings.engine.connect_seconds)
    spec = replace(spec, models=prepared.models)
    for note in (unmet_margins(settings), *prepared.notes, *(task.lacks for task in spec.tasks.values())):
        if note:
            console.print(note, markup=False)
    results = Path(settings.results_dir)
    choice = choose_run(results, settings.run_id, settings.suite, spec.manifests)
    folder = results / choice.run_id
    console.print(f"run {choice.run_id} ({choice.why})")
    stop = Stop()
    limits = RunLimits(stop, TokenBudget(settings.engine.token_budget, stop), window, settings.rate)
    brought = (settings.baseline_run, settings.baseline_max_gb)
    session = Session(folder, spec, settings.engine, limits, console, settings.gate, *brought)
    if settings.redo is not None and settings.redo != "failed":  # failed samples are asked again anyway
        session.redo = (settings.redo, settings.reason or "")
    session.prepare()
    check_can_create(folder)
    give_back_large_blocks()
    try:
        with progress_display(console) as draw:
            result = run_in_loop(session, draw)
    except asyncio.CancelledError:
        console.print("Ended at once. Everything that arrived is kept; the same command goes on from here.")
        return Executed(SIGNALS[stop.reason], folder, False, stop, {}, "")
    with console.capture() as ending:
        code = exit_code(result, limits, console)
    return Executed(code, folder, bool(result.cells), stop, result.ended.faults, ending.get())


def run_in_loop(session: Session, draw: Draw) -> SessionResult:
    """Run a session in an event loop of its own, with ``draw`` showing its progress, and return its result.

    Where this thread has a loop already, as in a notebook, the new one is in another thread: this one waits, and hands
    Ctrl-C on. Raises ``CancelledError`` where a second Ctrl-C or SIGTERM has ended the run at once. A first Ctrl-C
    while the session starts ends it, too: by ``CancelledError`` where the loop is in another thread, else by
    ``KeyboardInterrupt``.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_loop(session.run(draw))
    stop = session.limits.stop

    async def interruptible() -> SessionResult:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def end(name: str) -> None:
            stop.reason = name
            if task is not None:
                task.cancel()

        stop.on_signal = lambda name: loop.call_soon_threadsafe(end, name)  # until the session handles signals
        return await session.run(draw)

    with ThreadPoolExecutor(1) as thread:
        context = copy_context()  # by which a notebook knows whose output it is
        future = thread.submit(context.run, _run_loop, interruptible())
        while True:
            try:
                if wait([future], POLL_SECONDS).done:
                    return future.result()
            except KeyboardInterrupt:
                with suppress(RuntimeError):  # the loop has just closed
                    if stop.on_signal is not None:
                        stop.on_signal("SIGINT")


def _run_loop(main: Coroutine[Any, Any, SessionResult]) -> SessionResult:
    """``asyncio.run`` with uvloop's event loop where there is one: a sixth less CPU time for a sample.

    Afterwards the handlers of SIGINT and SIGTERM are those of before.
    """
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):  # Windows
        import uvloop

        factory = uvloop.new_event_loop
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)
    finally:
        if threading.current_thread() is threading.main_thread():  # a closed loop of uvloop leaves its handlers behind
            for number, handler in handlers:
                signal.signal(number, handler)


def _report(folder: Path, settings: Run, console: Console) -> None:
    if any(folder.glob("*/*/summary.json")):
        from evalsuite.report.build import report_run  # pandas and matplotlib: not before there is a cell

        report_run(folder, settings.baseline, settings.config_dir, gate=settings.gate, svg=settings.svg)
    else:
        console.print("nothing to report yet")
