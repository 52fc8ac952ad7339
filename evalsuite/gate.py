"""The ``gate`` command: pass, fail or undecided against margins that were set before the run.

Exit 0, 1 and 2 mean that a verdict was computed; whatever keeps one from being computed ends with another code. The
verdict is written to ``verdict.json`` and ``junit.xml`` of the report's folder before anything is printed.
"""

import hashlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from evalsuite import __version__, console, formats, store
from evalsuite.baseline import Selected, record_compared
from evalsuite.comparison import Comparison
from evalsuite.console import Column, Table
from evalsuite.errors import BadInput, Exit, StorageFailed, unknown_name
from evalsuite.gathering import DEMO, Gathered, folder_of, gathered
from evalsuite.overview import Overview, choose_pairs, compare_all, gate_json, judged
from evalsuite.records import SCHEMA, canonical_sha
from evalsuite.release import Release
from evalsuite.report import junit
from evalsuite.report.trust import Doubt, doubts
from evalsuite.settings import Gate, Report
from evalsuite.stats.decision import Call
from evalsuite.table import RunTable, TableCell

VERDICT, JUNIT = "verdict.json", "junit.xml"
EXITS: Mapping[Call, Exit] = {"pass": Exit.DONE, "fail": Exit.FAIL, "undecided": Exit.UNDECIDED}
_WORST: tuple[Call, ...] = ("fail", "undecided", "pass")


def gate(settings: Report) -> Exit:
    """Judge every candidate of the runs (or only ``model``), write the verdict, and return it as exit code.

    Returns ``INCOMPLETE`` where samples are missing that were not allowed to. Raises ``BadInput`` without margins,
    without anything to compare, for refused comparisons, and for a baseline that is not what was published
    (``baseline_waiver="reason"`` goes on).
    """
    if settings.gate is None:
        raise BadInput("no margins: add gate=release, or gate=NAME with your own --config-dir DIR/gate/NAME.yaml")
    if settings.gate.drift:
        from evalsuite.drift import drift

        return drift(settings)
    out = folder_of(settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"cannot create {out}: {error.strerror or error}") from None
    for name in (VERDICT, JUNIT):  # an old verdict must not stand where no new one was reached
        _remove(out / name)
    with gathered(settings) as found:
        overview = _compared(settings, settings.gate, found)
        lacking = _refuse_or_lack(overview, settings.gate)
        if lacking:
            _print([f"no verdict: {'; '.join(lacking)}", *found.notes])
            return Exit.INCOMPLETE
        doubted = doubts(overview)
        if doubted and not settings.baseline_waiver:
            said = "; ".join(doubt.text for doubt in doubted)
            raise BadInput(f'{said}. A broken baseline judges nobody: mend it, or go on with baseline_waiver="reason"')
        overview = judged(overview, settings.gate)
        if not overview.releases:
            raise BadInput("nothing was judged: every pair here is one model asked twice")
        selected = _selected(overview, found)
        call = next(call for call in _WORST if any(release.call == call for release in overview.releases))
        content = _content(overview, settings, found, doubted, selected, call)
        store.write_json(out / VERDICT, content)
        store.replace_text(out / JUNIT, junit.document(overview))
        _print([*_summary(overview, found, doubted, selected, settings), f"{call.upper()}: {out / VERDICT}"])
        return EXITS[call]


def _compared(settings: Report, margins: Gate, found: Gathered) -> Overview:
    """All comparisons, or those of the asked candidate, without verdicts yet."""
    overview = compare_all(found.table, found.baseline, allow_incomplete=settings.allow_incomplete, alpha=margins.alpha)
    if settings.model is not None:
        candidates = [pair.candidate for pair in overview.pairs]
        if settings.model not in candidates:
            raise unknown_name("candidate", settings.model, candidates, "(models that are compared with a baseline)")
        pairs = tuple(pair for pair in overview.pairs if pair.candidate == settings.model or pair.aa)
        names = {pair.candidate for pair in pairs}
        rows = tuple(row for row in overview.comparisons if row.candidate.cell.model in names)
        suite = tuple(mean for mean in overview.suite if mean.pair.candidate in names)
        overview = replace(overview, pairs=pairs, comparisons=rows, suite=suite)
    if not overview.comparisons:
        known = ", ".join(found.table.models)
        raise BadInput(
            f"nothing to compare: of {known}, none has a baseline here with a task in common. "
            "Name one with baseline=NAME, or bring one with baseline_run=FILE"
        )
    return overview


def _refuse_or_lack(overview: Overview, margins: Gate) -> list[str]:
    """What is incomplete among that which decides. Raises ``BadInput`` for what may not be compared."""
    lacking: list[str] = []
    deciding = {task for task, margin in margins.margins.items() if margin.tier != "advisory"}
    if not deciding & {row.task for row in overview.comparisons}:
        tasks = ", ".join(dict.fromkeys(row.task for row in overview.comparisons))
        asked = ", ".join(sorted(deciding)) or "nothing that decides"
        raise BadInput(f"the gate has margins for {asked}; compared here: {tasks}. Your own: DIR/gate/NAME.yaml")
    for row in overview.comparisons:
        if not row.comparable.ok:
            raise BadInput("; ".join(overview.refused))
        if row.paired is None and row.task in deciding:
            if row.baseline.complete and row.candidate.complete:
                raise BadInput(row.reason)
            lacking.append(f"{row.task}: {row.reason}")
    return lacking


def _selected(overview: Overview, found: Gathered) -> Selected:
    """How many candidates this one was chosen among: of the baseline's file, else of these runs."""
    firsts: dict[str, TableCell] = {}
    for row in overview.comparisons:
        firsts.setdefault(row.candidate.cell.model, row.candidate.cell)
    if found.artefact is not None:
        return record_compared(found.artefact, list(firsts.values()))
    baselines = {pair.baseline for pair in overview.pairs}
    everyone = choose_pairs(found.table, found.baseline)
    return Selected(len({pair.candidate for pair in everyone if not pair.aa and pair.baseline in baselines}))


