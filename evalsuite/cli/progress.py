"""What a person sees while a run goes on: a live table on a terminal, now and then a line where there is none.

Tokens per second are those of the whole endpoint over the last minute, text that is still coming included. They and
the time left are for people who wait: estimates, written nowhere.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evalsuite.engine.progress import Draw, Progress

WINDOW_SECONDS = 60.0
"""Tokens per second are taken over this long."""
SETTLED_SECONDS = 5.0
"""Before that a rate says nothing."""
LINE_SECONDS = 30.0
"""Where there is no terminal: least time between two lines."""
LINE_SECONDS_MOST = 300.0
BAR = 20
STATE = 30
"""Columns of text that the reason of a standstill needs."""
WITH_BAR = 110
"""Columns of text from which there is room for bars."""


@dataclass(slots=True)
class Meter:
    """Generated tokens per second of one endpoint."""

    _seen: "deque[tuple[float, float]]" = field(default_factory=deque)
    """(seconds, tokens) of the last minute, and one before it."""
    _first: float = 0.0

    def rate(self, now: float, tokens: float) -> float:
        """Tokens per second after ``tokens`` in all at ``now``; over the whole time where a minute brought none."""
        if not self._seen:
            self._first = now
        self._seen.append((now, tokens))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        recent = (tokens - before) / (now - then) if now > then else 0.0
        return recent if recent > 0 else tokens / (now - self._first) if now > self._first else 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """One endpoint as it is shown."""

    name: str
    progress: Progress
    rate: float
    """Tokens per second."""
    left: float | None
    """Seconds; None: nobody can say."""

    @property
    def done(self) -> int:
        """Samples on record, those of earlier commands included."""
        return self.progress.recorded + self.progress.done

    @property
    def planned(self) -> int:
        """Samples asked for."""
        return self.progress.recorded + self.progress.planned

    @property
    def state(self) -> str:
        """Why it does not go on, or goes on slowly; empty if nothing is wrong."""
        return f"stopped: {self.progress.stopped}" if self.progress.stopped else self.progress.state


def time_left(progress: Progress, rate: float, seconds: float) -> float | None:
    """Seconds until an endpoint is done, by the expected lengths of what is open; None: nobody can say.

    What is open at the present ``rate`` (tokens per second), but never less than the longest running answer needs at
    one stream's share of it. Where no lengths are known: by the samples done in ``seconds``.
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
    """A function that shows the lanes' progress: live on a terminal; elsewhere, and in CI, a line now and then."""
    meters = dict[str, Meter]()
    start = 0.0

    def elapsed() -> float:
        """Seconds since the first call: connecting to the servers is not part of the run."""
        nonlocal start
        start = start or time.monotonic()
        return time.monotonic() - start

    def lines(lanes: Mapping[str, Progress], seconds: float) -> list[Line]:
        found = []
        for name, one in lanes.items():
            rate = meters.setdefault(name, Meter()).rate(seconds, one.tokens + one.arriving)
            found.append(Line(name, one, rate, time_left(one, rate, seconds)))
        return found

    if not console.is_interactive or os.environ.get("CI"):
        yield _spoken(console, lines, elapsed)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def draw(lanes: Mapping[str, Progress]) -> None:
            seconds = elapsed()
            live.update(view(lines(lanes, seconds), seconds, console))

        yield draw


def _spoken(
    console: Console, lines: Callable[[Mapping[str, Progress], float], list[Line]], elapsed: Callable[[], float]
) -> Draw:
    due = LINE_SECONDS

    def draw(lanes: Mapping[str, Progress]) -> None:
        nonlocal due
        seconds = elapsed()
        found = lines(lanes, seconds)
        if seconds >= due:
            due = seconds + pause_after(seconds)
            console.print(sentence(found, seconds), markup=False)

    return draw


def pause_after(seconds: float) -> float:
    """Seconds from one line of a log to the next: the longer a run has taken, the longer it says nothing."""
    return min(max(LINE_SECONDS, seconds / 10), LINE_SECONDS_MOST)


