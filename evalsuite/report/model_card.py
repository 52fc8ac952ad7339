"""Writes ``card.md``, the tables for a model card, and the metadata of the same results for the Hugging Face hub.

The table has the layout of quantized checkpoints' cards: one row for every precision, one column for every benchmark,
fractions of 1 with three digits, settings and intervals in the caption. Metadata goes to ``hub/<model>/`` in both forms
that the hub reads: ``model-index.yaml`` (front matter of a README, huggingface/hub-docs modelcard.md) and
``.eval_results/evalsuite.yaml`` (huggingface/hub-docs docs/hub/eval-results.md). Demo models, parts of a task and
incomplete cells get no metadata.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.config.paths import shipped
from evalsuite.report import formats
from evalsuite.sandbox import safe_text
from evalsuite.stats import rounding
from evalsuite.stats.intervals import ScoreInterval
from evalsuite.tasks import datasets
from evalsuite.tasks.datasets import benchmark_title

REGISTERED: Mapping[str, tuple[str, str]] = {
    "mmlu_pro": ("TIGER-Lab/MMLU-Pro", "mmlu_pro"),
    "gpqa_diamond": ("Idavidrein/gpqa", "gpqa_diamond"),
}
"""Task -> (dataset, task id) of the benchmarks that the hub keeps a leaderboard of, according to its documentation.
Results of other datasets are not accepted in ``.eval_results``."""
UNKNOWN = "n/a"
"""Text of an unknown number."""
_WORDS = {"max_tokens": "max num tokens"}
"""Sampling field -> its name on published cards."""


def card_text(suite: SuiteComparison, demo: str) -> str:
    """Return the Markdown of ``card.md``; ``demo`` is the label of runs with demo models."""
    scores = {(score.cell.model, score.cell.task): score for score in suite.scores}
    models, tasks = suite.table.models, suite.table.tasks
    header = ["Precision", *(benchmark_title(task) for task in tasks)]
    rows = []
    for model in models:
        model_scores = [scores.get((model, task)) for task in tasks]
        rows.append([suite.table.title(model), *(_value(score) for score in model_scores)])
    parts = ["## Evaluation"]
    if suite.demo:
        parts.append(f"**{demo[0].upper() + demo[1:]}.**")
    parts += ["The accuracy benchmark results are presented in the table below:", _table(header, rows)]
    intervals = "; ".join(_intervals(suite.scores))
    parts += [safe_text.markdown(_caption(suite)), safe_text.markdown(f"95 % confidence intervals: {intervals}.")]
    changes = _changes(suite)
    if changes:
        what = "Change against the baseline, paired by question, with 95 % interval"
        parts.append(safe_text.markdown(f"{what}: {'; '.join(changes)}."))
    for task in tasks:
        for group in suite.table.groups(task):
            cells = [scores[model, task] for model in models if (model, task) in scores]
            strata = _strata(cells, group)
            if strata:
                parts += [f"### {safe_text.markdown(f'{benchmark_title(task)} by {group}')}", strata]
    return "\n\n".join(parts) + "\n"


def write_hub_metadata(suite: SuiteComparison, folder: Path) -> tuple[str, ...]:
    """Write the hub's metadata of every real model with complete, whole tasks; returns paths relative to ``folder``."""
    written: list[str] = []
    for model in suite.table.models:
        shown = [score for score in suite.scores if score.cell.model == model and _publishable(score)]
        if shown:
            index = folder / model / "model-index.yaml"
            index.parent.mkdir(parents=True, exist_ok=True)
            index.write_text(safe_text.terminal(_model_index(shown)), encoding="utf-8")
            written.append(str(index.relative_to(folder)))
            entries = _entries(shown)
            if entries:
                results = folder / model / ".eval_results" / "evalsuite.yaml"
                results.parent.mkdir(exist_ok=True)
                results.write_text(safe_text.terminal(entries), encoding="utf-8")
                written.append(str(results.relative_to(folder)))
    return tuple(written)


def _publishable(score: CellScore) -> bool:
    named = score.cell.identity.get("checkpoint") is not None
    return named and score.scored is not None and not score.cell.demo and not score.cell.partial


def _model_index(scores: Sequence[CellScore]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-generation",
            task_name=score.benchmark,
            dataset_type=_dataset(score.cell.task).get("hub", score.cell.task),
            dataset_name=score.benchmark,
            dataset_config=_dataset(score.cell.task).get("config"),
            dataset_revision=score.cell.dataset_revision,
            metric_type="accuracy",
            metric_name=f"mean score, % ({_protocol(score)})",
            metric_value=_percent(score.scored),
        )
        for score in scores
    ]
    name = str(scores[0].cell.identity["checkpoint"]).rpartition("/")[2]
    return str(ModelCardData(model_name=name, eval_results=results).to_yaml()) + "\n"


