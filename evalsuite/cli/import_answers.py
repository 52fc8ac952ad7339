"""The ``import`` command: answers recorded elsewhere are graded here and become a cell like any other.

The file is a log of lm-eval, inspect or evalscope (``engine.stored.harness_logs``), or JSONL (or ``.jsonl.gz``) with
one answer a line: an id, a text, and where they are known ``finish_reason`` and ``repeat`` (from 0). It is read twice:
a mistake anywhere in it is found before anything is written, and only one answer is held in memory. Model settings,
sampling and prompts of such a cell are null, and comparisons with it carry a warning.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalsuite.analysis.summary import summarize
from evalsuite.config.settings import Run
from evalsuite.engine.stored.imported import graded, import_manifest, scan
from evalsuite.errors import BadInput, Exit
from evalsuite.report.console import lines_output
from evalsuite.store.runs import choose_run
from evalsuite.store.samples import write_imported
from evalsuite.tasks.loading import load_tasks


def import_answers(settings: Run) -> Exit:
    """Grade ``settings.file`` as the one chosen task and write ``results/<run_id>/<name>/<task>/``.

    Raises ``BadInput`` when the file does not fit the task or the cell is there with other answers.
    """
    path, name, key = Path(settings.file or ""), settings.name or "", next(iter(settings.tasks))
    task = load_tasks(settings)[key]
    if not hasattr(task.adapter, "score"):
        raise BadInput(f"task {key} is graded while it is asked; its answers cannot be imported")
    if getattr(task.adapter, "shuffled", False):
        raise BadInput(
            f"answers to {key} are letters of choices in an order that is drawn for each item; a file recorded "
            "elsewhere was asked in another order, so it cannot be graded"
        )
    answers = scan(path, task, settings.id_field, settings.text_field)
    manifest = import_manifest(name, task, answers)
    choice = choose_run(Path(settings.results_dir), settings.run_id, settings.suite, {(name, key): manifest})
    folder = Path(settings.results_dir) / choice.run_id / name / key
    agreement: Counter[bool] = Counter()
    write_imported(folder, manifest, graded(answers, task, name, agreement))
    console = lines_output()
    summary = summarize(folder)
    console.print(_line(summary))
    if task.lacks:
        console.print(task.lacks)
    if agreement:
        equal = f"{agreement[True]:,} of {agreement.total():,} verdicts are the same"
        console.print(f"written by {answers.harness}: {equal} as in the log")
    console.print(f"in {folder} (run {choice.run_id}: {choice.why})")
    return Exit.DONE if summary["complete"] else Exit.INCOMPLETE


def _line(summary: Mapping[str, Any]) -> str:
    """One line on the imported cell."""
    outcomes = {name: count for name, count in summary["outcomes"].items() if count}
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in outcomes.items())
    head = f"{summary['model']} · {summary['task']} ({summary['variant']}): "
    if summary["score"] is None:
        return f"{head}incomplete, {counts} of {summary['planned']:,} planned samples"
    return f"{head}{100 * summary['score']:.2f} % of {summary['items']:,} items ({counts})"
