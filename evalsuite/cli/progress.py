"""The display of a run's progress: a live table on a terminal, else a line now and then.

Tokens per second are those of the whole endpoint over the last minute, including text that is still arriving. They and
the time left are estimates for display only.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evalsuite.engine.progress import Draw, Progress
from evalsuite.report.console import SafeConsole
from evalsuite.sandbox import safe_text

WINDOW_SECONDS = 60.0
"""Tokens per second are taken over this long."""
SETTLED_SECONDS = 5.0
"""Time after which a rate is meaningful."""
LINE_SECONDS = 30.0
"""Where there is no terminal: least time between two lines."""
LINE_SECONDS_MOST = 300.0
BAR = 20
STATE = 30
"""Columns of text that the state of an endpoint needs."""
NOTEBOOK_WIDTH = 120
"""Columns of text of the table in a notebook."""
WITH_BAR = 110
"""Columns of text from which there is room for bars."""


@dataclass(slots=True)
class Meter:
    """Generated tokens per second of one endpoint."""

    _seen: "deque[tuple[float, float]]" = field(default_factory=deque)
    """(seconds, tokens) of the last minute, and one before it."""
    _first: float = 0.0

    def rate(self, now: float, tokens: float) -> float:
        """Tokens per second after ``tokens`` in all at ``now`` (seconds); remembers the pair.

        Measured since the latest call that is a minute old or older, at first since the first call. If no tokens came
        in that time, ``tokens`` over the time since the first call; 0 at the time of the first call. Calls must come in
        order of time.
        """
        if not self._seen:
            self._first = now
        self._seen.append((now, tokens))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        recent = (tokens - before) / (now - then) if now > then else 0.0
        return recent if recent > 0 else tokens / (now - self._first) if now > self._first else 0.0


@dataclass(frozen=True, slots=True)
class ProgressLine:
    """One endpoint as it is shown."""

    name: str
    progress: Progress
    rate: float
    """Tokens per second."""
    left: float | None
    """Seconds; None: unknown."""

    @property
    def done(self) -> int:
        """Number of finished samples, those of earlier commands included."""
        return self.progress.recorded + self.progress.done

    @property
    def planned(self) -> int:
        """Number of samples asked for, those that earlier commands have finished included."""
        return self.progress.recorded + self.progress.planned

    @property
    def state(self) -> str:
        """Why the endpoint was given up, else what holds it up or is odd about its answers; empty if nothing is."""
        return f"stopped: {self.progress.stopped}" if self.progress.stopped else self.progress.state


def time_left(progress: Progress, rate: float, seconds: float) -> float | None:
    """Seconds until an endpoint is done, by the expected lengths of open attempts; None: unknown, as in the first 5
    ``seconds`` of the run; 0: nothing is open.

    The open tokens at the present ``rate`` (tokens per second), but at least what the longest running answer needs at
    one stream's share of it. Where no lengths are known or the rate is 0: by the samples done in ``seconds`` since the
    run's start, unknown before the first.
    """
    open_samples = progress.planned - progress.done
    if open_samples <= 0:
        return 0.0
    if seconds < SETTLED_SECONDS:
        return None
    if progress.tokens_left is not None and rate > 0:
        return max(progress.tokens_left / rate, progress.longest_left * max(progress.running, 1) / rate)
    return open_samples * seconds / progress.done if progress.done else None


@contextmanager
def progress_display(console: Console) -> Iterator[Draw]:
    """Yield the function that shows the progress of all endpoints (name -> ``Progress``) whenever it is called.

    A replaced table in a notebook; a live table on a terminal, removed at the end of the block; else, and on a terminal
    where ``CI`` is set, a line on ``console`` at some of the calls: first 30 seconds or more after the first call, then
    with the pauses of ``pause_after``.
    """
    meters = dict[str, Meter]()
    start = 0.0

    def elapsed() -> float:
        """Seconds since its first call."""
        nonlocal start
        start = start or time.monotonic()
        return time.monotonic() - start

    def lines(endpoints: Mapping[str, Progress], seconds: float) -> list[ProgressLine]:
        rows = []
        for name, progress in endpoints.items():
            rate = meters.setdefault(name, Meter()).rate(seconds, progress.tokens + progress.arriving)
            rows.append(ProgressLine(name, progress, rate, time_left(progress, rate, seconds)))
        return rows

    if console.is_jupyter:
        yield _notebook_table(lines, elapsed)
        return
    if not console.is_interactive or os.environ.get("CI"):
        yield _log_lines(console, lines, elapsed)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def draw(endpoints: Mapping[str, Progress]) -> None:
            seconds = elapsed()
            live.update(view(lines(endpoints, seconds), seconds, console))

        yield draw


def _log_lines(
    console: Console, lines: Callable[[Mapping[str, Progress], float], list[ProgressLine]], elapsed: Callable[[], float]
) -> Draw:
    due = LINE_SECONDS

    def draw(endpoints: Mapping[str, Progress]) -> None:
        nonlocal due
        seconds = elapsed()
        rows = lines(endpoints, seconds)
        if seconds >= due:
            due = seconds + pause_after(seconds)
            console.print(log_line(rows, seconds), markup=False)

    return draw


def _notebook_table(
    lines: Callable[[Mapping[str, Progress], float], list[ProgressLine]], elapsed: Callable[[], float]
) -> Draw:
    """Show an empty table in the output of a notebook's cell, and return the function that replaces it at every call
    (rich's own live table needs ipywidgets).

    ``lines`` turns progress and seconds into rows, ``elapsed`` gives the seconds of the run.
    """
    from IPython.display import display

    def shown(endpoints: Mapping[str, Progress]) -> dict[str, str]:
        seconds, text = elapsed(), StringIO()
        console = SafeConsole(file=text, width=NOTEBOOK_WIDTH, force_terminal=False)
        console.print(view(lines(endpoints, seconds), seconds, console))
        return {"text/plain": text.getvalue(), "text/html": f"<pre>{safe_text.html(text.getvalue())}</pre>"}

    handle = display(shown({}), raw=True, display_id=True)  # type: ignore[no-untyped-call, unused-ignore]
    return lambda endpoints: handle.update(shown(endpoints), raw=True)


def pause_after(seconds: float) -> float:
    """Seconds from one line of a log to the next in a run that has taken ``seconds``: a tenth of them, 30 to 300."""
    return min(max(LINE_SECONDS, seconds / 10), LINE_SECONDS_MOST)


def log_line(lines: list[ProgressLine], seconds: float) -> str:
    """One line of a log: ``seconds`` of the run as ``h:mm:ss``, over all endpoints the samples done of those planned,
    those failed, truncated and cut (each only if it is not 0), tokens per second and, if known, time left, and the
    states of the endpoints that have one.
    """
    total = _total(lines)
    counts = "".join(f", {count:,} {name}" for name, count in _counts(total.progress).items() if count)
    left = "" if total.left is None else f", {clock(total.left)} left"
    wrong = "".join(f"; {line.name} {line.state}" for line in lines if line.state)
    rate = f"{total.rate:,.0f} tokens/s"
    return f"{clock(seconds)}: {total.done:,} of {total.planned:,} done{counts}, {rate}{left}{wrong}"


def view(lines: list[ProgressLine], seconds: float, console: Console) -> RenderableType:
    """The table of endpoints for a terminal: one row each (where it is narrow, with lines on problems below the table),
    as many as fit the height.

    Several endpoints get a row of sums; those with problems or most time left come first where not all fit. A line
    below shows ``seconds``, the time of the run.
    """
    width, room = console.width, max(3, console.height - 4)
    bars, total = width >= WITH_BAR, [_total(lines)] if len(lines) > 1 else []
    plain = _wide([*lines, *total], bars=bars, room=0)
    rest = width - Measurement.get(console, console.options.update(width=1000), plain).maximum
    narrow = rest < (STATE if any(line.state for line in lines) else 0)
    most = room // (2 if narrow else 1)
    shown = lines if len(lines) <= most else _urgent(lines, most - 1)
    rows = [*shown, *total]
    body = _narrow(rows, width) if narrow else _wide(rows, bars=bars, room=rest - 2)
    more = f" {len(lines) - len(shown)} more endpoints are only in the sum." if len(shown) < len(lines) else ""
    foot = f"{clock(seconds)} so far.{more} Ctrl-C stops; the same command goes on."
    return Group(body, Text(foot, style="dim", no_wrap=True, overflow="ellipsis"))


def _wide(lines: list[ProgressLine], *, bars: bool, room: int) -> Table:
    """The table with all columns, one row an endpoint. ``bars``: with progress bars; ``room``: columns of text for the
    states, which are left out at 0 or less.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("endpoint", no_wrap=True)
    for title in ("slots", "done", *(("",) if bars else ()), "failed", "truncated", "cut", "tokens/s", "left"):
        table.add_column(title, justify="right", no_wrap=True)
    states = room > 0 and any(line.state for line in lines)
    if states:
        table.add_column("", no_wrap=True, overflow="ellipsis")
    for line in lines:
        bar = [ProgressBar(max(line.planned, 1), line.done, width=BAR)] if bars else []
        counts = [_alarm(count) for count in _counts(line.progress).values()]
        done = Text(f"{line.done:,}/{line.planned:,}")
        state = [_state(line, room)] if states else []
        table.add_row(_name(line), _slots(line), done, *bar, *counts, f"{line.rate:,.0f}", _left(line), *state)
    return table


def _narrow(lines: list[ProgressLine], width: int) -> RenderableType:
    """The table for a terminal of ``width`` columns: main values in one row per endpoint, and below the table one line
    for each endpoint with problems.
    """
    table = Table(box=None, pad_edge=False, header_style="dim", width=width)
    table.add_column("endpoint", no_wrap=True, overflow="ellipsis", ratio=1)
    for title in ("slots", "done", "tokens/s", "left"):
        table.add_column(title, justify="right", no_wrap=True)
    for line in lines:
        done = f"{line.done:,}/{line.planned:,}"
        table.add_row(_name(line), _slots(line), done, f"{line.rate:,.0f}", _left(line))
    problems = {line.name: ", ".join(_problems(line)) for line in lines if line.name != ALL}
    notes = [
        Text.assemble(f"{name}: ", (words, "yellow"), no_wrap=True, overflow="ellipsis")
        for name, words in problems.items()
        if words
    ]
    return Group(table, *notes)


def _problems(line: ProgressLine) -> list[str]:
    """Counts of failed, truncated and cut samples that are not 0, and the state, each as a text."""
    counts = [f"{count:,} {name}" for name, count in _counts(line.progress).items() if count]
    return [*counts, *([line.state] if line.state else [])]


def _counts(progress: Progress) -> dict[str, int]:
    return {"failed": progress.failed, "truncated": progress.truncated, "cut": progress.cut}


def _name(line: ProgressLine) -> Text:
    return Text(line.name, style="bold" if line.name == ALL else "")


def _slots(line: ProgressLine) -> str:
    return f"{line.progress.in_flight}/{line.progress.limit}"


def _left(line: ProgressLine) -> Text:
    if line.progress.stopped:
        return Text("stopped", style="red")
    return Text("?" if line.left is None else clock(line.left))


def _state(line: ProgressLine, room: int) -> Text:
    text = Text(line.state, style="red" if line.progress.stopped else "yellow")
    text.truncate(room, overflow="ellipsis")
    return text


def _alarm(count: int) -> Text:
    return Text(f"{count:,}", style="yellow" if count else "dim")


ALL = "all"
"""Name of the line with the sums."""


def _total(lines: list[ProgressLine]) -> ProgressLine:
    """The sums of samples, slots and rates over all endpoints, named ``all``; rate and time left leave out stopped
    ones.

    Endpoints work at the same time, so the longest time left counts; None where one of them is unknown, or all have
    stopped.
    """
    parts = [line.progress for line in lines]
    names = ("planned", "done", "failed", "truncated", "cut", "recorded", "running", "in_flight", "limit")
    total = Progress(**{name: sum(getattr(part, name) for part in parts) for name in names})
    lefts = [line.left for line in lines if not line.progress.stopped]
    known = [left for left in lefts if left is not None]
    left = max(known) if len(known) == len(lefts) > 0 else None
    return ProgressLine(ALL, total, sum(line.rate for line in lines if not line.progress.stopped), left)


def _urgent(lines: list[ProgressLine], room: int) -> list[ProgressLine]:
    """The first ``room`` lines (one at least), sorted: endpoints that have a ``state`` first, in both parts those with
    the most time left first (unknown is most).
    """

    def urgency(line: ProgressLine) -> tuple[bool, float]:
        return bool(line.state), float("inf") if line.left is None else line.left

    return sorted(lines, key=urgency, reverse=True)[: max(room, 1)]


def clock(seconds: float) -> str:
    """Seconds as ``h:mm:ss``, rounded down."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
