"""Writes ``verdict.json`` and shows the same verdict on a terminal."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from evalsuite.analysis.anomalies import Anomaly
from evalsuite.analysis.collect import DEMO_NOTE, ReportInputs
from evalsuite.analysis.comparison import Comparison
from evalsuite.analysis.release import ReleaseVerdict
from evalsuite.analysis.suite import SuiteComparison, gate_json
from evalsuite.analysis.table import RunTable
from evalsuite.config.report_settings import Report
from evalsuite.errors import Exit
from evalsuite.records import SCHEMA, canonical_sha
from evalsuite.report import formats
from evalsuite.report.console import Column, Table
from evalsuite.report.published.plausibility import ImplausibleBaseline
from evalsuite.report.warnings import warnings
from evalsuite.stats.decision import Call
from evalsuite.stats.power import ThresholdRule
from evalsuite.store.baseline import CandidateCount
from evalsuite.store.runs import TableCell
from evalsuite.tasks.datasets import benchmark_title
from evalsuite.version import __version__

VERDICT = "verdict.json"
"""Name of the file in the report's folder."""
EXITS: Mapping[Call, Exit] = {"pass": Exit.DONE, "fail": Exit.FAIL, "undecided": Exit.UNDECIDED}
"""Verdict -> exit code of the command."""


def verdict_content(
    suite: SuiteComparison,
    settings: Report,
    inputs: ReportInputs,
    implausible: Sequence[ImplausibleBaseline],
    candidate_count: CandidateCount,
    call: Call,
) -> dict[str, Any]:
    """Return the content of ``verdict.json``: verdict, exit code, gate, baseline, every candidate's rows, hashes of the
    compared cells, and the present time.

    ``settings``: those of the command, with a gate; ``inputs``: the cells and the baseline file; ``implausible``:
    baseline cells that are far from published scores; ``candidate_count``: number of candidates of this baseline;
    ``call``: the verdict on all candidates.
    """
    assert settings.gate is not None
    artefact = inputs.artefact
    used = {id(cell): cell for row in suite.comparisons for cell in (row.baseline.cell, row.candidate.cell)}
    return {
        "schema": SCHEMA,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "evalsuite": __version__,
        "verdict": call,
        "exit": int(EXITS[call]),
        "demo": suite.demo,
        "gate": gate_json(settings.gate),
        "baseline": {
            "models": sorted({release.baseline for release in suite.releases}),
            "artefact": None if artefact is None else {"file": artefact.path.name, "sha256": artefact.sha256},
            "doubts": [baseline.to_json() for baseline in implausible],
            "waiver": settings.baseline_waiver if implausible else None,
        },
        "selected_among": {"candidates": candidate_count.total, "note": candidate_count.note},
        "allow_incomplete": settings.allow_incomplete,
        "anomalies": [anomaly.to_json() for anomaly in explained_anomalies(suite, implausible)],
        "accept_degenerate": settings.accept_degenerate,
        "accept_log_disagreement": settings.accept_log_disagreement,
        "warnings": [
            {"model": score.cell.model, "task": score.cell.task, "text": text}
            for score in suite.scores
            for text in score.warnings
        ],
        "candidates": {release.candidate: _candidate(suite, release) for release in suite.releases},
        "cells": [_cell(suite.table, cell) for cell in used.values()],
        "notes": list(inputs.notes),
    }


def _candidate(suite: SuiteComparison, release: ReleaseVerdict) -> dict[str, Any]:
    rows = [row for row in suite.comparisons if row.candidate.cell.model == release.candidate]
    return {**release.to_json(), "title": rows[0].candidate.cell.title, "rows": [_row(row) for row in rows]}


def _row(row: Comparison) -> dict[str, Any]:
    change = row.paired.change if row.paired else None
    return {
        "task": row.task,
        "items": change.n if change else 0,
        "repeats": [row.baseline.repeats, row.candidate.repeats],
        "delta": change.delta if change else None,
        "ci90": None if change is None or change.ci90 is None else list(change.ci90),
        "ci95": None if change is None or change.ci95 is None else list(change.ci95),
        "method": change.method if change else None,
        "limit": row.verdict.limit.to_json() if row.verdict else None,
        "verdict": row.verdict.to_json() if row.verdict else None,
        "bounded": row.bounded.to_json() if row.bounded else None,
        "partial": row.partial,
        "unknown": list(row.comparable.unknown),
        "reason": row.reason,
        "cautions": list(row.cautions),
    }


def _cell(table: RunTable, cell: TableCell) -> dict[str, Any]:
    """Return the names and identity of a cell, with SHA-256 hashes of the identity and of its samples (item, repeat,
    outcome, value, prompt hash) in order of items and repeats.
    """
    rows = table.rows(cell).sort_values(["item_id", "repeat"])
    digest = hashlib.sha256()
    for line in zip(rows["item_id"], rows["repeat"], rows["outcome"], rows["value"], rows["prompt_sha"], strict=True):
        digest.update(repr(line).encode())
    identity = dict(cell.identity)
    return {
        "run": cell.run,
        "model": cell.model,
        "task": cell.task,
        "version": cell.manifest["version"],
        "identity": identity,
        "accepted": dict(cell.manifest.get("accepted") or {}),
        "identity_sha256": canonical_sha(identity),
        "samples": len(rows),
        "samples_sha256": digest.hexdigest(),
    }


def explained_anomalies(suite: SuiteComparison, implausible: Sequence[ImplausibleBaseline]) -> list[Anomaly]:
    """Return the significant gains above the margin of all candidates; where the baseline is implausibly low against
    its published value, that is added to the causes.
    """
    below = {(doubt.model, doubt.task): doubt.text for doubt in implausible if doubt.measured < doubt.published}
    anomalies = [anomaly for release in suite.releases for anomaly in release.anomalies]
    return [
        anomaly.with_cause(text) if (text := below.get((anomaly.baseline, anomaly.task))) else anomaly
        for anomaly in anomalies
    ]


