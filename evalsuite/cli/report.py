"""The ``report`` command: a report on runs, on a series of nights, or on a model card alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from evalsuite.analysis.collect import open_inputs, report_folder
from evalsuite.analysis.drift import read_series
from evalsuite.analysis.suite import apply_gate, compare_all
from evalsuite.cli.json_output import Content
from evalsuite.config.report_settings import Report
from evalsuite.errors import BadInput, Exit, StorageFailed
from evalsuite.records import SCHEMA
from evalsuite.report import build, console, drift, markdown
from evalsuite.report.published.check import card_reports
from evalsuite.report.published.match import cards_for
from evalsuite.report.published.plausibility import implausible_baselines
from evalsuite.report.published.tables import published_tables
from evalsuite.store.manifest import write_json
from evalsuite.tasks.published import card_named


@dataclass(frozen=True, slots=True)
class _Finished:
    """A report that was written: its exit code, its fields as JSON, and how it is printed for people."""

    code: Exit
    content: Mapping[str, Any]
    show: Callable[[], None]
    notes: tuple[str, ...] = ()
    refused: str = ""
    """Why a comparison was refused, which ends the command with ``BadInput`` after the report was written."""


def report(settings: Report) -> Exit:
    """Compare the cells of the runs; write the report into ``out=``, else into ``report/`` of the run, and print it.

    Several runs need ``out=``. ``run=`` with a pattern gives the trend of a series of nights, written to ``out=``
    only. ``card=`` without runs prints the tables of that card alone and writes them only with ``out=``.
    With ``gate`` the rows that have a margin or a detectable difference get verdicts; none do between two runs of one
    model (A/A), or when the baseline is far from its published score and there is no ``baseline_waiver``. No candidate
    is counted, as only ``evalsuite gate`` decides.

    Returns ``DONE``, or ``INCOMPLETE`` if a cell lacks samples or its score is withheld, or the last night of a series
    is unfinished. Raises ``BadInput`` after writing if a comparison was refused, and before for unknown runs, baselines
    and cards; ``StorageFailed`` where nothing can be written.
    """
    finished = _finished(settings)
    finished.show()
    for note in finished.notes:
        console.standard_output().print(note, soft_wrap=True, markup=False)
    if finished.refused:
        raise BadInput(finished.refused)
    return finished.code


def report_json(settings: Report) -> Content:
    """Write the same report as ``report``; returns (exit code, fields of the document of ``output=json``).

    A refused comparison is ``BAD_INPUT`` with the field ``error``; other problems raise as in ``report``.
    """
    finished = _finished(settings)
    if finished.refused:
        return BadInput.exit_code, {"error": finished.refused, **finished.content}
    return finished.code, {**finished.content, "notes": list(finished.notes)}


def _finished(settings: Report) -> _Finished:
    if not settings.run and settings.card is not None:
        return _check_card(settings)
    if any("*" in name for name in settings.run):
        return _trend(settings)
    out = report_folder(settings)
    with open_inputs(settings) as inputs:
        notes = list(inputs.notes)
        alpha = settings.gate.alpha if settings.gate else 0.05
        suite = compare_all(inputs.table, inputs.baseline, allow_incomplete=settings.allow_incomplete, alpha=alpha)
        if settings.varies and suite.no_effects:
            raise BadInput(suite.no_effects)
        implausible = implausible_baselines(suite, settings.config_dir) if settings.gate else ()
        if settings.gate is not None and (not implausible or settings.baseline_waiver):
            suite = apply_gate(suite, settings.gate)
        elif implausible:
            problems = "; ".join(baseline.text for baseline in implausible)
            suite = replace(suite, no_verdicts=f'see baseline_waiver="reason": {problems}')
            notes.append(f"no verdicts, {suite.no_verdicts}")
        cards = cards_for(suite, settings.card, settings.config_dir)
        written = build.write(suite, out, cards, audit=settings.card is not None, svg=settings.svg)
    return _Finished(
        Exit.DONE if suite.complete else Exit.INCOMPLETE,
        {**written.content, "page": str(written.page)},
        partial(build.show, written),
        tuple(notes),
        "; ".join(suite.refused),
    )


def _check_card(settings: Report) -> _Finished:
    """The tables of a model card without a run, to be printed; ``out=DIR`` also writes ``report.md`` and
    ``comparison.json``.

    Raises ``BadInput`` for an unknown or unreadable card, ``StorageFailed`` where nothing can be written.
    """
    card = card_named(str(settings.card), settings.config_dir)
    tables = published_tables(None, (card,))
    headline = f"evalsuite: {card.title}; no run, so that nothing is measured beside it"
    content = {"schema": SCHEMA, "cards": [card_report.to_json() for card_report in card_reports(None, (card,))]}
    notes: tuple[str, ...] = ()
    if settings.out is not None:
        out = Path(settings.out)
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / "report.md").write_text(markdown.document(headline, (), tables, ()), encoding="utf-8")
        except OSError as error:
            raise StorageFailed(f"cannot write to {out}: {error.strerror or error}") from None
        write_json(out / "comparison.json", content)
        notes = (f"\nreport: {out / 'report.md'}",)
    return _Finished(Exit.DONE, content, lambda: console.show(tables, headline, console.standard_output()), notes)


def _trend(settings: Report) -> _Finished:
    """Compute the drift of a series of nights from a frozen baseline and write its files into ``out``, to be printed.

    ``INCOMPLETE`` where the last night is unfinished. Raises ``BadInput`` without ``out=``, with ``limit=`` and as
    ``read_series``, ``StorageFailed`` where the files cannot be written.
    """
    if settings.out is None:
        raise BadInput("a trend over nights belongs to none of them: name its folder with out=DIR")
    if settings.limit is not None:
        raise BadInput("limit= shows a part of one comparison; a series of nights has none")
    series = read_series(settings)
    drift.write(series, Path(settings.out), svg=settings.svg)
    code = Exit.INCOMPLETE if series.unfinished else Exit.DONE
    note = f"trend: {Path(settings.out) / drift.FILE}"
    return _Finished(code, series.to_json(), partial(drift.show, series), (note,))
