"""Writes tables as Markdown for ``report.md``."""

from collections.abc import Iterable

from evalsuite.report.console import Table
from evalsuite.sandbox import safe_text


def document(
    headline: str, facts: Iterable[str], tables: Iterable[Table], plots: Iterable[tuple[str, str, str]]
) -> str:
    """Return the whole report as Markdown: headline, facts, plots, tables; all texts but the paths are escaped.

    ``facts`` become a list below the headline; ``plots`` are (title, path relative to the report, line below it, which
    may be empty).
    """
    parts = [f"# {safe_text.markdown(headline)}", "\n".join(f"- {safe_text.markdown(fact)}" for fact in facts)]
    for title, path, line in plots:
        parts += [f"![{safe_text.markdown(title)}]({path})", safe_text.markdown(line)]
    parts += [_section(table) for table in tables]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(table: Table) -> str:
    header = "| " + " | ".join(safe_text.markdown(column.title) for column in table.columns) + " |"
    rule = "|" + "|".join(" ---: " if column.number else " --- " for column in table.columns) + "|"
    rows = ["| " + " | ".join(safe_text.markdown(cell) for cell in row) + " |" for row in table.rows]
    notes = [safe_text.markdown(note) for note in table.notes]
    body = "\n".join([header, rule, *rows])
    return f"## {safe_text.markdown(table.title)}\n\n{body}" + ("\n\n" + "  \n".join(notes) if notes else "")
