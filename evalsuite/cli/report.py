"""``evalsuite report card=NAME`` without a run: what a model card says, held against arithmetic alone."""

from pathlib import Path

from evalsuite.analysis.collect import open_inputs, report_folder
from evalsuite.analysis.drift import read_series
from evalsuite.analysis.suite import apply_gate, compare_all
from evalsuite.config.settings import Report
from evalsuite.errors import BadInput, Exit, StorageFailed
from evalsuite.records import SCHEMA
from evalsuite.report import console, markdown
from evalsuite.report import drift as trend
from evalsuite.report.build import write
from evalsuite.report.published import plausibility as trust
from evalsuite.report.published.check import card_reports
from evalsuite.report.published.match import cards_for
from evalsuite.report.published.tables import published_tables
from evalsuite.store.manifest import write_json
from evalsuite.tasks.published import card_named


def _check_card(settings: Report) -> Exit:
    """Print the card's tables; with ``out=DIR`` write them as ``report.md``, and ``cards`` of ``comparison.json``.

    Raises ``BadInput`` for an unknown or unreadable card, ``StorageFailed`` where nothing can be written.
    """
    card = card_named(str(settings.card), settings.config_dir)
    tables = published_tables(None, (card,))
    headline = f"evalsuite: {card.title}; no run, so that nothing is measured beside it"
    output = console.standard_output()
    console.show(tables, headline, output)
    if settings.out is not None:
        out = Path(settings.out)
        content = {"schema": SCHEMA, "cards": [found.to_json() for found in card_reports(None, (card,))]}
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / "report.md").write_text(markdown.document(headline, (), tables, ()), encoding="utf-8")
        except OSError as error:
            raise StorageFailed(f"cannot write to {out}: {error.strerror or error}") from None
        write_json(out / "comparison.json", content)
        output.print(f"\nreport: {out / 'report.md'}", soft_wrap=True, markup=False)
    return Exit.DONE


def report(settings: Report) -> Exit:
    """Compare what the runs hold and write and print the report.

    Returns ``DONE``, or ``INCOMPLETE`` if a cell lacks samples. Raises ``BadInput`` after writing if a comparison
    was refused, and before for unknown runs, baselines and cards. With ``gate`` every row has its verdict; no candidate
    is counted, as only ``evalsuite gate`` decides.
    """
    if not settings.run and settings.card is not None:
        return _check_card(settings)
    if any("*" in name for name in settings.run):
        return _report_trend(settings)
    out = report_folder(settings)
    with open_inputs(settings) as found:
        notes = list(found.notes)
        alpha = settings.gate.alpha if settings.gate else 0.05
        overview = compare_all(found.table, found.baseline, allow_incomplete=settings.allow_incomplete, alpha=alpha)
        doubted = trust.implausible_baselines(overview, settings.config_dir) if settings.gate else ()
        if settings.gate is not None and (not doubted or settings.baseline_waiver):
            overview = apply_gate(overview, settings.gate)
        elif doubted:
            notes.append(f'no verdicts, see baseline_waiver="reason": {"; ".join(doubt.text for doubt in doubted)}')
        write(overview, out, cards_for(overview, settings.card, settings.config_dir), svg=settings.svg)
    for note in notes:
        console.standard_output().print(note, soft_wrap=True, markup=False)
    if overview.refused:
        raise BadInput("; ".join(overview.refused))
    return Exit.DONE if overview.complete else Exit.INCOMPLETE


def _report_trend(settings: Report) -> Exit:
    """Several nights of the same cells, named by a pattern: their trend against a frozen baseline."""
    if settings.out is None:
        raise BadInput("a trend over nights belongs to none of them: name its folder with out=DIR")
    found = read_series(settings)
    trend.write(found, Path(settings.out), svg=settings.svg)
    trend.show(found)
    console.standard_output().print(f"trend: {Path(settings.out) / trend.FILE}", soft_wrap=True, markup=False)
    return Exit.INCOMPLETE if found.unfinished else Exit.DONE
