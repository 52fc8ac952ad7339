"""Separates what a checkpoint changes from what its server changes, where arms differ in server facts on purpose.

``varies`` names these facts. The arms of a task are then a table of checkpoints and server settings: two checkpoints at
two settings give the effect of each and their interaction, all paired by item. A difference between two arms that
differ in both is never put down to one of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd

from evalsuite.analysis import comparability, scores
from evalsuite.analysis.comparison import ScoredRows
from evalsuite.endpoint.identity.differences import EXPECTED, NUMERIC, REFUSING, differing, stated
from evalsuite.endpoint.identity.facts import CANONICAL
from evalsuite.errors import unknown_name
from evalsuite.stats.delta import Delta
from evalsuite.stats.effects import Kind, Place, effect
from evalsuite.store.runs import TableCell

_PLACES: tuple[Place, ...] = ((0, 0), (0, 1), (1, 0), (1, 1))


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect with its interval; fractions of 1 (``stats.effects``)."""

    kind: Kind
    """``checkpoint``, ``server`` or ``interaction``."""
    at: str
    """The setting or checkpoint at which it was measured; empty for the mean of both, and for the interaction."""
    change: Delta
    """The paired change."""
    besides: tuple[str, ...]
    """Facts outside ``varies`` that are known to change numbers and differ between its arms, too."""

    def to_json(self) -> dict[str, Any]:
        """Return an entry of ``effects[].effects`` in ``comparison.json``: kind, setting or checkpoint (null for none),
        delta, its error, 95 % interval, p value and method, and what else differs.
        """
        change = self.change
        return {
            "effect": self.kind,
            "at": self.at or None,
            "delta": change.delta,
            "stderr": change.stderr,
            "ci95": None if change.ci95 is None else list(change.ci95),
            "p_value": change.p_value,
            "method": change.method,
            "besides": list(self.besides),
        }


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects on one task, from two checkpoints at two server settings or from a part of these four arms."""

    task: str
    """Name of the task."""
    varies: tuple[str, ...]
    """The server facts that differ on purpose."""
    arms: Mapping[Place, TableCell]
    """The arms that there are."""
    checkpoints: tuple[str, ...]
    """Title of the reference checkpoint, and of the other one where there is one."""
    settings: tuple[str, str]
    """The reference's server setting and the other one, such as ``speculative off``."""
    items: int = 0
    """Number of items that all arms have."""
    effects: tuple[Effect, ...] = ()
    """The effects that these arms show; empty with ``reason``."""
    reason: str = ""
    """Why there are no numbers; empty when there are."""

    @property
    def missing(self) -> str:
        """The arm of the four (checkpoint, setting) that the interaction lacks, such as ``FP8 with speculative off``;
        empty if none is missing or there is only one checkpoint.
        """
        places = [place for place in _PLACES if place not in self.arms] if len(self.checkpoints) > 1 else []
        return "".join(
            f"{self.checkpoints[checkpoint]} with {self.settings[setting]}" for checkpoint, setting in places
        )

    def to_json(self) -> dict[str, Any]:
        """Return one entry of ``effects`` in ``comparison.json``: task, varied facts, checkpoints, settings, arms,
        missing arm (null for none), number of items, the effects and the reason for none.
        """
        arms = [
            {"model": cell.model, "checkpoint": self.checkpoints[place[0]], "setting": self.settings[place[1]]}
            for place, cell in self.arms.items()
        ]
        return {
            "task": self.task,
            "varies": list(self.varies),
            "checkpoints": list(self.checkpoints),
            "settings": list(self.settings),
            "arms": arms,
            "missing": self.missing or None,
            "items": self.items,
            "effects": [effect.to_json() for effect in self.effects],
            "reason": self.reason,
        }


