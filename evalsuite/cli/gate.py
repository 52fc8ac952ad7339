"""The ``gate`` command: pass, fail or undecided against margins that were set before the run.

Exit codes 0, 1 and 2 mean that a verdict was computed; every problem that prevents one has another code. The verdict
is written to ``verdict.json`` and ``junit.xml`` of the report's folder before anything is printed.

With ``gate=drift`` the verdict is over a series of nightly runs. Pass: no alarm, or the latest one was dismissed by
fresh answers. Fail: the latest alarm of a chart was confirmed. Undecided: an alarm waits for its confirmation, or the
last night is unfinished.
"""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalsuite.analysis.collect import ReportInputs, open_inputs, report_folder
from evalsuite.analysis.drift import Series, read_series, select_runs
from evalsuite.analysis.suite import SuiteComparison, apply_gate, choose_pairs, compare_all
from evalsuite.cli.json_output import Content
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Gate
from evalsuite.errors import BadInput, Exit, StorageFailed, unknown_name
from evalsuite.report import console, drift
from evalsuite.report.console import Table
from evalsuite.report.day0 import DAY0, day0_content
from evalsuite.report.junit import drift_junit, gate_junit
from evalsuite.report.published.plausibility import implausible_baselines
from evalsuite.report.verdict_file import EXITS, VERDICT, verdict_content, verdict_summary
from evalsuite.stats.decision import Call
from evalsuite.store.baseline import CandidateCount, record_compared
from evalsuite.store.extents import undeclared
from evalsuite.store.manifest import replace_text, write_json
from evalsuite.store.runs import TableCell

