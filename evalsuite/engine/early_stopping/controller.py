"""The comparisons of a run that may stop early, with the cells that they write.

``attach`` takes up what the journals hold, ``scored`` every attempt that ends, and ``finish`` writes the decisions
down. A cell that stops early gets the items that were counted as its plan (``stopped`` says so): it is whole in
itself, a declared part of the task like any other selection, and no headline score.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from evalsuite.engine.early_stopping.sequential_test import ArmScores, SequentialTest
from evalsuite.store.cell import Cell
from evalsuite.store.runs import Place
from evalsuite.store.samples import read_samples


@dataclass(slots=True)
class CellPair:
    """A contest with the cells that play in it."""

    contest: SequentialTest
    baseline: Place
    candidate: Place
    declared: dict[str, Any]
    """The rule as the candidate's manifest keeps it from before its first item."""

    def arm(self, place: Place) -> ArmScores:
        """The arm of one of its cells."""
        return self.contest.candidate if place == self.candidate else self.contest.baseline


@dataclass(slots=True)
class EarlyStopping:
    """All comparisons of a run that may stop early."""

    pairs: tuple[CellPair, ...]
    notes: tuple[str, ...]
    """Tasks that are asked whole, and why."""
    cells: Mapping[Place, Cell] = field(default_factory=dict)
    """Those that are being written."""
    restrict: dict[Place, Callable[[frozenset[str]], None]] = field(default_factory=dict)
    """Cell -> called once with the items that are still wanted of it."""
    _plans: dict[Place, tuple[list[str], Any]] = field(default_factory=dict)
    """Cell -> (items, selection) as asked for."""

    def attach(self, cells: Mapping[Place, Cell]) -> None:
        """Take up what the cells hold, declare the rules in them, and leave out what needs no asking any more."""
        self.cells = cells
        self.pairs = tuple(pair for pair in self.pairs if pair.candidate in cells)
        for place in self._places():
            manifest = cells[place].manifest
            self._plans[place] = (list(manifest["items"]), manifest["selection"])
            for pair in self._of(place):
                read_values(pair.arm(place), pair.contest.order, cells[place].folder)
        for pair in self.pairs:
            cells[pair.candidate].update({"sequential": {**pair.declared, "decision": None}})
            pair.contest.replay()
        for pair in self.pairs:
            self._decided(pair)

    def scored(self, place: Place, item: str, repeat: int, value: float | None) -> None:
        """One attempt ended."""
        for pair in self._of(place):
            pair.contest.scored(pair.arm(place), item, repeat, value)
            if pair.contest.due and pair.contest.interim_look() is not None:
                self._decided(pair)

    def finish(self, console: Console) -> None:
        """Decide anew on what is on record now, write it down, and say what was decided and saved."""
        for place in self._places():
            for pair in self._of(place):
                _forget(pair, place, self.cells[place])
        for pair in self.pairs:
            pair.contest.replay()
        for pair in self.pairs:
            self._decided(pair)
            call = "OPEN" if pair.contest.call is None else pair.contest.call.upper()
            who = f"{pair.candidate[1]}: {pair.candidate[0]} against {pair.baseline[0]}"
            console.print(f"{who}: {call}, {pair.contest.reason}", markup=False)
        for place in self._places():
            saved = self._saved(place)
            if self.cells[place].manifest.get("stopped"):
                self._plan(place, saved)
                tokens = "" if saved["tokens"] is None else f", about {saved['tokens']:,} tokens"
                words = f"{saved['attempts']:,} of {saved['planned']:,} attempts not asked{tokens}"
                console.print(f"{place[0]}/{place[1]} saved: {words}", markup=False)

    def wanted(self, place: Place) -> frozenset[str] | None:
        """The items of a cell that its decided contests rest on; None: all that were asked for."""
        contests = [pair.contest for pair in self._of(place)]
        if not contests or any(one.call is None for one in contests):
            return None
        longest = max(contests, key=lambda one: one.ends)
        return frozenset(longest.order[: longest.ends]) if longest.ends < longest.rule.items else None

    def _decided(self, pair: CellPair) -> None:
        """Write a decision (or that there is none) into the candidate, and the plans that follow from it."""
        candidate = self.cells[pair.candidate]
        decision = None
        if pair.contest.call is not None:
            decision = {**pair.contest.to_json(), "version": candidate.manifest["version"]}
        candidate.update({"sequential": {**pair.declared, "decision": decision}})
        for place in (pair.baseline, pair.candidate):
            if place in self.cells:
                self._plan(place, None)
                if (items := self.wanted(place)) is not None and place in self.restrict:
                    self.restrict[place](items)

    def _plan(self, place: Place, saved: Mapping[str, Any] | None) -> None:
        """What a cell is asked for, by what is decided now."""
        cell, wanted = self.cells[place], self.wanted(place)
        items, selection = self._plans[place]
        if wanted is None:
            if cell.manifest.get("stopped"):
                cell.update({"items": items, "selection": selection, "stopped": None})
            return
        chosen = selection or {"limit": None, "groups": {}, "ids": None}
        stopped = {
            "by": "sequential",
            "items": len(wanted),
            "planned_items": len(items),
            "decisions": [
                {"baseline": pair.baseline[0], "candidate": pair.candidate[0], "call": pair.contest.call}
                for pair in self._of(place)
            ],
            "saved": saved,
        }
        kept = [item for item in items if item in wanted]
        cell.update({"items": kept, "selection": chosen, "stopped": stopped})

    def _saved(self, place: Place) -> dict[str, Any]:
        """Attempts that were never made, of those planned, and the tokens that they would have taken by the mean."""
        cell = self.cells[place]
        items, repeats = set(self._plans[place][0]), int(cell.manifest["repeats"])
        made = sum(key[0] in items and key[1] < repeats for key in cell.replies())
        planned, lengths = len(items) * repeats, list(cell.lengths().values())
        mean = sum(lengths) / len(lengths) if lengths else None
        tokens = None if mean is None else round(mean * (planned - made))
        return {"attempts": planned - made, "planned": planned, "tokens": tokens, "mean_tokens": mean}

    def _of(self, place: Place) -> list[CellPair]:
        return [pair for pair in self.pairs if place in (pair.baseline, pair.candidate)]

    def _places(self) -> list[Place]:
        """The cells that are being written, each once."""
        found = dict.fromkeys(place for pair in self.pairs for place in (pair.baseline, pair.candidate))
        return [place for place in found if place in self.cells]


def read_values(arm: ArmScores, order: tuple[str, ...], folder: Path) -> None:
    """The values that a cell holds."""
    places = {item: place for place, item in enumerate(order)}
    table = read_samples(folder, ["item_id", "repeat", "value"])
    for row in table.to_pylist():
        place = places.get(row["item_id"])
        if place is not None and row["repeat"] < arm.values.shape[1]:
            arm.values[place, row["repeat"]] = np.nan if row["value"] is None else row["value"]


def _forget(pair: CellPair, place: Place, cell: Cell) -> None:
    """Drop values whose attempts were put aside since."""
    arm = pair.arm(place)
    for row, item in enumerate(pair.contest.order):
        for repeat in range(arm.values.shape[1]):
            if not cell.outcome((item, repeat)):
                arm.values[row, repeat] = np.nan