def effects_of(scored: Sequence[ScoredRows], baselines: Sequence[str]) -> tuple[tuple[Effects, ...], str]:
    """Compute the effects on every task, where cells declare facts that differ on purpose (``varies``).

    Args:
        scored: All cells with their planned rows.
        baselines: Names of baseline models; the first that a task has is its reference, else the task's first cell.
            Cells whose servers do not state the facts, and those without a known checkpoint, do not count.

    Returns:
        (The effects by task, checkpoint and setting, each with numbers or the reason for none; why there are none
        although cells declare facts). The text is empty when there are effects or nothing is declared; else a fact is
        unknown or may not vary, is not stated by the servers, or does not differ between arms of one checkpoint.
    """
    declared = (side.score.cell.manifest.get("varies") or () for side in scored)
    varies = tuple(dict.fromkeys(str(name) for names in declared for name in names))
    if not varies:
        return (), ""
    facts = {side.score.cell.folder: stated(side.score.cell.manifest) for side in scored}
    for name in varies:
        if name in EXPECTED | REFUSING or not (name in CANONICAL or any(name in known for known in facts.values())):
            return (), str(unknown_name("server fact in varies", name, CANONICAL.keys() - EXPECTED - REFUSING))
    ordered = sorted(scored, key=lambda side: _rank(side.score.cell.model, baselines))
    found: list[Effects] = []
    problem = ""
    for group in dict.fromkeys(map(_group, ordered)):
        sides = [side for side in ordered if _group(side) == group]
        settings = [_setting(varies, facts[side.score.cell.folder]) for side in sides]
        tables = list(_tables(varies, sides, settings))
        problem = problem or ("" if tables else _problem(sides, settings))
        found += tables
    return tuple(found), f"varies=[{','.join(varies)}]: {problem}" if problem and not found else ""


def _rank(model: str, baselines: Sequence[str]) -> int:
    return baselines.index(model) if model in baselines else len(baselines)


def _group(side: ScoredRows) -> tuple[str, str]:
    """Return (task, whether the model thinks, as text), which all arms of one comparison table share."""
    return side.score.cell.task, str(side.score.cell.identity.get("thinking"))


def _setting(varies: Sequence[str], facts: Mapping[str, str]) -> str:
    """Return the values of the varied facts as text, such as ``speculative off``; empty when ``facts`` (name -> value
    as the server states it) lacks one.
    """
    return ", ".join(f"{name} {facts[name]}" for name in varies) if all(name in facts for name in varies) else ""


def _tables(varies: tuple[str, ...], sides: Sequence[ScoredRows], settings: Sequence[str]) -> Iterator[Effects]:
    """Yield the effects between the arms of one task: for each further checkpoint and each further setting, those of
    the four arms that they make with the first checkpoint and the first setting, when at least three exist; then, for
    each checkpoint, its first setting with each other one that no such table covers.
    ``settings``: text of each side's server setting, in the order of ``sides``; sides with an empty one or without a
    known checkpoint are ignored. Of several sides with the same checkpoint and setting the first counts.
    """
    grid: dict[tuple[Any, str], ScoredRows] = {}
    for side, setting in zip(sides, settings, strict=True):
        if setting and (checkpoint := comparability.checkpoint_of(side.score.cell)):
            grid.setdefault((checkpoint, setting), side)
    checkpoints = list(dict.fromkeys(checkpoint for checkpoint, _ in grid))
    known = list(dict.fromkeys(setting for _, setting in grid))
    covered: set[Any] = set()
    for other in checkpoints[1:]:
        for setting in known[1:]:
            names = [(checkpoint, value) for checkpoint in (checkpoints[0], other) for value in (known[0], setting)]
            arms = {place: grid[name] for place, name in zip(_PLACES, names, strict=True) if name in grid}
            if len(arms) >= 3:
                covered |= {(checkpoints[0], setting), (other, setting)}
                yield _measured(varies, arms, (known[0], setting))
    for checkpoint in checkpoints:
        first, *others = (setting for setting in known if (checkpoint, setting) in grid)
        for setting in others:
            if (checkpoint, setting) not in covered:
                arms = {(0, 0): grid[checkpoint, first], (0, 1): grid[checkpoint, setting]}
                yield _measured(varies, arms, (first, setting))


def _measured(varies: tuple[str, ...], arms: Mapping[Place, ScoredRows], settings: tuple[str, str]) -> Effects:
    """Compute all effects that two, three or four arms of one task show, paired on their common items; without numbers
    the result gives a reason.

    ``arms``: (checkpoint, setting), each 0 or 1, -> its rows. ``settings``: the texts of settings 0 and 1.
    """
    cells = {place: side.score.cell for place, side in arms.items()}
    first = {checkpoint: cell for (checkpoint, _), cell in reversed(cells.items())}
    titles = tuple(first[checkpoint].title for checkpoint in sorted(first))
    whole = Effects(next(iter(cells.values())).task, varies, cells, titles, settings)
    rows = dict(zip(arms, _common_rows([side.rows for side in arms.values()]), strict=True))
    if reason := _reason(list(arms.values()), rows):
        return replace(whole, reason=reason)
    frames = {place: scores.item_means(part) for place, part in rows.items()}
    frame = next(iter(frames.values()))
    measure = partial(
        effect,
        {place: scores.values_of(part) for place, part in frames.items()},
        single=all(len(rows[place]) == len(frame) for place in rows),
        weights=scores.weights_of(frame),
        clusters=scores.clusters_of(frame),
    )
    effects = [
        Effect(
            kind, "" if at is None else (settings if kind == "checkpoint" else titles)[at], measure(kind, at), besides
        )
        for kind, at, besides in _shown(cells, varies)
    ]
    return replace(whole, items=len(frame), effects=tuple(effects))


