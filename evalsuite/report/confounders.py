"""Facts of the servers that differ between baseline and candidate, and can explain a difference of scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.analysis.suite import SuiteComparison
from evalsuite.endpoint.identity.differences import NUMERIC, changes_within, differing_facts
from evalsuite.report.console import Column, Table
from evalsuite.tasks.datasets import benchmark_title

_FIRST = 5
"""Facts of a candidate, and lines, on the first screen of the page."""
_LONGEST = 40
"""Characters of a value on the first screen."""


@dataclass(frozen=True, slots=True)
class Confounder:
    """A fact of the servers that differs between baseline and candidate, or that changed while a cell was measured."""

    fact: str
    """Name of the fact."""
    kind: str
    """``refuses``, ``confounder``, ``expected`` (the subject of the comparison), or ``changed`` within one cell."""
    model: str
    """Title of the candidate model."""
    benchmarks: str
    """Titles of the benchmarks, separated by commas."""
    baseline: str
    """Value of the baseline; empty where ``candidate`` says all."""
    candidate: str
    """Value of the candidate."""


def confounders(suite: SuiteComparison) -> tuple[Confounder, ...]:
    """Return the server facts that are known for both models and differ, prompt token warnings, and facts that changed
    within one cell; equal ones of several tasks are joined into one. Empty without any.

    Facts of every kind are included, also those that differ because they are compared (``expected``).
    """
    tasks_of: dict[tuple[str, str, str, str, str], list[str]] = {}
    for row in suite.comparisons:
        title = row.candidate.cell.title
        varies = row.candidate.cell.manifest.get("varies") or ()
        for fact in differing_facts(row.baseline.cell.manifest, row.candidate.cell.manifest):
            name = f"{fact.name} (on purpose)" if fact.name in varies else fact.name
            tasks_of.setdefault((name, fact.kind, title, fact.baseline, fact.candidate), []).append(row.benchmark)
        for warning in row.comparable.confounders:
            tasks_of.setdefault(("prompt_tokens", "confounder", title, "", warning), []).append(row.benchmark)
    for cell in suite.table.cells:
        for line in changes_within(cell.manifest):
            name, _, values = line.partition(": ")
            tasks_of.setdefault((name, "changed", cell.title, "", values), []).append(benchmark_title(cell.task))
    return tuple(
        Confounder(name, kind, title, ", ".join(tasks), old, new)
        for (name, kind, title, old, new), tasks in tasks_of.items()
    )


def first_confounders(facts: Sequence[Confounder]) -> tuple[str, ...]:
    """Return lines about what differs besides the subject of the comparison (kind ``expected``), for the first screen
    of the page; empty without differences.

    Models with the same differences share a line. Facts that are known to change numbers come first in it. A line has
    at most five facts and the number of further ones. After five such lines one more states the number of models that
    are left out.
    """
    titles_of: dict[str, list[str]] = {}
    for title in dict.fromkeys(fact.model for fact in facts):
        own = [fact for fact in facts if fact.model == title and fact.kind != "expected"]
        own.sort(key=lambda fact: fact.fact.split(" ")[0] not in NUMERIC)
        texts = dict.fromkeys(_difference(fact) for fact in own)
        more = f", and {len(texts) - _FIRST} more" if len(texts) > _FIRST else ""
        if texts:
            titles_of.setdefault(f"{', '.join(list(texts)[:_FIRST])}{more}.", []).append(title)
    lines = [f"{', '.join(titles)}: {text}" for text, titles in titles_of.items()]
    left_out = sum(map(len, list(titles_of.values())[_FIRST:]))
    further = [f"{left_out:,} further candidates: see there."] if left_out else []
    return (*lines[:_FIRST], *further)


def _difference(fact: Confounder) -> str:
    if not fact.baseline:
        return f"{fact.fact}: {fact.candidate}"
    return f"{fact.fact} {_short(fact.baseline)} → {_short(fact.candidate)}"


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"


def confounders_table(facts: Sequence[Confounder]) -> Table:
    """Build the table of the server facts that could explain a delta other than the quantization, one row each; facts
    of kind ``expected`` are only counted in a note.
    """
    columns = (
        Column("fact", number=False),
        Column("model", number=False),
        Column("baseline", number=False),
        Column("this model", number=False),
        Column("benchmarks", number=False, essential=False),
    )
    shown = [confounder for confounder in facts if confounder.kind != "expected"]
    rows = tuple(
        (confounder.fact, confounder.model, confounder.baseline, confounder.candidate, confounder.benchmarks)
        for confounder in shown
    )
    expected = len(facts) - len(shown)
    notes = (f"{expected} further differences are what is compared (checkpoint, quantization).",) if expected else ()
    return Table("What else differs between the servers (confounders)", columns, rows, notes)
