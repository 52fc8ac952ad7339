"""The table of checkpoint effect, server effect and interaction."""

from collections.abc import Iterator

from evalsuite.analysis.effects import Effect, Effects
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.report.console import Column, Table
from evalsuite.tasks.datasets import benchmark_title

TITLE = "Checkpoint and server effects"
_MEAN = {"checkpoint": "mean of both servers", "server": "mean of both checkpoints", "interaction": ""}


def effects_table(suite: SuiteComparison) -> Table:
    """Build the table of what the checkpoint, the server and their interaction change in the score of each benchmark,
    one row per effect; a row of dashes where no effect could be computed. It has no rows unless models differ in server
    facts on purpose (``varies``).
    """
    columns = (
        Column("benchmark", number=False),
        Column("effect", number=False),
        Column("measured at", number=False),
        Column("pt [95 %]"),
        Column("p"),
        Column("of", number=False, essential=False),
        Column("items", essential=False),
    )
    rows = tuple(row for table in suite.effects for row in _rows(table))
    notes = dict.fromkeys(note for table in suite.effects for note in _notes(table))
    if rows:
        notes["Paired by item; intervals are 95 %, uncorrected."] = None
    return Table(TITLE, columns, rows, tuple(notes))


def _rows(table: Effects) -> Iterator[tuple[str, ...]]:
    if table.reason:
        subject = " \u2192 ".join(table.checkpoints)
        yield benchmark_title(table.task), "none", "", formats.UNKNOWN, formats.UNKNOWN, subject, formats.UNKNOWN
    yield from (_row(table, effect) for effect in table.effects)


def _row(table: Effects, effect: Effect) -> tuple[str, ...]:
    first, second = table.settings
    if len(table.varies) == 1:
        second = second.removeprefix(f"{table.varies[0]} ")
    checkpoints, settings = (" \u2192 ".join(names) for names in (table.checkpoints, (first, second)))
    subject = {"checkpoint": checkpoints, "server": settings, "interaction": f"{checkpoints}, {settings}"}[effect.kind]
    return (
        benchmark_title(table.task),
        " or ".join([effect.kind, *dict.fromkeys(text.split(" ")[0] for text in effect.besides)]),
        effect.at or _MEAN[effect.kind],
        formats.change(effect.change.delta, effect.change.ci95),
        formats.probability(effect.change.p_value),
        subject,
        formats.count(effect.change.n),
    )


def _notes(table: Effects) -> Iterator[str]:
    """Yield lines about one task's effects: only why there are none; otherwise, as far as they apply, a missing
    combination of checkpoint and server, an interaction whose interval excludes 0, and undeclared differences.
    """
    benchmark = benchmark_title(table.task)
    if table.reason:
        yield f"{benchmark}: no effects. {table.reason}."
        return
    if table.missing:
        yield (
            f"{benchmark}: no interaction, and no effect at both settings, without a fourth arm: {table.missing}. "
            "Each effect holds where it was measured."
        )
    interaction = next((effect.change for effect in table.effects if effect.kind == "interaction"), None)
    if interaction is not None and interaction.ci95 is not None and not interaction.ci95[0] <= 0 <= interaction.ci95[1]:
        yield f"{benchmark}: the checkpoint's effect depends on the server; read the single rows, not the means."
    if besides := dict.fromkeys(text for effect in table.effects for text in effect.besides):
        yield (
            f"{benchmark}: {', '.join(besides)} differ, too, and are not in varies: what they cause cannot be told "
            "from an effect that names them. Serve the arms alike, or declare them."
        )
