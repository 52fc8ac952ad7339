"""What a baseline recorded earlier: scores, spread over repeats, lengths. They replace what cards assume."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.config.settings import Task
from evalsuite.errors import BadInput
from evalsuite.plan.benchmarks import SourcedNumber, TaskFacts, TypicalLengths
from evalsuite.stats.reply_lengths import longest
from evalsuite.store import manifest as manifest_module
from evalsuite.store.baseline import open_artefact
from evalsuite.store.manifest import MANIFEST, read_manifest
from evalsuite.store.samples import read_samples
from evalsuite.tasks.registry import load

FEWEST = 20
"""Measured samples below which a cell says nothing."""
_COLUMNS = (
    "item_id", "repeat", "value", "weight", "cluster", "groups", "prompt_tokens", "completion_tokens"
)  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RecordedBaseline:
    """One baseline cell."""

    where: str
    """``run/model/task``, or the artefact's name."""
    items: int
    """Measured items."""
    repeats: int
    """Planned repeats of the cell: kA of a comparison with it."""
    complete: bool
    score: float
    phi: float | None
    """As ``TaskFacts.phi`` with ``answers`` = items; None without repeats."""
    units: float
    """Independent sources that the items are worth (Kish 1965: squared sum of weights over sum of squared weights)."""
    lengths: Mapping[str, float | None]
    """Means per attempt of ``completion`` and ``prompt``, ``p99`` and ``longest`` generated; per aide, if recorded."""
    strata: Mapping[str, Mapping[str, tuple[int, float]]]
    """Group -> value -> (items, score)."""


def find(results_dir: Path, label: str, name: str, task: Task) -> RecordedBaseline | None:
    """The best cell of model folder ``label`` on a task in any run: the same variant; complete, large, then new.

    Damaged cells are passed over: they are no reason to fail a plan.
    """
    found: list[tuple[tuple[bool, int, float], RecordedBaseline]] = []
    for path in sorted(results_dir.glob(f"*/{label}/{name}/{MANIFEST}")):
        recorded = read(path.parent, f"{path.parents[2].name}/{label}/{name}", task)
        if recorded is not None:
            size = recorded.items * recorded.repeats
            found.append(((recorded.complete, size, path.stat().st_mtime), recorded))
    return max(found, key=lambda one: one[0])[1] if found else None


@contextmanager
def opened(path: str) -> Iterator[tuple[str, dict[str, Path]]]:
    """(model, task -> cell folder) of a baseline artefact, or of a run folder that holds one model.

    Raises ``BadInput`` when it is neither.
    """
    if Path(path).is_dir():
        cells = manifest_module.cells(Path(path))
        models = sorted({cell.parent.name for cell in cells})
        if len(models) != 1:
            held = ", ".join(models) or "no cells"
            raise BadInput(f"baseline_run={path} must hold the cells of one model; it holds {held}")
        yield models[0], {cell.name: cell for cell in cells}
        return

    with open_artefact(Path(path)) as artefact:
        yield artefact.model, {cell.task: cell.folder for cell in artefact.cells}


def read(folder: Path, where: str, task: Task) -> RecordedBaseline | None:
    """What a cell recorded; None where it is of another variant, torn, or has too few answers."""
    try:
        manifest = read_manifest(folder)
        if manifest["identity"]["variant"] != task.variant:
            return None
        rows = read_samples(folder, _COLUMNS).to_pydict()
    except BadInput:
        return None
    measured = [place for place, value in enumerate(rows["value"]) if value is not None]
    if len(measured) < FEWEST:
        return None
    rows = {name: [column[place] for place in measured] for name, column in rows.items()}
    ids, item = np.unique(np.array(rows["item_id"]), return_inverse=True)
    value, weights = np.array(rows["value"], dtype=float), np.array(rows["weight"], dtype=float)
    count = np.bincount(item)
    means = np.bincount(item, weights=value) / count
    weight = np.bincount(item, weights=weights) / count
    score = float(np.average(means, weights=weight))
    planned = len(manifest["items"]) * int(manifest["repeats"])
    lengths = _lengths(folder, rows, task)
    first = {int(one): place for place, one in reversed(list(enumerate(item)))}
    clusters = [rows["cluster"][first[one]] or f"\0{one}" for one in range(len(ids))]
    return RecordedBaseline(
        where,
        len(ids),
        int(manifest["repeats"]),
        len(measured) == planned,
        score,
        _phi(value, item, means, count, weight, score),
        _units(clusters, weight),
        lengths,
        _strata([rows["groups"][first[one]] for one in range(len(ids))], means, weight),
    )


