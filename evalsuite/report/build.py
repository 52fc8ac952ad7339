"""The ``report`` command and the report at the end of a run: tables, plots, ``comparison.json``, ``report.md``."""

from collections.abc import Sequence
from pathlib import Path

from evalsuite.analysis.collect import DEMO_NOTE, REPORT_FOLDER
from evalsuite.analysis.interruptions import cut_answers
from evalsuite.analysis.suite import SuiteComparison, compare_all, find_baselines
from evalsuite.analysis.table import table_of
from evalsuite.endpoint.identity.differences import strangers
from evalsuite.errors import BadInput, StorageFailed
from evalsuite.report import console, html, markdown, model_card, tables
from evalsuite.report import data_files as document
from evalsuite.report import sections as facets
from evalsuite.report.published.check import card_reports
from evalsuite.report.published.match import cards_for
from evalsuite.report.published.tables import published_tables
from evalsuite.store.manifest import replace_text, write_json
from evalsuite.store.runs import TableCell, run_cells
from evalsuite.tasks.datasets import benchmark_title
from evalsuite.tasks.published import Card


def report_run(folder: Path, baseline: str | None, config_dir: str | None = None) -> None:
    """The report at the end of a run: its cells compared with their baselines, or their scores beside published ones.

    ``baseline`` names a model for all; None leaves it to the cells. A baseline that is not in the
    run is looked for in the runs beside it. Refused comparisons and unreadable cards of ``config_dir`` are shown, not
    raised: the run itself is complete.
    """
    cells = run_cells(folder)
    if not cells:
        return
    table = table_of([*cells, *find_baselines(cells, folder.parent, baseline)])
    known = baseline if baseline in table.models else None
    overview = compare_all(table, known, fallback_to_first=False)
    try:
        cards = cards_for(overview, None, config_dir)
    except BadInput as error:
        cards = ()
        console.standard_output().print(f"no published scores: {error}", soft_wrap=True, markup=False)
    write(overview, folder / REPORT_FOLDER, cards)
    if not overview.pairs:
        wanted = {name for name in (baseline, *(cell.manifest["baseline"] for cell in cells)) if name}
        absent = f"no cells of the baseline {' or '.join(sorted(wanted))}" if wanted else "no baseline is declared"
        advice = f"to compare: evalsuite report run={folder.name} baseline=NAME"
        console.standard_output().print(f"{absent}: scores only; {advice}", soft_wrap=True, markup=False)


def write(overview: SuiteComparison, out: Path, cards: Sequence[Card]) -> None:
    """Write all files of a report into ``out`` and print its tables."""
    from evalsuite.report.plots.save import save_all

    headline = f"evalsuite: {', '.join(dict.fromkeys(cell.run for cell in overview.table.cells))}"
    caption = DEMO_NOTE if overview.demo else ""
    found = [tables.delta_table(overview), *tables.group_tables(overview), tables.causes_table(overview)]
    shown = [table for table in (tables.scores_table(overview), *found) if table.rows]
    shown += published_tables(overview, cards)
    cards_said = [found.to_json() for found in card_reports(overview, cards)]
    differing = [table for table in (facets.confounders_table(facets.confounders(overview)),) if table.rows]
    content, facts = document.document(overview) | {"cards": cards_said}, _facts(overview)
    try:
        out.mkdir(parents=True, exist_ok=True)
        pictures = [(title, f"plots/{name}") for title, name in save_all(overview, out / "plots", caption)]
        text = markdown.document(headline + (f" ({caption})" if caption else ""), facts, [*differing, *shown], pictures)
        replace_text(out / "report.md", text)
        replace_text(out / "card.md", model_card.card_text(overview, caption))
        model_card.write_hub_metadata(overview, out / "hub")
        document.write_csv(content, out / "tables")
        page = html.write_page(overview, content, shown, facts, out, caption)
    except OSError as error:
        raise StorageFailed(f"cannot write the report to {out}: {error.strerror or error}") from None
    write_json(out / "comparison.json", content)
    output = console.standard_output()
    console.show([*shown, *differing], headline + (f" ({caption})" if caption else ""), output)
    output.print(f"\nreport: {page}", soft_wrap=True, markup=False)


def _facts(overview: SuiteComparison) -> list[str]:
    """Which cells the report is made of."""
    facts: list[str] = []
    for cell in overview.table.cells:
        origin = "recorded elsewhere" if cell.imported else str(cell.identity.get("checkpoint"))
        words = [
            cell.title,
            origin,
            f"{benchmark_title(cell.task)} {cell.manifest['version']} {cell.identity['variant']}",
        ]
        words += [f"run {cell.run}", *([cell.partial] if cell.partial else []), _settings(cell)]
        facts.append(", ".join(words))
        facts += [f"{cell.title}, {benchmark_title(cell.task)}: {line}" for line in strangers(cell.manifest)]
        cut = cut_answers(cell.folder, cell.planned)
        if cut.flagged:
            facts.append(f"{cell.title}, {benchmark_title(cell.task)}: {cut.describe()}")
    return facts


def _settings(cell: TableCell) -> str:
    sampling, thinking = cell.identity.get("sampling"), cell.identity.get("thinking")
    if sampling is None:
        return "settings unknown"
    sent = " ".join(f"{name}={value}" for name, value in sampling.items() if value is not None)
    return f"thinking {'on' if thinking else 'off'}, {sent or 'sampling left to the server'}"
