"""``engine.stop=sequential``: what is compared in a run, and by which rule, before anything is asked.

``planned_comparisons`` reads what was asked for and what is on disk, and refuses what cannot be decided in this way
before any cell is opened. ``controller`` follows the comparisons while the run goes on; the rule itself is
``stats.sequential``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite.config.settings import Gate
from evalsuite.engine.early_stopping.controller import CellPair, EarlyStopping, read_values
from evalsuite.engine.early_stopping.sequential_test import ArmScores, SequentialTest, random_order, rule_for
from evalsuite.engine.manifests import RunSpec
from evalsuite.errors import BadInput
from evalsuite.records import canonical_sha
from evalsuite.store.artefact import baseline_cells
from evalsuite.store.manifest import MANIFEST, MUST_AGREE, differences, read_manifest
from evalsuite.store.runs import CellName, model_label
from evalsuite.tasks.loading import LoadedTask

LEAST_ALPHA = 0.045
"""The boundary of passing is tabled for 5 % (``stats.sequential.BOUNDARY``); it cannot promise less."""


@dataclass(frozen=True, slots=True)
class _Names:
    """The cells of one comparison."""

    baseline: CellName
    candidate: CellName
    recorded: Path | None
    """The baseline's cell on record; None: there is none."""


def planned_comparisons(
    folder: Path,
    spec: RunSpec,
    gate: Gate | None,
    baseline_run: str | None,
    max_gb: float,
    redone: str | None = None,
) -> EarlyStopping:
    """Every comparison of a run with its rule, and notes on tasks that are asked whole; writes nothing into the run.

    Args:
        folder: The run's folder.
        spec: What the run asks for.
        gate: The margins that are to be decided; None is refused.
        baseline_run: Path of a baseline artefact or of a run's folder that the command names; None: none.
        max_gb: Most gigabytes (10^9 bytes) that an artefact may unpack to.
        redone: Task whose cells are archived and asked again, so that the rule of the old ones does not matter; None:
            none.

    Raises:
        BadInput: There is no gate, it has no margin for a task that could stop early or one that is not between 0 and
            100 points, or its ``alpha`` is too small; a baseline is missing, damaged, not complete or was asked in
            another way; a candidate's cell was begun in another way; or nothing of the run can stop early.
        StorageFailed: A file cannot be read.
    """
    if gate is None:
        raise BadInput("engine.stop=sequential needs the margins that are to be decided: add gate=release or gate=NAME")
    if gate.alpha < LEAST_ALPHA:
        raise BadInput(f"engine.stop=sequential: passing early is tabled for 5 %; gate.alpha={gate.alpha:g} is too low")
    pairs: list[CellPair] = []
    notes: list[str] = []
    with baseline_cells(baseline_run, max_gb) as brought:
        for task in spec.tasks.values():
            if why := _why_whole(task):
                notes.append(f"{task.name} is asked whole: {why}")
                continue
            if task.name not in gate.margins:
                raise BadInput(f"engine.stop=sequential: gate has no margin for {task.name}: gate.margins.{task.name}")
            for names in _compared(folder, spec, task.name, brought, baseline_run):
                pairs.append(_pair(folder, spec, task, names, gate, redone))
    if not pairs:
        models = ", ".join(spec.models)
        raise BadInput(
            f"engine.stop=sequential needs a candidate: of {models}, none has a baseline and a task that can stop early"
        )
    return EarlyStopping(tuple(pairs), tuple(notes))


def _why_whole(task: LoadedTask) -> str:
    """Why a task cannot stop early (unequal weights, shared sources), for a message; empty if it can."""
    if len({item.weight for item in task.items}) > 1:
        return "its items have different weights"
    clusters = [item.cluster for item in task.items if item.cluster]
    return "its items share sources, and count only together" if len(set(clusters)) < len(clusters) else ""


def _compared(
    folder: Path, spec: RunSpec, task: str, brought: Mapping[str, Path], baseline_run: str | None
) -> list[_Names]:
    """The pairs of cells that are compared on one task: every model that declares another as its baseline.

    One that is itself a baseline here is left out where its own baseline is neither asked nor on record. ``brought``:
    task -> cell of ``baseline_run``.
    """
    manifests = {name: manifest for name, manifest in spec.manifests.items() if name[1] == task}
    baselines = {manifest["baseline"] for manifest in manifests.values()}
    pairs = []
    for name, manifest in manifests.items():
        model, base = manifest["identity"]["model"], manifest["baseline"]
        if base is None or base == model:
            continue
        thinking = spec.models[base if base in spec.models else model].thinking
        baseline = (model_label(base, thinking), task)
        recorded = _recorded_cell(folder, baseline, brought, baseline_run)
        if baseline not in manifests and recorded is None and model in baselines:
            continue  # itself the baseline here
        pairs.append(_Names(baseline, name, recorded))
    return pairs


