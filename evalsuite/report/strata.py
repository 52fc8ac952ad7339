"""Changes on the values of a group, as tables with small pictures, for the page.

Everything comes from the content of ``comparison.json``, so that the page shows nothing that the file does not hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsuite.analysis.groups import FEWEST_ITEMS, SIGNIFICANT
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.tasks.datasets import benchmark_title

BAR_WIDTH = 150
"""Width in pixels of the bar of a group value, interval included."""


@dataclass(frozen=True, slots=True)
class DeltaBar:
    """The change of a group value as a small picture; positions are pixels from the left."""

    zero: float
    """Position of no change."""
    left: float
    """Left end of the bar, which shows the shrunken delta."""
    width: float
    """Width of the bar."""
    low: float | None
    """Left end of the 95 % interval of the delta; None without one."""
    high: float | None
    """Right end of the 95 % interval of the delta; None without one."""
    dot: float
    """Position of the delta."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Change of one candidate on one group value, as text."""

    change: str
    """The delta with its interval."""
    shrunken: str
    """The delta shrunk towards the mean of all group values."""
    q: str
    """P value adjusted by Benjamini and Hochberg."""
    stands: bool
    """Whether the change is significant after Holm's correction over all that is shown of the candidate."""
    bar: DeltaBar
    """The picture."""


@dataclass(frozen=True, slots=True)
class StrataTable:
    """Changes of one task by one group."""

    task: str
    """Name of the task."""
    benchmark: str
    """Title of the benchmark."""
    group: str
    """Name of the group."""
    baseline: str
    """Title of the baseline model."""
    candidates: tuple[str, ...]
    """Titles of the candidate models."""
    rows: tuple[tuple[str, str, str, tuple[Stratum | None, ...]], ...]
    """(group value, items, baseline %, one entry per candidate), the worst drop first."""
    worst: str
    """The worst change of a candidate: group value and delta with its interval."""
    heterogeneity: str
    """Tests of whether the values changed differently; empty without any."""


def strata(suite: SuiteComparison, content: Mapping[str, Any]) -> tuple[StrataTable, ...]:
    """Return a table of changes for each task, baseline and group with values; the bars of one table have the same
    scale. ``content`` is that of ``comparison.json``.
    """
    group_tables: list[StrataTable] = []
    for task in suite.table.tasks:
        rows = [row for row in content["rows"] if row["task"] == task and row["groups"]]
        for baseline in dict.fromkeys(row["baseline"] for row in rows):
            baseline_rows = [row for row in rows if row["baseline"] == baseline]
            for group in suite.table.groups(task):
                group_tables.append(
                    _strata_table(suite, task, group, [row for row in baseline_rows if group in row["groups"]])
                )
    return tuple(table for table in group_tables if table.rows)


def _strata_table(suite: SuiteComparison, task: str, group: str, rows: Sequence[Mapping[str, Any]]) -> StrataTable:
    parts = [_shown_values(row, group) for row in rows]
    values = {value for by_value in parts for value in by_value}
    worst = {value: min(by_value[value]["delta"] for by_value in parts if value in by_value) for value in values}
    bounds = [
        bound for by_value in parts for part in by_value.values() for bound in (part["delta"], *(part["ci95"] or ()))
    ]
    scale = max([abs(bound) for bound in bounds], default=0.0) or 0.01
    lines = []
    for value in sorted(values, key=lambda value: (worst[value], value)):
        first = next(by_value[value] for by_value in parts if value in by_value)
        cells = tuple(_stratum(by_value[value], scale) if value in by_value else None for by_value in parts)
        lines.append((value, formats.count(first["n"]), formats.percent(first["baseline_score"]), cells))
    titles = tuple(suite.table.title(row["candidate"]) for row in rows)
    baseline = suite.table.title(rows[0]["baseline"]) if rows else ""
    tests = [(title, row["heterogeneity"].get(group)) for title, row in zip(titles, rows, strict=True)]
    texts = "; ".join(formats.heterogeneity(title, **test) for title, test in tests if test)
    heterogeneity = f"{formats.HETEROGENEITY}: {texts}." if texts else ""
    return StrataTable(task, benchmark_title(task), group, baseline, titles, tuple(lines), _worst(parts), heterogeneity)


def _worst(parts: Sequence[Mapping[str, Mapping[str, Any]]]) -> str:
    shown = [part for by_value in parts for part in by_value.values()]
    if not shown:
        return ""
    part = min(shown, key=lambda part: (part["delta"], part["value"]))
    return f"{part['value']} {formats.change(part['delta'], part['ci95'])} pt"


def _shown_values(row: Mapping[str, Any], group: str) -> dict[str, Mapping[str, Any]]:
    """Return group value -> its change, both as in ``comparison.json``; values with fewer than ten items only together,
    as one entry.
    """
    folded = row["small_groups"].get(group)
    large = {part["value"]: part for part in row["groups"][group] if part["n"] >= FEWEST_ITEMS}
    return large | ({folded["value"]: folded} if folded else {})


def _stratum(part: Mapping[str, Any], scale: float) -> Stratum:
    def place(value: float) -> float:
        return round((0.5 + value / scale / 2.05) * BAR_WIDTH, 2)

    shrunken = part["delta"] if part.get("shrunken") is None else part["shrunken"]
    interval = part["ci95"]
    left, right = sorted((place(0.0), place(shrunken)))
    low, high = (None, None) if interval is None else (place(interval[0]), place(interval[1]))
    return Stratum(
        formats.change(part["delta"], interval),
        formats.points(part.get("shrunken")),
        formats.probability(part["q_bh"]),
        part["p_page"] is not None and part["p_page"] < SIGNIFICANT,
        DeltaBar(place(0.0), left, round(right - left, 2), low, high, place(part["delta"])),
    )
