"""Builds a report: tables, plots, ``comparison.json``, ``report.md`` and the page.

It is used by the ``report`` command and at the end of a run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.analysis.collect import DEMO_NOTE, REPORT_FOLDER
from evalsuite.analysis.interruptions import cut_answers
from evalsuite.analysis.suite import SuiteComparison, apply_gate, compare_all, find_baselines
from evalsuite.analysis.table import table_of
from evalsuite.config.settings import Gate
from evalsuite.endpoint.identity.differences import server_warnings
from evalsuite.errors import BadInput, StorageFailed
from evalsuite.report import console, data_files, formats, html, hub_metadata, markdown, model_card, tables
from evalsuite.report.confounders import confounders, confounders_table
from evalsuite.report.effects import effects_table
from evalsuite.report.published.check import card_reports
from evalsuite.report.published.match import cards_for
from evalsuite.report.published.plausibility import ImplausibleBaseline, implausible_baselines
from evalsuite.report.published.tables import published_tables
from evalsuite.report.recipes import recipe_tables
from evalsuite.store.manifest import replace_text, write_json
from evalsuite.store.runs import TableCell, run_cells
from evalsuite.tasks.datasets import benchmark_title
from evalsuite.tasks.published import Card


@dataclass(frozen=True, slots=True)
class RunComparison:
    """The cells of a run compared with their baselines, and what a report states besides the numbers."""

    suite: SuiteComparison
    cards: tuple[Card, ...]
    """The published model cards that name its checkpoints."""
    notes: tuple[str, ...]
    """Why there are no published scores or no verdicts; usually empty."""


def compare_run(
    folder: Path, baseline: str | None, config_dir: str | None = None, *, gate: Gate | None = None
) -> RunComparison | None:
    """Compare the cells of a run with their baselines; None if no model has answered yet. Writes nothing.

    ``folder`` is the run's folder. ``baseline`` names one baseline model for all cells; None takes the one that each
    model declares. One that is not in the run is looked up in the other runs of the same results folder; for a name
    that is found nowhere, declared baselines within the run are taken. ``gate`` gives verdicts against its margins,
    unless a baseline is implausible; None gives none. Refused comparisons and unreadable cards of ``config_dir`` (the
    user's folder of settings) are stated in the result, not raised: the run itself is complete. Raises ``BadInput`` for
    a damaged cell.
    """
    cells = run_cells(folder)
    if not cells:
        return None
    table = table_of([*cells, *find_baselines(cells, folder.parent, baseline)])
    named, alpha = baseline if baseline in table.models else None, gate.alpha if gate else 0.05
    suite = compare_all(table, named, fallback_to_first=False, alpha=alpha)
    cards: tuple[Card, ...] = ()
    doubts: tuple[ImplausibleBaseline, ...] = ()
    notes: list[str] = []
    try:
        cards = cards_for(suite, None, config_dir)
        doubts = implausible_baselines(suite, config_dir) if gate else ()
    except BadInput as error:
        notes.append(f"no published scores: {error}")
    if gate is not None and not doubts:
        suite = apply_gate(suite, gate)
    notes += [f"no verdict, the baseline is implausible: {doubt.text}" for doubt in doubts]
    return RunComparison(suite, cards, tuple(notes))


def report_run(
    folder: Path,
    baseline: str | None,
    config_dir: str | None = None,
    *,
    gate: Gate | None = None,
    svg: bool = False,
) -> None:
    """Write the report at the end of a run into ``<folder>/report`` and print it, if any model has answered; else do
    nothing.

    ``folder`` is the run's folder; ``baseline``, ``config_dir`` and ``gate`` are as in ``compare_run``: the baseline's
    name (None: as models declare), the user's folder of settings, the margins of verdicts (None: no verdicts). ``svg``
    writes the plots as SVG, too. The last lines printed are the notes of the comparison, then for each candidate its
    refused comparisons and its verdict (without one: its changes), then, if no model has a baseline, that it is
    missing. Raises ``BadInput`` for a damaged cell, ``StorageFailed`` when the report cannot be written.
    """
    compared = compare_run(folder, baseline, config_dir, gate=gate)
    if compared is None:
        return
    suite = compared.suite
    show(write(suite, folder / REPORT_FOLDER, compared.cards, svg=svg))
    lines = [*compared.notes, *_conclusions(suite)]
    if not suite.pairs:
        declared = (cell.manifest["baseline"] for cell in run_cells(folder))
        names = {name for name in (baseline, *declared) if name}
        problem = f"no cells of the baseline {' or '.join(sorted(names))}" if names else "no baseline is declared"
        lines.append(f"{problem}: scores only; to compare: evalsuite report run={folder.name} baseline=NAME")
    for line in lines:
        console.standard_output().print(line, soft_wrap=True, markup=False)


def _conclusions(suite: SuiteComparison) -> Iterator[str]:
    """Yield lines of text per candidate: its refused comparisons, and its verdict or, where it has
    none, its changes.
    """
    verdicts = {(release.baseline, release.candidate): release for release in suite.releases}
    for pair in suite.pairs:
        title = f"{suite.table.title(pair.candidate)} against {suite.table.title(pair.baseline)}"
        models = (pair.baseline, pair.candidate)
        rows = [row for row in suite.comparisons if (row.baseline.cell.model, row.candidate.cell.model) == models]
        refusals = dict.fromkeys(row.reason for row in rows if not row.comparable.ok)
        changes = [
            f"{row.benchmark} {formats.change(row.delta, row.ci95)} pt" if row.delta is not None
            else f"{row.benchmark}: {row.reason}"
            for row in rows
            if row.comparable.ok
        ]  # fmt: skip
        if refusals:
            yield f"{title}: REFUSED: {'; '.join(refusals)}"
        if models in verdicts:
            yield f"{title}: {verdicts[models].call.upper()}: {verdicts[models].reason}"
        elif changes:
            why = "declared to be the same model" if pair.aa else "no margins, so no verdict (gate=release has some)"
            yield f"{title}: {'; '.join(changes)}; {why}"


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report on disk, with what a terminal shows of it."""

    content: Mapping[str, Any]
    """The content of ``comparison.json``."""
    page: Path
    """``report.html``."""
    headline: str
    tables: tuple[console.Table, ...]


def show(report: WrittenReport) -> None:
    """Print the headline and tables of a report on standard output, and the path of its page."""
    output = console.standard_output()
    console.show(report.tables, report.headline, output)
    output.print(f"\nreport: {report.page}", soft_wrap=True, markup=False)


def write(
    suite: SuiteComparison, out: Path, cards: Sequence[Card], *, audit: bool = False, svg: bool = False
) -> WrittenReport:
    """Write all files of a report into the folder ``out``, which is created: page with its texts, Markdown, model card,
    hub metadata, CSV tables, plots and ``comparison.json``.

    ``cards`` are the published model cards that the measured scores are compared with, ``audit`` shows whether the
    cards themselves are sound, too; ``svg`` adds plots as SVG. Returns what a terminal shows of it. Raises
    ``StorageFailed`` when a file cannot be written.
    """
    from evalsuite.report.plots.docstrings import import_figures

    import_figures()
    from evalsuite.report.plots.save import save_all

    headline = f"evalsuite: {', '.join(dict.fromkeys(cell.run for cell in suite.table.cells))}"
    caption = DEMO_NOTE if suite.demo else ""
    changes = [tables.delta_table(suite), effects_table(suite), *recipe_tables(suite)]
    group_tables = tables.group_tables(suite)
    comparison_tables = [*changes, *group_tables, tables.causes_table(suite)]
    shown = [table for table in (tables.scores_table(suite), *comparison_tables) if table.rows]
    shown += published_tables(suite, cards, audit=audit)
    page_tables = [table for table in shown if all(table is not other for other in group_tables)]
    card_json = [report.to_json() for report in card_reports(suite, cards)]
    differing = [table for table in (confounders_table(confounders(suite)),) if table.rows]
    content, facts = data_files.comparison_content(suite) | {"cards": card_json}, _facts(suite)
    try:
        out.mkdir(parents=True, exist_ok=True)
        saved = save_all(suite, out / "plots", caption, svg=svg)
        pictures = [(picture.title, f"plots/{picture.file}", picture.names) for picture in saved]
        text = markdown.document(headline + (f" ({caption})" if caption else ""), facts, [*differing, *shown], pictures)
        replace_text(out / "report.md", text)
        replace_text(out / "card.md", model_card.card_text(suite, caption, cards))
        hub_metadata.write_hub_metadata(suite, out / "hub")
        data_files.write_csv(content, out / "tables")
        page = html.write_page(suite, content, page_tables, facts, out, caption)
    except OSError as error:
        raise StorageFailed(f"cannot write the report to {out}: {error.strerror or error}") from None
    write_json(out / "comparison.json", content)
    title = headline + (f" ({caption})" if caption else "")
    return WrittenReport(content, page, title, (*shown, *differing))


def _facts(suite: SuiteComparison) -> list[str]:
    """Return lines about each cell: its model, task, run and settings, then warnings about its servers and, if many,
    interrupted answers.
    """
    facts: list[str] = []
    for cell in suite.table.cells:
        origin = "recorded elsewhere" if cell.imported else str(cell.identity.get("checkpoint"))
        parts = [
            cell.title,
            origin,
            f"{benchmark_title(cell.task)} {cell.manifest['version']} {cell.identity['variant']}",
        ]
        parts += [f"run {cell.run}", *([cell.partial] if cell.partial else []), _settings(cell)]
        facts.append(", ".join(parts))
        facts += [f"{cell.title}, {benchmark_title(cell.task)}: {line}" for line in server_warnings(cell.manifest)]
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
