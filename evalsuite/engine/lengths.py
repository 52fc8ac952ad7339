"""How long answers are expected to be: recorded lengths of the same items, else what the benchmark's card says.

Recorded lengths are the best predictor there is: the same question makes every precision of a model think about as
long. They order the queue (``schedule``) and say what still fits into a window (``windows``); they never change what
is asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from evalsuite.engine.scheduler import Attempt
from evalsuite.errors import BadInput
from evalsuite.store.manifest import MANIFEST, read_manifest
from evalsuite.store.samples import SAMPLES
from evalsuite.tasks.datasets import card

RIVALS = 3
"""Other models' cells whose lengths are averaged."""
RATES = 3
"""Earlier cells of the same model whose speed is looked up."""
SAME_QUESTIONS = ("task", "adapter", "variant", "data_sha")
"""Keys of a cell's identity without which its items are not the same questions."""
_COLUMNS = ("item_id", "completion_tokens", "seconds")


@dataclass(frozen=True, slots=True)
class ExpectedLengths:
    """What is known beforehand of one cell's answers, in generated tokens."""

    items: Mapping[str, float] = field(default_factory=dict)
    """Item -> mean length of its recorded attempts."""
    replies: tuple[float, ...] = ()
    """Recorded lengths of single replies: of this cell where it has any, else of the other models' cells."""
    paces: tuple[tuple[float, float], ...] = ()
    """(tokens, seconds) of this model's recorded replies."""
    typical: float | None = None
    """Mean length that the benchmark's card states; looked up only where nothing was recorded."""

    def expected(self, item: str) -> float | None:
        """Tokens of one attempt at an item; unrecorded items are expected to be as long as the recorded ones."""
        known = self.items.get(item)
        if known is not None:
            return known
        return sum(self.items.values()) / len(self.items) if self.items else self.typical


def recorded(
    results: Path,
    folder: Path,
    manifest: Mapping[str, Any],
    own: Mapping[tuple[str, int], float],
    *,
    baseline: Path | None = None,
) -> ExpectedLengths:
    """What ``results`` (a folder of runs) knows of the answers that the cell in ``folder`` will get.

    ``own`` holds the lengths of this cell's finished attempts, (item, repeat) -> tokens; they count before all others.
    Then ``baseline`` (a cell of a baseline that was named), then the newest sealed cells of other models with the same
    questions and the same thinking switch, the declared baseline first. Damaged cells are passed over.
    """
    rivals = [] if baseline is None else [baseline]
    rivals += _rivals(results, folder, manifest)
    items: dict[str, float] = {}
    replies: list[float] = []
    tables = [rows for path in rivals if (rows := _rows(path))][:RIVALS]
    for rows in tables:
        replies += [tokens for _, tokens, _ in rows]
    found = [means((item, tokens) for item, tokens, _ in rows) for rows in tables]
    for item in {item for one in found for item in one}:
        known = [one[item] for one in found if item in one]
        items[item] = sum(known) / len(known)
    items |= means((item, tokens) for (item, _), tokens in own.items())
    mine, asked = _rows(folder), manifest["identity"]
    return ExpectedLengths(
        items,
        tuple(tokens for _, tokens, _ in mine) or tuple(replies),
        tuple(_paces(results, folder, mine)),
        None if items else typical_tokens(asked["adapter"], thinking=bool(asked["thinking"])),
    )


def means(lengths: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Item -> mean of its lengths."""
    sums: dict[str, tuple[float, int]] = {}
    for item, tokens in lengths:
        total, count = sums.get(item, (0.0, 0))
        sums[item] = (total + tokens, count + 1)
    return {item: total / count for item, (total, count) in sums.items()}


@cache
def typical_tokens(adapter: str, *, thinking: bool) -> float | None:
    """Mean generated tokens of one attempt as ``tasks/<task>/card.yaml`` states it; None where it does not."""
    try:
        stated = card(adapter).get("typical_tokens") or {}
    except BadInput:  # a task of the user's own
        return None
    value = stated.get("thinking_on" if thinking else "thinking_off")
    return None if value is None else float(value)


def _rivals(results: Path, folder: Path, manifest: Mapping[str, Any]) -> list[Path]:
    """Sealed cells of other models that hold the same questions: the declared baseline's first, then newest first."""
    asked = manifest["identity"]
    found: list[tuple[bool, float, Path]] = []
    for path in results.glob(f"*/*/{folder.name}/{SAMPLES}"):
        cell = path.parent
        if cell == folder or not (cell / MANIFEST).exists():
            continue
        try:
            known = read_manifest(cell)["identity"]
        except BadInput:
            continue
        same = all(known.get(key) == asked.get(key) for key in SAME_QUESTIONS)
        if same and known.get("thinking") in (None, asked.get("thinking")):
            found.append((known.get("model") == manifest.get("baseline"), path.stat().st_mtime, cell))
    return [cell for *_, cell in sorted(found, key=lambda one: one[:2], reverse=True)]


def _paces(results: Path, folder: Path, mine: Sequence[tuple[str, float, float | None]]) -> list[tuple[float, float]]:
    """(tokens, seconds) of this cell's replies, else of the newest sealed cells of the same model."""
    paces = [(tokens, seconds) for _, tokens, seconds in mine if seconds]
    if paces:
        return paces
    sealed = [path for path in results.glob(f"*/{folder.parent.name}/*/{SAMPLES}") if path.parent != folder]
    sealed.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return [(tokens, seconds) for path in sealed[:RATES] for _, tokens, seconds in _rows(path.parent) if seconds]


def _rows(folder: Path) -> list[tuple[str, float, float | None]]:
    """(item, generated tokens, seconds) of the last reply of every attempt in a sealed cell; empty where it has none.

    Only ``samples.parquet`` is read, even where journals are newer: a guess needs no scan of gigabytes of texts.
    """
    if not (folder / SAMPLES).exists():
        return []
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = pq.read_table(folder / SAMPLES, columns=list(_COLUMNS)).to_pydict()
    except (pa.ArrowInvalid, KeyError, OSError):
        return []
    rows = zip(*(columns[name] for name in _COLUMNS), strict=True)
    return [(item, float(tokens), seconds) for item, tokens, seconds in rows if tokens is not None]


@dataclass(slots=True)
class LengthEstimator:
    """How long the finished attempts of a cell became beside what was expected of them, in generated tokens."""

    attempts: int = 0
    tokens: float = 0.0
    guessed: float = 0.0
    """Expected tokens of those that were expected by earlier records or the benchmark's card."""
    became: float = 0.0
    """Tokens of the same attempts."""

    def add(self, todo: Attempt, tokens: float) -> None:
        """One attempt ended with a verdict after ``tokens``."""
        self.attempts += 1
        self.tokens += tokens
        if todo.expected is not None and not todo.learned:
            self.guessed += todo.expected
            self.became += tokens

    def expected(self, todo: Attempt) -> float | None:
        """Tokens of an attempt that is still open, corrected by what the finished ones became; None: unknown."""
        if todo.expected is None:
            return self.mean
        return todo.expected if todo.learned else todo.expected * self.factor

    @property
    def factor(self) -> float:
        """What guesses are off by; 1 before any attempt has ended."""
        return self.became / self.guessed if self.guessed else 1.0

    @property
    def mean(self) -> float | None:
        """Tokens of a finished attempt; None before any has ended."""
        return self.tokens / self.attempts if self.attempts else None