def anomaly_text(anomaly: Anomaly) -> str:
    """Describe a significant gain above the margin, with its usual causes that were found, in one line."""
    subject, gain = f"{anomaly.candidate}, {benchmark_title(anomaly.task)}", formats.change(anomaly.delta, anomaly.ci95)
    p_value = f"p {formats.probability(anomaly.p_holm)} (Holm)"
    causes = "; ".join(anomaly.causes) or "none of the usual causes was found"
    return f"{subject}: ANOMALOUS, {gain} pt, {p_value}: a gain above the margin suggests a broken baseline. {causes}."


def threshold_text(rule: ThresholdRule) -> str:
    """Describe in one line how often a bare threshold on the estimates would reject an identical checkpoint and accept
    a double loss, at the same errors.
    """
    low, high = (formats.percent(chance, 0) for chance in rule.accepts_double)
    points, accepted = 100 * rule.threshold, f"{low} %" if low == high else f"{low} to {high} %"
    return (
        f'For comparison, a bare threshold ("no estimate more than {points:g} pt down") at these standard errors '
        f"rejects an identical checkpoint in {formats.percent(rule.rejects_identical, 0)} % of cases, and accepts a "
        f"true loss of {2 * points:g} pt on a benchmark in {accepted} (normal approximation)."
    )


def verdict_summary(
    suite: SuiteComparison,
    inputs: ReportInputs,
    implausible: Sequence[ImplausibleBaseline],
    candidate_count: CandidateCount,
    settings: Report,
) -> list[str | Table]:
    """Return the lines and tables that show the verdict on one screen, in order: the note on demo models, a table per
    candidate, anomalies, warnings, notes, waiver and number of candidates.

    ``inputs``: the cells and the baseline file; ``implausible``: baseline cells that are far from published scores,
    used all the same for the reason in ``settings``; ``candidate_count``: number of candidates of this baseline.
    """
    lines: list[str | Table] = [DEMO_NOTE] if suite.demo else []
    lines += [_table(suite, release) for release in suite.releases]
    lines += [anomaly_text(anomaly) for anomaly in explained_anomalies(suite, implausible)]
    lines += warnings(suite)
    lines += list(inputs.notes)
    lines += [
        f'baseline used in spite of this ("{settings.baseline_waiver}"): {baseline.text}' for baseline in implausible
    ]
    among = (
        f"selected among {candidate_count.total} candidate{'s' if candidate_count.total > 1 else ''} of this baseline"
    )
    return [*lines, among + (f" ({candidate_count.note})" if candidate_count.note else "")]


def _table(suite: SuiteComparison, release: ReleaseVerdict) -> Table:
    columns = (
        Column("benchmark", number=False),
        Column("verdict", number=False),
        Column("delta pt [95 %]"),
        Column("margin pt"),
        Column("bounds pt", essential=False),
        Column("tier", number=False, essential=False),
        Column("items", essential=False),
    )
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for row in suite.comparisons:
        if row.candidate.cell.model != release.candidate or row.verdict is None or row.paired is None:
            continue
        verdict, change = row.verdict, row.paired.change
        bounds = formats.UNKNOWN if verdict.lower is None else f"{formats.points(verdict.lower)} to "
        bounds += "" if verdict.upper is None else formats.points(verdict.upper)
        delta, margin = formats.change(change.delta, change.ci95), formats.points(-verdict.limit.margin)
        items = row.partial or formats.count(change.n)
        rows.append((row.benchmark, verdict.decision.label, delta, margin, bounds, verdict.limit.tier, items))
        notes += _row_notes(row)
    if release.suite_mean is not None:
        mean = release.suite_mean
        interval = release.mean.ci95 if release.mean else None
        delta, margin = formats.change(release.delta, interval), formats.points(-mean.limit.margin)
        rows.append(("suite mean", mean.decision.label, delta, margin, "", mean.limit.tier, ""))
    missing = [f"Not measured: {', '.join(map(benchmark_title, release.missing))}."] if release.missing else []
    notes += [threshold_text(release.threshold)] if release.threshold else []
    title = f"{release.candidate} against {release.baseline}: {release.call.upper()}"
    return Table(title, columns, tuple(rows), (f"{release.call}: {release.reason}", *notes, *missing))


def _row_notes(row: Comparison) -> list[str]:
    assert row.verdict is not None
    benchmark = row.benchmark
    notes = [f"{benchmark}: {caution}." for caution in row.cautions]
    notes += [f"{benchmark}: undecided; {row.verdict.needed.text}."] if row.verdict.needed else []
    if row.stopped:
        notes.append(
            f"{benchmark}: {row.verdict.decision.reason}. Delta and interval describe these items, no verdict."
        )
    lost = ", ".join(f"{part.value} {formats.points(part.delta)} pt" for part in row.verdict.lost_strata[:5])
    notes += [f"{benchmark}: lost significantly (Holm) in {lost}."] if lost else []
    if row.bounded is not None:
        ends = (row.bounded.worst.change.delta, row.bounded.best.change.delta)
        range_text = f"{formats.points(ends[0])} (all missing wrong) to {formats.points(ends[1])} pt (all right)"
        notes.append(f"{benchmark}: {sum(row.bounded.missing):,} answers are missing; delta {range_text}.")
    if row.comparable.unknown:
        notes.append(f"{benchmark}: unknown and not checked: {', '.join(row.comparable.unknown)}.")
    return notes
