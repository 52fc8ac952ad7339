"""``engine.stop=sequential``: what is compared in this run, and by which rule, before anything is asked.

``planned`` reads what was asked for and what is on disk, and refuses what cannot be decided in this way before any cell
is opened. What follows while the run goes on is ``contests``; the rule itself is ``stats.sequential``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite.config.settings import Model, Run
from evalsuite.engine.early_stopping.controller import CellPair, EarlyStopping, read_values
from evalsuite.engine.early_stopping.sequential_test import ArmScores, SequentialTest, random_order, rule_for
from evalsuite.errors import BadInput
from evalsuite.records import canonical_sha
from evalsuite.store import runs as run_folder
from evalsuite.store.baseline import baseline_cells
from evalsuite.store.manifest import MANIFEST, MUST_AGREE, differences, read_manifest
from evalsuite.store.runs import Place
from evalsuite.tasks.loading import LoadedTask

LEAST_ALPHA = 0.045
"""The boundary of passing is tabled for 5 % (``stats.sequential.BOUNDARY``); it cannot promise less."""


def planned(
    folder: Path,
    models: Mapping[str, Model],
    tasks: Mapping[str, LoadedTask],
    asked: Mapping[Place, Mapping[str, Any]],
    settings: Run,
) -> EarlyStopping:
    """Every comparison of this run with its rule; ``asked`` are the manifests of its cells.

    Raises ``BadInput`` without margins or a baseline, for a cell that was begun in another way, and where nothing of
    the run can stop early.
    """
    gate = settings.gate
    if gate is None:
        raise BadInput("engine.stop=sequential needs the margins that are to be decided: add gate=release or gate=NAME")
    if gate.alpha < LEAST_ALPHA:
        raise BadInput(f"engine.stop=sequential: passing early is tabled for 5 %; gate.alpha={gate.alpha:g} is too low")
    pairs: list[CellPair] = []
    notes: list[str] = []
    bases = {settings.baseline or model.baseline for model in models.values()}
    with baseline_cells(settings.baseline_run) as known:
        for task in tasks.values():
            if whole := _whole(task):
                notes.append(f"{task.name} is asked whole: {whole}")
                continue
            if task.name not in gate.margins:
                raise BadInput(f"engine.stop=sequential: gate has no margin for {task.name}: gate.margins.{task.name}")
            for name, model in models.items():
                base = settings.baseline or model.baseline
                if base is None or base == name:
                    continue
                place = (run_folder.label(name, model.thinking), task.name)
                thinking = models[base].thinking if base in models else model.thinking
                rival = (run_folder.label(base, thinking), task.name)
                recorded = _found(folder, rival, known, settings.baseline_run)
                if rival not in asked and recorded is None and name in bases:
                    continue  # itself the baseline here
                pairs.append(_pair(folder, task, asked, (rival, place), recorded, settings))
    if not pairs:
        names = ", ".join(models)
        raise BadInput(
            f"engine.stop=sequential needs a candidate: of {names}, none has a baseline and a task that can stop early"
        )
    return EarlyStopping(tuple(pairs), tuple(notes))


def _whole(task: LoadedTask) -> str:
    """Why a task cannot stop early; empty if it can."""
    if len({item.weight for item in task.items}) > 1:
        return "its items have different weights"
    clusters = [item.cluster for item in task.items if item.cluster]
    return "its items share sources, and count only together" if len(set(clusters)) < len(clusters) else ""


def _found(folder: Path, rival: Place, known: Mapping[str, Path], brought: str | None) -> Path | None:
    """A baseline that is on record: in this run, else in ``baseline_run``."""
    runs = [folder, *([] if brought is None else [Path(brought)])]
    cells = [cell for run in runs if ((cell := run / rival[0] / rival[1]) / MANIFEST).exists()]
    if cells or (brought is not None and Path(brought).is_dir()):
        return cells[0] if cells else None
    return known.get(rival[1])


def _pair(
    folder: Path,
    task: LoadedTask,
    asked: Mapping[Place, Mapping[str, Any]],
    places: tuple[Place, Place],
    recorded: Path | None,
    settings: Run,
) -> CellPair:
    """One comparison; a baseline that is not asked now is read from this run, else from ``baseline_run``."""
    assert settings.gate is not None
    rival, place = places
    order = random_order(task.items, settings.seed)
    repeats = task.settings.repeats
    identity = asked[rival]["identity"] if rival in asked else None
    baseline = ArmScores.empty(len(order), repeats)
    if identity is None:
        if recorded is None:
            raise BadInput(
                f"engine.stop=sequential: {place[0]} needs its baseline {rival[0]} on {task.name}: ask both, "
                "'model=[BASELINE,CANDIDATE]', or bring one with baseline_run=FILE"
            )
        identity, baseline = _recorded(recorded, order, asked[place], task)
    margin = settings.gate.margins[task.name].points / 100
    if not 0 < margin < 1:
        raise BadInput(f"gate.margins.{task.name}.points={100 * margin:g}: must be above 0 and below 100")
    rule = rule_for(len(order), margin, settings.gate.alpha)
    contest = SequentialTest(rule, order, baseline, ArmScores.empty(len(order), repeats))
    declared = {
        "baseline": rival[0],
        "baseline_sha": canonical_sha(dict(identity)),
        "items": rule.items,
        "order_sha": canonical_sha(list(order)),
        "block": contest.block,
        "looks": list(rule.looks),
        "margin": rule.margin,
        "alpha": rule.alpha,
    }
    _same_rule(folder / place[0] / place[1], declared)
    return CellPair(contest, rival, place, declared)


def _same_rule(folder: Path, declared: Mapping[str, Any]) -> None:
    """Raises ``BadInput`` for a candidate that was begun under another rule, or under none."""
    if not (folder / MANIFEST).exists():
        return
    known = read_manifest(folder).get("sequential")
    again = 'another run_id=, or redo=TASK reason="..."'
    if known is None:
        if any(folder.glob("journal-*.jsonl")):
            raise BadInput(f"{folder} was begun without engine.stop=sequential; rules come first: {again}")
        return
    lines = differences({key: known.get(key) for key in declared}, declared)
    if lines:
        raise BadInput(f"{folder} was begun under another sequential rule ({'; '.join(lines)}): {again}")


def _recorded(
    folder: Path, order: tuple[str, ...], candidate: Mapping[str, Any], task: LoadedTask
) -> tuple[Mapping[str, Any], ArmScores]:
    """Identity and values of a baseline on record. Raises ``BadInput`` if it was asked otherwise or is not whole."""
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
