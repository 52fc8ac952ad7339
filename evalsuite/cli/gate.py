"""The ``gate`` command: pass, fail or undecided against margins that were set before the run.

Exit 0, 1 and 2 mean that a verdict was computed; whatever keeps one from being computed ends with another code. The
verdict is written to ``verdict.json`` and ``junit.xml`` of the report's folder before anything is printed.

With ``gate=drift`` the verdict is over a series of nightly runs. Pass: no alarm, or the latest one was dismissed by
fresh answers. Fail: the latest alarm of a chart was confirmed. Undecided: an alarm waits for its confirmation, or the
last night is unfinished.
"""

import io
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from evalsuite.analysis import drift as nights
from evalsuite.analysis.collect import ReportInputs, open_inputs, report_folder
from evalsuite.analysis.suite import SuiteComparison, apply_gate, choose_pairs, compare_all
from evalsuite.config.settings import Gate, Report
from evalsuite.errors import BadInput, Exit, StorageFailed, unknown_name
from evalsuite.report import console
from evalsuite.report import drift as trend
from evalsuite.report.console import Table
from evalsuite.report.junit import drift_junit, gate_junit
from evalsuite.report.published.plausibility import implausible_baselines
from evalsuite.report.verdict_file import EXITS, verdict_content, verdict_summary
from evalsuite.stats.decision import Call
from evalsuite.store.baseline import CandidateCount, record_compared
from evalsuite.store.manifest import replace_text, write_json
from evalsuite.store.runs import TableCell

VERDICT, JUNIT = "verdict.json", "junit.xml"
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
        return _drift(settings)
    out = report_folder(settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"cannot create {out}: {error.strerror or error}") from None
    for name in (VERDICT, JUNIT):  # an old verdict must not stand where no new one was reached
        _remove(out / name)
    with open_inputs(settings) as found:
        overview = _compared(settings, settings.gate, found)
        lacking = _refuse_or_lack(overview, settings.gate)
        if lacking:
            _print([f"no verdict: {'; '.join(lacking)}", *found.notes])
            return Exit.INCOMPLETE
        doubted = implausible_baselines(overview, settings.config_dir)
        if doubted and not settings.baseline_waiver:
            said = "; ".join(doubt.text for doubt in doubted)
            raise BadInput(f'{said}. A broken baseline judges nobody: mend it, or go on with baseline_waiver="reason"')
        overview = apply_gate(overview, settings.gate)
        if not overview.releases:
            raise BadInput("nothing was judged: every pair here is one model asked twice")
        selected = _selected(overview, found)
        call = next(call for call in _WORST if any(release.call == call for release in overview.releases))
        content = verdict_content(overview, settings, found, doubted, selected, call)
        write_json(out / VERDICT, content)
        replace_text(out / JUNIT, gate_junit(overview))
        _print([*verdict_summary(overview, found, doubted, selected, settings), f"{call.upper()}: {out / VERDICT}"])
        return EXITS[call]


def _compared(settings: Report, margins: Gate, found: ReportInputs) -> SuiteComparison:
    """All comparisons, or those of the asked candidate, without verdicts yet."""
    overview = compare_all(found.table, found.baseline, allow_incomplete=settings.allow_incomplete, alpha=margins.alpha)
    if settings.model is not None:
        candidates = [pair.candidate for pair in overview.pairs]
        if settings.model not in candidates:
            raise unknown_name("candidate", settings.model, candidates, "(models that are compared with a baseline)")
        pairs = tuple(pair for pair in overview.pairs if pair.candidate == settings.model or pair.aa)
        names = {pair.candidate for pair in pairs}
        rows = tuple(row for row in overview.comparisons if row.candidate.cell.model in names)
        suite = tuple(mean for mean in overview.means if mean.pair.candidate in names)
        overview = replace(overview, pairs=pairs, comparisons=rows, means=suite)
    if not overview.comparisons:
        known = ", ".join(found.table.models)
        raise BadInput(
            f"nothing to compare: of {known}, none has a baseline here with a task in common. "
            "Name one with baseline=NAME, or bring one with baseline_run=FILE"
        )
    return overview


def _refuse_or_lack(overview: SuiteComparison, margins: Gate) -> list[str]:
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


def _selected(overview: SuiteComparison, found: ReportInputs) -> CandidateCount:
    """How many candidates this one was chosen among: of the baseline's file, else of these runs."""
    firsts: dict[str, TableCell] = {}
    for row in overview.comparisons:
        firsts.setdefault(row.candidate.cell.model, row.candidate.cell)
    if found.artefact is not None:
        return record_compared(found.artefact, list(firsts.values()))
    baselines = {pair.baseline for pair in overview.pairs}
    everyone = choose_pairs(found.table, found.baseline)
    return CandidateCount(len({pair.candidate for pair in everyone if not pair.aa and pair.baseline in baselines}))


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


def _drift(settings: Report) -> Exit:
    """The command: charts, ``drift.json``, ``junit.xml``, a trend plot, and the verdict as exit code."""
    found = nights.read_series(settings)
    folders = nights.select_runs(settings.run, settings.results_dir)
    out = Path(settings.out) if settings.out else folders[-1] / "report"
    trend.write(found, out, svg=settings.svg)
    try:
        (out / JUNIT).write_text(drift_junit(found), encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"cannot write to {out}: {error.strerror or error}") from None
    trend.show(found)
    word = {Exit.DONE: "PASS", Exit.FAIL: "FAIL", Exit.UNDECIDED: "UNDECIDED"}[found.verdict]
    console.standard_output().print(f"{word}: {out / trend.FILE}", soft_wrap=True, markup=False)
    return found.verdict
