"""What the page says besides tables and plots: verdicts first, strata with bars, confounders, what stays open.

Everything comes from ``comparison.json``'s content, so that the page can say nothing that the file does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsuite.analysis.suite import SuiteComparison
from evalsuite.endpoint.identity.differences import changes_within, differing_facts
from evalsuite.report import formats
from evalsuite.report.console import Column, Table
from evalsuite.report.tables import SIGNIFICANT
from evalsuite.tasks.datasets import benchmark_title

BAR_WIDTH = 150
"""Pixels of a stratum's bar, whiskers included."""


@dataclass(frozen=True, slots=True)
class VerdictCard:
    """One comparison as the page's first screen shows it."""

    benchmark: str
    """Its title."""
    call: str
    """``pass``, ``fail``, ``undecided``, ``refused``, ``incomplete``; empty where no margin was given."""
    label: str
    """The call as people read it."""
    advisory: bool
    """Whether it decides nothing."""
    scores: str
    change: str
    margin: str
    why: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """All verdicts on one candidate."""

    title: str
    baseline: str
    call: str
    """Of the release as a whole; empty without a gate."""
    why: str
    verdicts: tuple[VerdictCard, ...]


@dataclass(frozen=True, slots=True)
class DeltaBar:
    """A stratum's change as a small picture; places are pixels from the left."""

    zero: float
    left: float
    """Of the bar: the shrunken delta."""
    width: float
    low: float | None
    """Of the whisker: the 95 % interval of the delta itself."""
    high: float | None
    dot: float
    """The delta itself."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """One candidate on one stratum."""

    change: str
    shrunken: str
    q: str
    stands: bool
    bar: DeltaBar


@dataclass(frozen=True, slots=True)
class StrataTable:
    """One task by one grouping."""

    task: str
    benchmark: str
    """Its title."""
    group: str
    baseline: str
    candidates: tuple[str, ...]
    rows: tuple[tuple[str, str, str, tuple[Stratum | None, ...]], ...]
    """(stratum, items, baseline %, one per candidate), the worst drop first."""


@dataclass(frozen=True, slots=True)
class Confounder:
    """A fact of the servers that differs between baseline and candidate, or that changed while a cell was measured."""

    key: str
    kind: str
    """``refuses``, ``confounder``, ``expected`` (what is compared), or ``changed`` within one cell."""
    candidate: str
    tasks: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class TokenRow:
    """How much longer or shorter a candidate's answers are."""

    benchmark: str
    """Its title."""
    title: str
    baseline: str
    candidate: str
    ratio: str


def verdicts(overview: SuiteComparison, content: Mapping[str, Any]) -> tuple[Candidate, ...]:
    """Per candidate its comparisons, with verdicts where a gate was asked for."""
    releases: Mapping[str, Any] = content.get("releases") or {}
    found: list[Candidate] = []
    for pair in overview.pairs:
        names = (pair.baseline, pair.candidate)
        rows = [row for row in content["rows"] if (row["baseline"], row["candidate"]) == names]
        suite, release = content["suite"].get(pair.candidate), releases.get(pair.candidate) or {}
        missing = [benchmark_title(task) for task in release.get("missing") or ()]
        clauses = str(release.get("reason") or "").split("; ")
        absent = tuple(f"{name} is " for name in missing)
        lines = [clause for clause in clauses if clause and not clause.startswith(absent)]
        if suite is not None:
            change = formats.change(suite["delta"], _interval(suite["ci95"]))
            lines.append(f"mean of {len(suite['tasks'])} benchmarks: {change} pt")
        if missing:
            lines.append(f"not compared: {', '.join(missing)}")
        titles = (overview.table.title(pair.candidate), overview.table.title(pair.baseline))
        call = str(release.get("call") or "")
        found.append(Candidate(*titles, call, "; ".join(lines), tuple(_verdict(row) for row in rows)))
    return tuple(found)


