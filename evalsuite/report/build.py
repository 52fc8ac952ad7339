"""The ``report`` command and the report at the end of a run: tables, plots, ``comparison.json``, ``report.md``."""

from collections.abc import Sequence
from pathlib import Path

from evalsuite import console, store
from evalsuite.confounders import strangers
from evalsuite.cuts import cut_answers
from evalsuite.errors import BadInput, Exit, StorageFailed
from evalsuite.gathering import DEMO, FOLDER, folder_of, gathered
from evalsuite.nights import series
from evalsuite.overview import Overview, baselines_elsewhere, compare_all, judged
from evalsuite.report import document, facets, html, markdown, model_card, tables, trend, trust
from evalsuite.report.card import Card, cards_for
from evalsuite.report.card_alone import check_card
from evalsuite.report.card_check import card_reports
from evalsuite.report.card_tables import published_tables
from evalsuite.settings import Report
from evalsuite.table import TableCell, run_cells, table_of


def report(settings: Report) -> Exit:
    """Compare what the runs hold and write and print the report.

    Returns ``DONE``, or ``INCOMPLETE`` if a cell lacks samples. Raises ``BadInput`` after writing if a comparison
    was refused, and before for unknown runs, baselines and cards. With ``gate`` every row has its verdict; no candidate
    is counted, as only ``evalsuite gate`` decides.
    """
    if not settings.run and settings.card is not None:
        return check_card(settings)
    if any("*" in name for name in settings.run):
        return _report_trend(settings)
    out = folder_of(settings)
    with gathered(settings) as found:
        notes = list(found.notes)
        alpha = settings.gate.alpha if settings.gate else 0.05
        overview = compare_all(found.table, found.baseline, allow_incomplete=settings.allow_incomplete, alpha=alpha)
        doubted = trust.doubts(overview) if settings.gate else ()
        if settings.gate is not None and (not doubted or settings.baseline_waiver):
            overview = judged(overview, settings.gate)
        elif doubted:
            notes.append(f'no verdicts, see baseline_waiver="reason": {"; ".join(doubt.text for doubt in doubted)}')
        write(overview, out, cards_for(overview, settings.card))
    for note in notes:
        console.standard_output().print(note, soft_wrap=True, markup=False)
    if overview.refused:
        raise BadInput("; ".join(overview.refused))
    return Exit.DONE if overview.complete else Exit.INCOMPLETE


def _report_trend(settings: Report) -> Exit:
    """Several nights of the same cells, named by a pattern: their trend against a frozen baseline."""
    if settings.out is None:
        raise BadInput("a trend over nights belongs to none of them: name its folder with out=DIR")
    found = series(settings)
    trend.write(found, Path(settings.out))
    trend.show(found)
    console.standard_output().print(f"trend: {Path(settings.out) / trend.FILE}", soft_wrap=True, markup=False)
    return Exit.INCOMPLETE if found.unfinished else Exit.DONE


def report_run(folder: Path, baseline: str | None) -> None:
    """The report at the end of a run: its cells compared with their baselines, or their scores beside published ones.

    ``baseline`` names a model for all; None leaves it to the cells. A baseline that is not in the
    run is looked for in the runs beside it. Refused comparisons are shown, not raised.
    """
    cells = run_cells(folder)
    if not cells:
        return
    table = table_of([*cells, *baselines_elsewhere(cells, folder.parent, baseline)])
    known = baseline if baseline in table.models else None
    overview = compare_all(table, known, first_serves=False)
    write(overview, folder / FOLDER, cards_for(overview, None))
    if not overview.pairs:
        wanted = {name for name in (baseline, *(cell.manifest["baseline"] for cell in cells)) if name}
        absent = f"no cells of the baseline {' or '.join(sorted(wanted))}" if wanted else "no baseline is declared"
        advice = f"to compare: evalsuite report run={folder.name} baseline=NAME"
        console.standard_output().print(f"{absent}: scores only; {advice}", soft_wrap=True, markup=False)


def write(overview: Overview, out: Path, cards: Sequence[Card]) -> None:
    """Write all files of a report into ``out`` and print its tables."""
    from evalsuite.report import plots

    headline = f"evalsuite: {', '.join(dict.fromkeys(cell.run for cell in overview.table.cells))}"
    caption = DEMO if overview.demo else ""
    found = [tables.delta_table(overview), *tables.group_tables(overview), tables.causes_table(overview)]
    shown = [table for table in (tables.scores_table(overview), *found) if table.rows]
    shown += published_tables(overview, cards)
    cards_said = [found.to_json() for found in card_reports(overview, cards)]
    differing = [table for table in (facets.confounders_table(facets.confounders(overview)),) if table.rows]
    content, facts = document.document(overview) | {"cards": cards_said}, _facts(overview)
    try:
        out.mkdir(parents=True, exist_ok=True)
        pictures = [(title, f"plots/{name}") for title, name in plots.save_all(overview, out / "plots", caption)]
        text = markdown.document(headline + (f" ({caption})" if caption else ""), facts, [*differing, *shown], pictures)
        store.replace_text(out / "report.md", text)
        store.replace_text(out / "card.md", model_card.card_text(overview, caption))
        model_card.write_hub_metadata(overview, out / "hub")
        document.write_csv(content, out / "tables")
        page = html.write_page(overview, content, shown, facts, out, caption)
    except OSError as error:
        raise StorageFailed(f"cannot write the report to {out}: {error.strerror or error}") from None
    store.write_json(out / "comparison.json", content)
    output = console.standard_output()
    console.show([*shown, *differing], headline + (f" ({caption})" if caption else ""), output)
    output.print(f"\nreport: {page}", soft_wrap=True, markup=False)


def _facts(overview: Overview) -> list[str]:
    """Which cells the report is made of."""
    facts: list[str] = []
    for cell in overview.table.cells:
        origin = "recorded elsewhere" if cell.imported else str(cell.identity.get("checkpoint"))
        words = [cell.title, origin, f"{cell.task} {cell.manifest['version']} {cell.identity['variant']}"]
        words += [f"run {cell.run}", *([cell.partial] if cell.partial else []), _settings(cell)]
        facts.append(", ".join(words))
        facts += [f"{cell.title}, {cell.task}: {line}" for line in strangers(cell.manifest)]
        cut = cut_answers(cell.folder, cell.planned)
        if cut.flagged:
            facts.append(f"{cell.title}, {cell.task}: {cut.words()}")
    return facts


def _settings(cell: TableCell) -> str:
    sampling, thinking = cell.identity.get("sampling"), cell.identity.get("thinking")
    if sampling is None:
        return "settings unknown"
    sent = " ".join(f"{name}={value}" for name, value in sampling.items() if value is not None)
    return f"thinking {'on' if thinking else 'off'}, {sent or 'sampling left to the server'}"
