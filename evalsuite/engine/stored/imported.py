"""Answers recorded elsewhere, checked against their task and graded."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, cast

from evalsuite.config.paths import expanded
from evalsuite.endpoint.fields import MOST_TOKENS, storable
from evalsuite.endpoint.thinking import split_thinking
from evalsuite.engine.stored.harness_logs import ID, TEXT, Rows, harness_of, reader
from evalsuite.engine.stored.output_files import HARNESSES, output_files, repeats
from evalsuite.engine.stored.shown_choices import order_shown, score_shown
from evalsuite.errors import BadInput
from evalsuite.records import SCHEMA, Item, Reply, Sample, Score, Usage
from evalsuite.store.attempts import AttemptKey
from evalsuite.store.extents import new_extent
from evalsuite.tasks.base import SingleTurn
from evalsuite.tasks.grading.degenerate import degenerate
from evalsuite.tasks.hub import sha256
from evalsuite.tasks.loading import LoadedTask
from evalsuite.version import __version__

EQUAL = 1e-6
"""Difference up to which two scores of one answer are the same."""
MOST_REPEATS = 10_000
"""Repeats that an import takes: every repeat of every item becomes a sample."""
TEXT_FIELDS = ("output", "text", "response", "generated_text")


@dataclass(frozen=True, slots=True)
class RecordedAnswers:
    """Files of answers that were read once and checked."""

    paths: tuple[Path, ...]
    id_field: str
    text_field: str
    places: Mapping[AttemptKey, str]
    """(item, repeat) -> file and line of its answer."""
    readers: tuple[Callable[[], Rows], ...]
    """The rows of each file from the start."""
    harness: str = ""
    """The harness that wrote the files; empty for plain answers."""

    @property
    def repeats(self) -> int:
        """Number of repeats: the highest repeat of any answer to a selected item plus 1; 1 without any answer."""
        return max((repeat for _, repeat in self.places), default=0) + 1

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Yields all rows, file by file, read from disk again; items that are not selected included."""
        for read in self.readers:
            for _, row in read():
                yield row


def log_files(names: Sequence[str]) -> tuple[Path, ...]:
    """Absolute paths of the files that ``file=`` names: files, patterns (``*.jsonl``) and folders, each path once, in
    the order of the names, then by path.

    Of a folder and all below it the logs count: inspect's ``*.eval`` if there are any, else lm-eval's
    ``samples_*.jsonl``, else the ``output*.jsonl`` of NeMo-Skills and sgl-eval (see ``output_files``, whose errors are
    raised), else all ``*.jsonl``, else ``*.jsonl.gz``; but nothing in a folder ``predictions`` inside it, as evalscope
    writes one, except for ``output*.jsonl``. Raises ``BadInput`` for a name without any file.
    """
    files: dict[Path, None] = {}
    for name in names:
        path = expanded(name)
        if path.is_dir():
            matches = _logs_below(path)
        elif path.is_file():
            matches = [path]
        else:
            root = Path(path.absolute().anchor)
            matches = sorted(match for match in root.glob(str(path.absolute().relative_to(root))) if match.is_file())
        if not matches:
            raise BadInput(f"file={name}: there is no such file" + (", and no log in it" if path.is_dir() else ""))
        files |= dict.fromkeys(match.absolute() for match in matches)
    return tuple(files)


def _logs_below(folder: Path) -> list[Path]:
    for pattern in ("*.eval", "samples_*.jsonl", "output*.jsonl*", "*.jsonl", "*.jsonl.gz"):
        if pattern.startswith("output"):
            files = output_files(folder)
        else:
            files = sorted(
                path for path in folder.rglob(pattern) if "predictions" not in path.relative_to(folder).parts
            )
        if files:
            return files
    return []