def _recorded_cell(folder: Path, name: CellName, brought: Mapping[str, Path], baseline_run: str | None) -> Path | None:
    """Folder of the cell ``name`` of a baseline on record: in the run ``folder``, else in ``baseline_run``; None
    without one.

    ``brought``: task -> cell of ``baseline_run``. Of an artefact the cell of the task is taken whatever its model's
    name.
    """
    runs = [folder, *([] if baseline_run is None else [Path(baseline_run)])]
    cells = [cell for run in runs if ((cell := run / name[0] / name[1]) / MANIFEST).exists()]
    if cells or (baseline_run is not None and Path(baseline_run).is_dir()):
        return cells[0] if cells else None
    return brought.get(name[1])


def _pair(
    folder: Path, spec: RunSpec, task: LoadedTask, names: _Names, gate: Gate, redone: str | None = None
) -> CellPair:
    """The comparison of two cells on one task, with its rule; a baseline that is not asked now is read from its cell on
    record.

    Raises ``BadInput`` where there is no baseline, that on record is not complete or was asked otherwise, the margin is
    impossible, or the candidate was begun otherwise (which does not matter for the task ``redone``).
    """
    (base_label, _), (label, _) = names.baseline, names.candidate
    order = random_order(task.items, task.seed)
    repeats = task.settings.repeats
    baseline = ArmScores.empty(len(order), repeats)
    if names.baseline in spec.manifests:
        identity = spec.manifests[names.baseline]["identity"]
    elif names.recorded is not None:
        identity, baseline = _recorded_scores(names.recorded, order, spec.manifests[names.candidate], task)
    else:
        raise BadInput(
            f"engine.stop=sequential: {label} needs its baseline {base_label} on {task.name}: ask both, "
            "'model=[BASELINE,CANDIDATE]', or bring one with baseline_run=FILE"
        )
    margin = gate.margins[task.name].points / 100
    if not 0 < margin < 1:
        raise BadInput(f"gate.margins.{task.name}.points={100 * margin:g}: must be above 0 and below 100")
    rule = rule_for(len(order), margin, gate.alpha)
    test = SequentialTest(rule, order, baseline, ArmScores.empty(len(order), repeats))
    declared = {
        "baseline": base_label,
        "baseline_sha": canonical_sha(dict(identity)),
        "items": rule.items,
        "order_sha": canonical_sha(list(order)),
        "block": test.block,
        "looks": list(rule.looks),
        "margin": rule.margin,
        "alpha": rule.alpha,
    }
    if task.name != redone:
        _check_rule(folder / label / task.name, declared)
    return CellPair(test, names.baseline, names.candidate, declared)


def _check_rule(folder: Path, declared: Mapping[str, Any]) -> None:
    """Raise ``BadInput`` if the candidate's cell in ``folder`` was begun under another rule than ``declared``, or has a
    journal and no rule. A cell that is not there passes.
    """
    if not (folder / MANIFEST).exists():
        return
    known = read_manifest(folder).get("sequential")
    remedy = 'another run_id=, or redo=TASK reason="..."'
    if known is None:
        if any(folder.glob("journal-*.jsonl")):
            raise BadInput(f"{folder} was begun without engine.stop=sequential; rules come first: {remedy}")
        return
    lines = differences({key: known.get(key) for key in declared}, declared)
    if lines:
        raise BadInput(f"{folder} was begun under another sequential rule ({'; '.join(lines)}): {remedy}")


def _recorded_scores(
    folder: Path, order: tuple[str, ...], candidate: Mapping[str, Any], task: LoadedTask
) -> tuple[Mapping[str, Any], ArmScores]:
    """(identity, values with rows as ``order``) of the baseline's cell on record in ``folder``.

    Raises ``BadInput`` if it was asked or graded in another way than ``candidate`` (a manifest), stopped early, or
    lacks a value of an item in any repeat that both it and ``task`` have.
    """
    manifest = read_manifest(folder)
    known = {key: value for key in MUST_AGREE if (value := manifest["identity"].get(key)) is not None}
    lines = differences(known, {key: candidate["identity"].get(key) for key in known})
    lines += differences({"version": manifest["version"]}, {"version": candidate["version"]})
    if lines:
        raise BadInput(f"the baseline {folder} cannot be compared with this run, they differ in {'; '.join(lines)}")
    arm = ArmScores.empty(len(order), int(manifest["repeats"]))
    read_values(arm, order, folder)
    shared = min(task.settings.repeats, int(manifest["repeats"]))
    missing = int(np.isnan(arm.values[:, :shared]).any(axis=1).sum())
    if missing or manifest.get("stopped"):
        why = "it stopped early" if manifest.get("stopped") else f"{missing:,} of {len(order):,} items are missing"
        raise BadInput(f"the baseline {folder} must be whole to be compared with ({why}); ask both in one run")
    return manifest["identity"], arm
