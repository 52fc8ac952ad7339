"""The items behind a drop: which answers changed on the values of a group, and their texts, as a frame and as HTML."""

from collections.abc import Iterator

import pandas as pd

from evalsuite.analysis.comparison import Comparison
from evalsuite.analysis.groups import GroupChange
from evalsuite.analysis.scores import item_means, planned_rows
from evalsuite.analysis.table import RunTable, group_column
from evalsuite.report import formats
from evalsuite.report.item import SIGNS, Answers, answers_of
from evalsuite.sandbox import safe_text
from evalsuite.tasks.gating import is_gated

_WITHHELD = "not shown: the items of this task are gated"
_SHOWN = 600
"""Characters of an answer that are shown."""


def moved_items(table: RunTable, row: Comparison, group: str, value: str) -> pd.DataFrame:
    """Return the items with the value ``value`` of the group ``group`` whose mean score changed, the largest losses
    first; items without a score in one of the models are left out.

    One row per item; the columns are ``item_id``, ``baseline_score``, ``candidate_score`` and ``change``, scores as
    fractions of 1. ``row`` names the two cells, whose rows are taken from ``table``. Raises ``KeyError`` for an unknown
    group, one that no task of the table has.
    """
    before, after = (item_means(planned_rows(table, side.cell)) for side in (row.baseline, row.candidate))
    before = before[before[group_column(group)].astype(str) == value]
    scores = {"baseline_score": before["value"], "candidate_score": after["value"]}
    frame = pd.DataFrame(scores).dropna().rename_axis("item_id")
    frame["change"] = frame["candidate_score"] - frame["baseline_score"]
    return frame[frame["change"] != 0].sort_values("change", kind="stable").reset_index()


def drops_html(table: RunTable, row: Comparison, group: str, *, values: int = 5, items: int = 10) -> str:
    """Return the drops on the values of a group as an HTML fragment with parts to unfold: a drop holds its items that
    changed, an item the first answer of both models (of a long one the first 600 characters).

    The largest drops come first, those without significance included; ``values`` and ``items`` (of each drop) are the
    most that are listed. Without drops, also for an unknown group and a comparison without numbers, the fragment states
    so. Answers are read from the cells' folders. Items of gated tasks are counted and not shown.
    """
    parts = [] if row.paired is None else row.paired.groups.get(group, ())
    drops = sorted((part for part in parts if part.change.delta < 0), key=lambda part: part.change.delta)
    hidden = any(is_gated(side.cell.manifest, row.task) for side in (row.baseline, row.candidate))
    title = f"{row.benchmark}, {row.candidate.cell.title}: drops by {group}"
    lines = [f"<h4>{safe_text.html(title)}</h4>"]
    for drop in drops[:values]:
        moved = moved_items(table, row, group, drop.value)
        lines.append(f"<details><summary>{safe_text.html(_summary(drop, moved))}</summary><ul>")
        if hidden:
            lines.append(f"<li>{_WITHHELD}</li>")
        else:
            lines += [_item(row, str(item)) for item in moved["item_id"][:items]]
        lines.append("</ul></details>")
    if not drops:
        lines.append("<p>No value dropped.</p>")
    return "\n".join(lines)


def _summary(drop: GroupChange, moved: pd.DataFrame) -> str:
    change = formats.change(drop.change.delta, drop.change.ci95)
    fell = int((moved["change"] < 0).sum())
    counts = f"{fell:,} items fell, {len(moved) - fell:,} rose"
    return f"{drop.value}: {change} pt, p {formats.probability(drop.p_holm)} (Holm), {counts} of {drop.change.n:,}"


def _item(row: Comparison, item: str) -> str:
    """Return a folded HTML list entry of one item with the first answer of both models, read from disk, and the command
    that shows it.
    """
    both = answers_of([row.baseline.cell, row.candidate.cell], item)
    cell = row.candidate.cell
    command = f"evalsuite show run={cell.run} task={row.task} item={item}"
    shown = "".join(_answer(answers) for answers in both)
    signs = ", ".join(f"{answers.cell.title} {''.join(_signs(answers))}" for answers in both)
    heading = safe_text.html(f"{item}: {signs}")
    return f"<li><details><summary>{heading}</summary>{shown}<code>{safe_text.html(command)}</code></details></li>"


def _signs(answers: Answers) -> Iterator[str]:
    for repeat in sorted(answers.rows):
        yield SIGNS.get(str(answers.rows[repeat]["outcome"]), ("·", ""))[0]


def _answer(answers: Answers) -> str:
    sample = answers.rows[min(answers.rows)]
    text = str(sample["text"] or "")
    cut = f"{text[:_SHOWN]} ... {len(text) - _SHOWN:,} more characters" if len(text) > _SHOWN else text
    read = f"{answers.cell.title}: {sample['outcome']}, answer {sample['answer']}"
    return f"<p>{safe_text.html(read)}</p><pre style='white-space:pre-wrap'>{safe_text.html(cut)}</pre>"
