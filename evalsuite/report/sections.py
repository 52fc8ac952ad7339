"""Content of the page in addition to tables and plots: verdicts, group values with bars, confounders, and limits.

Everything comes from the content of ``comparison.json``, so that the page shows nothing that the file does not hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsuite.analysis.groups import FEWEST_ITEMS, SIGNIFICANT
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.report.verdict_file import anomaly_text, threshold_text
from evalsuite.stats import rounding
from evalsuite.tasks.datasets import benchmark_title

BAR_WIDTH = 150
"""Width in pixels of the bar of a group value, interval included."""


@dataclass(frozen=True, slots=True)
class VerdictCard:
    """One comparison on the first screen of the page."""

    benchmark: str
    """Title of the benchmark."""
    call: str
    """``pass``, ``fail``, ``undecided``, ``refused``, ``incomplete``; empty when no margin was given."""
    label: str
    """The call as people read it."""
    advisory: bool
    """Whether the verdict decides nothing."""
    scores: str
    """Both scores as text."""
    change: str
    """The delta with its interval as text."""
    margin: str
    """The margin as text; empty without one."""
    reason: str
    """The reason and the numbers of lost and gained items."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """All verdicts on one candidate."""

    title: str
    """Title of the candidate model."""
    baseline: str
    """Title of the baseline model."""
    call: str
    """Verdict on the release as a whole; empty without a gate."""
    reason: str
    """Reason of the verdict, and the mean change."""
    verdicts: tuple[VerdictCard, ...]
    """One card for each comparison."""


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
    heterogeneity: str
    """Tests of whether the values changed differently; empty without any."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """Lengths of a candidate's answers compared with the baseline's, as text."""

    benchmark: str
    """Title of the benchmark."""
    title: str
    """Title of the candidate model."""
    baseline: str
    """Mean tokens per answer of the baseline."""
    candidate: str
    """Mean tokens per answer of the candidate."""
    ratio: str
    """Ratio of the tokens with its interval."""


def verdicts(suite: SuiteComparison, content: Mapping[str, Any]) -> tuple[Candidate, ...]:
    """Return the comparisons of every candidate, with verdicts when a gate was given."""
    releases: Mapping[str, Any] = content.get("releases") or {}
    candidates: list[Candidate] = []
    anomaly_texts = [(gain.candidate, anomaly_text(gain)) for release in suite.releases for gain in release.anomalies]
    for pair in suite.pairs:
        names = (pair.baseline, pair.candidate)
        rows = [row for row in content["rows"] if (row["baseline"], row["candidate"]) == names]
        mean, release = content["suite"].get(pair.candidate), releases.get(pair.candidate) or {}
        missing = [benchmark_title(task) for task in release.get("missing") or ()]
        clauses = str(release.get("reason") or "").split("; ")
        missing_clauses = tuple(f"{name} is " for name in missing)
        lines = [clause for clause in clauses if clause and not clause.startswith(missing_clauses)]
        lines += [text for name, text in anomaly_texts if name == pair.candidate]
        if mean is not None:
            change = formats.change(mean["delta"], _interval(mean["ci95"]))
            lines.append(f"mean of {len(mean['tasks'])} benchmarks: {change} pt")
        if missing:
            lines.append(f"not compared: {', '.join(missing)}")
        titles = (suite.table.title(pair.candidate), suite.table.title(pair.baseline))
        call = str(release.get("call") or "")
        candidates.append(Candidate(*titles, call, "; ".join(lines), tuple(_verdict_card(row) for row in rows)))
    return tuple(candidates)


def without_verdict(suite: SuiteComparison) -> str:
    """Return why no comparison has a verdict; empty when any has one."""
    if any(row.verdict for row in suite.comparisons):
        return ""
    if suite.no_verdicts:
        return f"No verdicts: {suite.no_verdicts}."
    if suite.gate is not None:
        return "The gate gives no verdict here: nothing that it judges could be compared."
    return (
        "No margins were given to this report, so there is no verdict: how much may be lost is for people to say "
        "(gate=release)."
    )


def strata(suite: SuiteComparison, content: Mapping[str, Any]) -> tuple[StrataTable, ...]:
    """Return a table of changes for each task and group; the bars of one table have the same scale."""
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


def limits(suite: SuiteComparison, content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return lines about what the data cannot show: missing deltas, undecided verdicts, small changes, unknown
    facts.
    """
    lines: list[str] = []
    for row in content["rows"]:
        subject = f"{suite.table.title(row['candidate'])}, {benchmark_title(row['task'])}"
        if row["reason"]:
            lines.append(f"{subject}: no delta. {row['reason']}.")
            continue
        verdict = row["verdict"] or {}
        if verdict.get("call") == "undecided":
            needed = (verdict.get("wanted") or {}).get("text") or verdict["reason"]
            lines.append(f"{subject}: undecided; {needed}.")
        if row["mde"] is not None:
            observed = formats.percent(row["mde"], 2)
            lines.append(f"{subject}: true changes below {observed} pt are missed more than one time in five.")
        if row["partial"]:
            lines.append(f"{subject}: measured on a part of the task, {row['partial']}.")
        if row.get("bounded"):
            lines.append(f"{subject}: {_missing_text(row['bounded'])}")
        if row["comparable"]["unknown"]:
            lines.append(f"{subject}: unknown and therefore not checked: {', '.join(row['comparable']['unknown'])}.")
        noise = row.get("noise")
        if noise is not None and noise.get("floor") is not None:
            observed, floor = formats.count(noise["flips"]), formats.count(noise["floor"])
            lines.append(
                f"{subject}: {observed} items flipped; {floor} would between two runs of one model ({noise['source']})."
            )
        untested = [part["value"] for parts in row["groups"].values() for part in parts if part["p_value"] is None]
        if untested:
            lines.append(f"{subject}: too few questions for a test in {', '.join(untested)}.")
    lines += [threshold_text(release.threshold) for release in suite.releases if release.threshold]
    return tuple(lines)