def _entries(scores: Sequence[CellScore]) -> str:
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = []
    for score in scores:
        if score.cell.task in REGISTERED:
            dataset, task = REGISTERED[score.cell.task]
            recorded = score.cell.recorded
            notes = f"{_protocol(score)}; {_settings(score)}; 95 % interval {_interval(score.scored, 100, 1)} %"
            revision, date = score.cell.dataset_revision, recorded.date().isoformat() if recorded else None
            value = _percent(score.scored)
            entries.append(EvalResultEntry(dataset, task, value, dataset_revision=revision, date=date, notes=notes))
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, width=120) if entries else ""


def _dataset(task: str) -> Mapping[str, Any]:
    dataset: Mapping[str, Any] = (
        datasets.card(task)["dataset"] if (shipped("tasks") / task / "card.yaml").is_file() else {}
    )
    return dataset


def _protocol(score: CellScore) -> str:
    repeats = f", mean of {score.repeats} passes" if score.repeats > 1 else ""
    return f"evalsuite {score.cell.task} {score.cell.manifest['version']}, {score.cell.identity['variant']}{repeats}"


def _caption(suite: SuiteComparison) -> str:
    """Return the baseline and the settings: first those of most tasks, then those of the others."""
    sentences: list[str] = []
    for baseline in dict.fromkeys(pair.baseline for pair in suite.pairs):
        cell = next(cell for cell in suite.table.cells if cell.model == baseline)
        sentences.append(f"Baseline: {cell.identity.get('checkpoint') or cell.title}.")
    by_settings: dict[str, list[str]] = {}
    for score in suite.scores:
        by_settings.setdefault(_settings(score), []).append(score.cell.task)
    usual = max(by_settings, key=lambda settings: len(by_settings[settings]), default="")
    if usual:
        sentences.append(f"Benchmarked with {usual}.")
    for settings, tasks in by_settings.items():
        if settings != usual:
            sentences.append(f"For {', '.join(benchmark_title(task) for task in dict.fromkeys(tasks))}: {settings}.")
    protocols = dict.fromkeys(f"{score.benchmark}: {_protocol(score)}" for score in suite.scores)
    parts = [
        f"{score.cell.title}, {score.benchmark}: {score.cell.partial}" for score in suite.scores if score.cell.partial
    ]
    sentences.append(f"Protocols: {'; '.join(protocols)}.")
    return " ".join([*sentences, *([f"Parts of a task only: {'; '.join(parts)}."] if parts else [])])


def _settings(score: CellScore) -> str:
    sampling, thinking = score.cell.identity.get("sampling"), score.cell.identity.get("thinking")
    if sampling is None:
        return "settings unknown (recorded elsewhere)"
    parts = [f"{_WORDS[name]} {value}" if name in _WORDS else f"{name}={value}" for name, value in sampling.items()]
    return ", ".join([*parts, f"thinking {'on' if thinking else 'off'}"])


def _intervals(scores: Iterable[CellScore]) -> list[str]:
    return [
        f"{score.cell.title}, {score.benchmark} {_interval(score.scored, 1, 3)}"
        for score in scores
        if score.scored is not None
    ]


def _changes(suite: SuiteComparison) -> list[str]:
    return [
        f"{row.candidate.cell.title}, {row.benchmark} {_signed(row.delta)}"
        + (f" [{_signed(row.ci95[0])}, {_signed(row.ci95[1])}]" if row.ci95 else "")
        for row in suite.comparisons
        if row.delta is not None
    ]


def _signed(value: float) -> str:
    """Format a change with sign and three digits: ``-0.018``; a change that rounds to 0 has no sign."""
    text = rounding.fixed(value, 3)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def _strata(cells: Sequence[CellScore], group: str) -> str:
    """Return a table with one row per group value."""
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
    return _table([group.capitalize(), "Items", *(cell.cell.title for cell in shown)], [*rows, total])


def _value(score: CellScore | None) -> str:
    if score is None or score.scored is None:
        return UNKNOWN
    return rounding.fixed(score.scored.score, 3) + (" (part)" if score.cell.partial else "")


def _interval(scored: ScoreInterval | None, scale: int, digits: int) -> str:
    if scored is None or scored.ci95 is None:
        return UNKNOWN
    return formats.bounds(scored.ci95, lambda end: rounding.fixed(scale * end, digits))


def _percent(scored: ScoreInterval | None) -> float | None:
    return None if scored is None else float(rounding.percent(scored.score, 2))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = "| " + " | ".join(["---", *(["---:"] * (len(header) - 1))]) + " |"
    lines = ["| " + " | ".join(safe_text.markdown(cell) for cell in line) + " |" for line in (header, *rows)]
    return "\n".join([lines[0], rule, *lines[1:]])
