"""Content of ``comparison.json``, and the same numbers as CSV files."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.analysis.summary import summary_json
from evalsuite.records import OUTCOMES
from evalsuite.report.confounders import confounders
from evalsuite.report.plots.data import QUANTILES, lengths, token_budgets
from evalsuite.sandbox import safe_text
from evalsuite.store.manifest import replace_text

Row = Mapping[str, Any]
"""One row of a JSON list."""


RUN_KEYS = ("rerolled",)
"""Keys of ``summary.json`` that describe how a run went instead of its result: an interrupted run must give an equal
file."""


def comparison_content(suite: SuiteComparison) -> dict[str, Any]:
    """Return the content of ``comparison.json`` except ``cards``: all numbers of tables and plots, without those that
    describe how a run went (timeline, rate, retries).

    In addition to the keys of ``SuiteComparison.to_json``: ``cells`` (the numbers of each cell as in ``summary.json``
    that do not describe how the run went, with its run and title), ``confounders`` (server facts that differ) and
    ``series`` (task -> ``lengths`` and ``budgets``, each null when unknown).
    """
    cells = [_cell(score) for score in suite.scores]
    series: dict[str, Any] = {}
    for task in suite.table.tasks:
        distribution, budgets = lengths(suite.table, task), token_budgets(suite.table, task)
        series[task] = {
            "lengths": distribution.to_json() if distribution else None,
            "budgets": budgets.to_json() if budgets else None,
        }
    differing = [asdict(fact) for fact in confounders(suite)]
    return suite.to_json() | {"cells": cells, "series": series, "confounders": differing}


def _cell(score: CellScore) -> dict[str, Any]:
    whole = summary_json(score) | {"run": score.cell.run, "title": score.cell.title}
    return {key: value for key, value in whole.items() if key not in RUN_KEYS}


def flat_tables(content: Mapping[str, Any]) -> dict[str, list[Row]]:
    """Return the content of ``comparison.json`` as tables: name -> rows, each a map from column to one plain, unrounded
    value.

    The names are scores, deltas, effects, groups, causes, suite, recipes, lengths and budgets; a table may have no
    rows. Scores, deltas and their bounds are fractions of 1.
    """
    return {
        "scores": _scores(content["cells"]),
        "deltas": _deltas(content["rows"]),
        "effects": _effects(content["effects"]),
        "groups": _groups(content["rows"]),
        "causes": _causes(content["rows"]),
        "suite": _suite(content["suite"]),
        "recipes": _recipes(content["recipes"]),
        "lengths": _lengths(content["series"]),
        "budgets": _budgets(content["series"]),
    }


def write_csv(content: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Write every table of a report that has rows as CSV into ``folder``, which is created; returns the names of the
    files.

    ``content`` is that of ``comparison.json``. All ``*.csv`` that were in the folder are deleted first. An empty field
    is unknown, or there is nothing to state. Texts that a spreadsheet would take for a formula get an apostrophe.
    """
    tables = flat_tables(content)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.csv"):
        old.unlink()
    written = [f"{name}.csv" for name, rows in tables.items() if rows]
    for name, rows in tables.items():
        if rows:
            _write(folder / f"{name}.csv", rows)
    return tuple(written)


def _scores(cells: Iterable[Row]) -> list[Row]:
    names = ("run", "task", "version", "variant", "model", "title", "items", "repeats", "samples", "complete")
    return [
        {name: cell[name] for name in names}
        | {"score": cell["score"], "stderr": cell["stderr"]}
        | _bounds("ci95", cell["ci95"])
        | {name: cell["outcomes"][name] for name in OUTCOMES}
        | {f"{kind}_tokens": cell["tokens"][kind] for kind in ("prompt", "completion", "reasoning")}
        for cell in cells
    ]


def _deltas(rows: Iterable[Row]) -> list[Row]:
    single = (
        *("task", "variant", "baseline", "candidate", "items", "baseline_score", "candidate_score", "delta", "stderr"),
        *("p_value", "method", "lost", "gained", "margin", "mde", "recovery", "tokens_ratio", "reason"),
    )
    return [
        {name: row[name] for name in single}
        | {"verdict": row["verdict"]["call"] if row["verdict"] else None}
        | {"baseline_repeats": row["repeats"][0], "candidate_repeats": row["repeats"][1]}
        | _bounds("ci95", row["ci95"])
        | _bounds("ci90", row["ci90"])
        | {f"{side}_{name}": row["outcomes"][side][name] for side in ("baseline", "candidate") for name in OUTCOMES}
        for row in rows
    ]


