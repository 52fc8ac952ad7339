"""Shows one item in all precisions next to each other.

It shows the outcomes of all repeats, and the texts with the first difference marked.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from evalsuite.report import formats
from evalsuite.sandbox.safe_text import terminal
from evalsuite.store.runs import TableCell
from evalsuite.store.samples import read_rows
from evalsuite.tasks.datasets import benchmark_title
from evalsuite.tasks.gating import is_gated

WIDE = 160
"""Terminal width in characters from which the texts of an item are shown whole."""
SIGNS = {
    "correct": ("✓", "green"), "wrong": ("✗", "red"), "truncated": ("t", "yellow"), "no_answer": ("n", "yellow"),
    "refused": ("r", "yellow"), "ungraded": ("u", "dim"), "failed": ("f", "dim"),
}  # fmt: skip
"""Outcome -> its sign and colour."""
_ABSENT = "·"
"""Sign of a repeat that was not asked."""
_SHORT = 700
"""Characters of a text that are shown on a narrower terminal."""
_AROUND = 120
"""Characters shown before a first difference that is far from the start of a long text."""
_COLUMN = 36
"""Width in characters of one answer's column."""
_WITHHELD = "(not shown: the items of this task are gated; include_gated_text=true shows it)"
"""Text that replaces the texts of gated tasks."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of one model to the item."""

    cell: TableCell
    """The cell of the model."""
    rows: Mapping[int, Mapping[str, Any]]
    """Repeat -> the sample with all its columns."""

    @property
    def mean(self) -> float | None:
        """Mean of the measured values, a fraction of 1; None without any."""
        values = [row["value"] for row in self.rows.values() if row["value"] is not None]
        return sum(values) / len(values) if values else None


def answers_of(cells: Sequence[TableCell], item: str) -> list[Answers]:
    """Read all answers to an item from the folders of ``cells``, one ``Answers`` per cell (with empty ``rows`` where it
    has none); cells whose model some cell names as its baseline come first, otherwise the order stays.
    """
    named = {cell.manifest.get("baseline") for cell in cells}
    ordered = sorted(cells, key=lambda cell: cell.identity.get("model") not in named)
    return [Answers(cell, {int(row["repeat"]): row for row in read_rows(cell.folder, item=item)}) for cell in ordered]


_WITHHELD_FIELDS = ("answer", "stage", "note", "text", "reasoning")
_FIELDS = ("repeat", "outcome", "value", *_WITHHELD_FIELDS[:3], "finish_reason", "prompt_tokens", "completion_tokens",
           "reasoning_tokens", "seconds", "text", "reasoning")  # fmt: skip


def item_json(
    answers: Sequence[Answers], repeats: Sequence[int], *, include_gated_text: bool = False
) -> dict[str, Any]:
    """Return the given ``repeats`` of an item as the JSON document of ``evalsuite show``: task, item, groups, and each
    model's samples; repeats without an answer are left out, ``mean`` is over all repeats.

    Answers, stages, notes and texts of gated tasks are null without ``include_gated_text``. At least one model must
    have answered.
    """
    first = next(row for answer in answers for row in answer.rows.values())
    gated = _is_gated(answers)
    withheld = _WITHHELD_FIELDS if gated and not include_gated_text else ()
    return {
        "task": answers[0].cell.task,
        "item": first["item_id"],
        "groups": json.loads(first["groups"] or "{}"),
        "gated": gated,
        "answers": [
            {
                "run": answer.cell.run,
                "model": answer.cell.model,
                "title": answer.cell.title,
                "demo": answer.cell.demo,
                "mean": answer.mean,
                "samples": [
                    {name: None if name in withheld else answer.rows[repeat][name] for name in _FIELDS}
                    for repeat in repeats
                    if repeat in answer.rows
                ],
            }
            for answer in answers
        ],
    }