def strata(overview: SuiteComparison, content: Mapping[str, Any]) -> tuple[StrataTable, ...]:
    """Per task and grouping a table of changes; bars share one scale within a table."""
    found: list[StrataTable] = []
    for task in overview.table.tasks:
        rows = [row for row in content["rows"] if row["task"] == task and row["groups"]]
        for baseline in dict.fromkeys(row["baseline"] for row in rows):
            own = [row for row in rows if row["baseline"] == baseline]
            for group in overview.table.groups(task):
                found.append(_strata_table(overview, task, group, [row for row in own if group in row["groups"]]))
    return tuple(table for table in found if table.rows)


def confounders(overview: SuiteComparison) -> tuple[Confounder, ...]:
    """Every server fact that is known on both sides and differs, equal ones of several tasks joined."""
    found: dict[tuple[str, str, str, str, str], list[str]] = {}
    for row in overview.comparisons:
        title = row.candidate.cell.title
        for one in differing_facts(row.baseline.cell.manifest, row.candidate.cell.manifest):
            found.setdefault((one.name, one.kind, title, one.baseline, one.candidate), []).append(row.benchmark)
        for words in row.comparable.confounders:
            found.setdefault(("prompt_tokens", "confounder", title, "", words), []).append(row.benchmark)
    for cell in overview.table.cells:
        for line in changes_within(cell.manifest):
            name, _, values = line.partition(": ")
            found.setdefault((name, "changed", cell.title, "", values), []).append(benchmark_title(cell.task))
    return tuple(
        Confounder(name, kind, title, ", ".join(tasks), old, new)
        for (name, kind, title, old, new), tasks in found.items()
    )


def confounders_table(found: Sequence[Confounder]) -> Table:
    """Server facts that differ beside the weights: what may have made a delta that quantization did not."""
    columns = (
        Column("fact", number=False),
        Column("model", number=False),
        Column("baseline", number=False),
        Column("this model", number=False),
        Column("benchmarks", number=False, essential=False),
    )
    shown = [one for one in found if one.kind != "expected"]
    rows = tuple((one.key, one.candidate, one.old, one.new, one.tasks) for one in shown)
    expected = len(found) - len(shown)
    notes = (f"{expected} further differences are what is compared (checkpoint, quantization).",) if expected else ()
    return Table("What else differs between the servers (confounders)", columns, rows, notes)


def limits(overview: SuiteComparison, content: Mapping[str, Any]) -> tuple[str, ...]:
    """What the data cannot tell."""
    lines: list[str] = []
    for row in content["rows"]:
        who = f"{overview.table.title(row['candidate'])}, {benchmark_title(row['task'])}"
        if row["reason"]:
            lines.append(f"{who}: no delta. {row['reason']}.")
            continue
        verdict = row["verdict"] or {}
        if verdict.get("call") == "undecided":
            wanted = (verdict.get("wanted") or {}).get("text") or verdict["reason"]
            lines.append(f"{who}: undecided; {wanted}.")
        if row["mde"] is not None:
            seen = formats.percent(row["mde"], 2)
            lines.append(f"{who}: true changes below {seen} pt are missed more than one time in five.")
        if row["partial"]:
            lines.append(f"{who}: measured on a part of the task, {row['partial']}.")
        if row.get("bounded"):
            lines.append(f"{who}: {_bounded(row['bounded'])}")
        if row["comparable"]["unknown"]:
            lines.append(f"{who}: unknown and therefore not checked: {', '.join(row['comparable']['unknown'])}.")
        noise = row.get("noise")
        if noise is not None and noise.get("floor") is not None:
            seen, floor = formats.count(noise["flips"]), formats.count(noise["floor"])
            lines.append(
                f"{who}: {seen} items flipped; {floor} would between two runs of one model ({noise['source']})."
            )
        weak = [part["value"] for parts in row["groups"].values() for part in parts if part["p_value"] is None]
        if weak:
            lines.append(f"{who}: too few questions for a test in {', '.join(weak)}.")
    return tuple(lines)


