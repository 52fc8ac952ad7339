"""How a run ends: signals, the end of a window, a spent budget, and the exit code that says which."""

import asyncio
import signal
from collections.abc import Iterable

from rich.console import Console

from evalsuite.asking import Stop
from evalsuite.engine import Ended
from evalsuite.errors import EndpointDown, Exit
from evalsuite.store import Cell
from evalsuite.windows import BUDGET, Window

SIGNALS = {"SIGINT": Exit.SIGINT, "SIGTERM": Exit.SIGTERM}


def listen(stop: Stop, drain_seconds: float, console: Console) -> None:
    """First Ctrl-C or SIGTERM: drain. Second: end now. A window that closes before the first does not count as one."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def heard(name: str) -> None:
        if stop.reason in SIGNALS:
            if main is not None:
                main.cancel()
            return
        stop.request(name, drain_seconds)
        console.print(f"{name}: running requests may finish, no new ones start (once more: end now)")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard, number.name)


def verdict(cells: Iterable[Cell], ended: Ended, stop: Stop, window: Window | None, console: Console) -> Exit:
    """The exit code, and one line for every cell that is not whole or whose answers were cut too often."""
    from evalsuite.summary import summarize  # pandas and scipy are of no use before the last answer

    incomplete = 0
    for cell in cells:
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
    return Exit.INCOMPLETE if incomplete else Exit.DONE


def _stopped(ended: Ended, stop: Stop, window: Window | None, console: Console) -> Exit:
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


def _nothing_fits(ended: Ended, window: Window, console: Console) -> Exit:
    needed = ended.needed
    may = "may take longer" if needed is None else f"may take {clock(needed)} (99 of 100 are quicker)"
    whole = needed is not None and window.seconds is not None and needed > window.seconds
    console.print(f"Nothing was sent: even the shortest of {ended.unsent:,} open requests {may}, ", end="")
    if whole and window.seconds is not None:
        console.print(
            f"and a whole window is {clock(window.seconds)}. No window of this length will do: use longer ones, "
            "a faster server (fewer requests at a time are quicker, too: models.NAME.concurrency), or a "
            "smaller max_tokens"
        )
        return Exit.BAD_INPUT
    console.print(
        f"and {clock(max(0.0, window.left()))} of the window are left. The same command goes on in the next one."
    )
    return Exit.STOPPED


def clock(seconds: float) -> str:
    """``3 h 50 min``, ``27 min``, ``45 s``."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 120 else f"{minutes} min"