def _is_gated(answers: Sequence[Answers]) -> bool:
    return any(is_gated(answer.cell.manifest, answer.cell.task) for answer in answers)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sample for printing: control characters in its texts become visible signs, so that columns keep their
    width.
    """
    return {name: terminal(value) if isinstance(value, str) else value for name, value in row.items()}


def print_item(
    answers: Sequence[Answers], repeats: Sequence[int], output: Console, *, include_gated_text: bool = False
) -> None:
    """Print the outcomes of all repeats on ``output``, then the answers of the given ``repeats`` next to each other,
    with the first difference from the baseline's answer marked, in repeats that the baseline answered.

    ``answers``: those of each model, the baseline's first; at least one model must have answered. Answers, notes and
    texts of gated tasks are printed only with ``include_gated_text``, and are then marked as not for publication. Below
    a width of 160 characters long texts are shortened.
    """
    answers = [replace(answer, rows={repeat: _shown(row) for repeat, row in answer.rows.items()}) for answer in answers]
    cell = answers[0].cell
    is_gated_task = _is_gated(answers)
    gated = is_gated_task and not include_gated_text
    first = next(row for answer in answers for row in answer.rows.values())
    stamp = "  NOT FOR PUBLICATION: the items of this task are gated" if is_gated_task and not gated else ""
    heading = ", ".join(
        part for part in (f"{benchmark_title(cell.task)}, item {first['item_id']}", _groups(first)) if part
    )
    output.print(Text(heading + stamp, style="bold"))
    output.print(_verdicts(answers))
    several_repeats = len({repeat for answer in answers for repeat in answer.rows}) > 1
    for repeat in repeats:
        if several_repeats:
            output.print(Text(f"repeat {repeat}", style="bold"))
        shown = [answer for answer in answers if repeat in answer.rows]
        base = shown[0] if shown and shown[0] is answers[0] else None
        marks = [_mark(base, answer, repeat) for answer in shown] if not gated else [{} for _ in shown]
        per_row = max(1, (output.width - 15) // _COLUMN)
        for start in range(0, len(shown), per_row):
            columns = slice(start, start + per_row)
            table = _side_by_side(shown[columns], marks[columns], repeat, gated=gated, whole=output.width >= WIDE)
            output.print(table)


def _verdicts(answers: Sequence[Answers]) -> Group:
    """Build the table of models with an outcome sign for every repeat, the mean score in percent and the mean length in
    tokens, with a legend of the signs.
    """
    table = RichTable(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    repeats = range(max(int(answer.cell.manifest["repeats"]) for answer in answers))
    table.add_column("model")
    table.add_column("repeats" if len(repeats) > 1 else "")
    for title in ("mean %", "tokens"):
        table.add_column(title, justify="right")
    outcomes: set[str] = set()
    for answer in answers:
        signs = Text()
        for repeat in repeats:
            row = answer.rows.get(repeat)
            outcome = str(row["outcome"]) if row else ""
            outcomes |= {outcome} - {""}
            signs.append(*SIGNS.get(outcome, (_ABSENT, "dim")))
        lengths = [row["completion_tokens"] for row in answer.rows.values() if row["completion_tokens"] is not None]
        mean = formats.percent(answer.mean)
        tokens = formats.tokens(sum(lengths) / len(lengths)) if lengths else formats.UNKNOWN
        table.add_row(Text(_heading(answer.cell, answers)), signs, mean, tokens)
    entries = [f"{sign} {formats.OUTCOME_TITLES[name]}" for name, (sign, _) in SIGNS.items() if name in outcomes]
    has_absent = any(repeat not in answer.rows for answer in answers for repeat in repeats)
    legend = ", ".join([*entries, *([f"{_ABSENT} not asked"] if has_absent else [])])
    return Group(table, Text(legend, style="dim"))


def _heading(cell: TableCell, answers: Sequence[Answers]) -> str:
    demo = " (demo)" if cell.demo and "demo" not in cell.title.lower() else ""
    return cell.title + demo + (f" [{cell.run}]" if len({answer.cell.run for answer in answers}) > 1 else "")


def _side_by_side(
    answers: Sequence[Answers], marks: Sequence[Mapping[str, int]], repeat: int, *, gated: bool, whole: bool
) -> RichTable:
    table = RichTable(box=ROUNDED, expand=True)
    table.add_column("", no_wrap=True, width=10)
    for answer in answers:
        table.add_column(Text(_heading(answer.cell, answers)), ratio=1)
    rows = [answer.rows[repeat] for answer in answers]
    for name in ("outcome", "answer", "finish_reason", "tokens", "seconds", "note"):
        values = [_field(row, name, gated=gated, whole=whole) for row in rows]
        if any(values):
            table.add_row(Text(name.split("_")[0], style="dim"), *values)
    if any("compared" in mark for mark in marks):
        table.add_row(Text("differs", style="dim"), *(Text(_differs(mark)) for mark in marks))
    for name in ("reasoning", "text"):
        passages = [_passage(row, name, mark, gated=gated, whole=whole) for row, mark in zip(rows, marks, strict=True)]
        if any(passages):
            table.add_section()
            table.add_row(Text(name, style="dim"), *passages)
    return table


def _field(row: Mapping[str, Any], name: str, *, gated: bool, whole: bool) -> Text:
    if name == "outcome":
        outcome = str(row["outcome"])
        sign, colour = SIGNS.get(outcome, (_ABSENT, ""))
        return Text(f"{sign} {outcome}" if sign in "✓✗" else outcome, style=colour)
    if name == "tokens":
        known = {kind: row[f"{kind}_tokens"] for kind in ("prompt", "completion", "reasoning")}
        return Text(", ".join(f"{count:,} {kind}" for kind, count in known.items() if count is not None))
    if name == "note":
        text = str(row[name] or "")
        return Text(_WITHHELD if gated and text else text if whole else _shortened(text, _SHORT))
    if name == "seconds":
        return Text("" if row[name] is None else f"{row[name]:.1f}")
    if name == "answer":
        if row["answer"] is None:
            return Text()
        if gated:
            return Text(_WITHHELD)
        return Text(f"{row['answer']}" + (f" ({row['stage']})" if row["stage"] else ""))
    return Text("" if row[name] is None else str(row[name]))


def _mark(base: Answers | None, answer: Answers, repeat: int) -> dict[str, int]:
    """Find where the texts of an answer at this repeat first differ from the baseline's: ``reasoning`` and ``text`` ->
    index of the character, -1 for no difference.

    Empty for the baseline itself or without a baseline (None); the key ``compared`` is set for the others.
    """
    if base is None or base is answer:
        return {}
    old, new = base.rows[repeat], answer.rows[repeat]
    differences = {name: first_difference(str(old[name] or ""), str(new[name] or "")) for name in ("reasoning", "text")}
    return differences | {"compared": 1}


def _differs(mark: Mapping[str, int]) -> str:
    """Describe as text where an answer first differs from the baseline's; ``mark`` is a result of ``_mark``."""
    if "compared" not in mark:
        return "(the others are compared with this)"
    parts = [f"{name} from character {mark[name] + 1:,}" for name in ("reasoning", "text") if mark[name] >= 0]
    return "; ".join(parts) or "no difference"