def tokens(suite: SuiteComparison, content: Mapping[str, Any]) -> tuple[TokenRow, ...]:
    """Return the mean length of an answer in both models and the ratio, paired by item."""
    by_cell = {(cell["model"], cell["task"]): cell["tokens"]["completion"] for cell in content["cells"]}
    return tuple(
        TokenRow(
            benchmark_title(row["task"]),
            suite.table.title(row["candidate"]),
            formats.tokens(by_cell[row["baseline"], row["task"]]),
            formats.tokens(by_cell[row["candidate"], row["task"]]),
            _ratio(row),
        )
        for row in content["rows"]
        if row["tokens_ratio"] is not None
    )


def _verdict_card(row: Mapping[str, Any]) -> VerdictCard:
    verdict = row["verdict"] or {}
    call, label = str(verdict.get("call") or ""), str(verdict.get("label") or "")
    if row["delta"] is None:
        call = label = "refused" if not row["comparable"]["ok"] else "incomplete"
    reasons = [str(row["reason"] or verdict.get("reason") or "")]
    if row["delta"] is not None:
        flips = f"lost {formats.count(row['lost'])}, gained {formats.count(row['gained'])}"
        reasons.append(flips + (f", p {formats.probability(row['p_value'])}" if row["p_value"] is not None else ""))
    reasons += row["cautions"]
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
        "; ".join(part for part in reasons if part),
    )


def _missing_text(bounds: Mapping[str, Any]) -> str:
    worst, best = (formats.points(bounds[end]["delta"]) for end in ("worst", "best"))
    missing = formats.count(sum(bounds["missing"]))
    return f"{missing} answers are missing; with all of them wrong or right the change is {worst} to {best} pt."


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
    return StrataTable(task, benchmark_title(task), group, baseline, titles, tuple(lines), heterogeneity)


def _shown_values(row: Mapping[str, Any], group: str) -> dict[str, Mapping[str, Any]]:
    """Return value -> its change; values with fewer than ten items only together."""
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
        formats.change(part["delta"], _interval(interval)),
        formats.points(part.get("shrunken")),
        formats.probability(part["q_bh"]),
        part["p_page"] is not None and part["p_page"] < SIGNIFICANT,
        DeltaBar(place(0.0), left, round(right - left, 2), low, high, place(part["delta"])),
    )


def _ratio(row: Mapping[str, Any]) -> str:
    total = row["tokens"]["completion"]["total"]
    interval = total["ci95"]
    text = formats.ratio(total["ratio"])
    return f"{text} {formats.bounds(interval, lambda end: rounding.fixed(end, 2))}" if interval else text


def _interval(bounds: Sequence[float] | None) -> tuple[float, float] | None:
    return None if bounds is None else (bounds[0], bounds[1])
