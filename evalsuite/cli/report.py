"""The ``report`` command: a report on runs, on a series of nights, or on a model card alone."""

from pathlib import Path

from evalsuite.analysis.collect import open_inputs, report_folder
from evalsuite.analysis.drift import read_series
from evalsuite.analysis.suite import apply_gate, compare_all
from evalsuite.config.settings import Report
from evalsuite.errors import BadInput, Exit, StorageFailed
from evalsuite.records import SCHEMA
from evalsuite.report import console, drift, markdown
from evalsuite.report.build import write
from evalsuite.report.published.check import card_reports
from evalsuite.report.published.match import cards_for
from evalsuite.report.published.plausibility import implausible_baselines
from evalsuite.report.published.tables import published_tables
from evalsuite.store.manifest import write_json
from evalsuite.tasks.published import card_named


def _check_card(settings: Report) -> Exit:
    """Print the tables of a model card without a run; with ``out=DIR`` write them, too.

    Raises ``BadInput`` for an unknown or unreadable card, ``StorageFailed`` where nothing can be written.
    """
    card = card_named(str(settings.card), settings.config_dir)
    tables = published_tables(None, (card,))
    headline = f"evalsuite: {card.title}; no run, so that nothing is measured beside it"
    output = console.standard_output()
    console.show(tables, headline, output)
    if settings.out is not None:
        out = Path(settings.out)
        content = {"schema": SCHEMA, "cards": [card_report.to_json() for card_report in card_reports(None, (card,))]}
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / "report.md").write_text(markdown.document(headline, (), tables, ()), encoding="utf-8")
        except OSError as error:
            raise StorageFailed(f"cannot write to {out}: {error.strerror or error}") from None
        write_json(out / "comparison.json", content)
        output.print(f"\nreport: {out / 'report.md'}", soft_wrap=True, markup=False)
    return Exit.DONE


def report(settings: Report) -> Exit:
    """Compare the cells of the runs; write and print the report.

    Returns ``DONE``, or ``INCOMPLETE`` if a cell lacks samples. Raises ``BadInput`` after writing if a comparison
    was refused, and before for unknown runs, baselines and cards. With ``gate`` every row has its verdict; no candidate
    is counted, as only ``evalsuite gate`` decides.
    """
    if not settings.run and settings.card is not None:
        return _check_card(settings)
    if any("*" in name for name in settings.run):
        return _report_trend(settings)
    out = report_folder(settings)
    with open_inputs(settings) as inputs:
        notes = list(inputs.notes)
        alpha = settings.gate.alpha if settings.gate else 0.05
        suite = compare_all(inputs.table, inputs.baseline, allow_incomplete=settings.allow_incomplete, alpha=alpha)
        implausible = implausible_baselines(suite, settings.config_dir) if settings.gate else ()
        if settings.gate is not None and (not implausible or settings.baseline_waiver):
            suite = apply_gate(suite, settings.gate)
        elif implausible:
            problems = "; ".join(baseline.text for baseline in implausible)
            notes.append(f'no verdicts, see baseline_waiver="reason": {problems}')
        write(suite, out, cards_for(suite, settings.card, settings.config_dir), svg=settings.svg)
    for note in notes:
        console.standard_output().print(note, soft_wrap=True, markup=False)
    if suite.refused:
        raise BadInput("; ".join(suite.refused))
    return Exit.DONE if suite.complete else Exit.INCOMPLETE


def _report_trend(settings: Report) -> Exit:
    """The drift of a series of nights, named by a pattern, from a frozen baseline."""
    if settings.out is None:
        raise BadInput("a trend over nights belongs to none of them: name its folder with out=DIR")
    if settings.limit is not None:
        raise BadInput("limit= shows a part of one comparison; a series of nights has none")
    series = read_series(settings)
    drift.write(series, Path(settings.out), svg=settings.svg)
    drift.show(series)
    console.standard_output().print(f"trend: {Path(settings.out) / drift.FILE}", soft_wrap=True, markup=False)
    return Exit.INCOMPLETE if series.unfinished else Exit.DONE