def _content(
    overview: Overview,
    settings: Report,
    found: Gathered,
    doubted: Sequence[Doubt],
    selected: Selected,
    call: Call,
) -> dict[str, Any]:
    """``verdict.json``."""
    assert settings.gate is not None
    artefact = found.artefact
    used = {id(cell): cell for row in overview.comparisons for cell in (row.baseline.cell, row.candidate.cell)}
    return {
        "schema": SCHEMA,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "evalsuite": __version__,
        "verdict": call,
        "exit": int(EXITS[call]),
        "demo": overview.demo,
        "gate": gate_json(settings.gate),
        "baseline": {
            "models": sorted({release.baseline for release in overview.releases}),
            "artefact": None if artefact is None else {"file": artefact.path.name, "sha256": artefact.sha256},
            "doubts": [doubt.to_json() for doubt in doubted],
            "waiver": settings.baseline_waiver if doubted else None,
        },
        "selected_among": {"candidates": selected.among, "note": selected.note},
        "allow_incomplete": settings.allow_incomplete,
        "candidates": {release.candidate: _candidate(overview, release) for release in overview.releases},
        "cells": [_cell(overview.table, cell) for cell in used.values()],
        "notes": list(found.notes),
    }


def _candidate(overview: Overview, release: Release) -> dict[str, Any]:
    rows = [row for row in overview.comparisons if row.candidate.cell.model == release.candidate]
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
    }


def _cell(table: RunTable, cell: TableCell) -> dict[str, Any]:
    """Identity of a cell and hashes of it and of its verdicts, in order of items and repeats."""
    rows = table.of(cell).sort_values(["item_id", "repeat"])
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
        "identity_sha256": canonical_sha(identity),
        "samples": len(rows),
        "samples_sha256": digest.hexdigest(),
    }


def _summary(
    overview: Overview, found: Gathered, doubted: Sequence[Doubt], selected: Selected, settings: Report
) -> list[str | Table]:
    """What one screen holds."""
    lines: list[str | Table] = [DEMO] if overview.demo else []
    lines += [_table(overview, release) for release in overview.releases]
    lines += list(found.notes)
    lines += [f'baseline used in spite of this ("{settings.baseline_waiver}"): {doubt.text}' for doubt in doubted]
    among = f"selected among {selected.among} candidate{'s' if selected.among > 1 else ''} of this baseline"
    return [*lines, among + (f" ({selected.note})" if selected.note else "")]


def _table(overview: Overview, release: Release) -> Table:
    columns = (
        Column("task", number=False),
        Column("verdict", number=False),
        Column("delta pt [95 %]"),
        Column("margin pt"),
        Column("bounds pt", essential=False),
        Column("tier", number=False, essential=False),
        Column("items", essential=False),
    )
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for row in overview.comparisons:
        if row.candidate.cell.model != release.candidate or row.verdict is None or row.paired is None:
            continue
        verdict, change = row.verdict, row.paired.change
        bounds = formats.UNKNOWN if verdict.lower is None else f"{formats.points(verdict.lower)} to "
        bounds += "" if verdict.upper is None else formats.points(verdict.upper)
        delta, margin = formats.change(change.delta, change.ci95), formats.points(-verdict.limit.margin)
        items = row.partial or formats.count(change.n)
        rows.append((row.task, verdict.decision.label, delta, margin, bounds, verdict.limit.tier, items))
        notes += _row_notes(row)
    if release.suite_mean is not None:
        mean = release.suite_mean
        interval = release.mean.ci95 if release.mean else None
        delta, margin = formats.change(release.delta, interval), formats.points(-mean.limit.margin)
        rows.append(("suite mean", mean.decision.label, delta, margin, "", mean.limit.tier, ""))
    missing = [f"Not measured: {', '.join(release.missing)}."] if release.missing else []
    who = f"{release.candidate} against {release.baseline}: {release.call.upper()}"
    return Table(who, columns, tuple(rows), (f"{release.call}: {release.reason}", *notes, *missing))


def _row_notes(row: Comparison) -> list[str]:
    assert row.verdict is not None
    found = [f"{row.task}: undecided; {row.verdict.wanted.text}."] if row.verdict.wanted else []
    if row.stopped:
        found.append(f"{row.task}: {row.verdict.decision.reason}. Delta and interval describe these items, no verdict.")
    lost = ", ".join(f"{part.value} {formats.points(part.delta)} pt" for part in row.verdict.where[:5])
    found += [f"{row.task}: lost significantly (Holm) in {lost}."] if lost else []
    if row.bounded is not None:
        ends = (row.bounded.worst.change.delta, row.bounded.best.change.delta)
        words = f"{formats.points(ends[0])} (all missing wrong) to {formats.points(ends[1])} pt (all right)"
        found.append(f"{row.task}: {sum(row.bounded.missing):,} answers are missing; delta {words}.")
    if row.comparable.unknown:
        found.append(f"{row.task}: unknown and not checked: {', '.join(row.comparable.unknown)}.")
    return found


def _print(parts: Sequence[str | Table]) -> None:
    """Print to standard output. That nobody reads it does not change the verdict."""
    width = console.standard_output()
    text = io.StringIO()
    output = Console(file=text, width=width.width, highlight=False, force_terminal=width.is_terminal)
    for part in parts:
        if isinstance(part, Table):
            console.show([part], "", output)
        else:
            output.print(part, soft_wrap=True, markup=False)
    try:
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageFailed(f"cannot replace {path}: {error.strerror or error}") from None
