"""Builds the table of the choice among several candidates: the set of the best, size and tokens next to the score."""

from collections.abc import Iterable

from evalsuite.analysis.recipes import Recipe, RecipeChoice
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.report.console import Column, Table
from evalsuite.tasks.datasets import benchmark_title

TITLE = "Which candidate is best"
"""Beginning of the title of the table."""


def recipe_tables(suite: SuiteComparison) -> tuple[Table, ...]:
    """Build one table of the choice among candidates for each baseline that has one (more than two candidates); empty
    without any.
    """
    return tuple(_table(suite, choice) for choice in suite.recipes)


def _table(suite: SuiteComparison, choice: RecipeChoice) -> Table:
    sized = any(recipe.weights_gb is not None for recipe in choice.recipes)
    columns = (
        Column("candidate", number=False),
        Column("cannot be told from the best", number=False),
        Column("score %"),
        Column("delta pt [95 %, all together]"),
        *([Column("checkpoint GB")] if sized else []),
        Column("tokens per answer", essential=False),
    )
    rows = tuple(_row(suite, recipe, sized=sized) for recipe in choice.recipes)
    suffix = f" against {suite.table.title(choice.baseline)}" if len(suite.recipes) > 1 else ""
    return Table(TITLE + suffix, columns, rows, tuple(_notes(suite, choice)))


def _row(suite: SuiteComparison, recipe: Recipe, *, sized: bool) -> tuple[str, ...]:
    size = formats.UNKNOWN if recipe.weights_gb is None else f"{recipe.weights_gb:g}"
    return (
        suite.table.title(recipe.model),
        "yes" if recipe.among_best else "no, worse",
        formats.percent(recipe.score),
        formats.change(recipe.delta, recipe.ci95),
        *([size] if sized else []),
        formats.tokens(recipe.tokens),
    )


def _notes(suite: SuiteComparison, choice: RecipeChoice) -> Iterable[str]:
    best, number = choice.recipes[0], len(choice.recipes)
    kept = [suite.table.title(recipe.model) for recipe in choice.recipes if recipe.among_best]
    yield (
        f"Of {number} candidates, {len(kept)} cannot be told from the best ({', '.join(kept)}); the truly best one is "
        "among them in 95 % of such comparisons (paired, simultaneous over the candidates; Gupta, Hsu)."
    )
    if choice.corrected is not None:
        yield (
            f"{suite.table.title(best.model)} has the highest score: {formats.points(best.delta)} pt against "
            f"{suite.table.title(choice.baseline)} as measured, {formats.points(choice.corrected)} pt corrected for "
            f"having been chosen among {number} (chosen on nine tenths of the items, scored on the rest)."
        )
    names = ", ".join(map(benchmark_title, choice.tasks))
    few = "; none is given where at most five items changed" if any(not one.ci95 for one in choice.recipes) else ""
    yield f"Mean over {names}; the intervals hold for all candidates together, so for the chosen one, too{few}."
    absent = list(_absent(suite, choice))
    if choice.left_out or absent:
        yield f"Not counted, as answers are missing: {', '.join([*map(benchmark_title, choice.left_out), *absent])}."


def _absent(suite: SuiteComparison, choice: RecipeChoice) -> Iterable[str]:
    shown = {recipe.model for recipe in choice.recipes}
    for pair in suite.pairs:
        if pair.baseline == choice.baseline and not pair.aa and pair.candidate not in shown:
            yield suite.table.title(pair.candidate)