def sentence(lines: list[Line], seconds: float) -> str:
    """One line of a log: all endpoints summed up, and what is wrong with any."""
    total = _total(lines)
    counts = "".join(f", {count:,} {name}" for name, count in _counts(total.progress).items() if count)
    left = "" if total.left is None else f", {clock(total.left)} left"
    wrong = "".join(f"; {line.name} {line.state}" for line in lines if line.state)
    rate = f"{total.rate:,.0f} tokens/s"
    return f"{clock(seconds)}: {total.done:,} of {total.planned:,} done{counts}, {rate}{left}{wrong}"


def view(lines: list[Line], seconds: float, console: Console) -> RenderableType:
    """All endpoints, one line each; on a narrow terminal two, and as many as it has room for."""
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


def _wide(lines: list[Line], *, bars: bool, room: int) -> Table:
    """``room``: columns of text for the reasons of standstills."""
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


def _narrow(lines: list[Line], width: int) -> RenderableType:
    """What matters most in one line, what is not as it should be in a second."""
    table = Table(box=None, pad_edge=False, header_style="dim", width=width)
    table.add_column("endpoint", no_wrap=True, overflow="ellipsis", ratio=1)
    for title in ("slots", "done", "tokens/s", "left"):
        table.add_column(title, justify="right", no_wrap=True)
    for line in lines:
        done = f"{line.done:,}/{line.planned:,}"
        table.add_row(_name(line), _slots(line), done, f"{line.rate:,.0f}", _left(line))
    said = {line.name: ", ".join(_said(line)) for line in lines if line.name != ALL}
    notes = [
        Text.assemble(f"{name}: ", (words, "yellow"), no_wrap=True, overflow="ellipsis")
        for name, words in said.items()
        if words
    ]
    return Group(table, *notes)


def _said(line: Line) -> list[str]:
    """What is not as it should be, in words."""
    counts = [f"{count:,} {name}" for name, count in _counts(line.progress).items() if count]
    return [*counts, *([line.state] if line.state else [])]


def _counts(progress: Progress) -> dict[str, int]:
    return {"failed": progress.failed, "truncated": progress.truncated, "cut": progress.cut}


def _name(line: Line) -> Text:
    return Text(line.name, style="bold" if line.name == ALL else "")


def _slots(line: Line) -> str:
    return f"{line.progress.in_flight}/{line.progress.limit}"


def _left(line: Line) -> Text:
    if line.progress.stopped:
        return Text("stopped", style="red")
    return Text("?" if line.left is None else clock(line.left))


def _state(line: Line, room: int) -> Text:
    text = Text(line.state, style="red" if line.progress.stopped else "yellow")
    text.truncate(room, overflow="ellipsis")
    return text


def _alarm(count: int) -> Text:
    return Text(f"{count:,}", style="yellow" if count else "dim")


ALL = "all"
"""Name of the line with the sums."""


def _total(lines: list[Line]) -> Line:
    """The sums over all endpoints; they work side by side, so the longest time left counts."""
    ones = [line.progress for line in lines]
    names = ("planned", "done", "failed", "truncated", "cut", "recorded", "running", "in_flight", "limit")
    total = Progress(**{name: sum(getattr(one, name) for one in ones) for name in names})
    lefts = [line.left for line in lines if not line.progress.stopped]
    known = [left for left in lefts if left is not None]
    left = max(known) if len(known) == len(lefts) > 0 else None
    return Line(ALL, total, sum(line.rate for line in lines if not line.progress.stopped), left)


def _urgent(lines: list[Line], room: int) -> list[Line]:
    """Those that do not go on as they should, then those with the most time left."""

    def urgency(line: Line) -> tuple[bool, float]:
        return bool(line.state), float("inf") if line.left is None else line.left

    return sorted(lines, key=urgency, reverse=True)[: max(room, 1)]


def clock(seconds: float) -> str:
    """``h:mm:ss``."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
