"""The ``run`` command: the cells asked for -> endpoints -> journals -> tables -> report."""

import asyncio
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from evalsuite.cli.dry_run import dry_run
from evalsuite.cli.ending import exit_code
from evalsuite.cli.missing import check_complete
from evalsuite.cli.progress import progress_display
from evalsuite.cli.startup import give_back_large_blocks
from evalsuite.config.deadline import open_window
from evalsuite.config.margins import unmet_margins
from evalsuite.config.settings import Run
from evalsuite.endpoint import environment
from evalsuite.engine.manifests import run_spec
from evalsuite.engine.session import Session, SessionResult
from evalsuite.engine.stopping import SIGNALS, RunLimits, Stop, TokenBudget
from evalsuite.errors import Exit
from evalsuite.report.console import lines_output
from evalsuite.store.runs import check_can_create, choose_run


def run(settings: Run) -> Exit:
    """Execute a run: generate the requested cells, grade them and write the report.

    Args:
        settings: The settings of the run, as ``load_settings`` returns them.

    Returns:
        The exit code: done, incomplete, or stopped and resumable.

    Raises:
        EvalsuiteError: Something prevents the run; it is raised before any request is sent.
    """
    if settings.dry_run:
        return dry_run(settings)
    console = lines_output(stderr=True)
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
    result = _work(session)
    with console.capture() as ending:
        code = SIGNALS[stop.reason] if result is None else exit_code(result, limits, console)
    try:
        if settings.report and result is not None and result.cells:
            _report(folder, settings, console)
    finally:  # the last lines are what is missing or refused; without such lines, the verdict
        console.print(ending.get(), end="")
    return code


def _work(session: Session) -> SessionResult | None:
    """Do the work of a run; returns its cells and how it ended, None if a second signal ended it at once."""
    console = session.console
    try:
        with progress_display(console) as draw:
            return asyncio.run(session.run(draw))
    except asyncio.CancelledError:
        console.print("Ended at once. Everything that arrived is kept; the same command goes on from here.")
        return None


def _report(folder: Path, settings: Run, console: Console) -> None:
    if any(folder.glob("*/*/summary.json")):
        from evalsuite.report.build import report_run  # pandas and matplotlib: not before there is a cell

        report_run(folder, settings.baseline, settings.config_dir, gate=settings.gate, svg=settings.svg)
    else:
        console.print("nothing to report yet")
