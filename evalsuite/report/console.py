"""Tables as values, and how a terminal shows them: readable when narrow, plain text when piped."""

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

_PIPED_WIDTH = 220
_INTERVAL = re.compile(r" \[[^\]]*\]")
_FOLDED = 32
"""Words longer than this may be folded before a column is left out."""
_STYLES = {
    "incomplete": "yellow", "refused": "yellow", "damaged": "red", "running": "cyan", "superseded": "dim",
}  # fmt: skip
"""Words that stand out of a table."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; numbers stand right."""

    title: str
    number: bool = True
    essential: bool = True
    """Whether a terminal that is too narrow for all columns shows it too."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table with what must be said under it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def standard_output() -> Console:
    """A console for standard output; wide enough for whole tables where it is not a terminal."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=_PIPED_WIDTH if piped else None, highlight=False)


def show(tables: Iterable[Table], headline: str, console: Console) -> None:
    """Print a headline, and tables with their notes."""
    if headline:
        console.print(Text(headline, style="bold"))
    for table in tables:
        _show_table(table, console)


def fits(table: Table, width: int) -> bool:
    """Whether a terminal of ``width`` columns has room for all columns of a table that are essential."""
    return _width(table, _fitting(table, width)) <= width


def _show_table(table: Table, console: Console) -> None:
    kept = _fitting(table, console.width)
    brief = _width(table, kept) > console.width
    titles = [_brief(table.columns[index].title, brief) for index in kept]
    rows = [[_brief(row[index], brief) for index in kept] for row in table.rows]
    console.print()
    if brief and _needed(titles, rows, [table.columns[index] for index in kept]) > console.width:
        _show_stacked(table, kept, titles, rows, console)
    else:
        heading = Text(table.title, style="bold")
        rich = RichTable(title=heading, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index, title in zip(kept, titles, strict=True):
            rich.add_column(Text(title), justify="right" if table.columns[index].number else "left")
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
    """Every row as a paragraph: a terminal that is too narrow for columns loses no number."""
    console.print(Text(table.title, style="bold"))
    names = [place for place, index in enumerate(kept) if not table.columns[index].number]
    for row in rows:
        console.print(Text(", ".join(row[place] for place in names if row[place]), style="underline"))
        parts = [
            Text(f"{title} {cell}", style=_style(cell))
            for place, (title, cell) in enumerate(zip(titles, row, strict=True))
            if place not in names and cell
        ]
        console.print(Padding(Columns(parts, padding=(0, 2)), (0, 0, 0, 2)))


def _brief(text: str, brief: bool) -> str:
    return _INTERVAL.sub("", text) if brief else text


def _fitting(table: Table, width: int) -> list[int]:
    """The columns to show: from the right, those that are not essential give way until the rest fits."""
    kept = list(range(len(table.columns)))
    for index in reversed(range(len(table.columns))):
        if _width(table, kept) <= width:
            break
        if not table.columns[index].essential:
            kept.remove(index)
    return kept


def _width(table: Table, kept: list[int]) -> int:
    """Columns of text that the table needs without folding a number, or words that are not long."""
    columns = [table.columns[index] for index in kept]
    return _needed([column.title for column in columns], [[row[i] for i in kept] for row in table.rows], columns)


def _needed(titles: list[str], rows: list[list[str]], columns: list[Column]) -> int:
    total = -3
    for place, column in enumerate(columns):
        longest = max(len(text) for text in (titles[place], *(row[place] for row in rows)))
        total += 3 + (longest if column.number else min(longest, _FOLDED))
    return total


def _style(cell: str) -> str:
    return "bold" if cell.endswith("*") else _STYLES.get(cell, "")