JUNIT = "junit.xml"
_WORST: tuple[Call, ...] = ("fail", "undecided", "pass")


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the gate found: the exit code, the fields of the JSON document, the lines and tables for people."""

    code: Exit
    content: Mapping[str, Any]
    lines: Sequence[str | Table]


def gate(settings: Report) -> Exit:
    """Compute the verdict on every candidate of the runs (or only ``model``), write it, print it, and return the worst
    as exit code (fail before undecided before pass).

    Writes ``verdict.json`` and ``junit.xml`` (with ``format=day0`` also ``day0.json``) into the report's folder, from
    which old ones are deleted first; with ``gate=drift`` the verdict on a series of nights into ``drift.json``, with
    ``junit.xml`` and a plot, over old ones. Returns ``DONE`` (pass), ``FAIL``, ``UNDECIDED``, or, without a verdict,
    ``INCOMPLETE`` where, in a task whose margin is not ``advisory``, more samples are missing than
    ``allow_incomplete``, or a score is withheld. Raises ``BadInput`` without margins, without anything to compare, for
    several runs without ``out``, for refused comparisons, for cells of a part of such a task that was not declared, for
    a baseline far from its published score (``baseline_waiver="reason"`` goes on), and with ``format=day0`` for several
    candidates; ``StorageFailed`` where a file cannot be written.
    """
    margins = _margins(settings)
    if margins.drift:
        series, file = _drift(settings)
        drift.show(series)
        word = {Exit.DONE: "PASS", Exit.FAIL: "FAIL", Exit.UNDECIDED: "UNDECIDED"}[series.verdict]
        console.standard_output().print(f"{word}: {file}", soft_wrap=True, markup=False)
        return series.verdict
    judged = _judged(settings, margins)
    _print(judged.lines)
    return judged.code


def gate_json(settings: Report) -> Content:
    """Compute and write the same verdict as ``gate``; returns (exit code, fields of the document of ``output=json``,
    with an ``error`` for ``INCOMPLETE``). Raises as ``gate`` does.
    """
    margins = _margins(settings)
    if margins.drift:
        series, file = _drift(settings)
        return series.verdict, {**series.to_json(), "file": str(file)}
    judged = _judged(settings, margins)
    return judged.code, judged.content


def _margins(settings: Report) -> Gate:
    if settings.gate is None:
        raise BadInput("no margins: add gate=release, or gate=NAME with your own --config-dir DIR/gate/NAME.yaml")
    return settings.gate


def _judged(settings: Report, margins: Gate) -> _Judged:
    """Compute the verdict on all candidates and write it; deletes the report folder's old verdict first.

    Returns the exit code, the fields of the JSON document, and what is to be printed: ``INCOMPLETE`` with the reason,
    and no verdict, where samples are missing or a score is withheld. Raises as ``gate`` does.
    """
    out = report_folder(settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"cannot create {out}: {error.strerror or error}") from None
    for name in (VERDICT, JUNIT, DAY0):  # an old verdict must not stand where no new one was reached
        _remove(out / name)
    with open_inputs(settings) as inputs:
        suite = _compared(settings, margins, inputs)
        incomplete = _incomplete_rows(suite, margins)
        if incomplete:
            problem = f"no verdict: {'; '.join(incomplete)}"
            fields = {"error": problem, "notes": list(inputs.notes)}
            return _Judged(Exit.INCOMPLETE, fields, [problem, *inputs.notes])
        implausible = implausible_baselines(suite, settings.config_dir)
        if implausible and not settings.baseline_waiver:
            problems = "; ".join(baseline.text for baseline in implausible)
            remedy = 'mend the baseline, or go on with baseline_waiver="reason"'
            raise BadInput(f"{problems}. Nothing can be compared with a broken baseline: {remedy}")
        suite = apply_gate(suite, margins)
        if not suite.releases:
            raise BadInput("nothing was judged: every pair here is one model asked twice")
        count = _candidate_count(suite, inputs)
        call = next(call for call in _WORST if any(release.call == call for release in suite.releases))
        content = verdict_content(suite, settings, inputs, implausible, count, call)
        write_json(out / VERDICT, content)
        replace_text(out / JUNIT, gate_junit(suite))
        if settings.format == "day0":
            _write_day0(suite, content, out)
        summary = verdict_summary(suite, inputs, implausible, count, settings)
        lines = [*summary, f"{call.upper()}: {out / VERDICT}"]
        return _Judged(EXITS[call], {**content, "file": str(out / VERDICT)}, lines)


def _write_day0(suite: SuiteComparison, verdict: dict[str, Any], out: Path) -> None:
    """Write ``day0.json`` into the folder ``out``, from the content of ``verdict.json`` (``verdict``) and the scores of
    each task that has them in both models.

    Raises ``BadInput`` for several candidates, which this shape cannot hold.
    """
    names = list(verdict["candidates"])
    if len(names) != 1:
        raise BadInput(f"format=day0 holds one candidate, here are {', '.join(names)}: add model=NAME")
    scores = {
        row.task: (row.baseline.scored.score, row.candidate.scored.score)
        for row in suite.comparisons
        if row.baseline.scored is not None and row.candidate.scored is not None
    }
    write_json(out / DAY0, day0_content(verdict, names[0], scores))


def _compared(settings: Report, gate: Gate, inputs: ReportInputs) -> SuiteComparison:
    """All comparisons, or those of the candidate ``settings.model`` and of models that were asked twice (A/A), without
    verdicts yet.

    Raises ``BadInput`` for an unknown candidate, if nothing can be compared, and if ``varies=`` is given and gives no
    effects.
    """
    suite = compare_all(inputs.table, inputs.baseline, allow_incomplete=settings.allow_incomplete, alpha=gate.alpha)
    if settings.varies and suite.no_effects:
        raise BadInput(suite.no_effects)
    if settings.model is not None:
        candidates = [pair.candidate for pair in suite.pairs]
        if settings.model not in candidates:
            raise unknown_name("candidate", settings.model, candidates, "(models that are compared with a baseline)")
        pairs = tuple(pair for pair in suite.pairs if pair.candidate == settings.model or pair.aa)
        names = {pair.candidate for pair in pairs}
        rows = tuple(row for row in suite.comparisons if row.candidate.cell.model in names)
        means = tuple(mean for mean in suite.means if mean.pair.candidate in names)
        suite = replace(suite, pairs=pairs, comparisons=rows, means=means)
    if not suite.comparisons:
        known = ", ".join(inputs.table.models)
        raise BadInput(
            f"nothing to compare: of {known}, none has a baseline here with a task in common. "
            "Name one with baseline=NAME, or bring one with baseline_run=FILE"
        )
    return suite


def _incomplete_rows(suite: SuiteComparison, gate: Gate) -> list[str]:
    """``task: reason`` for each comparison that decides but lacks samples or a score; empty if there is none.

    Raises ``BadInput`` if no deciding task is compared, for any refused comparison, and for cells of a deciding task
    that are of an undeclared part, or complete without being comparable.
    """
    incomplete: list[str] = []
    deciding = {task for task, margin in gate.margins.items() if margin.tier != "advisory"}
    if not deciding & {row.task for row in suite.comparisons}:
        tasks = ", ".join(dict.fromkeys(row.task for row in suite.comparisons))
        known = ", ".join(sorted(deciding)) or "nothing that decides"
        raise BadInput(f"the gate has margins for {known}; compared here: {tasks}. Your own: DIR/gate/NAME.yaml")
    for row in suite.comparisons:
        if not row.comparable.ok:
            raise BadInput("; ".join(suite.refused))
        if row.task in deciding:
            for cell in (row.baseline.cell, row.candidate.cell):
                _check_extent(cell)
        if row.paired is None and row.task in deciding:
            if row.baseline.complete and row.candidate.complete:
                raise BadInput(row.reason)
            incomplete.append(f"{row.task}: {row.reason}")
    return incomplete


def _check_extent(cell: TableCell) -> None:
    """Raise ``BadInput`` for a cell of a part of a task that no command declared before its answers existed, and for a
    cell whose data lacked items of the task."""
    if problem := undeclared(cell.manifest):
        raise BadInput(problem)
    if cell.short:
        raise BadInput(
            f"{cell.model}/{cell.task}: the data held {cell.short} (part), and no limit or select left the others out: "
            "ask with the whole data, or say which part is meant (limit=N, tasks.T.select...) in a new run_id"
        )


def _candidate_count(suite: SuiteComparison, inputs: ReportInputs) -> CandidateCount:
    """The number of candidates among which this one was chosen, with a note on why they could not be recorded, if so.

    With a baseline file, the candidates compared here are added to the record next to it and all on it are counted;
    else those of these runs that are compared with the same baselines (second arms of A/A runs excepted).
    """
    cells: dict[str, TableCell] = {}
    for row in suite.comparisons:
        cells.setdefault(row.candidate.cell.model, row.candidate.cell)
    if inputs.artefact is not None:
        return record_compared(inputs.artefact, list(cells.values()))
    baselines = {pair.baseline for pair in suite.pairs}
    pairs = choose_pairs(inputs.table, inputs.baseline)
    return CandidateCount(len({pair.candidate for pair in pairs if not pair.aa and pair.baseline in baselines}))


def _print(parts: Sequence[str | Table]) -> None:
    """Print lines and tables to standard output; where that is closed nothing is raised, so that the
    exit code stays.
    """
    target = console.standard_output()
    text = io.StringIO()
    output = console.SafeConsole(file=text, width=target.width, force_terminal=target.is_terminal)
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


def _drift(settings: Report) -> tuple[Series, Path]:
    """(the series of nights with its verdict, the path of its ``drift.json``).

    Writes that file, ``junit.xml`` and a plot into ``out``, else into the last night's report folder. Raises
    ``BadInput`` with ``limit=`` and as ``read_series`` (no ``baseline_run``, no such nights ...), ``StorageFailed``
    where nothing can be written.
    """
    if settings.limit is not None:
        raise BadInput("limit= shows a part of one comparison; a series of nights has none")
    series = read_series(settings)
    folders = select_runs(settings.run, settings.results_dir)
    out = Path(settings.out) if settings.out else folders[-1] / "report"
    drift.write(series, out, svg=settings.svg)
    try:
        (out / JUNIT).write_text(drift_junit(series), encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"cannot write to {out}: {error.strerror or error}") from None
    return series, out / drift.FILE