def scan(
    names: Sequence[str], task: LoadedTask, id_field: str | None = None, text_field: str | None = None
) -> RecordedAnswers:
    """Read all files of ``names`` (``log_files``) and check them against the task; grades nothing.

    Answers to items of the task that are not selected do not count. ``id_field`` and ``text_field`` name the fields of
    a row that hold the item's id and the answer; None: the task's own id field, and the first of ``TEXT_FIELDS``
    (``output``, ``text``, ``response``, ``generated_text``) in the first row. For logs of a harness ``id_field`` is the
    id's name in the log's copy of a question, and ``text_field`` has no effect. Raises ``BadInput``, naming file and
    line where it is in one: unknown items, two answers to the same repeat of a selected item, or one with choices in an
    unknown order, wrong types, repeats that leave numbers out, no answers at all, logs of several harnesses.
    """
    paths = log_files(names)
    selected = {item.id for item in task.items}
    items = task.items if len(selected) == task.found else tuple(task.adapter.items())
    known = {item.id: item for item in items}
    harnesses = {harness_of(path) for path in paths}
    if len(harnesses) > 1:
        raise BadInput(f"file=: logs of several harnesses ({', '.join(sorted(harnesses))}); import them one by one")
    own: str = getattr(task.adapter, "id_field", "id")
    number_of = repeats(paths)
    readers = tuple(reader(path, items, id_field or own, number_of[path]) for path in paths)
    fields = (ID, TEXT) if harnesses != {""} else None
    places: dict[AttemptKey, str] = {}
    first_of: dict[int, str] = {}
    for path, read in zip(paths, readers, strict=True):
        for number, row in read():
            where = f"{path} line {number}"
            fields = fields or _fields(where, row, task, id_field, text_field)
            key = _key(where, row, fields[0])
            _check_types(where, row, fields[1])
            first_of.setdefault(key[1], where)
            if key[0] not in known:
                examples = ", ".join(item.id for item in task.items[:3])
                other = f"; file= takes the output files of one benchmark, such as file={path.parent}"
                raise BadInput(
                    f"{where}: '{key[0]}' is not an item of {task.name} ({task.found:,} items: {examples} ...)"
                    + (other if harnesses <= set(HARNESSES) else "")
                )
            if key in places:
                raise BadInput(f"{where}: item {key[0]} repeat {key[1]} is answered in {places[key]} already")
            if key[0] in selected:
                places[key] = where if len(paths) > 1 else f"line {number}"
                _check_order(where, task, known[key[0]], row)
    if fields is None or not places:
        raise BadInput(
            f"{', '.join(map(str, paths[:3]))} {'holds' if len(paths) == 1 else 'hold'} no answers to {task.name}"
        )
    for place, repeat in enumerate(sorted(first_of)):
        if place != repeat:
            raise BadInput(
                f"{first_of[repeat]}: repeat is {repeat}, and no answer has repeat {place}; repeats count from 0"
            )
    return RecordedAnswers(paths, *fields, places, readers, harnesses.pop())


def _check_order(where: str, task: LoadedTask, item: Item, row: Mapping[str, Any]) -> None:
    """Raise ``BadInput`` for a row of a task with shuffled choices that does not show in which order they were asked;
    ``where``: file and line."""
    if getattr(task.adapter, "shuffled", False) and order_shown(item, row) is None:
        raise BadInput(
            f"answers to {task.name} are letters of choices in an order that is drawn for each item, and {where} does "
            "not hold the choices as they were shown (a list `choices`), so it cannot be graded"
        )


def graded(
    answers: RecordedAnswers, task: LoadedTask, name: str, agreement: Counter[bool] | None = None
) -> Iterator[Sample]:
    """Yields one graded sample per row of a selected item, in the files' order (``failed`` if it has no text), then a
    ``failed`` one per attempt without an answer.

    ``name``: the model's. ``agreement``, if given, is updated: how often a score in the log (a finite number, of a row
    with a text) equals ours within 1e-6 (``EQUAL``; counted as True) or not (False). Reads the files again, with errors
    as ``reader``.
    """
    items = {item.id: item for item in task.items}
    single = cast("SingleTurn", task.adapter)
    unanswered = Score(None, "failed", note="no recorded answer")
    for row in answers.rows():
        item_id, repeat = _key("", row, answers.id_field)
        if item_id not in items:
            continue
        text, item = row.get(answers.text_field), items[item_id]
        if text is None:
            yield _sample(task, name, item, repeat, unanswered, None)
            continue
        reply = _reply(row, text)
        score = score_shown(single, item, repeat, reply, order_shown(item, row))
        verdict = row.get("verdict")
        if agreement is not None and isinstance(verdict, int | float) and -inf < verdict < inf:
            agreement[score.value is not None and score.value - EQUAL < verdict < score.value + EQUAL] += 1
        yield _sample(task, name, item, repeat, score, reply)
    for repeat in range(answers.repeats):
        for item in task.items:
            if (item.id, repeat) not in answers.places:
                yield _sample(task, name, item, repeat, unanswered, None)