def first_difference(first: str, second: str) -> int:
    """Return the index of the first character in which two texts differ (the shorter length when one begins with the
    other); -1 when they are equal.
    """
    if first == second:
        return -1
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (left, right) in pairs if left != right), min(len(first), len(second)))


def _passage(row: Mapping[str, Any], name: str, mark: Mapping[str, int], *, gated: bool, whole: bool) -> Text:
    text = str(row[name] or "")
    if gated:
        return Text(_WITHHELD if text else "")
    index = mark.get(name, -1)
    if index < 0:
        return Text((text if whole else _shortened(text, _SHORT)).rstrip())
    start = max(text.rfind(" ", 0, index), text.rfind("\n", 0, index)) + 1
    same, rest = text[:start], text[start:]
    word = rest[: len(rest) - len(rest.lstrip())] + (rest.split(maxsplit=1) or [""])[0]
    tail = rest[len(word) :]
    if not whole and len(text) > _SHORT:
        same = same if len(same) <= 2 * _AROUND else f"... {len(same) - _AROUND:,} characters ...{same[-_AROUND:]}"
        tail = _shortened(tail, max(_SHORT - len(same) - len(word), _AROUND))
    return Text.assemble((same, "dim"), (word or "∅", "bold reverse"), tail.rstrip())


def _shortened(text: str, limit: int) -> str:
    """Return a text as it is up to ``limit`` characters; of a longer one its start (two thirds of the limit) and end
    (one third), with the number of characters left out between them. ``limit``: at least 3.
    """
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 3
    return f"{text[:head]}\n ... {len(text) - head - tail:,} characters ...\n{text[-tail:]}"


def _groups(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in json.loads(row["groups"] or "{}").items())
