"""Reads what a baseline recorded earlier: scores, variance over repeats, lengths. They replace what cards assume."""

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
from evalsuite.store import manifest as manifest_files
from evalsuite.store.artefact import MAX_GB, open_artefact
from evalsuite.store.manifest import MANIFEST, read_manifest
from evalsuite.store.samples import read_samples
from evalsuite.tasks.registry import load

MIN_SAMPLES = 20
"""Smallest number of measured samples of a cell that is used."""
_COLUMNS = (
    "item_id", "repeat", "value", "weight", "cluster", "groups", "prompt_tokens", "completion_tokens"
)  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RecordedBaseline:
    """One recorded cell of a baseline."""

    location: str
    """``run/model/task``, or the name of the baseline file."""
    items: int
    """Number of measured items."""
    repeats: int
    """Planned repeats of the cell: kA of a comparison with it."""
    complete: bool
    """Whether every planned sample was measured."""
    score: float
    """Weighted mean score, a fraction."""
    phi: float | None
    """As ``TaskFacts.phi`` with ``answers`` = items; None without repeats."""
    units: float
    """Number of independent sources (Kish 1965: squared sum of weights over sum of squared weights)."""
    lengths: Mapping[str, float | None]
    """Mean tokens per attempt of ``completion`` and ``prompt``, ``p99`` and ``longest`` of the generated tokens, and
    tokens of judge and simulator when recorded."""
    strata: Mapping[str, Mapping[str, tuple[int, float]]]
    """Group -> value -> (items, score)."""


