"""One item in all precisions side by side: verdicts of all repeats, and the texts with the first difference marked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from evalsuite.analysis.table import item_samples
from evalsuite.report import formats
from evalsuite.store.runs import TableCell
from evalsuite.tasks.datasets import benchmark_title, is_gated

WIDE = 160
"""Columns of text from which an item's texts are shown whole."""
SIGNS = {
    "correct": ("✓", "green"), "wrong": ("✗", "red"), "truncated": ("t", "yellow"), "no_answer": ("n", "yellow"),
    "refused": ("r", "yellow"), "ungraded": ("u", "dim"), "failed": ("f", "dim"),
}  # fmt: skip
"""Outcome -> its sign and colour."""
_ABSENT = "·"
_SHORT = 700
_AROUND = 120
"""Characters shown before a first difference that stands deep in a long text."""
_COLUMN = 36
_WITHHELD = "(not shown: the items of this task are gated; include_gated_text=true shows it)"


@dataclass(frozen=True, slots=True)
class Answers:
    """What one model said to the item."""

    cell: TableCell
    rows: Mapping[int, Mapping[str, Any]]
    """Repeat -> the sample with all its columns."""


def answers_of(cells: Sequence[TableCell], item: str) -> list[Answers]:
    """All answers to an item, the baseline's first."""
    named = {cell.manifest.get("baseline") for cell in cells}
    ordered = sorted(cells, key=lambda cell: cell.identity.get("model") not in named)
    return [Answers(cell, {int(row["repeat"]): row for row in item_samples(cell, item)}) for cell in ordered]