def lengths_of(recorded: RecordedBaseline, typical: TypicalLengths) -> TypicalLengths:
    """Recorded lengths, where the server reported them, before typical ones."""
    known, origin = recorded.lengths, f"recorded: {recorded.where}"
    completion, prompt = known.get("completion"), known.get("prompt")
    return TypicalLengths(
        typical.completion if completion is None else SourcedNumber(completion, origin),
        typical.prompt if prompt is None else SourcedNumber(prompt, origin),
        _aide(known, "judge") or typical.judge,
        _aide(known, "simulator") or typical.simulator,
        known.get("p99"),
        known.get("longest"),
    )


def phi_of(recorded: RecordedBaseline, facts: TaskFacts) -> SourcedNumber:
    """The measured spread over repeats before the assumed one."""
    if recorded.phi is None:
        return facts.phi
    return SourcedNumber(recorded.phi, f"measured over {recorded.repeats} repeats: {recorded.where}")


def _phi(
    value: Floats, item: NDArray[np.intp], means: Floats, count: NDArray[np.intp], weight: Floats, score: float
) -> float | None:
    """Variance of one pass over the items through repeats alone, over that of as many independent coins."""
    several = count > 1
    coin = score * (1 - score)
    if not several.any() or coin <= 0:
        return None
    squares = np.bincount(item, weights=(value - means[item]) ** 2)
    spread = squares[several] / (count[several] - 1)
    part = weight[several]
    single_pass = float((part**2 @ spread) / part.sum() ** 2)
    return single_pass * int(several.sum()) / coin


def _units(clusters: list[str], weight: Floats) -> float:
    _, code = np.unique(np.array(clusters), return_inverse=True)
    held = np.bincount(code, weights=weight)
    return float(held.sum() ** 2 / (held @ held))


def _strata(groups: list[str], means: Floats, weight: Floats) -> dict[str, dict[str, tuple[int, float]]]:
    members: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, text in enumerate(groups):
        for group, value in json.loads(text or "{}").items():
            members[group][str(value)].append(place)
    return {
        group: {
            value: (len(places), float(np.average(means[places], weights=weight[places])))
            for value, places in sorted(values.items())
        }
        for group, values in members.items()
    }


def _lengths(folder: Path, rows: Mapping[str, list[Any]], task: Task) -> dict[str, float | None]:
    """Of plain answers from the table; of attempts with several requests, and of judged ones, from the journals."""
    kind = load(task.adapter)
    single = hasattr(kind, "prompt")
    judged = {"judge", "simulator"} & set(getattr(kind, "needs", ()))
    spent = {} if single and not judged else _journaled(folder)
    if single:
        completion = [count for count in rows["completion_tokens"] if count is not None]
        prompt = [count for count in rows["prompt_tokens"] if count is not None]
    else:
        completion, prompt = spent.get(("model", "completion_tokens"), []), spent.get(("model", "prompt_tokens"), [])
    found: dict[str, float | None] = {
        "completion": float(np.mean(completion)) if completion else None,
        "prompt": float(np.mean(prompt)) if prompt else None,
        "p99": longest([float(count) for count in completion], ()),
        "longest": float(max(completion)) if completion else None,
    }
    for aide in ("judge", "simulator"):
        for kind in ("prompt", "completion"):
            counts = spent.get((aide, f"{kind}_tokens"), [])
            found[f"{aide}_{kind}"] = float(np.mean(counts)) if counts else None
    return found


def _journaled(folder: Path) -> dict[tuple[str, str], list[int]]:
    """(who answered, kind of tokens) -> total of every attempt, in the journals' reply lines."""
    totals: dict[tuple[str, str], dict[tuple[str, int], int]] = defaultdict(lambda: defaultdict(int))
    for path in sorted(folder.glob("journal-*.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.startswith('{"event":"reply"') or not line.endswith("\n"):
                    continue
                event = json.loads(line)
                usage = event["reply"].get("usage") or {}
                for kind in ("prompt_tokens", "completion_tokens"):
                    if usage.get(kind) is not None:
                        totals[event["who"], kind][event["item"], event["repeat"]] += usage[kind]
    return {key: list(attempts.values()) for key, attempts in totals.items()}


def _aide(known: Mapping[str, float | None], who: str) -> dict[str, float] | None:
    prompt, completion = known.get(f"{who}_prompt"), known.get(f"{who}_completion")
    return None if prompt is None or completion is None else {"prompt": prompt, "completion": completion}