def tokens(overview: SuiteComparison, content: Mapping[str, Any]) -> tuple[TokenRow, ...]:
    """Mean length of an answer in both arms and the ratio, paired by item."""
    by_cell = {(cell["model"], cell["task"]): cell["tokens"]["completion"] for cell in content["cells"]}
    return tuple(
        TokenRow(
            benchmark_title(row["task"]),
            overview.table.title(row["candidate"]),
            formats.tokens(by_cell[row["baseline"], row["task"]]),
            formats.tokens(by_cell[row["candidate"], row["task"]]),
            _ratio(row),
        )
        for row in content["rows"]
        if row["tokens_ratio"] is not None
    )


def _verdict(row: Mapping[str, Any]) -> VerdictCard:
    found = row["verdict"] or {}
    call, label = str(found.get("call") or ""), str(found.get("label") or "")
    if row["delta"] is None:
        call = label = "refused" if not row["comparable"]["ok"] else "incomplete"
    why = [str(row["reason"] or found.get("reason") or "")]
    if row["delta"] is not None:
        moved = f"lost {formats.count(row['lost'])}, gained {formats.count(row['gained'])}"
        why.append(moved + (f", p {formats.probability(row['p_value'])}" if row["p_value"] is not None else ""))
    scores = f"{formats.percent(row['baseline_score'])} → {formats.percent(row['candidate_score'])} %"
    advisory = bool(call) and row.get("tier") == "advisory"
    return VerdictCard(
        benchmark_title(row["task"]),
        call,
        label + (" (advisory)" if advisory else ""),
        advisory,
        scores if row["delta"] is not None else "",
        formats.change(row["delta"], _interval(row["ci95"])),
        "" if row["margin"] is None else f"margin {formats.percent(row['margin'], 2)} pt",
        "; ".join(part for part in why if part),
    )


def _bounded(found: Mapping[str, Any]) -> str:
    ends = [formats.points(found[end]["delta"]) for end in ("worst", "best")]
    missing = formats.count(sum(found["missing"]))
    return f"{missing} answers are missing; with all of them wrong or right the change is {ends[0]} to {ends[1]} pt."


def _strata_table(overview: SuiteComparison, task: str, group: str, rows: Sequence[Mapping[str, Any]]) -> StrataTable:
    parts = [{part["value"]: part for part in row["groups"][group]} for row in rows]
    values = {value for some in parts for value in some}
    worst = {value: min(some[value]["delta"] for some in parts if value in some) for value in values}
    ends = [end for some in parts for part in some.values() for end in (part["delta"], *(part["ci95"] or ()))]
    reach = max([abs(end) for end in ends], default=0.0) or 0.01
    lines = []
    for value in sorted(values, key=lambda value: (worst[value], value)):
        first = next(some[value] for some in parts if value in some)
        cells = tuple(_stratum(some[value], reach) if value in some else None for some in parts)
        lines.append((value, formats.count(first["n"]), formats.percent(first["baseline_score"]), cells))
    titles = tuple(overview.table.title(row["candidate"]) for row in rows)
    baseline = overview.table.title(rows[0]["baseline"]) if rows else ""
    return StrataTable(task, benchmark_title(task), group, baseline, titles, tuple(lines))


def _stratum(part: Mapping[str, Any], reach: float) -> Stratum:
    def place(value: float) -> float:
        return round((0.5 + value / reach / 2.05) * BAR_WIDTH, 2)

    shrunken = part["delta"] if part.get("shrunken") is None else part["shrunken"]
    interval = part["ci95"]
    left, right = sorted((place(0.0), place(shrunken)))
    low, high = (None, None) if interval is None else (place(interval[0]), place(interval[1]))
    return Stratum(
        formats.change(part["delta"], _interval(interval)),
        formats.points(part.get("shrunken")),
        formats.probability(part["q_bh"]),
        part["p_holm"] is not None and part["p_holm"] < SIGNIFICANT,
        DeltaBar(place(0.0), left, round(right - left, 2), low, high, place(part["delta"])),
    )


def _ratio(row: Mapping[str, Any]) -> str:
    total = row["tokens"]["completion"]["total"]
    interval = total["ci95"]
    text = formats.ratio(total["ratio"])
    return f"{text} [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else text


def _interval(bounds: Sequence[float] | None) -> tuple[float, float] | None:
    return None if bounds is None else (bounds[0], bounds[1])