def _common_rows(rows: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Select from each arm's sample rows those of the items that all arms have, and only the common repeats where
    prompts depend on the repeat; in the order of ``rows``.
    """
    items = set.intersection(*(set(part["item_id"].astype(str)) for part in rows))
    rows = [scores.select_items(part, items) for part in rows]
    if any(comparability.prompt_depends_on_repeat(part, part) for part in rows):
        repeats = set.intersection(*(set(part["repeat"]) for part in rows))
        rows = [part[part["repeat"].isin(repeats)] for part in rows]
    return list(rows)


def _reason(arms: Sequence[ScoredRows], rows: Mapping[Place, pd.DataFrame]) -> str:
    """Return the first reason why these arms give no numbers (incomplete, stopped early, not comparable, no common
    item); empty when they do. ``rows``: their common sample rows.
    """
    for side in arms:
        if not side.score.complete:
            return f"{side.score.cell.title}: {side.score.missing_text}"
        if side.score.cell.manifest.get("stopped"):
            return f"{side.score.cell.title} stopped early, in another comparison"
    first, *others = arms
    for side in others:
        check = comparability.check(first.score.cell, side.score.cell, first.rows, side.rows)
        if not check.ok:
            return f"{side.score.cell.title} and {first.score.cell.title} differ in {'; '.join(check.differences)}"
    return "" if all(len(part) for part in rows.values()) else "the arms have no item in common"


def _shown(
    cells: Mapping[Place, TableCell], varies: Sequence[str]
) -> Iterator[tuple[Kind, int | None, tuple[str, ...]]]:
    """Yield every effect that the arms show as (kind, setting or checkpoint at which it is measured, other facts that
    differ and can change numbers); the place is None for the mean of both, which comes first, and for the interaction.

    ``cells``: (checkpoint, setting), each 0 or 1, -> cell. ``varies``: facts that differ on purpose, left out of the
    third part.
    """
    names = NUMERIC - set(varies)
    pairs: dict[Kind, list[tuple[int, Place, Place]]] = {
        "checkpoint": [(setting, (0, setting), (1, setting)) for setting in (0, 1)],
        "server": [(checkpoint, (checkpoint, 0), (checkpoint, 1)) for checkpoint in (0, 1)],
    }
    everything: list[str] = []
    for kind, places in pairs.items():
        single = [
            (at, differing(cells[before].manifest, cells[after].manifest, names))
            for at, before, after in places
            if before in cells and after in cells
        ]
        together = tuple(dict.fromkeys(text for _, texts in single for text in texts))
        everything += together
        if len(cells) == len(_PLACES):
            yield kind, None, together
        for at, texts in single:
            yield kind, at, texts
    if len(cells) == len(_PLACES):
        yield "interaction", None, tuple(dict.fromkeys(everything))


def _problem(sides: Sequence[ScoredRows], settings: Sequence[str]) -> str:
    """Return why no effect can be separated on a task (setting not stated, equal in all arms, or changing with the
    checkpoint), and for the last two what to run.

    ``settings``: text of each side's server setting, in the order of ``sides``; empty when not stated.
    """
    cells = [side.score.cell for side in sides]
    arms = [(cell, setting) for cell, setting in zip(cells, settings, strict=True) if setting]
    silent = [cell.model for cell, setting in zip(cells, settings, strict=True) if not setting]
    if len(arms) < 2 and silent:
        return f"the servers of {', '.join(silent)} do not state it, so that no two arms can be compared by it"
    cell, setting = arms[0]
    different = next(((other, value) for other, value in arms if value != setting), None)
    if different is None:
        names = ", ".join(other.model for other, _ in arms)
        return (
            f"{setting} in all arms ({names}); nothing differs. Serve {cell.title} with another setting as a "
            "model of its own, and run it"
        )
    other, value = different
    return (
        f"{cell.model} ({setting}) and {other.model} ({value}) are of different checkpoints, so that checkpoint and "
        f"server change together: ask {cell.title} with {value}, too, or {other.title} with {setting}"
    )
