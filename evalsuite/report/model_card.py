"""``card.md``: the tables to paste into a model card, and the Hugging Face hub's metadata of the same results.

The table has the layout that quantized checkpoints' cards use: one row for every precision, one column for every
benchmark, fractions of 1 with three digits, settings and intervals in the caption. Metadata goes to ``hub/<model>/``
in both forms that the hub reads: ``model-index.yaml`` (front matter of a README, huggingface/hub-docs modelcard.md)
and ``.eval_results/evalsuite.yaml`` (huggingface/hub-docs docs/hub/eval-results.md). Demo models, parts of a task and
incomplete cells get no metadata.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.config.paths import shipped
from evalsuite.stats.intervals import ScoreInterval
from evalsuite.tasks import datasets as data
from evalsuite.tasks.datasets import benchmark_title

REGISTERED: Mapping[str, tuple[str, str]] = {
    "mmlu_pro": ("TIGER-Lab/MMLU-Pro", "mmlu_pro"),
    "gpqa_diamond": ("Idavidrein/gpqa", "gpqa_diamond"),
}
"""Task -> (dataset, task id) of the benchmarks that the hub keeps a leaderboard of, as its documentation names them;
results of other datasets are not accepted in ``.eval_results``."""
UNKNOWN = "n/a"
_WORDS = {"max_tokens": "max num tokens"}


def card_text(overview: SuiteComparison, demo: str) -> str:
    """The Markdown of ``card.md``; ``demo`` is the label of runs with demo models."""
    scores = {(score.cell.model, score.cell.task): score for score in overview.scores}
    models, tasks = overview.table.models, overview.table.tasks
    header = ["Precision", *(benchmark_title(task) for task in tasks)]
    rows = []
    for model in models:
        own = [scores.get((model, task)) for task in tasks]
        rows.append([overview.table.title(model), *(_value(score) for score in own)])
    parts = ["## Evaluation"]
    if overview.demo:
        parts.append(f"**{demo[0].upper() + demo[1:]}.**")
    parts += ["The accuracy benchmark results are presented in the table below:", _table(header, rows)]
    parts += [_caption(overview), "95 % confidence intervals: " + "; ".join(_intervals(overview.scores)) + "."]
    changes = _changes(overview)
    if changes:
        parts.append("Change against the baseline, paired by question, with 95 % interval: " + "; ".join(changes) + ".")
    for task in tasks:
        for group in overview.table.groups(task):
            cells = [scores[model, task] for model in models if (model, task) in scores]
            strata = _strata(cells, group)
            if strata:
                parts += [f"### {benchmark_title(task)} by {group}", strata]
    return "\n\n".join(parts) + "\n"


def write_hub_metadata(overview: SuiteComparison, folder: Path) -> tuple[str, ...]:
    """Write the hub's metadata of every real model with complete, whole tasks; returns paths below ``folder``."""
    written: list[str] = []
    for model in overview.table.models:
        shown = [score for score in overview.scores if score.cell.model == model and _publishable(score)]
        if shown:
            index = folder / model / "model-index.yaml"
            index.parent.mkdir(parents=True, exist_ok=True)
            index.write_text(_model_index(shown), encoding="utf-8")
            written.append(str(index.relative_to(folder)))
            entries = _entries(shown)
            if entries:
                results = folder / model / ".eval_results" / "evalsuite.yaml"
                results.parent.mkdir(exist_ok=True)
                results.write_text(entries, encoding="utf-8")
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
            dataset_revision=_dataset(score.cell.task).get("revision"),
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
            asked = score.cell.recorded
            notes = f"{_protocol(score)}; {_settings(score)}; 95 % interval {_interval(score.scored, 100, 1)} %"
            revision, date = _dataset(score.cell.task).get("revision"), asked.date().isoformat() if asked else None
            value = _percent(score.scored)
            entries.append(EvalResultEntry(dataset, task, value, dataset_revision=revision, date=date, notes=notes))
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, width=120) if entries else ""


