"""Decides whether two cells may be compared: what is known to differ, and what is unknown for one of them.

A comparison of cells with a known difference is refused with the differing keys. What is unknown (for imported answers)
is a warning that every table shows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evalsuite.endpoint.identity.differences import differing_facts
from evalsuite.errors import EvalsuiteError
from evalsuite.store import manifest
from evalsuite.store.manifest import MUST_AGREE
from evalsuite.store.runs import TableCell
from evalsuite.tasks import registry


@dataclass(frozen=True, slots=True)
class Comparable:
    """Result of the check of two cells of one task."""

    differences: tuple[str, ...]
    """``key: baseline -> candidate``; the comparison is refused when there is any."""
    unknown: tuple[str, ...]
    """Keys that are unknown for one cell, with the name of its model."""
    confounders: tuple[str, ...] = ()
    """Warning about different numbers of prompt tokens, as the servers counted them."""

    @property
    def ok(self) -> bool:
        """Whether nothing is known to differ."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``comparable`` of a row of ``comparison.json``: a dict of ``ok`` and the lists of
        differences, unknown keys and confounders.
        """
        return {
            "ok": self.ok,
            "differences": list(self.differences),
            "unknown": list(self.unknown),
            "confounders": list(self.confounders),
        }


def check(baseline: TableCell, candidate: TableCell, base: pd.DataFrame, cand: pd.DataFrame) -> Comparable:
    """Compare what two cells of one task were asked and how (``MUST_AGREE``, the thinking switch, fields of the
    request), judge and simulator, grading versions, prompts, and the servers' chat templates and tokenizer files;
    ``base`` and ``cand`` are their sample rows.

    Returns what is known to differ (such a comparison is refused), what is unknown for a cell, and a warning about
    differing prompt token counts. Raises nothing for differences.
    """
    differences: list[str] = []
    unknown: list[str] = []
    for key in MUST_AGREE:
        old, new = baseline.identity.get(key), candidate.identity.get(key)
        if old is None or new is None:
            sides = [cell.model for cell, value in ((baseline, old), (candidate, new)) if value is None]
            unknown.append(f"{key} ({_model_names(sides)})")
        elif old != new:
            differences += _difference_lines(key, old, new)
    if None not in (baseline.identity.get("thinking"), candidate.identity.get("thinking")):  # one was imported
        switches = (cell.identity.get("thinking_switch") for cell in (baseline, candidate))
        differences += _difference_lines("thinking_switch", *switches)
    if None not in (baseline.identity.get("sampling"), candidate.identity.get("sampling")):
        differences += _difference_lines("body", *(cell.identity.get("body") or {} for cell in (baseline, candidate)))
    for role in ("judge", "simulator"):
        differences += _difference_lines(role, baseline.manifest.get(role), candidate.manifest.get(role))
    old_versions, new_versions = (sorted(map(str, rows["version"].unique())) for rows in (base, cand))
    if old_versions != new_versions and old_versions and new_versions:
        versions = f"{'+'.join(old_versions)} -> {'+'.join(new_versions)}"
        differences.append(f"version: {versions} (grade both with the same version: evalsuite rescore)")
    changed, hashed = _prompts(base, cand)
    if changed:
        count = f"{len(changed):,} item{'s' if len(changed) > 1 else ''}"
        differences.append(f"prompt: another one in {count}, such as {', '.join(changed[:3])}")
    elif not hashed:
        sides = [cell.model for cell, rows in ((baseline, base), (candidate, cand)) if not _has_hash(rows).any()]
        unknown.append(f"prompts ({_model_names(sides)})")
    facts = differing_facts(baseline.manifest, candidate.manifest)
    differences += [f"{fact.name}: {fact.baseline} -> {fact.candidate}" for fact in facts if fact.kind == "refuses"]
    return Comparable(tuple(differences), tuple(unknown), _prompt_tokens(baseline, base, cand))


def checkpoint_of(cell: TableCell) -> tuple[Any, ...]:
    """Return a cell's declared (checkpoint, revision, whether the model thinks), for comparing cells, the last two None
    where not stated; empty when no checkpoint is recorded, as for imported answers.
    """
    known = tuple(cell.identity.get(key) for key in ("checkpoint", "revision", "thinking"))
    return () if known[0] is None else known


def prompt_depends_on_repeat(base: pd.DataFrame, cand: pd.DataFrame) -> bool:
    """Return whether any item in the rows of either cell has different prompts in different repeats, as with a random
    order of the options; rows without a prompt hash are ignored.
    """
    for rows in (base, cand):
        known = rows[_has_hash(rows)]
        if bool((known.groupby("item_id")["prompt_sha"].nunique() > 1).any()):
            return True
    return False


def is_single_turn(cell: TableCell) -> bool:
    """Return whether an attempt consists of one request and one reply, so that the token counts in its row cover the
    whole attempt.

    False for dialogues, tasks of several steps and adapters that are not installed here.
    """
    try:
        return hasattr(registry.load(str(cell.identity.get("adapter"))), "prompt")
    except EvalsuiteError:  # a class of the user's that is not installed here
        return False


def _prompt_tokens(cell: TableCell, base: pd.DataFrame, cand: pd.DataFrame) -> tuple[str, ...]:
    """Return a warning when the servers counted different prompt tokens for the same item and repeat, as a tuple of at
    most one line.

    ``base`` and ``cand`` are the rows of both cells; ``cell`` gives the adapter. Tasks with several requests are not
    checked, because their prompts contain earlier answers.
    """
    if not is_single_turn(cell):
        return ()
    warning = differing_prompt_tokens(base, cand).describe()
    return (warning,) if warning else ()


def _model_names(models: Sequence[str]) -> str:
    return {0: "no item in common", 2: "both"}.get(len(models)) or models[0]


def _difference_lines(key: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [f"{key}.{line}" for line in manifest.differences(old, new)]
    return manifest.differences({key: old}, {key: new})


def _prompts(base: pd.DataFrame, cand: pd.DataFrame) -> tuple[list[str], bool]:
    """Return (ids of items whose prompt hash differs at an equal repeat, whether any hashes could be compared); rows
    without a hash are ignored.
    """
    keys = ["item_id", "repeat", "prompt_sha"]
    both = base.loc[_has_hash(base), keys].merge(cand.loc[_has_hash(cand), keys], on=keys[:2])
    differing = both.loc[both["prompt_sha_x"] != both["prompt_sha_y"], "item_id"]
    return [str(item) for item in differing.unique()], bool(len(both))


def _has_hash(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["prompt_sha"].fillna("").astype(str) != ""


SHOWN_ITEMS = 3
"""Number of differing items that a warning names."""


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """Comparison of the numbers of prompt tokens in baseline and candidate."""

    compared: int
    """Number of attempts at the same item and repeat with a count in both models."""
    differing: int
    """Number of these attempts whose counts differ."""
    items: tuple[str, ...]
    """Ids of at most ``SHOWN_ITEMS`` items whose counts differ."""
    usual: int | None
    """Difference candidate - baseline of most differing attempts; None when there is no such majority."""

    def describe(self) -> str:
        """Return a warning of one line for reports with the number of differing answers and example items; empty when
        nothing differs.
        """
        if not self.differing:
            return ""
        detail = f"{self.usual:+d} in most" if self.usual else "by varying amounts"
        return (
            f"prompt tokens differ in {self.differing:,} of {self.compared:,} answers ({detail}; such as "
            f"{', '.join(self.items)}): another chat template, tokenizer or picture size"
        )


def differing_prompt_tokens(baseline: pd.DataFrame, candidate: pd.DataFrame) -> PromptTokens:
    """Compare the numbers of prompt tokens of two cells at equal items and repeats.

    Both frames have the columns ``item_id``, ``repeat`` and ``prompt_tokens``; attempts whose count is missing or 0 in
    either are left out. Only for tasks of one request, because later prompts of a dialogue contain answers of the
    model. The result's ``usual`` difference is None unless most differing attempts share it.
    """
    keys = ["item_id", "repeat"]
    after, before = (rows[[*keys, "prompt_tokens"]].astype({"prompt_tokens": float}) for rows in (candidate, baseline))
    both = after[after["prompt_tokens"] > 0].merge(
        before[before["prompt_tokens"] > 0], on=keys, suffixes=("", "_before")
    )
    both = both.assign(change=(both["prompt_tokens"] - both["prompt_tokens_before"]).astype(int))
    changed = both[both["change"] != 0]
    usual, frequency = Counter(changed["change"].tolist()).most_common(1)[0] if len(changed) else (None, 0)
    items = tuple(dict.fromkeys(changed["item_id"].astype(str)))[:SHOWN_ITEMS]
    return PromptTokens(len(both), len(changed), items, usual if 2 * frequency > len(changed) else None)
