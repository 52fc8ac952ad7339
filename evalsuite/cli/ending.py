"""The end of a run: its exit code, and lines for people on what is missing and how to go on."""

from rich.console import Console

from evalsuite.config.deadline import Window
from evalsuite.engine.loop import LoopResult
from evalsuite.engine.session import SessionResult
from evalsuite.engine.stopping import BUDGET, SIGNALS, RunLimits
from evalsuite.errors import EndpointDown, Exit
from evalsuite.store.cell import Cell
from evalsuite.store.manifest import MANIFEST
from evalsuite.tasks.registry import load


def exit_code(result: SessionResult, limits: RunLimits, console: Console) -> Exit:
    """The exit code of a run that has ended; prints every problem of a cell or endpoint, and what stopped the run.

    Summarizes every cell that has answers (``summary.json``). The first that holds: ``ENDPOINT`` without any cell; a
    signal's own code; ``STOPPED`` where a deadline or budget left requests without a whole answer (``BAD_INPUT`` where
    nothing was sent, as no request fits a whole window); ``STOPPED`` where all faults of servers are outages,
    ``ENDPOINT`` for others; ``STOPPED`` for a skipped task; ``INCOMPLETE`` where samples lack a value or a score is
    withheld; else ``DONE``.
    """
    ended = result.ended
    if not result.cells:
        for name, error in ended.faults.items():
            console.print(f"{name} was refused: {error}", markup=False)
        return Exit.ENDPOINT
    complete = [_report_cell(cell, console) for cell in result.cells]
    for name, fault in ended.faults.items():
        console.print(f"{name} was stopped: {fault}", markup=False)
    stop = limits.stop
    if stop.reason in SIGNALS or (stop.requested and (ended.unsent or ended.cut)):
        return _stopped(ended, limits, console)
    if ended.faults:
        down = all(isinstance(fault, EndpointDown) for fault in ended.faults.values())
        return Exit.STOPPED if down else Exit.ENDPOINT
    if result.skipped:
        return Exit.STOPPED
    return Exit.DONE if all(complete) else Exit.INCOMPLETE


def _report_cell(cell: Cell, console: Console) -> bool:
    """Whether a cell is complete: every sample has a value, and nothing withholds its score; writes ``summary.json``.

    Prints its warnings, what it lacks, and whether too many of its answers were cut. False, with a line and nothing
    written, if it has no manifest yet.
    """
    from evalsuite.analysis.summary import summarize  # pandas and scipy: not before the last answer

    name = f"{cell.label}/{cell.folder.name}"
    if not (cell.folder / MANIFEST).exists():
        console.print(f"{name}: no answer arrived, so that there is no cell yet")
        return False
    summary = summarize(cell.folder)
    for line in summary["warnings"]:
        console.print(f"{name}: {line}", markup=False)
    if not summary["complete"] and summary["planned"] > summary["measured"]:
        counts = {"not asked": summary["planned"] - summary["samples"]}
        counts |= {outcome: summary["outcomes"][outcome] for outcome in ("failed", "ungraded")}
        missing = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
        later = f"; {_grading(cell)} grades what is stored" if counts["ungraded"] else ""
        console.print(f"{name} is incomplete: {missing}{later}")
    if summary["cut"]["flagged"]:
        console.print(f"{name}: {summary['cut']['words']}", markup=False)
    return bool(summary["complete"])


def _grading(cell: Cell) -> str:
    """The command that grades a cell's ``ungraded`` answers, as text of a message.

    ``evalsuite rescore`` for adapters that grade in a sandbox (they have ``cannot_grade``), else ``evalsuite judge``.
    """
    run, task = cell.folder.parents[1].name, cell.folder.name
    if hasattr(load(cell.manifest["identity"]["adapter"]), "cannot_grade"):
        return f"evalsuite rescore run={run} task={task}, where bubblewrap is installed,"
    return "evalsuite judge, or the same command,"


def _stopped(ended: LoopResult, limits: RunLimits, console: Console) -> Exit:
    """The exit code of a run that was stopped; prints how to go on and, unless a signal stopped it, why it stopped.

    A signal's own code, else 75 (``STOPPED``); 64 (``BAD_INPUT``) where no window of this length ever fits a request.
    """
    stop, window = limits.stop, limits.window
    if stop.reason in SIGNALS:
        console.print("Everything that arrived is kept. The same command goes on where this one stopped.")
        return SIGNALS[stop.reason]
    if ended.nothing_fitted and stop.reason != BUDGET and window is not None:
        return _nothing_fitted(ended, window, console)
    cut = f", {ended.cut:,} answers were cut" if ended.cut else ""
    console.print(
        f"Stopped by {stop.reason}: {ended.unsent:,} requests were not sent or had no answer yet{cut}. "
        "Everything that arrived is kept; the same command goes on where this one stopped."
    )
    return Exit.STOPPED


def _nothing_fitted(ended: LoopResult, window: Window, console: Console) -> Exit:
    needed = ended.needed
    may = "may take longer" if needed is None else f"may take {duration_text(needed)} (99 of 100 are quicker)"
    console.print(f"Nothing was sent: even the shortest of {ended.unsent:,} open requests {may}, ", end="")
    if needed is not None and window.seconds is not None and needed > window.seconds:
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
    """Seconds as text: below 90 s as ``45 s``, else rounded to minutes: below 120 as ``27 min``, else as
    ``3 h 50 min``.
    """
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 120 else f"{minutes} min"
