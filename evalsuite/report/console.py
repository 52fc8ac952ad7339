"""Tables as values, and their display on a terminal: readable when it is narrow, plain text when output is piped."""

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table as RichTable
from rich.text import Text

from evalsuite.sandbox import safe_text

_PIPED_WIDTH = 220
"""Width in characters when standard output is not a terminal."""
_INTERVAL = re.compile(r" \[[^\]]*\]")
"""An interval in a table cell, which a narrow terminal leaves out."""
_FOLDED = 32
"""Text columns may be folded to this width before a column is left out."""
_STYLES = {
    "incomplete": "yellow", "refused": "yellow", "damaged": "red", "running": "cyan", "superseded": "dim",
}  # fmt: skip
"""Words that are highlighted in a table."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    """Heading."""
    number: bool = True
    """Whether the column holds numbers, which are aligned right."""
    essential: bool = True
    """Whether the column is kept when the terminal is too narrow for all columns."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text with notes below it."""

    title: str
    """Heading of the table."""
    columns: tuple[Column, ...]
    """The columns."""
    rows: tuple[tuple[str, ...], ...]
    """Rows of text, one entry per column."""
    notes: tuple[str, ...] = ()
    """Lines below the table."""


class SafeConsole(Console):
    """The only console of evalsuite: whatever is printed, a terminal gets no command but those of its own styles.

    Text is no markup, and ``safe_text.terminal`` is applied to everything that is rendered.
    """

    def __init__(
        self,
        *,
        file: TextIO | None = None,
        width: int | None = None,
        stderr: bool = False,
        soft_wrap: bool = False,
        force_terminal: bool | None = None,
    ) -> None:
        """Without a ``file`` the output goes to standard output or (``stderr``) error, in a notebook to its cell.
        ``width``: characters per line; None: as rich finds out. ``soft_wrap``: long lines stay whole.
        ``force_terminal``: whether to write styles; None finds out.
        """
        super().__init__(
            file=file,
            width=width,
            stderr=stderr,
            soft_wrap=soft_wrap,
            force_terminal=force_terminal,
            force_jupyter=None if file is None else False,
            markup=False,
            emoji=False,
            highlight=False,
        )

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the styled segments of ``renderable``, with control and hidden characters in their text (but tab and
        line feed) replaced by visible signs, so that printed text cannot send commands to the terminal.
        """
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(safe_text.terminal(text), style)


def standard_output() -> Console:
    """Return a new console for standard output: as wide as ``COLUMNS`` states, else as the terminal, else, when output
    is piped, 220 characters.
    """
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return SafeConsole(width=_PIPED_WIDTH if piped else None)


def lines_output(*, stderr: bool = False) -> Console:
    """Return a new console that prints lines of any length unwrapped: on standard output, or on standard error."""
    return SafeConsole(stderr=stderr, soft_wrap=True)


def show(tables: Iterable[Table], headline: str, console: Console) -> None:
    """Print a headline (none if empty) and tables with their notes on ``console``. On a narrow terminal columns that
    are not essential are left out, then intervals, both stated, and if that is not enough, rows are printed as
    paragraphs.
    """
    if headline:
        console.print(Text(headline, style="bold"))
    for table in tables:
        _show_table(table, console)


def fits(table: Table, width: int) -> bool:
    """Return whether a terminal of ``width`` characters has room for all essential columns of a table, intervals
    included, text columns folded to 32 characters.
    """
    return _width(table, _fitting_columns(table, width)) <= width


def _show_table(table: Table, console: Console) -> None:
    kept = _fitting_columns(table, console.width)
    brief = _width(table, kept) > console.width
    titles = [_without_intervals(table.columns[index].title, brief) for index in kept]
    rows = [[_without_intervals(row[index], brief) for index in kept] for row in table.rows]
    console.print()
    if brief and _required_width(titles, rows, [table.columns[index] for index in kept]) > console.width:
        _show_stacked(table, kept, titles, rows, console)
    else:
        heading = Text(table.title, style="bold")
        rich = RichTable(title=heading, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index, title in zip(kept, titles, strict=True):
            number = table.columns[index].number  # folded: a path is never cut
            rich.add_column(Text(title), justify="right" if number else "left", overflow="fold")
        for row in rows:
            rich.add_row(*(Text(cell, style=_style(cell)) for cell in row))
        console.print(rich)
    if brief and any(_INTERVAL.search(row[index]) for row in table.rows for index in kept):
        console.print(Text("Intervals are left out on a terminal this narrow.", style="dim"))
    for note in table.notes:
        console.print(Text(note, style="dim"))
    if len(kept) < len(table.columns):
        hidden = ", ".join(column.title for index, column in enumerate(table.columns) if index not in kept)
        console.print(Text(f"Not shown on a terminal of {console.width} columns: {hidden}.", style="dim"))


def _show_stacked(table: Table, kept: list[int], titles: list[str], rows: list[list[str]], console: Console) -> None:
    """Print every row as a paragraph, for a terminal that is too narrow for columns: text columns as a heading, numbers
    with their titles below.

    ``kept``: indices of the columns shown; ``titles`` and each row hold the texts of these columns.
    """
    console.print(Text(table.title, style="bold"))
    names = [position for position, index in enumerate(kept) if not table.columns[index].number]
    for row in rows:
        console.print(Text(", ".join(row[position] for position in names if row[position]), style="underline"))
        parts = [
            Text(f"{title} {cell}", style=_style(cell))
            for position, (title, cell) in enumerate(zip(titles, row, strict=True))
            if position not in names and cell
        ]
        console.print(Padding(Columns(parts, padding=(0, 2)), (0, 0, 0, 2)))


def _without_intervals(text: str, brief: bool) -> str:
    return _INTERVAL.sub("", text) if brief else text


def _fitting_columns(table: Table, width: int) -> list[int]:
    """Return the indices of the columns to show at ``width`` characters: columns that are not essential are left out
    from the right until the rest fits or none is left to drop.
    """
    kept = list(range(len(table.columns)))
    for index in reversed(range(len(table.columns))):
        if _width(table, kept) <= width:
            break
        if not table.columns[index].essential:
            kept.remove(index)
    return kept


def _width(table: Table, kept: list[int]) -> int:
    """Return the width in characters that the columns with indices ``kept`` need; text columns count at most 32,
    because they can be folded.
    """
    columns = [table.columns[index] for index in kept]
    return _required_width(
        [column.title for column in columns], [[row[i] for i in kept] for row in table.rows], columns
    )


def _required_width(titles: list[str], rows: list[list[str]], columns: list[Column]) -> int:
    total = -3
    for position, column in enumerate(columns):
        longest = max(len(text) for text in (titles[position], *(row[position] for row in rows)))
        total += 3 + (longest if column.number else min(longest, _FOLDED))
    return total


def _style(cell: str) -> str:
    return "bold" if cell.endswith("*") else _STYLES.get(cell, "")