def _reply(row: Mapping[str, Any], text: str) -> Reply:
    """The ``Reply`` of a row with the answer ``text``, its thinking split off as for a live server of an unknown
    model."""
    usage = Usage(row.get("prompt_tokens"), row.get("completion_tokens"), row.get("reasoning_tokens"))
    answer, reasoning = split_thinking(text, row.get("reasoning") or "")
    finish = row.get("finish_reason")
    return Reply(answer, reasoning, None if finish is None else storable(finish), usage=usage)


def _sample(task: LoadedTask, name: str, item: Item, repeat: int, score: Score, reply: Reply | None) -> Sample:
    return Sample(
        task.name,
        task.adapter.version,
        task.settings.variant,
        name,
        item.id,
        repeat,
        score,
        item.cluster,
        item.weight,
        item.groups,
        reply=reply,
        degenerate="" if reply is None else degenerate(reply, item, call_as_text=score.stage == "as_text"),
    )


def _fields(
    where: str, row: Mapping[str, Any], task: LoadedTask, id_field: str | None, text_field: str | None
) -> tuple[str, str]:
    """(name of the id field, name of the text field), as given, else the task's own id field and the first of
    ``TEXT_FIELDS`` that ``row``, the first one, has. Raises ``BadInput`` where ``row`` lacks one of the two."""
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
    if isinstance(repeat, bool) or not isinstance(repeat, int) or not 0 <= repeat < MOST_REPEATS:
        raise BadInput(f"{where}: repeat is {repeat!r:.40}, not a number from 0 to {MOST_REPEATS - 1:,}")
    return str(item_id), repeat


def _check_types(where: str, row: Mapping[str, Any], text_field: str) -> None:
    for field in (text_field, "finish_reason", "reasoning"):
        value = row.get(field)
        if value is not None and not isinstance(value, str):
            raise BadInput(f"{where}: {field} is {type(value).__name__}, not text")
    for field in ("prompt_tokens", "completion_tokens", "reasoning_tokens"):
        value = row.get(field)
        whole = type(value) is int or (isinstance(value, float) and value.is_integer())
        if value is not None and not (whole and 0 <= value <= MOST_TOKENS):
            raise BadInput(f"{where}: {field} is {value!r:.40}, not a number of tokens")
    if text_field not in row:
        raise BadInput(f"{where} has no {text_field}: it has {', '.join(row)}")


def import_manifest(name: str, task: LoadedTask, answers: RecordedAnswers) -> dict[str, Any]:
    """The manifest of an imported cell of the model ``name``: as of one that was asked, with null, empty or missing
    values for what no file holds, and name and hash of each file, which is read for it."""
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
        "imported": _origin(answers),
        "demo": False,
        "server": [],
        "evalsuite": __version__,
    }


def _origin(answers: RecordedAnswers) -> dict[str, Any]:
    """The entry ``imported`` of a manifest: ``harness`` (None: plain answers), ``file`` (its name) and ``sha256``; of
    several files their number, a joint hash, and in ``files`` name and hash of each."""
    files = [{"file": path.name, "sha256": sha256(path)} for path in answers.paths]
    harness = {"harness": answers.harness or None}
    if len(files) == 1:
        return files[0] | harness
    together = hashlib.sha256("".join(sorted(file["sha256"] for file in files)).encode()).hexdigest()
    return {"file": f"{len(files)} files", "sha256": together, **harness, "files": files}
