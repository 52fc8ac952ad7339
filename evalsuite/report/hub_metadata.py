"""Writes the results of a report as metadata for the Hugging Face hub.

It goes to ``hub/<model>/`` in both forms that the hub reads: ``model-index.yaml`` (front matter of a README,
huggingface/hub-docs modelcard.md) and ``.eval_results/evalsuite.yaml`` (huggingface/hub-docs docs/hub/eval-results.md).
Demo models, parts of a task and incomplete cells get no metadata.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.config.paths import shipped
from evalsuite.report.model_card import interval_text, protocol_text, settings_text
from evalsuite.sandbox import safe_text
from evalsuite.stats import rounding
from evalsuite.stats.intervals import ScoreInterval
from evalsuite.tasks import datasets

REGISTERED: Mapping[str, tuple[str, str]] = {
    "mmlu_pro": ("TIGER-Lab/MMLU-Pro", "mmlu_pro"),
    "gpqa_diamond": ("Idavidrein/gpqa", "gpqa_diamond"),
}
"""Task -> (dataset, task id) of the benchmarks that the hub keeps a leaderboard of, according to its documentation.
Results of other datasets are not accepted in ``.eval_results``."""


def write_hub_metadata(suite: SuiteComparison, folder: Path) -> tuple[str, ...]:
    """Write the scores of each model with a known checkpoint (no demo models) as the hub's metadata into
    ``folder/<model>/``: ``model-index.yaml``, and ``.eval_results/evalsuite.yaml`` for benchmarks in ``REGISTERED``.

    Only cells with a score, of whole tasks, count; a model without any gets no files. Files of these names from an
    earlier report are deleted first. Returns the paths of the written files relative to ``folder``.
    """
    for old in (*folder.glob("*/model-index.yaml"), *folder.glob("*/.eval_results/evalsuite.yaml")):
        old.unlink()  # of an earlier report, whose scores may no longer hold
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
            metric_name=f"mean score, % ({protocol_text(score)})",
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
            notes = (
                f"{protocol_text(score)}; {settings_text(score)}; 95 % interval {interval_text(score.scored, 100, 1)} %"
            )
            revision, date = score.cell.dataset_revision, recorded.date().isoformat() if recorded else None
            value = _percent(score.scored)
            entries.append(EvalResultEntry(dataset, task, value, dataset_revision=revision, date=date, notes=notes))
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, width=120) if entries else ""


def _dataset(task: str) -> Mapping[str, Any]:
    dataset: Mapping[str, Any] = (
        datasets.card(task)["dataset"] if (shipped("tasks") / task / "card.yaml").is_file() else {}
    )
    return dataset


def _percent(scored: ScoreInterval | None) -> float | None:
    return None if scored is None else float(rounding.percent(scored.score, 2))
