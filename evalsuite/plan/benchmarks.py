"""Reads what is known of a benchmark before a run, from its ``card.yaml`` and from published tables (``conf/card``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsuite.config.paths import expanded, shipped
from evalsuite.config.settings import Model, Select, Task
from evalsuite.errors import BadInput, unknown_name
from evalsuite.tasks import datasets
from evalsuite.tasks.published import Card


@dataclass(frozen=True, slots=True)
class SourcedNumber:
    """A number that the plan uses, with its source."""

    value: float
    """The number."""
    origin: str
    """Where it comes from."""
    assumed: bool = False
    """Whether it is an assumption that no source measured."""


@dataclass(frozen=True, slots=True)
class TypicalLengths:
    """Mean tokens of one attempt at one item, summed over its requests."""

    completion: SourcedNumber
    """Generated tokens."""
    prompt: SourcedNumber
    """Prompt tokens."""
    judge: Mapping[str, float] | None = None
    """``prompt`` and ``completion`` tokens of the judge; None when the task needs none."""
    simulator: Mapping[str, float] | None = None
    """``prompt`` and ``completion`` tokens of the user simulator; None when the task needs none."""
    p99: float | None = None
    """99 of 100 attempts generate fewer tokens than this; None when not recorded."""
    longest: float | None = None
    """Generated tokens of the longest attempt; None when not recorded."""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A benchmark as this run uses it; numbers refer to the selected items."""

    name: str
    """Key of the task in the run."""
    title: str
    """Title of the benchmark."""
    items: int
    """Number of selected items."""
    total: int
    """Number of items of the whole benchmark."""
    repeats: int
    """Repeats of each item."""
    answers: float
    """Number of independent answers in one pass over the items (SciCode: fewer than scored steps)."""
    units: float
    """Number of independent sources of items: document sets, or the items themselves."""
    phi: SourcedNumber
    """Fraction of the score's binomial variance that repeats of one item show: 0 deterministic, 1 independent
    answers."""
    tau: SourcedNumber
    """Standard deviation over items of the change in their chance of success, a fraction of 1."""
    design_score: SourcedNumber
    """Score that is assumed when none is published or recorded."""
    strata: Mapping[str, Mapping[str, int]]
    """Group -> value -> number of items."""
    typical: Mapping[str, Any]
    """``typical_tokens`` of the card."""
    clustered: bool = False
    """Whether ``units`` are sources that items share, so that they limit which loss can be excluded."""

    @property
    def attempts(self) -> int:
        """Number of planned attempts: items x repeats."""
        return self.items * self.repeats


def task_facts(name: str, task: Task, limit: int | None) -> TaskFacts | None:
    """Return the facts of the task ``name`` from the shipped card of its adapter, scaled to the selected items; None
    when no card describes it. No data are loaded; its expected score, phi and tau are marked as assumed.

    ``limit`` is the largest number of items per task, None for no limit. After a selection by ids (a file, which is
    read) the numbers per group value are unknown (empty). Raises ``BadInput`` for a selected group or value that the
    card does not have, or that cannot be counted, for a file of ids that cannot be read, and for a selection without
    items.
    """
    if not (shipped("tasks") / task.adapter / "card.yaml").is_file():
        return None
    card = datasets.card(task.adapter)
    design: Mapping[str, Any] = card["design"]
    total = int(design["variant_items"].get(task.variant, card["items"]))
    strata = {group: dict(parts) for group, parts in design["strata"].items()}
    if total != card["items"]:
        strata = {group: scale_strata(parts, total) for group, parts in strata.items()}
    selected, strata = _apply_selection(name, task.select, total, strata, list(card["groups"]))
    items = selected if limit is None else min(limit, selected)
    if items < selected:
        strata = {group: scale_strata(parts, items) for group, parts in strata.items()}
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
        bool(design.get("clustered", False)),
    )


def typical_lengths(facts: TaskFacts, *, thinking: bool) -> TypicalLengths:
    """Return the typical tokens of an attempt that the benchmark's card states, with their source, for a model that
    thinks or does not; ``p99`` and ``longest`` are None.
    """
    key = "thinking_on" if thinking else "thinking_off"
    source = " ".join(str(facts.typical["source"]).split())
    assumed = set(facts.typical["assumed"])
    completion = SourcedNumber(float(facts.typical[key]), source, key in assumed)
    prompt = SourcedNumber(float(facts.typical["prompt"]), source, "prompt" in assumed)
    return TypicalLengths(completion, prompt, facts.typical["judge"], facts.typical["simulator"])