def find_recorded(results_dir: Path, label: str, name: str, task: Task) -> RecordedBaseline | None:
    """Find the best recorded cell of the model folder ``label`` on the task ``name`` in any run of ``results_dir``.

    The variant must equal that of ``task``. Complete cells are preferred, then large ones (items x repeats), then those
    with the newest manifest file. Cells with fewer than 20 measured answers are skipped, and damaged ones, because a
    plan must not fail on them. Returns None when there is none. Raises ``StorageFailed`` or ``OSError`` for a cell's
    file that cannot be read.
    """
    candidates: list[tuple[tuple[bool, int, float], RecordedBaseline]] = []
    for path in sorted(results_dir.glob(f"*/{label}/{name}/{MANIFEST}")):
        recorded = read_recorded(path.parent, f"{path.parents[2].name}/{label}/{name}", task)
        if recorded is not None:
            size = recorded.items * recorded.repeats
            candidates.append(((recorded.complete, size, path.stat().st_mtime), recorded))
    return max(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


@contextmanager
def open_baseline(path: str, max_gb: float = MAX_GB) -> Iterator[tuple[str, dict[str, Path]]]:
    """Yield (model, task -> cell folder) of a baseline file, or of a run folder that holds one model.

    A file is unpacked for the time of the ``with`` block only; ``max_gb`` bounds its unpacked size (10^9 bytes). Raises
    ``BadInput`` when the path is neither, for a damaged, edited or larger file, and for a folder with the cells of
    several models or of none; ``StorageFailed`` where it cannot be unpacked.
    """
    if Path(path).is_dir():
        cells = manifest_files.cell_folders(Path(path))
        models = sorted({cell.parent.name for cell in cells})
        if len(models) != 1:
            models_text = ", ".join(models) or "no cells"
            raise BadInput(f"baseline_run={path} must hold the cells of one model; it holds {models_text}")
        yield models[0], {cell.name: cell for cell in cells}
        return

    with open_artefact(Path(path), max_gb) as artefact:
        yield artefact.model, {cell.task: cell.folder for cell in artefact.cells}


def read_recorded(folder: Path, location: str, task: Task) -> RecordedBaseline | None:
    """Read what the cell in ``folder`` recorded: score, variance over repeats, lengths, groups; None when it has
    another variant than ``task``, is damaged, or has fewer than 20 measured answers.

    Only measured answers count. The token lengths of attempts of several requests, and those of judge and simulator,
    are an exception: they are of all attempts in the journals. ``location`` names the cell in reports. Raises
    ``StorageFailed`` or ``OSError`` when a file of the cell cannot be read.
    """
    try:
        manifest = read_manifest(folder)
        if manifest["identity"]["variant"] != task.variant:
            return None
        rows = read_samples(folder, _COLUMNS).to_pydict()
    except BadInput:
        return None
    measured = [index for index, value in enumerate(rows["value"]) if value is not None]
    if len(measured) < MIN_SAMPLES:
        return None
    rows = {name: [column[index] for index in measured] for name, column in rows.items()}
    ids, item = np.unique(np.array(rows["item_id"]), return_inverse=True)
    value, weights = np.array(rows["value"], dtype=float), np.array(rows["weight"], dtype=float)
    count = np.bincount(item)
    means = np.bincount(item, weights=value) / count
    weight = np.bincount(item, weights=weights) / count
    score = float(np.average(means, weights=weight))
    planned = len(manifest["items"]) * int(manifest["repeats"])
    lengths = _lengths(folder, rows, task)
    first_row = {int(number): index for index, number in reversed(list(enumerate(item)))}
    clusters = [rows["cluster"][first_row[number]] or f"\0{number}" for number in range(len(ids))]
    return RecordedBaseline(
        location,
        len(ids),
        int(manifest["repeats"]),
        len(measured) == planned,
        score,
        _phi(value, item, means, count, weight, score),
        _units(clusters, weight),
        lengths,
        _strata([rows["groups"][first_row[number]] for number in range(len(ids))], means, weight),
    )


def lengths_of(recorded: RecordedBaseline, typical: TypicalLengths) -> TypicalLengths:
    """Return the recorded tokens of an attempt (of judge and simulator when both prompt and completion are known), each
    where it was recorded, else the ``typical`` ones; ``p99`` and ``longest`` are None when not recorded.
    """
    lengths, origin = recorded.lengths, f"recorded: {recorded.location}"
    completion, prompt = lengths.get("completion"), lengths.get("prompt")
    return TypicalLengths(
        typical.completion if completion is None else SourcedNumber(completion, origin),
        typical.prompt if prompt is None else SourcedNumber(prompt, origin),
        _auxiliary_tokens(lengths, "judge") or typical.judge,
        _auxiliary_tokens(lengths, "simulator") or typical.simulator,
        lengths.get("p99"),
        lengths.get("longest"),
    )


def phi_of(recorded: RecordedBaseline, facts: TaskFacts) -> SourcedNumber:
    """Return phi (the variance of repeats of one item, as a fraction of that of independent answers) as measured, with
    its source, or the assumed one of ``facts`` when the cell has no repeats or a score of 0 or 1.
    """
    if recorded.phi is None:
        return facts.phi
    return SourcedNumber(recorded.phi, f"measured over {recorded.repeats} repeats: {recorded.location}")


def _phi(
    value: Floats, item: NDArray[np.intp], means: Floats, count: NDArray[np.intp], weight: Floats, score: float
) -> float | None:
    """Return phi: the variance of the mean score of one pass that comes from repeats alone, divided by the variance
    that as many independent answers with this mean ``score`` would have.

    ``value`` and ``item``: score and item code of each answer; ``means``, ``count`` and ``weight``: mean score, number
    of answers and weight of each item. None without repeats or for a ``score`` of 0 or 1.
    """
    repeated = count > 1
    coin = score * (1 - score)
    if not repeated.any() or coin <= 0:
        return None
    squares = np.bincount(item, weights=(value - means[item]) ** 2)
    spread = squares[repeated] / (count[repeated] - 1)
    part = weight[repeated]
    single_pass = float((part**2 @ spread) / part.sum() ** 2)
    return single_pass * int(repeated.sum()) / coin


def _units(clusters: list[str], weight: Floats) -> float:
    _, code = np.unique(np.array(clusters), return_inverse=True)
    cluster_weights = np.bincount(code, weights=weight)
    return float(cluster_weights.sum() ** 2 / (cluster_weights @ cluster_weights))


def _strata(groups: list[str], means: Floats, weight: Floats) -> dict[str, dict[str, tuple[int, float]]]:
    members: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, text in enumerate(groups):
        for group, value in json.loads(text or "{}").items():
            members[group][str(value)].append(index)
    return {
        group: {
            value: (len(indices), float(np.average(means[indices], weights=weight[indices])))
            for value, indices in sorted(values.items())
        }
        for group, values in members.items()
    }


def _lengths(folder: Path, rows: Mapping[str, list[Any]], task: Task) -> dict[str, float | None]:
    """Return the token lengths of a cell's attempts: ``completion`` and ``prompt`` means, ``p99`` (from 100 attempts
    on) and ``longest`` of the generated tokens, and means of judge and simulator such as ``judge_prompt``; None where
    unknown.

    ``rows``: columns of the measured samples, from which the lengths of answers of one reply come. Those of attempts of
    several requests, and of judge and simulator, come from the journals in ``folder``, of measured attempts or not.
    """
    kind = load(task.adapter)
    is_single_turn = hasattr(kind, "prompt")
    judged = {"judge", "simulator"} & set(getattr(kind, "needs", ()))
    journal_totals = {} if is_single_turn and not judged else _journal_totals(folder)
    if is_single_turn:
        completion = [count for count in rows["completion_tokens"] if count is not None]
        prompt = [count for count in rows["prompt_tokens"] if count is not None]
    else:
        completion, prompt = (
            journal_totals.get(("model", "completion_tokens"), []),
            journal_totals.get(("model", "prompt_tokens"), []),
        )
    lengths: dict[str, float | None] = {
        "completion": float(np.mean(completion)) if completion else None,
        "prompt": float(np.mean(prompt)) if prompt else None,
        "p99": longest([float(count) for count in completion], ()),
        "longest": float(max(completion)) if completion else None,
    }
    for role in ("judge", "simulator"):
        for kind in ("prompt", "completion"):
            counts = journal_totals.get((role, f"{kind}_tokens"), [])
            lengths[f"{role}_{kind}"] = float(np.mean(counts)) if counts else None
    return lengths


def _journal_totals(folder: Path) -> dict[tuple[str, str], list[int]]:
    """Sum the tokens of every attempt from the reply lines of the journals in ``folder``: (role, ``prompt_tokens`` or
    ``completion_tokens``) -> one total per attempt with a count; incomplete last lines and damaged ones are ignored.
    """
    totals: dict[tuple[str, str], dict[tuple[str, int], int]] = defaultdict(lambda: defaultdict(int))
    for path in sorted(folder.glob("journal-*.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.startswith('{"event":"reply"') or not line.endswith("\n"):
                    continue
                try:
                    event = json.loads(line)
                    usage = event["reply"].get("usage") or {}
                    who, attempt = str(event["who"]), (str(event["item"]), int(event["repeat"]))
                except (
                    ValueError,
                    LookupError,
                    AttributeError,
                    TypeError,
                    RecursionError,
                ):  # a damaged line costs its tokens only
                    continue
                for kind in ("prompt_tokens", "completion_tokens"):
                    if type(usage.get(kind)) is int:
                        totals[who, kind][attempt] += usage[kind]
    return {key: list(attempts.values()) for key, attempts in totals.items()}


def _auxiliary_tokens(lengths: Mapping[str, float | None], role: str) -> dict[str, float] | None:
    prompt, completion = lengths.get(f"{role}_prompt"), lengths.get(f"{role}_completion")
    return None if prompt is None or completion is None else {"prompt": prompt, "completion": completion}
