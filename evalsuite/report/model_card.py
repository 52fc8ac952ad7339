"""Writes ``card.md``, the tables for a model card.

The table has the layout of quantized checkpoints' cards: one row for every precision, one column for every benchmark,
fractions of 1 with three digits, in the order and with the titles of a published card. Intervals, changes, settings and
group values are folded below it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.sandbox import safe_text
from evalsuite.stats import rounding
from evalsuite.stats.intervals import ScoreInterval
from evalsuite.tasks.datasets import benchmark_title
from evalsuite.tasks.published import Card, card_named

UNKNOWN = "n/a"
"""Text of an unknown number."""
LAYOUT = "nvidia_qwen3_5_397b_nvfp4_v2"
"""The release card, whose layout the table has when no other published card has more of the tasks."""
_STATED = ("temperature", "top_p", "max_tokens")
"""Sampling fields that captions of published cards state; all fields stand below the fold."""
_WORDS = {"max_tokens": "max num tokens"}
"""Sampling field -> its name on published cards."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Order and titles of the table, those of a published card as far as it has them."""

    models: tuple[str, ...]
    """Models in the order of the rows."""
    tasks: tuple[str, ...]
    """Tasks in the order of the columns."""
    card: Card
    """The published card."""
    titles: Mapping[str, str]
    """Model -> title of its row."""

    def benchmark(self, task: str) -> str:
        """Return the title of a task's column: that of the published card's row, else the benchmark's own."""
        return str((self.card.row(task) or {}).get("title") or benchmark_title(task))


def card_text(suite: SuiteComparison, demo: str, cards: Sequence[Card] = ()) -> str:
    """Return the Markdown of ``card.md``: the score table in the layout of a published card (``n/a`` for a cell without
    a score), and folded details.

    ``demo`` is the label of runs with demo models (not empty when the suite has any); ``cards`` are the published cards
    that the report compares with.
    """
    layout = _layout(suite, cards)
    scores = {(score.cell.model, score.cell.task): score for score in suite.scores}
    header = ["Precision", *map(layout.benchmark, layout.tasks)]
    rows = [
        [layout.titles[model], *(_value(scores.get((model, task))) for task in layout.tasks)] for model in layout.models
    ]
    parts = ["## Evaluation"]
    if suite.demo:
        parts.append(f"**{demo[0].upper() + demo[1:]}.**")
    parts += ["The accuracy benchmark results are presented in the table below:", _table(header, rows)]
    ordered = [scores[model, task] for task in layout.tasks for model in layout.models if (model, task) in scores]
    parts.append(safe_text.markdown(_caption(suite, ordered, layout)))
    lines = "\n".join(f"- {safe_text.markdown(line)}" for line in _details(suite, ordered, layout))
    parts.append(_folded("Intervals, changes, settings and protocols", lines))
    for task in layout.tasks:
        for group in suite.table.groups(task):
            cells = [scores[model, task] for model in layout.models if (model, task) in scores]
            strata = _strata(cells, group, layout)
            if strata:
                parts.append(_folded(f"{layout.benchmark(task)} by {group}", strata))
    return "\n\n".join(parts) + "\n"


def _layout(suite: SuiteComparison, cards: Sequence[Card]) -> _Layout:
    """Choose the layout: that of the card, among ``cards`` and the default release card, that has rows of most of the
    measured tasks (the first of several); what the card lacks comes last.
    """
    tasks, models = suite.table.tasks, suite.table.models
    card = max((*cards, card_named(LAYOUT)), key=lambda card: sum(card.row(task) is not None for task in tasks))
    published = [str(row["task"]) for row in card.data.get("rows") or ()]
    columns = [str(column["key"]) for column in card.data.get("columns") or ()]
    cells = {cell.model: cell for cell in suite.table.cells}
    of_model = {
        model: None if cell.demo else card.column(cell.identity.get("checkpoint"), model)
        for model, cell in cells.items()
    }
    once = {key for key, count in Counter(of_model.values()).items() if key is not None and count == 1}
    column_titles = {str(column["key"]): str(column["title"]) for column in card.data.get("columns") or ()}
    titles = {
        model: column_titles[key] if key in once and key is not None else cells[model].title
        for model, key in of_model.items()
    }
    baselines = {pair.baseline for pair in suite.pairs}

    def row_place(model: str) -> tuple[int, bool]:
        key = of_model[model]
        return columns.index(key) if key is not None else len(columns), model not in baselines

    in_order = sorted(models, key=row_place)
    by_card = sorted(tasks, key=lambda task: published.index(task) if task in published else len(published))
    return _Layout(tuple(in_order), tuple(by_card), card, titles)


def _folded(summary: str, body: str) -> str:
    return f"<details><summary>{safe_text.markdown_html(summary)}</summary>\n\n{body}\n\n</details>"


def protocol_text(score: CellScore) -> str:
    """Return a cell's protocol as text: task, adapter version, variant and, for several, the number of repeats
    ("passes").
    """
    repeats = f", mean of {score.repeats} passes" if score.repeats > 1 else ""
    return f"evalsuite {score.cell.task} {score.cell.manifest['version']}, {score.cell.identity['variant']}{repeats}"


