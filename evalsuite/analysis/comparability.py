"""May two cells be compared: what is known to differ, and what is unknown on one side.

The comparison of what is known to differ is refused with the differing keys; what is unknown (answers recorded
elsewhere) is a warning that every table carries.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import pandas as pd

from evalsuite.endpoint.identity.differences import differing_facts
from evalsuite.errors import EvalsuiteError
from evalsuite.store import manifest
from evalsuite.store.manifest import MUST_AGREE
from evalsuite.store.runs import TableCell
from evalsuite.tasks import registry as adapters


@dataclass(frozen=True, slots=True)
class Comparable:
    """The verdict on two cells of one task."""

    differences: tuple[str, ...]
    """``key: baseline -> candidate``; the comparison is refused if there is any."""
    unknown: tuple[str, ...]
    """Keys that one side does not know, with that side."""
    confounders: tuple[str, ...] = ()
    """What differs between the answers' prompts as the servers counted them: a warning."""

    @property
    def ok(self) -> bool:
        """Whether nothing is known to differ."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """As in ``comparison.json``."""
        return {
            "ok": self.ok,
            "differences": list(self.differences),
            "unknown": list(self.unknown),
            "confounders": list(self.confounders),
        }


def check(baseline: TableCell, candidate: TableCell, base: pd.DataFrame, cand: pd.DataFrame) -> Comparable:
    """Compare identities, grading versions and prompts of two cells with their rows ``base`` and ``cand``."""
    differences: list[str] = []
    unknown: list[str] = []
    for key in MUST_AGREE:
        old, new = baseline.identity.get(key), candidate.identity.get(key)
        if old is None or new is None:
            sides = [cell.model for cell, value in ((baseline, old), (candidate, new)) if value is None]
            unknown.append(f"{key} ({_sides(sides)})")
        elif old != new:
            differences += _lines(key, old, new)
    if None not in (baseline.identity.get("thinking"), candidate.identity.get("thinking")):  # one was imported
        switches = (cell.identity.get("thinking_switch") for cell in (baseline, candidate))
        differences += _lines("thinking_switch", *switches)
    for who in ("judge", "simulator"):
        differences += _lines(who, baseline.manifest.get(who), candidate.manifest.get(who))
    old_versions, new_versions = (sorted(set(rows["version"].astype(str))) for rows in (base, cand))
    if old_versions != new_versions and old_versions and new_versions:
        versions = f"{'+'.join(old_versions)} -> {'+'.join(new_versions)}"
        differences.append(f"version: {versions} (grade both sides alike with: evalsuite rescore)")
    changed, hashed = _prompts(base, cand)
    if changed:
        count = f"{len(changed):,} item{'s' if len(changed) > 1 else ''}"
        differences.append(f"prompt: another one in {count}, such as {', '.join(changed[:3])}")
    elif not hashed:
        sides = [cell.model for cell, rows in ((baseline, base), (candidate, cand)) if not _hashes(rows).any()]
        unknown.append(f"prompts ({_sides(sides)})")
    found = differing_facts(baseline.manifest, candidate.manifest)
    differences += [f"{one.name}: {one.baseline} -> {one.candidate}" for one in found if one.kind == "refuses"]
    return Comparable(tuple(differences), tuple(unknown), _prompt_tokens(baseline, base, cand))


def order_matters(base: pd.DataFrame, cand: pd.DataFrame) -> bool:
    """Whether an item's prompt depends on the repeat, as option orders do."""
    for rows in (base, cand):
        known = rows[_hashes(rows)]
        if bool((known.groupby("item_id")["prompt_sha"].nunique() > 1).any()):
            return True
    return False


def one_question(cell: TableCell) -> bool:
    """Whether an attempt is one question and one reply, so that its row's token counts are the attempt's own.

    Dialogues, several steps, and adapters that are not installed here are not known to be.
    """
    try:
        return hasattr(adapters.load(str(cell.identity.get("adapter"))), "prompt")
    except EvalsuiteError:  # a class of the user's that is not installed here
        return False


def _prompt_tokens(cell: TableCell, base: pd.DataFrame, cand: pd.DataFrame) -> tuple[str, ...]:
    """Whether equal items have unequal numbers of prompt tokens; not asked of dialogues, whose prompts hold answers."""
    if not one_question(cell):
        return ()
    keys = ["item_id", "repeat", "prompt_tokens"]
    sides = (rows[keys].astype({"prompt_tokens": float}).itertuples(index=False, name=None) for rows in (base, cand))
    words = differing_prompt_tokens(*sides).words()
    return (words,) if words else ()


def _sides(models: Sequence[str]) -> str:
    return {0: "no item in common", 2: "both"}.get(len(models)) or models[0]


def _lines(key: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [f"{key}.{line}" for line in manifest.differences(old, new)]
    return manifest.differences({key: old}, {key: new})


def _prompts(base: pd.DataFrame, cand: pd.DataFrame) -> tuple[list[str], bool]:
    """Items whose prompt hash differs at an equal repeat, and whether any could be compared."""
    keys = ["item_id", "repeat", "prompt_sha"]
    both = base.loc[_hashes(base), keys].merge(cand.loc[_hashes(cand), keys], on=keys[:2])
    differing = both.loc[both["prompt_sha_x"] != both["prompt_sha_y"], "item_id"]
    return [str(item) for item in differing.unique()], bool(len(both))


def _hashes(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["prompt_sha"].fillna("").astype(str) != ""


SHOWN_ITEMS = 3


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """Items whose prompt had another number of tokens in one arm than in the other."""

    compared: int
    """Attempts at one item and repeat that both arms counted."""
    differing: int
    items: tuple[str, ...]
    """At most three of the differing ones."""
    usual: int | None
    """The commonest difference, candidate - baseline; None where there is none."""

    def words(self) -> str:
        """For people; empty where nothing differs."""
        if not self.differing:
            return ""
        more = f"{self.usual:+d} in most" if self.usual else "by varying amounts"
        return (
            f"prompt tokens differ in {self.differing:,} of {self.compared:,} answers ({more}; such as "
            f"{', '.join(self.items)}): another chat template, tokenizer or picture size"
        )


def differing_prompt_tokens(
    baseline: Iterable[tuple[str, int, float | None]], candidate: Iterable[tuple[str, int, float | None]]
) -> PromptTokens:
    """Compare (item id, repeat, prompt tokens) of the rows of two cells; None and NaN are not counted.

    For tasks of one question only: later prompts of a dialogue hold what the model said.
    """
    known = {(item, repeat): int(count) for item, repeat, count in baseline if _counted(count)}
    both = [(item, known[item, repeat], int(count)) for item, repeat, count in candidate if _counted(count)
            and (item, repeat) in known]  # fmt: skip
    steps = [(item, new - old) for item, old, new in both if new != old]
    usual, often = Counter(step for _, step in steps).most_common(1)[0] if steps else (None, 0)
    items = tuple(dict.fromkeys(item for item, _ in steps))[:SHOWN_ITEMS]
    return PromptTokens(len(both), len(steps), items, usual if 2 * often > len(steps) else None)


def _counted(count: float | None) -> TypeGuard[float]:
    return count is not None and count == count and count > 0
