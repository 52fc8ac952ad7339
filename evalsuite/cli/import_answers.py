"""The ``import`` command: answers recorded elsewhere are graded here and become a cell like any other.

A file is a log of lm-eval, inspect, evalscope, NeMo-Skills or sgl-eval (``engine.stored.harness_logs``), or JSONL (or
``.jsonl.gz``) with one answer a line: an id, a text, and where they are known ``finish_reason``, ``repeat`` (from 0)
and ``choices``, in the order in which they were shown. It is read twice: a mistake anywhere in it is found before
anything is written, and only one answer is held in memory. Model settings, sampling and prompts of such a cell are
null, and comparisons with it carry a warning. Grades that contradict the log's own verdicts give no score.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalsuite.analysis.degenerate import with_accepted
from evalsuite.analysis.summary import summarize
from evalsuite.config.settings import Run
from evalsuite.engine.stored.imported import graded, import_manifest, scan
from evalsuite.engine.stored.other_variants import unread
from evalsuite.engine.stored.output_files import HARNESSES
from evalsuite.errors import BadInput, Exit
from evalsuite.records import Sample
from evalsuite.report.console import lines_output
from evalsuite.stats import rounding
from evalsuite.store.imported import write_imported
from evalsuite.store.runs import TableCell, choose_run
from evalsuite.tasks.loading import load_tasks


def import_answers(settings: Run) -> Exit:
    """Grade the answers in ``settings.file`` as the one chosen task and write the cell
    ``<results_dir>/<run_id>/<name>/<task>/``.

    Prints the score and returns ``DONE``, or ``INCOMPLETE`` where samples lack a value (no answer, or not graded yet)
    or the score is withheld (degenerate answers, a log with other verdicts).
    Raises ``BadInput`` when the files do not fit the task or cannot be read, when answers of the task cannot be
    imported, or when the cell is there with other answers; ``StorageFailed`` when it cannot be written (``OSError``
    when its folder cannot be created).
    """
    name, key = settings.name or "", next(iter(settings.tasks))
    task = load_tasks(settings)[key]
    if not hasattr(task.adapter, "score"):
        raise BadInput(f"task {key} is graded while it is asked; its answers cannot be imported")
    answers = scan(settings.file, task, settings.id_field, settings.text_field)
    manifest = import_manifest(name, task, answers)
    reasons = {"degenerate": settings.accept_degenerate, "log_disagreement": settings.accept_log_disagreement}
    manifest = with_accepted(manifest, {kind: reason for kind, reason in reasons.items() if reason is not None})
    choice = choose_run(Path(settings.results_dir), settings.run_id, settings.suite, {(name, key): manifest})
    folder = Path(settings.results_dir) / choice.run_id / name / key
    agreement: Counter[bool] = Counter()

    def samples() -> Iterator[Sample]:
        yield from graded(answers, task, name, agreement)
        if agreement:
            manifest["log_agreement"] = {"same": agreement[True], "verdicts": agreement.total()}

    write_imported(folder, manifest, samples())
    unread(folder, task.adapter, {item.id: item for item in task.items})
    console = lines_output()
    summary = summarize(folder)
    console.print(_line(summary))
    if task.lacks:
        console.print(task.lacks)
    for line in summary["warnings"]:
        console.print(line)
    if agreement:
        equal = f"{agreement[True]:,} of {agreement.total():,} verdicts are the same"
        harness = HARNESSES.get(answers.harness, answers.harness)
        console.print(f"written by {harness}: {equal} as in the log")
    if contradiction := TableCell(choice.run_id, folder, manifest).contradiction:
        console.print(contradiction)
    console.print(f"in {folder} (run {choice.run_id}: {choice.why})")
    return Exit.DONE if summary["complete"] else Exit.INCOMPLETE


def _line(summary: Mapping[str, Any]) -> str:
    """One line on the imported cell from its ``summary.json``: model, task, variant, score in percent (or that it is
    incomplete or has none), outcomes.
    """
    outcomes = {name: count for name, count in summary["outcomes"].items() if count}
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in outcomes.items())
    head = f"{summary['model']} · {summary['task']} ({summary['variant']}): "
    if summary["score"] is None and summary["measured"] == summary["planned"]:
        return f"{head}no score ({counts})"
    if summary["score"] is None:
        return f"{head}incomplete, {counts} of {summary['planned']:,} planned samples"
    return f"{head}{rounding.percent(summary['score'])} % of {summary['items']:,} items ({counts})"
