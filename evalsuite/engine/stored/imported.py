"""Answers recorded elsewhere, checked against their task and graded."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from evalsuite.endpoint.thinking import split_thinking
from evalsuite.engine.stored.harness_logs import ID, TEXT, Rows, harness_of, reader
from evalsuite.errors import BadInput
from evalsuite.records import SCHEMA, Item, Reply, Sample, Score, Usage
from evalsuite.store.attempts import AttemptKey
from evalsuite.store.extents import new_extent
from evalsuite.tasks.base import SingleTurn
from evalsuite.tasks.loading import LoadedTask
from evalsuite.version import __version__

TEXT_FIELDS = ("output", "text", "response", "generated_text")


@dataclass(frozen=True, slots=True)
class RecordedAnswers:
    """A file of answers that was read once and checked."""

    path: Path
    id_field: str
    text_field: str
    lines: Mapping[AttemptKey, int]
    """(item, repeat) -> the line with its answer."""
    read: Callable[[], Rows]
    """The file's rows from the start."""
    harness: str = ""
    """The harness that wrote the file; empty for plain answers."""

    @property
    def repeats(self) -> int:
        """Largest number of answers to one item."""
        return max((repeat for _, repeat in self.lines), default=0) + 1


def scan(path: Path, task: LoadedTask, id_field: str | None = None, text_field: str | None = None) -> RecordedAnswers:
    """Read all of ``path`` and check it against the task. Raises ``BadInput`` naming file and line.

    Answers to items that are not selected are left out. ``id_field`` and ``text_field`` name fields that are not found
    by themselves.
    """
    selected = {item.id for item in task.items}
    items = task.items if len(selected) == task.found else tuple(task.adapter.items())
    known = {item.id for item in items}
    harness = harness_of(path)
    own: str = getattr(task.adapter, "id_field", "id")
    read = reader(path, items, id_field or own)
    names = (ID, TEXT) if harness else None
    lines: dict[AttemptKey, int] = {}
    for number, row in read():
        where = f"{path} line {number}"
        names = names or _fields(where, row, task, id_field, text_field)
        key = _key(where, row, names[0])
        _check_types(where, row, names[1])
        if key[0] not in known:
            examples = ", ".join(item.id for item in task.items[:3])
            raise BadInput(f"{where}: '{key[0]}' is not an item of {task.name} ({task.found:,} items: {examples} ...)")
        if key in lines:
            raise BadInput(f"{where}: item {key[0]} repeat {key[1]} is answered in line {lines[key]} already")
        if key[0] in selected:
            lines[key] = number
    if names is None or not lines:
        raise BadInput(f"{path} holds no answers to {task.name}")
    return RecordedAnswers(path, names[0], names[1], lines, read, harness)


def graded(
    answers: RecordedAnswers, task: LoadedTask, name: str, agreement: Counter[bool] | None = None
) -> Iterator[Sample]:
    """One sample per line, in the file's order, then one ``failed`` sample per attempt without an answer.

    ``agreement`` counts how often the score in the log and ours are equal.
    """
    items = {item.id: item for item in task.items}
    single = cast("SingleTurn", task.adapter)
    unanswered = Score(None, "failed", note="no recorded answer")
    for _, row in answers.read():
        item_id, repeat = _key("", row, answers.id_field)
        if item_id not in items:
            continue
        text = row.get(answers.text_field)
        if text is None:
            yield _sample(task, name, items[item_id], repeat, unanswered, None)
            continue
        reply = _reply(row, text)
        score = single.score(items[item_id], repeat, reply)
        if agreement is not None and row.get("verdict") is not None:
            agreement[row["verdict"] == score.value] += 1
        yield _sample(task, name, items[item_id], repeat, score, reply)
    for repeat in range(answers.repeats):
        for item in task.items:
            if (item.id, repeat) not in answers.lines:
                yield _sample(task, name, item, repeat, unanswered, None)


def _reply(row: Mapping[str, Any], text: str) -> Reply:
    """The answer as a live run would have taken it from a server of an unknown model."""
    usage = Usage(row.get("prompt_tokens"), row.get("completion_tokens"), row.get("reasoning_tokens"))
    answer, reasoning = split_thinking(text, row.get("reasoning") or "")
    return Reply(answer, reasoning, row.get("finish_reason"), usage=usage)


def _sample(task: LoadedTask, name: str, item: Item, repeat: int, score: Score, reply: Reply | None) -> Sample:
    version, variant = task.adapter.version, task.settings.variant
    return Sample(
        task.name, version, variant, name, item.id, repeat, score, item.cluster, item.weight, item.groups, reply=reply
    )


def _fields(
    where: str, row: Mapping[str, Any], task: LoadedTask, id_field: str | None, text_field: str | None
) -> tuple[str, str]:
    """Names of the id and text fields, as given, else as the first line has them."""
    own: str = getattr(task.adapter, "id_field", "id")
    return _field(where, row, "id_field", [id_field or own]), _field(
        where, row, "text_field", [text_field] if text_field else TEXT_FIELDS
    )


def _field(where: str, row: Mapping[str, Any], option: str, names: Sequence[str]) -> str:
    for name in names:
        if name in row:
            return name
    has = ", ".join(row) or "nothing"
    raise BadInput(f"{where} has no {' or '.join(names)}: it has {has}. Say which with {option}=NAME.")


def _key(where: str, row: Mapping[str, Any], id_field: str) -> AttemptKey:
    item_id, repeat = row.get(id_field), row.get("repeat", 0)
    if isinstance(item_id, bool) or not isinstance(item_id, int | str):
        raise BadInput(f"{where}: {id_field} is {item_id!r}, not an id")
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 0:
        raise BadInput(f"{where}: repeat is {repeat!r}, not a number from 0")
    return str(item_id), repeat


def _check_types(where: str, row: Mapping[str, Any], text_field: str) -> None:
    for field in (text_field, "finish_reason"):
        value = row.get(field)
        if value is not None and not isinstance(value, str):
            raise BadInput(f"{where}: {field} is {type(value).__name__}, not text")
    if text_field not in row:
        raise BadInput(f"{where} has no {text_field}: it has {', '.join(row)}")


def import_manifest(name: str, task: LoadedTask, answers: RecordedAnswers) -> dict[str, Any]:
    """The manifest of an imported cell: as of one that was asked, with null for what the file does not hold."""
    with answers.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "schema": SCHEMA,
        "identity": {
            "model": name,
            "checkpoint": None,
            "revision": None,
            "thinking": None,
            "task": task.name,
            "adapter": task.settings.adapter,
            "protocol": task.adapter.version.partition(".")[0],
            "variant": task.settings.variant,
            "options": dict(task.settings.options),
            "sampling": None,
            "seed": None,
            "data_sha": task.data_sha,
        },
        "version": task.adapter.version,
        "title": name,
        "precision": None,
        "quantized": {},
        "baseline": None,
        "sampling_origin": {},
        "items": [item.id for item in task.items],
        "total_items": task.total,
        "selection": task.selection,
        "repeats": answers.repeats,
        "data": dict(task.data),
        "extents": [new_extent(task.order, task.selection, answers.repeats)],
        **({"gated": True} if task.gated else {}),
        "imported": {"file": answers.path.name, "sha256": digest, "harness": answers.harness or None},
        "demo": False,
        "server": [],
        "evalsuite": __version__,
    }
