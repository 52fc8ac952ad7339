"""What is known of a benchmark before it is asked: the task's ``card.yaml`` and published tables (``conf/card``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.config.paths import shipped
from evalsuite.config.settings import Model, Select, Task
from evalsuite.errors import BadInput, unknown_name
from evalsuite.tasks import datasets as data
from evalsuite.tasks.published import Card


@dataclass(frozen=True, slots=True)
class SourcedNumber:
    """A number that the plan reckons with, and where it comes from."""

    value: float
    origin: str
    assumed: bool = False
    """True: nobody measured it."""


@dataclass(frozen=True, slots=True)
class TypicalLengths:
    """Tokens of one attempt at one item, all its requests together: means."""

    completion: SourcedNumber
    prompt: SourcedNumber
    judge: Mapping[str, float] | None = None
    """``prompt`` and ``completion`` of the judge; None: the task needs none."""
    simulator: Mapping[str, float] | None = None
    p99: float | None = None
    """99 of 100 attempts are shorter (generated tokens); None: not recorded."""
    longest: float | None = None


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A benchmark as this run wants it; counts are of the items asked for."""

    name: str
    title: str
    items: int
    total: int
    """Items of the whole benchmark."""
    repeats: int
    answers: float
    """Independent answers that one pass over the items is worth (SciCode: fewer than scored steps)."""
    units: float
    """Independent sources of items: documents sets, or the items themselves."""
    phi: SourcedNumber
    """Share of the score's binomial variance that repeats of one item show: 0 deterministic, 1 a coin each."""
    tau: SourcedNumber
    """Standard deviation over items of how much their chance of success moved (fraction of 1)."""
    design_score: SourcedNumber
    strata: Mapping[str, Mapping[str, int]]
    typical: Mapping[str, Any]
    """``typical_tokens`` of the card."""

    @property
    def attempts(self) -> int:
        """Items x repeats."""
        return self.items * self.repeats


def task_facts(name: str, task: Task, limit: int | None) -> TaskFacts | None:
    """The facts of a task, None where no card describes its adapter.

    Raises ``BadInput`` for a selected group or value that the card does not have, and where it cannot be counted.
    """
    if not (shipped("tasks") / task.adapter / "card.yaml").is_file():
        return None
    card = data.card(task.adapter)
    design: Mapping[str, Any] = card["design"]
    total = int(design["variant_items"].get(task.variant, card["items"]))
    strata = {group: dict(parts) for group, parts in design["strata"].items()}
    if total != card["items"]:
        strata = {group: scaled(parts, total) for group, parts in strata.items()}
    kept, strata = _selected(name, task.select, total, strata, list(card["groups"]))
    items = kept if limit is None else min(limit, kept)
    if items < kept:
        strata = {group: scaled(parts, items) for group, parts in strata.items()}
    share = items / card["items"]
    origin = " ".join(str(design["source"]).split())
    return TaskFacts(
        name,
        str(card["title"]),
        items,
        total,
        task.repeats,
        design["answers"] * share,
        max(min(design["units"], items) if design["units"] == card["items"] else design["units"] * share, 1.0),
        SourcedNumber(float(design["phi"]), origin, True),
        SourcedNumber(float(design["tau"]), origin, True),
        SourcedNumber(float(design["score"]), origin, True),
        strata,
        card["typical_tokens"],
    )


def typical_lengths(facts: TaskFacts, *, thinking: bool) -> TypicalLengths:
    """The card's typical lengths, with who states them."""
    key = "thinking_on" if thinking else "thinking_off"
    source = " ".join(str(facts.typical["source"]).split())
    assumed = set(facts.typical["assumed"])
    completion = SourcedNumber(float(facts.typical[key]), source, key in assumed)
    prompt = SourcedNumber(float(facts.typical["prompt"]), source, "prompt" in assumed)
    return TypicalLengths(completion, prompt, facts.typical["judge"], facts.typical["simulator"])


def expected_score(facts: TaskFacts, baseline: Model, cards: Sequence[Card]) -> SourcedNumber:
    """The score that the baseline is expected to have: published for it, else for its base model, else assumed.

    Scores of a part of the benchmark do not count.
    """
    for exact in (True, False):
        for card in cards:
            for column in card.data.get("columns") or ():
                if not _speaks_of(card, column, baseline, exact=exact):
                    continue
                for row in card.data.get("rows") or ():
                    value, n = row.get("scores", {}).get(column["key"]), row.get("n")
                    part = isinstance(n, int) and n < facts.total  # 200 of GSM8K's questions are another benchmark
                    if row.get("task") == facts.name and value is not None and not part:
                        of = "" if exact else f", {column['title']}"
                        return SourcedNumber(float(value), f"published: {card.title}{of}")
    return facts.design_score


def published_strata(facts: TaskFacts, group: str, baseline: Model, cards: Sequence[Card]) -> dict[str, SourcedNumber]:
    """Stratum -> published score of the baseline or of its base model; empty where nobody published them."""
    for card in cards:
        columns = {column["key"]: column for column in card.data.get("columns") or ()}
        for part in card.data.get("groups") or ():
            column = columns.get(part.get("column"))
            if (part.get("task"), part.get("group")) != (facts.name, group) or column is None:
                continue
            if _speaks_of(card, column, baseline, exact=False):
                origin = f"published: {card.title}, {column['title']}"
                return {
                    str(value): SourcedNumber(counts["correct"] / counts["n"], origin)
                    for value, counts in part["values"].items()
                }
    return {}


def _speaks_of(card: Card, column: Mapping[str, Any], model: Model, *, exact: bool) -> bool:
    if exact:
        return bool(column.get("checkpoint") == model.checkpoint)
    base = str(card.data.get("model", "")).rpartition("/")[2]
    return bool(base) and base in model.checkpoint.rpartition("/")[2]


def _selected(
    name: str, select: Select, total: int, strata: dict[str, dict[str, int]], groups: Sequence[str]
) -> tuple[int, dict[str, dict[str, int]]]:
    kept = total
    for group, values in select.groups.items():
        if group not in groups:
            raise unknown_name(f"group of {name}", group, groups)
        if group not in strata:
            raise BadInput(
                f"plan cannot count {name} by {group}: its card.yaml does not say how many items each has; "
                f"give the number with limit=, or plan the whole task"
            )
        for value in values:
            if value not in strata[group]:
                raise unknown_name(f"value of group {group}", value, strata[group])
        part = {value: strata[group][value] for value in strata[group] if value in values}
        kept = round(kept * sum(part.values()) / total)
        strata = {other: scaled(parts, kept) for other, parts in strata.items() if other != group} | {group: part}
    if select.ids is not None:
        ids = set(Path(select.ids).read_text(encoding="utf-8").split("\n")) - {""}
        kept, strata = min(len(ids), kept), {}  # which strata the ids are of, only the data can tell
    return kept, strata


def scaled(parts: Mapping[str, int], items: int) -> dict[str, int]:
    """Strata of ``items`` items, each in proportion and with at least one."""
    whole = sum(parts.values())
    return {value: max(1, round(count * items / whole)) for value, count in parts.items()}
