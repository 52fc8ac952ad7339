"""Lines on the first screen of a report: degenerate answers of each precision, and what else bears on the scores."""

from evalsuite.analysis.suite import SuiteComparison
from evalsuite.tasks.datasets import benchmark_title


def warnings(suite: SuiteComparison) -> list[str]:
    """Return lines about degenerate answers (one per benchmark that has any, with their number for every model) and
    each cell's own warnings.
    """
    lines: list[str] = []
    for task in suite.table.tasks:
        scores = [score for score in suite.scores if score.cell.task == task]
        if any(score.degenerate.counts for score in scores):
            counts = ", ".join(f"{score.cell.title} {score.degenerate.count_text}" for score in scores)
            lines.append(f"{benchmark_title(task)}, degenerate answers: {counts}.")
        lines += [f"{score.cell.title}, {score.benchmark}: {text}." for score in scores for text in score.warnings]
    return lines