def _effects(tables: Iterable[Row]) -> list[Row]:
    return [
        {"task": table["task"], "effect": effect["effect"], "at": effect["at"], "items": table["items"]}
        | {"checkpoints": " | ".join(table["checkpoints"]), "settings": " | ".join(table["settings"])}
        | {name: effect[name] for name in ("delta", "stderr", "p_value", "method")}
        | _bounds("ci95", effect["ci95"])
        | {"besides": "; ".join(effect["besides"])}
        for table in tables
        for effect in table["effects"]
    ]


def _groups(rows: Iterable[Row]) -> list[Row]:
    group_rows: list[Row] = []
    for row in rows:
        pair = {name: row[name] for name in ("task", "baseline", "candidate")}
        for group, parts in row["groups"].items():
            for part in parts:
                plain = {name: value for name, value in part.items() if not isinstance(value, list | dict)}
                ranges = {name: value for name, value in part.items() if isinstance(value, list) and len(value) == 2}
                group_rows.append(pair | {"group": group} | plain | _all_bounds(ranges, part))
    return group_rows


def _causes(rows: Iterable[Row]) -> list[Row]:
    return [
        {"task": row["task"], "baseline": row["baseline"], "candidate": row["candidate"], "delta": row["delta"]}
        | {"cause": cause, "part": part}
        for row in rows
        for cause, part in row["causes"].items()
    ]


def _suite(suite: Mapping[str, Row]) -> list[Row]:
    return [
        {"candidate": candidate, "baseline": mean["baseline"], "tasks": " ".join(mean["tasks"])}
        | {"delta": mean["delta"], "stderr": mean["stderr"], "p_value": mean["p_value"]}
        | _bounds("ci95", mean["ci95"])
        for candidate, mean in suite.items()
    ]


def _recipes(choices: Iterable[Row]) -> list[Row]:
    return [
        {"baseline": choice["baseline"], "tasks": " ".join(choice["tasks"])}
        | {name: value for name, value in recipe.items() if name != "ci95"}
        | _bounds("ci95", recipe["ci95"])
        for choice in choices
        for recipe in choice["candidates"]
    ]


def _lengths(series: Mapping[str, Row]) -> list[Row]:
    return [
        {
            "task": task,
            "model": model,
            "outcome": outcome,
            "answers": sum(task_series["lengths"]["counts"][model][outcome]),
        }
        | {f"p{100 * mark:.0f}": marks[str(mark)] for mark in QUANTILES}
        for task, task_series in series.items()
        if task_series["lengths"]
        for model, parts in task_series["lengths"]["quantiles"].items()
        for outcome, marks in parts.items()
    ]


def _budgets(series: Mapping[str, Row]) -> list[Row]:
    return [
        {"task": task, "model": model, "budget": budget, "score": score}
        for task, task_series in series.items()
        if task_series["budgets"]
        for model, scores in task_series["budgets"]["scores"].items()
        for budget, score in zip(task_series["budgets"]["budgets"], scores, strict=True)
    ]


def _all_bounds(ranges: Mapping[str, Any], part: Row) -> dict[str, Any]:
    """Return the columns ``<name>_low`` and ``<name>_high`` of every interval of a group value; an unknown ``ci95``
    keeps its columns, with None.

    ``ranges``: interval name -> [low, high]; ``part``: the whole entry of the group value.
    """
    names = [*ranges, *(["ci95"] if part.get("ci95") is None else [])]
    columns: dict[str, Any] = {}
    for name in names:
        columns |= _bounds(name, part[name])
    return columns


def _bounds(name: str, interval: Sequence[float] | None) -> dict[str, Any]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _write(path: Path, rows: Sequence[Row]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row if row.get(name) is not None or name != "ci95"))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: safe_text.csv(value) for name, value in row.items()} for row in rows)
    replace_text(path, text.getvalue())
