"""The comparisons of a run that may stop early, with the cells that they write.

``attach`` reads what the journals hold, ``scored`` takes every attempt that ends, and ``finish`` writes the decisions
down. A cell that stops early gets the items that were counted as its plan (``stopped`` in its manifest): it is complete
as it is, a declared part of the task like any other selection, and no headline score.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from evalsuite.engine.early_stopping.sequential_test import ArmScores, SequentialTest
from evalsuite.store.cell import Cell
from evalsuite.store.runs import CellName
from evalsuite.store.samples import read_samples


@dataclass(slots=True)
class CellPair:
    """A sequential test with the two cells that it compares."""

    test: SequentialTest
    baseline: CellName
    candidate: CellName
    declared: dict[str, Any]
    """The rule as the candidate's manifest keeps it from before its first item."""

    def arm(self, name: CellName) -> ArmScores:
        """The scores that the test holds of the cell ``name``, which must be one of the two that are compared."""
        return self.test.candidate if name == self.candidate else self.test.baseline


@dataclass(slots=True)
class EarlyStopping:
    """All comparisons of a run that may stop early."""

    pairs: tuple[CellPair, ...]
    notes: tuple[str, ...]
    """Tasks that are asked whole, each with the reason."""
    cells: Mapping[CellName, Cell] = field(default_factory=dict)
    """The cells that are being written."""
    restrict: dict[CellName, Callable[[frozenset[str]], None]] = field(default_factory=dict)
    """Cell -> called with the items that are still needed of it, once its comparisons are decided."""
    _plans: dict[CellName, tuple[list[str], Any]] = field(default_factory=dict)
    """Cell -> (items, selection) as asked for."""

    def attach(self, cells: Mapping[CellName, Cell]) -> None:
        """Read the values that the cells hold, write the rules, and decisions that these values allow, into the
        candidates' manifests, and cut the plan of a cell whose comparisons are all decided to the items that these rest
        on (``needed_items``).

        Comparisons whose candidate is not among ``cells`` are dropped. Manifests of cells that are not open change in
        memory only.
        """
        self.cells = cells
        self.pairs = tuple(pair for pair in self.pairs if pair.candidate in cells)
        for name in self._open_cells():
            manifest = cells[name].manifest
            self._plans[name] = (list(manifest["items"]), manifest["selection"])
            for pair in self._pairs_of(name) if not cells[name].is_new else ():
                read_values(pair.arm(name), pair.test.order, cells[name].folder)
        for pair in self.pairs:
            cells[pair.candidate].update({"sequential": {**pair.declared, "decision": None}})
            pair.test.replay()
        for pair in self.pairs:
            self._record_decision(pair)

    def scored(self, name: CellName, item: str, repeat: int, value: float | None) -> None:
        """Take the ``value`` (a score from 0 to 1; None: not measured) of an attempt that ended in the cell ``name``.

        ``repeat`` counts from 0; a second value of the same attempt replaces the first. Where enough values are new,
        the comparisons are tested; a decision is written to the manifests of its cells that this run writes, and
        attempts at items that are not needed are not started any more. Cells, items and repeats that are not compared
        are ignored.
        """
        for pair in self._pairs_of(name):
            pair.test.scored(pair.arm(name), item, repeat, value)
            if pair.test.due and pair.test.interim_look() is not None:
                self._record_decision(pair)

    def finish(self, console: Console) -> None:
        """Decide again on the values taken so far, without attempts that were invalidated since, and write the
        decisions, and what was saved by them, into the manifests.

        Prints every decision (``OPEN`` where there is none) to ``console``, and for each cell that stopped early the
        attempts and, where known, the tokens that were saved.
        """
        for name in self._open_cells():
            for pair in self._pairs_of(name):
                _drop_invalidated(pair, name, self.cells[name])
        for pair in self.pairs:
            pair.test.replay()
        for pair in self.pairs:
            self._record_decision(pair)
            call = "OPEN" if pair.test.call is None else pair.test.call.upper()
            arms = f"{pair.candidate[1]}: {pair.candidate[0]} against {pair.baseline[0]}"
            console.print(f"{arms}: {call}, {pair.test.reason}", markup=False)
        for name in self._open_cells():
            saved = self._saved(name)
            if self.cells[name].manifest.get("stopped"):
                self._record_plan(name, saved)
                tokens = "" if saved["tokens"] is None else f", about {saved['tokens']:,} tokens"
                words = f"{saved['attempts']:,} of {saved['planned']:,} attempts not asked{tokens}"
                console.print(f"{name[0]}/{name[1]} saved: {words}", markup=False)

    def needed_items(self, name: CellName) -> frozenset[str] | None:
        """Ids of the items of a cell that its decided comparisons rest on; None: all (a comparison is open, needed them
        all, or the cell is not compared).
        """
        tests = [pair.test for pair in self._pairs_of(name)]
        if not tests or any(test.call is None for test in tests):
            return None
        longest = max(tests, key=lambda test: test.ends)
        return frozenset(longest.order[: longest.ends]) if longest.ends < longest.rule.items else None

    def _record_decision(self, pair: CellPair) -> None:
        """Write the state of a comparison into the candidate's manifest, and the items that follow from it into the
        manifests of its cells that this run writes; items that are not needed are not started any more.
        """
        candidate = self.cells[pair.candidate]
        decision = None
        if pair.test.call is not None:
            decision = {**pair.test.to_json(), "version": candidate.manifest["version"]}
        candidate.update({"sequential": {**pair.declared, "decision": decision}})
        for name in (pair.baseline, pair.candidate):
            if name in self.cells:
                self._record_plan(name, None)
                if (items := self.needed_items(name)) is not None and name in self.restrict:
                    self.restrict[name](items)

    def _record_plan(self, name: CellName, saved: Mapping[str, Any] | None) -> None:
        """Write into a cell's manifest which items count by what is decided now (``needed_items``). Where all count,
        a stopped cell gets its whole plan again, and another cell stays as it is.

        ``saved``: what stopping has saved (see ``_saved``); None while the run goes on.
        """
        cell, needed = self.cells[name], self.needed_items(name)
        items, selection = self._plans[name]
        if needed is None:
            if cell.manifest.get("stopped"):
                cell.update({"items": items, "selection": selection, "stopped": None})
            return
        stopped = {
            "by": "sequential",
            "items": len(needed),
            "planned_items": len(items),
            "decisions": [
                {"baseline": pair.baseline[0], "candidate": pair.candidate[0], "call": pair.test.call}
                for pair in self._pairs_of(name)
            ],
            "saved": saved,
        }
        kept = [item for item in items if item in needed]
        whole: dict[str, Any] = {"limit": None, "groups": {}, "ids": None}
        cell.update({"items": kept, "selection": selection or whole, "stopped": stopped})

    def _saved(self, name: CellName) -> dict[str, Any]:
        """What stopping has saved in a cell: planned attempts without a reply on record (``attempts``, of ``planned``),
        and the ``tokens`` that they would have taken at ``mean_tokens`` each.

        ``mean_tokens`` is the mean over attempts of known length; both token counts are None where there is none.
        """
        cell = self.cells[name]
        items, repeats = set(self._plans[name][0]), int(cell.manifest["repeats"])
        made = sum(key[0] in items and key[1] < repeats for key in cell.reply_counts())
        planned, lengths = len(items) * repeats, list(cell.lengths().values())
        mean = sum(lengths) / len(lengths) if lengths else None
        tokens = None if mean is None else round(mean * (planned - made))
        return {"attempts": planned - made, "planned": planned, "tokens": tokens, "mean_tokens": mean}

    def _pairs_of(self, name: CellName) -> list[CellPair]:
        return [pair for pair in self.pairs if name in (pair.baseline, pair.candidate)]

    def _open_cells(self) -> list[CellName]:
        """Names of the compared cells that this run has, each once."""
        names = dict.fromkeys(name for pair in self.pairs for name in (pair.baseline, pair.candidate))
        return [name for name in names if name in self.cells]


def read_values(arm: ArmScores, order: tuple[str, ...], folder: Path) -> None:
    """Copy the values on record in the cell in ``folder`` into ``arm``, whose rows are the items of ``order``; None
    becomes NaN. Other items, and repeats that ``arm`` has no column for, are left out.
    """
    places = {item: place for place, item in enumerate(order)}
    table = read_samples(folder, ["item_id", "repeat", "value"])
    for row in table.to_pylist():
        place = places.get(row["item_id"])
        if place is not None and row["repeat"] < arm.values.shape[1]:
            arm.values[place, row["repeat"]] = np.nan if row["value"] is None else row["value"]


def _drop_invalidated(pair: CellPair, name: CellName, cell: Cell) -> None:
    """Set the values in ``pair`` of attempts in the cell ``name`` that have no outcome any more, being invalidated, to
    NaN."""
    arm = pair.arm(name)
    for row, item in enumerate(pair.test.order):
        for repeat in range(arm.values.shape[1]):
            if not cell.outcome((item, repeat)):
                arm.values[row, repeat] = np.nan