def _dataset(task: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = data.card(task)["dataset"] if (shipped("tasks") / task / "card.yaml").is_file() else {}
    return found


def _protocol(score: CellScore) -> str:
    repeats = f", mean of {score.repeats} passes" if score.repeats > 1 else ""
    return f"evalsuite {score.cell.task} {score.cell.manifest['version']}, {score.cell.identity['variant']}{repeats}"


def _caption(overview: SuiteComparison) -> str:
    """Baseline and settings; what differs between tasks is said after what most of them share."""
    said: list[str] = []
    for baseline in dict.fromkeys(pair.baseline for pair in overview.pairs):
        cell = next(cell for cell in overview.table.cells if cell.model == baseline)
        said.append(f"Baseline: {cell.identity.get('checkpoint') or cell.title}.")
    by_settings: dict[str, list[str]] = {}
    for score in overview.scores:
        by_settings.setdefault(_settings(score), []).append(score.cell.task)
    usual = max(by_settings, key=lambda words: len(by_settings[words]), default="")
    if usual:
        said.append(f"Benchmarked with {usual}.")
    for words, tasks in by_settings.items():
        if words != usual:
            said.append(f"For {', '.join(benchmark_title(task) for task in dict.fromkeys(tasks))}: {words}.")
    protocols = dict.fromkeys(f"{score.benchmark}: {_protocol(score)}" for score in overview.scores)
    parts = [
        f"{score.cell.title}, {score.benchmark}: {score.cell.partial}"
        for score in overview.scores
        if score.cell.partial
    ]
    said.append(f"Protocols: {'; '.join(protocols)}.")
    return " ".join([*said, *([f"Parts of a task only: {'; '.join(parts)}."] if parts else [])])


def _settings(score: CellScore) -> str:
    sampling, thinking = score.cell.identity.get("sampling"), score.cell.identity.get("thinking")
    if sampling is None:
        return "settings unknown (recorded elsewhere)"
    words = [f"{_WORDS[name]} {value}" if name in _WORDS else f"{name}={value}" for name, value in sampling.items()]
    return ", ".join([*words, f"thinking {'on' if thinking else 'off'}"])


def _intervals(scores: Iterable[CellScore]) -> list[str]:
    return [
        f"{score.cell.title}, {score.benchmark} {_interval(score.scored, 1, 3)}"
        for score in scores
        if score.scored is not None
    ]


def _changes(overview: SuiteComparison) -> list[str]:
    return [
        f"{row.candidate.cell.title}, {row.benchmark} {_signed(row.delta)}"
        + (f" [{_signed(row.ci95[0])}, {_signed(row.ci95[1])}]" if row.ci95 else "")
        for row in overview.comparisons
        if row.delta is not None
    ]


def _signed(value: float) -> str:
    """``-0.018``; what rounds to nothing has no sign."""
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text


def _strata(cells: Sequence[CellScore], group: str) -> str:
    """One row per stratum; a score with its count of right answers where each question was asked once."""
    shown = [cell for cell in cells if group in cell.groups]
    if not shown:
        return ""
    parts = [{part.value: part for part in cell.groups[group]} for cell in shown]
    values = list(dict.fromkeys(value for some in parts for value in some))
    rows = []
    for value in values:
        found = [some.get(value) for some in parts]
        n = next(part.n for part in found if part is not None)
        rows.append([value, f"{n:,}", *(UNKNOWN if part is None else f"{part.scored.score:.3f}" for part in found)])
    total = ["TOTAL", f"{shown[0].items:,}", *(_value(cell) for cell in shown)]
    return _table([group.capitalize(), "Items", *(cell.cell.title for cell in shown)], [*rows, total])


def _value(score: CellScore | None) -> str:
    if score is None or score.scored is None:
        return UNKNOWN
    return f"{score.scored.score:.3f}" + (" (part)" if score.cell.partial else "")


def _interval(scored: ScoreInterval | None, scale: int, digits: int) -> str:
    if scored is None or scored.ci95 is None:
        return UNKNOWN
    low, high = scored.ci95
    return f"[{scale * low:.{digits}f}, {scale * high:.{digits}f}]"


def _percent(scored: ScoreInterval | None) -> float | None:
    return None if scored is None else round(100 * scored.score, 2)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---", *(["---:"] * (len(header) - 1))], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