def print_item(
    answers: Sequence[Answers], repeats: Sequence[int], output: Console, *, include_gated_text: bool = False
) -> None:
    """Print all verdicts at a glance, then the answers of ``repeats`` side by side.

    Texts of gated tasks are shown only if asked for, and are then stamped.
    """
    cell = answers[0].cell
    held_back = any(is_gated(name) for name in {cell.task, str(cell.identity.get("adapter"))})
    gated = held_back and not include_gated_text
    first = next(row for one in answers for row in one.rows.values())
    stamp = "  NOT FOR PUBLICATION: the items of this task are gated" if held_back and not gated else ""
    where = ", ".join(
        part for part in (f"{benchmark_title(cell.task)}, item {first['item_id']}", _groups(first)) if part
    )
    output.print(Text(where + stamp, style="bold"))
    output.print(_verdicts(answers))
    several = len({repeat for one in answers for repeat in one.rows}) > 1
    for repeat in repeats:
        if several:
            output.print(Text(f"repeat {repeat}", style="bold"))
        found = [one for one in answers if repeat in one.rows]
        base = found[0] if found and found[0] is answers[0] else None
        marks = [_mark(base, one, repeat) for one in found] if not gated else [{} for _ in found]
        beside = max(1, (output.width - 15) // _COLUMN)
        for start in range(0, len(found), beside):
            some = slice(start, start + beside)
            table = _side_by_side(found[some], marks[some], repeat, gated=gated, whole=output.width >= WIDE)
            output.print(table)


def _verdicts(answers: Sequence[Answers]) -> Group:
    """A sign for every repeat, the mean score and the mean length."""
    table = RichTable(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    repeats = range(max(int(one.cell.manifest["repeats"]) for one in answers))
    table.add_column("model")
    table.add_column("repeats" if len(repeats) > 1 else "")
    for title in ("mean %", "tokens"):
        table.add_column(title, justify="right")
    seen: set[str] = set()
    for one in answers:
        signs = Text()
        for repeat in repeats:
            row = one.rows.get(repeat)
            outcome = str(row["outcome"]) if row else ""
            seen |= {outcome} - {""}
            signs.append(*SIGNS.get(outcome, (_ABSENT, "dim")))
        values = [row["value"] for row in one.rows.values() if row["value"] is not None]
        lengths = [row["completion_tokens"] for row in one.rows.values() if row["completion_tokens"] is not None]
        mean = formats.percent(sum(values) / len(values)) if values else formats.UNKNOWN
        tokens = formats.tokens(sum(lengths) / len(lengths)) if lengths else formats.UNKNOWN
        table.add_row(Text(_heading(one.cell, answers)), signs, mean, tokens)
    words = [f"{sign} {formats.OUTCOME_TITLES[name]}" for name, (sign, _) in SIGNS.items() if name in seen]
    absent = any(repeat not in one.rows for one in answers for repeat in repeats)
    legend = ", ".join([*words, *([f"{_ABSENT} not asked"] if absent else [])])
    return Group(table, Text(legend, style="dim"))


def _heading(cell: TableCell, answers: Sequence[Answers]) -> str:
    demo = " (demo)" if cell.demo and "demo" not in cell.title.lower() else ""
    return cell.title + demo + (f" [{cell.run}]" if len({one.cell.run for one in answers}) > 1 else "")


def _side_by_side(
    found: Sequence[Answers], marks: Sequence[Mapping[str, int]], repeat: int, *, gated: bool, whole: bool
) -> RichTable:
    table = RichTable(box=ROUNDED, expand=True)
    table.add_column("", no_wrap=True, width=10)
    for one in found:
        table.add_column(Text(_heading(one.cell, found)), ratio=1)
    rows = [one.rows[repeat] for one in found]
    for name in ("outcome", "answer", "finish_reason", "tokens", "seconds", "note"):
        values = [_field(row, name, gated=gated, whole=whole) for row in rows]
        if any(values):
            table.add_row(Text(name.split("_")[0], style="dim"), *values)
    if any("said" in mark for mark in marks):
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
        return Text(f"{row['answer']}" + (f" ({row['stage']})" if row["stage"] else ""))
    return Text("" if row[name] is None else str(row[name]))


def _mark(base: Answers | None, one: Answers, repeat: int) -> dict[str, int]:
    """Where the texts of an answer first differ from the baseline's: ``reasoning`` and ``text`` -> character.

    -1: they are the same. Empty for the baseline itself; ``said`` marks the others.
    """
    if base is None or base is one:
        return {}
    old, new = base.rows[repeat], one.rows[repeat]
    found = {name: first_difference(str(old[name] or ""), str(new[name] or "")) for name in ("reasoning", "text")}
    return found | {"said": 1}


def _differs(mark: Mapping[str, int]) -> str:
    """Where an answer leaves the baseline's, in words."""
    if "said" not in mark:
        return "(what the others are held against)"
    found = [f"{name} from character {mark[name] + 1:,}" for name in ("reasoning", "text") if mark[name] >= 0]
    return "; ".join(found) or "the same, to the letter"


def first_difference(one: str, other: str) -> int:
    """The first character in which two texts differ, counted from 0; -1 if they are the same."""
    if one == other:
        return -1
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def _passage(row: Mapping[str, Any], name: str, mark: Mapping[str, int], *, gated: bool, whole: bool) -> Text:
    text = str(row[name] or "")
    if gated:
        return Text(_WITHHELD if text else "")
    at = mark.get(name, -1)
    if at < 0:
        return Text((text if whole else _shortened(text, _SHORT)).rstrip())
    start = max(text.rfind(" ", 0, at), text.rfind("\n", 0, at)) + 1
    same, rest = text[:start], text[start:]
    word = rest[: len(rest) - len(rest.lstrip())] + (rest.split(maxsplit=1) or [""])[0]
    tail = rest[len(word) :]
    if not whole and len(text) > _SHORT:
        same = same if len(same) <= 2 * _AROUND else f"... {len(same) - _AROUND:,} characters ...{same[-_AROUND:]}"
        tail = _shortened(tail, max(_SHORT - len(same) - len(word), _AROUND))
    return Text.assemble((same, "dim"), (word or "∅", "bold reverse"), tail.rstrip())


def _shortened(text: str, limit: int) -> str:
    """Head and tail of a long text, with the number of characters left out."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 3
    return f"{text[:head]}\n ... {len(text) - head - tail:,} characters ...\n{text[-tail:]}"


def _groups(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in json.loads(row["groups"] or "{}").items())
