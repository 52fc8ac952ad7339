"""Content of the page in addition to tables and plots: verdicts, group values with bars, confounders, and limits.

Everything comes from the content of ``comparison.json``, so that the page shows nothing that the file does not hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.report.verdict_file import anomaly_text, threshold_text
from evalsuite.stats import rounding
from evalsuite.tasks.datasets import benchmark_title


@dataclass(frozen=True, slots=True)
class VerdictCard:
    """One comparison on the first screen of the page."""

    benchmark: str
    """Title of the benchmark."""
    call: str
    """``pass``, ``fail``, ``undecided``, ``refused``, ``incomplete``; empty for a change without verdict."""
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
    """Return the comparisons of every candidate as texts for the page, with verdicts where a gate gives them; second
    runs of a model (A/A) count as candidates without verdict. ``content`` is that of ``comparison.json``.
    """
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
            change = formats.change(mean["delta"], mean["ci95"])
            lines.append(f"mean of {len(mean['tasks'])} benchmarks: {change} pt")
        if missing:
            lines.append(f"not compared: {', '.join(missing)}")
        titles = (suite.table.title(pair.candidate), suite.table.title(pair.baseline))
        call = str(release.get("call") or "")
        candidates.append(Candidate(*titles, call, "; ".join(lines), tuple(_verdict_card(row) for row in rows)))
    return tuple(candidates)


def without_verdict(suite: SuiteComparison) -> str:
    """Return a sentence on why no comparison has a verdict; empty when any has one."""
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


def limits(suite: SuiteComparison, content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return lines about what the data cannot show: missing deltas, undecided verdicts, small changes, parts of tasks,
    missing answers, unknown facts, noise, untested groups, bare thresholds. ``content`` is that of ``comparison.json``.
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
    """Return, for each comparison with a known ratio of generated tokens, the mean tokens of an answer of both models
    and the paired ratio as text; ``content`` is that of ``comparison.json``.
    """
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
        formats.change(row["delta"], row["ci95"]),
        "" if row["margin"] is None else f"margin {formats.percent(row['margin'], 2)} pt",
        "; ".join(part for part in reasons if part),
    )


def _missing_text(bounds: Mapping[str, Any]) -> str:
    worst, best = (formats.points(bounds[end]["delta"]) for end in ("worst", "best"))
    missing = formats.count(sum(bounds["missing"]))
    return f"{missing} answers are missing; with all of them wrong or right the change is {worst} to {best} pt."


def _ratio(row: Mapping[str, Any]) -> str:
    total = row["tokens"]["completion"]["total"]
    interval = total["ci95"]
    text = formats.ratio(total["ratio"])
    return f"{text} {formats.bounds(interval, lambda end: rounding.fixed(end, 2))}" if interval else text