def expected_score(facts: TaskFacts, baseline: Model, cards: Sequence[Card]) -> SourcedNumber:
    """Return the expected score of the baseline, a fraction, with its source: the first one published on ``cards`` for
    its checkpoint, else the first on a card of its base model (any column of a card whose ``model`` has a name that is
    part of the checkpoint's name), else the one that the benchmark's card assumes.

    Published scores whose row states fewer items (``n``) than the benchmark has do not count.
    """
    for exact in (True, False):
        for card in cards:
            for column in card.data.get("columns") or ():
                if not _is_column_of(card, column, baseline, exact=exact):
                    continue
                for row in card.data.get("rows") or ():
                    value, n = (row.get("scores") or {}).get(column["key"]), row.get("n")
                    part = isinstance(n, int) and n < facts.total  # 200 of GSM8K's questions are another benchmark
                    if row.get("task") == facts.name and value is not None and not part:
                        suffix = "" if exact else f", {column['title']}"
                        return SourcedNumber(float(value), f"published: {card.title}{suffix}")
    return facts.design_score


def published_strata(facts: TaskFacts, group: str, baseline: Model, cards: Sequence[Card]) -> dict[str, SourcedNumber]:
    """Return value of the group ``group`` -> published score (a fraction) from the first of ``cards`` that is about the
    baseline's base model (the name of the card's ``model`` is part of the checkpoint's name) and has counts for the
    task and group; empty when none has.
    """
    for card in cards:
        columns = {column["key"]: column for column in card.data.get("columns") or ()}
        for part in card.data.get("groups") or ():
            column = columns.get(part.get("column"))
            if (part.get("task"), part.get("group")) != (facts.name, group) or column is None:
                continue
            if _is_column_of(card, column, baseline, exact=False):
                origin = f"published: {card.title}, {column['title']}"
                return {
                    str(value): SourcedNumber(counts["correct"] / counts["n"], origin)
                    for value, counts in part["values"].items()
                }
    return {}


def _is_column_of(card: Card, column: Mapping[str, Any], model: Model, *, exact: bool) -> bool:
    """Return whether a card's column has the model's checkpoint (``exact``), or else whether the whole card is about
    the model's base model: the checkpoint's name holds the name of the card's model.
    """
    if exact:
        return bool(column.get("checkpoint") == model.checkpoint)
    base = str(card.data.get("model", "")).rpartition("/")[2]
    return bool(base) and base in model.checkpoint.rpartition("/")[2]


def _apply_selection(
    name: str, select: Select, total: int, strata: dict[str, dict[str, int]], groups: Sequence[str]
) -> tuple[int, dict[str, dict[str, int]]]:
    """Return (number of selected items, group -> value -> number of items) after the selection by groups, each of which
    scales the other groups proportionally, and then by a file of ids, after which the groups are unknown (empty).

    ``name``: the task, for messages. ``total``: items before. ``strata``: group -> value -> items before. ``groups``:
    all groups that the task has. Raises ``BadInput`` for an unknown group or value, or one that cannot be counted, for
    a file of ids that cannot be read, and where no item is left.
    """
    selected = total
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
        selected = min(selected, sum(part.values()))
        strata = {other: scale_strata(parts, selected) for other, parts in strata.items() if other != group} | {
            group: part
        }
    if select.ids is not None:
        try:
            ids = set(expanded(select.ids).read_text(encoding="utf-8").split("\n")) - {""}
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"select.ids={select.ids} cannot be read: {getattr(error, 'strerror', error)}") from None
        selected, strata = min(len(ids), selected), {}  # which strata the ids are of, only the data can tell
    if not selected:
        raise BadInput(f"the selection of {name} leaves no item: check select.groups and select.ids")
    return selected, strata


def scale_strata(parts: Mapping[str, int], items: int) -> dict[str, int]:
    """Scale the numbers of items per group value to a total of about ``items``: proportionally, rounded, at least one
    each.
    """
    total = sum(parts.values())
    return {value: max(1, round(count * items / total)) for value, count in parts.items()}