def _caption(suite: SuiteComparison, scores: Sequence[CellScore], layout: _Layout) -> str:
    """Return sentences with the baseline, the settings that cards state (first those of most cells, then what others
    differ in) and parts of tasks.
    """
    sentences: list[str] = []
    for baseline in dict.fromkeys(pair.baseline for pair in suite.pairs):
        cell = next(cell for cell in suite.table.cells if cell.model == baseline)
        name = str(cell.identity.get("checkpoint") or "").rpartition("/")[2]
        sentences.append(f"Baseline: {name or cell.title}.")
    by_settings: dict[tuple[str, ...], list[str]] = {}
    for score in scores:
        by_settings.setdefault(_brief(score), []).append(score.cell.task)
    usual = max(by_settings, key=lambda settings: len(by_settings[settings]), default=())
    if usual:
        sentences.append(f"Benchmarked with {', '.join(usual)}.")
    for settings, tasks in by_settings.items():
        differing = [part for part in settings if part not in usual]
        if differing:
            names = ", ".join(map(layout.benchmark, dict.fromkeys(tasks)))
            sentences.append(f"For {names} we use {', '.join(differing)}.")
    parts = [f"{layout.titles[score.cell.model]}, {layout.benchmark(score.cell.task)}: {score.cell.partial}"
             for score in scores if score.cell.partial]  # fmt: skip
    return " ".join([*sentences, *([f"Parts of a task only: {'; '.join(parts)}."] if parts else [])])


def _brief(score: CellScore) -> tuple[str, ...]:
    """Return the settings of a cell that a caption states, one text each: temperature, top_p and maximum tokens as far
    as set, and thinking; or one text that they are unknown.
    """
    sampling = score.cell.identity.get("sampling")
    if sampling is None:
        return ("settings unknown (recorded elsewhere)",)
    thinking = f"thinking {'on' if score.cell.identity.get('thinking') else 'off'}"
    return (*(_setting(name, sampling[name]) for name in _STATED if sampling.get(name) is not None), thinking)


def _details(suite: SuiteComparison, scores: Sequence[CellScore], layout: _Layout) -> Iterator[str]:
    """Yield the lines below the fold: intervals, changes against the baseline, settings and protocols; scores as
    fractions of 1.
    """

    def subject(score: CellScore) -> str:
        return f"{layout.titles[score.cell.model]}, {layout.benchmark(score.cell.task)}"

    intervals = [
        f"{subject(score)} {interval_text(score.scored, 1, 3)}" for score in scores if score.scored is not None
    ]
    yield f"95 % confidence intervals: {'; '.join(intervals)}."
    ordered = sorted(suite.comparisons, key=lambda row: layout.tasks.index(row.task))
    changes = [
        f"{subject(row.candidate)} {_signed(row.delta)}" + (f" {formats.bounds(row.ci95, _signed)}" if row.ci95 else "")
        for row in ordered
        if row.delta is not None
    ]
    if changes:
        yield f"Change against the baseline, paired by question, with 95 % interval: {'; '.join(changes)}."
    settings: dict[str, list[str]] = {}
    for score in scores:
        settings.setdefault(settings_text(score), []).append(layout.benchmark(score.cell.task))
    for setting, names in settings.items():
        yield f"Settings of {', '.join(dict.fromkeys(names))}: {setting}."
    protocols = dict.fromkeys(f"{layout.benchmark(score.cell.task)}: {protocol_text(score)}" for score in scores)
    yield f"Protocols: {'; '.join(protocols)}."


def _setting(name: str, value: object) -> str:
    return f"{_WORDS[name]} {value}" if name in _WORDS else f"{name}={value}"


def settings_text(score: CellScore) -> str:
    """Return all recorded sampling fields of a cell and its thinking switch as one text; "settings unknown ..." where
    no sampling is recorded, as for imported answers.
    """
    sampling, thinking = score.cell.identity.get("sampling"), score.cell.identity.get("thinking")
    if sampling is None:
        return "settings unknown (recorded elsewhere)"
    parts = [_setting(name, value) for name, value in sampling.items()]
    return ", ".join([*parts, f"thinking {'on' if thinking else 'off'}"])


def _signed(value: float) -> str:
    """Format a change with sign and three digits: ``-0.018``; a change that rounds to 0 has no sign."""
    text = rounding.fixed(value, 3)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def _strata(cells: Sequence[CellScore], group: str, layout: _Layout) -> str:
    """Return a Markdown table of scores with one row per value of ``group`` and one column per cell that has the group,
    with a total; empty when no cell has it.
    """
    shown = [cell for cell in cells if group in cell.groups]
    if not shown:
        return ""
    parts = [{part.value: part for part in cell.groups[group]} for cell in shown]
    values = list(dict.fromkeys(value for by_value in parts for value in by_value))
    rows = []
    for value in values:
        group_scores = [by_value.get(value) for by_value in parts]
        n = next(part.n for part in group_scores if part is not None)
        texts = (UNKNOWN if part is None else rounding.fixed(part.scored.score, 3) for part in group_scores)
        rows.append([value, f"{n:,}", *texts])
    total = ["TOTAL", f"{shown[0].items:,}", *(_value(cell) for cell in shown)]
    return _table([group.capitalize(), "Items", *(layout.titles[cell.cell.model] for cell in shown)], [*rows, total])


def _value(score: CellScore | None) -> str:
    if score is None or score.scored is None:
        return UNKNOWN
    return rounding.fixed(score.scored.score, 3) + (" (part)" if score.cell.partial else "")


def interval_text(scored: ScoreInterval | None, scale: int, digits: int) -> str:
    """Return the 95 % interval of a score (fractions) times ``scale``, with ``digits`` decimals, in brackets; ``n/a``
    without one.
    """
    if scored is None or scored.ci95 is None:
        return UNKNOWN
    return formats.bounds(scored.ci95, lambda end: rounding.fixed(scale * end, digits))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = "| " + " | ".join(["---", *(["---:"] * (len(header) - 1))]) + " |"
    lines = ["| " + " | ".join(safe_text.markdown(cell) for cell in line) + " |" for line in (header, *rows)]
    return "\n".join([lines[0], rule, *lines[1:]])
