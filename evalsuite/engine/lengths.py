"""How long answers are expected to be: recorded lengths of the same items, else what the benchmark's card states.

Recorded lengths are the best predictor there is: the same question makes every precision of a model think about as
long. They order the queue (``scheduler``) and decide what still fits into a window (``deadline_fit``); they never
change what is asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from evalsuite.engine.scheduler import Attempt
from evalsuite.errors import BadInput
from evalsuite.store.attempts import AttemptKey
from evalsuite.store.manifest import MANIFEST, read_manifest
from evalsuite.store.samples import SAMPLES
from evalsuite.tasks.datasets import card

OTHER_CELLS = 3
"""Cells of other models whose lengths are averaged."""
EARLIER_CELLS = 3
"""Earlier cells of the same model from which its speed is taken."""
SAME_QUESTIONS = ("task", "adapter", "variant", "data_sha")
"""Keys of a cell's identity without which its items are not the same questions."""
CHARACTERS_PER_TOKEN = 4.0
"""Assumed until an endpoint's own replies have shown it."""
_COLUMNS = ("item_id", "completion_tokens", "seconds")


@dataclass(frozen=True, slots=True)
class ExpectedLengths:
    """What is known of the lengths of one cell's answers before they are asked for, in generated tokens."""

    items: Mapping[str, float] = field(default_factory=dict)
    """Item -> mean length of its recorded attempts."""
    replies: tuple[float, ...] = ()
    """Recorded lengths of single replies: of this cell where it has any, else of other models' cells."""
    paces: tuple[tuple[float, float], ...] = ()
    """(tokens, seconds) of this model's recorded replies."""
    typical: float | None = None
    """Mean length that the benchmark's card states; looked up only where nothing was recorded."""

    def expected(self, item: str) -> float | None:
        """Tokens expected of one attempt at the item with this id: its recorded mean, else the mean over all recorded
        items, else ``typical``.

        None where nothing is known.
        """
        known = self.items.get(item)
        if known is not None:
            return known
        return sum(self.items.values()) / len(self.items) if self.items else self.typical


def expected_lengths(
    results: Path,
    folder: Path,
    manifest: Mapping[str, Any],
    own: Mapping[AttemptKey, float],
    *,
    baseline: Path | None = None,
) -> ExpectedLengths:
    """What a folder of runs holds on the lengths (tokens) of the answers that a cell will get; only reads.

    For each item the mean over the cell's own finished attempts; where it has none, the mean of the item's means in
    other cells. These are ``baseline``, then the sealed cells of any model with the same questions and the same or an
    unknown thinking switch, those of the declared baseline first, then the newest: the first ``OTHER_CELLS`` (3) of
    them that hold lengths. Damaged cells are left out.

    Args:
        results: Folder of runs.
        folder: The cell's folder.
        manifest: The cell's manifest.
        own: (item, repeat) -> tokens of the cell's finished attempts.
        baseline: The cell of a baseline that the command names; None: it names none.
    """
    others = [] if baseline is None else [baseline]
    named = {path.resolve() for path in others}
    others += [path for path in _same_questions(results, folder, manifest) if path.resolve() not in named]
    tables = [rows for path in others if (rows := _rows(path))][:OTHER_CELLS]
    replies = tuple(tokens for rows in tables for _, tokens, _ in rows)
    means = [mean_lengths((item, tokens) for item, tokens, _ in rows) for rows in tables]
    items: dict[str, float] = {}
    for item in {item for lengths in means for item in lengths}:
        known = [lengths[item] for lengths in means if item in lengths]
        items[item] = sum(known) / len(known)
    items |= mean_lengths((item, tokens) for (item, _), tokens in own.items())
    mine, identity = _rows(folder), manifest["identity"]
    return ExpectedLengths(
        items,
        tuple(tokens for _, tokens, _ in mine) or replies,
        tuple(_paces(results, folder, mine)),
        None if items else typical_tokens(identity["adapter"], thinking=bool(identity["thinking"])),
    )


def mean_lengths(lengths: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Item id -> mean of its lengths, from (item id, length) pairs."""
    sums: dict[str, tuple[float, int]] = {}
    for item, tokens in lengths:
        total, count = sums.get(item, (0.0, 0))
        sums[item] = (total + tokens, count + 1)
    return {item: total / count for item, (total, count) in sums.items()}


@cache
def typical_tokens(adapter: str, *, thinking: bool) -> float | None:
    """Mean generated tokens of one attempt, with thinking or without, as the card of the task ``adapter`` states it;
    None where it does not, or there is no readable card. The card is read once in a process for equal arguments."""
    try:
        stated = card(adapter).get("typical_tokens") or {}
    except BadInput:  # a task of the user's own
        return None
    value = stated.get("thinking_on" if thinking else "thinking_off")
    return None if value is None else float(value)


def _same_questions(results: Path, folder: Path, manifest: Mapping[str, Any]) -> list[Path]:
    """Folders of other cells of this task below ``results`` that have a table, of any model, with the same questions
    and no other thinking switch: the declared baseline's first, then by the tables' file times, newest first. Those
    without a manifest, or with a damaged one, are left out."""
    identity = manifest["identity"]
    cells: list[tuple[bool, float, Path]] = []
    for path in results.glob(f"*/*/{folder.name}/{SAMPLES}"):
        cell = path.parent
        if cell == folder or not (cell / MANIFEST).exists():
            continue
        try:
            other = read_manifest(cell)["identity"]
        except BadInput:
            continue
        same = all(other.get(key) == identity.get(key) for key in SAME_QUESTIONS)
        if same and other.get("thinking") in (None, identity.get("thinking")):
            cells.append((other.get("model") == manifest.get("baseline"), path.stat().st_mtime, cell))
    return [cell for *_, cell in sorted(cells, key=lambda row: row[:2], reverse=True)]


def _paces(results: Path, folder: Path, mine: Sequence[tuple[str, float, float | None]]) -> list[tuple[float, float]]:
    """(tokens, seconds) of this cell's replies (``mine``: rows of ``_rows``), else of the ``EARLIER_CELLS`` newest
    other sealed cells of its model (by the folder's name), of any task; without replies whose duration is unknown or 0.
    """
    paces = [(tokens, seconds) for _, tokens, seconds in mine if seconds]
    if paces:
        return paces
    sealed = [path for path in results.glob(f"*/{folder.parent.name}/*/{SAMPLES}") if path.parent != folder]
    sealed.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    newest = sealed[:EARLIER_CELLS]
    return [(tokens, seconds) for path in newest for _, tokens, seconds in _rows(path.parent) if seconds]


def _rows(folder: Path) -> list[tuple[str, float, float | None]]:
    """(item id, generated tokens, seconds or None) of the last reply of every attempt in the sealed cell in ``folder``.

    Without attempts of unknown tokens; empty where there is no readable table. Only ``samples.parquet`` is read, even
    where journals are newer: an estimate is not worth a scan of gigabytes.
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
    """How long the finished attempts of a cell became compared with what was expected, in generated tokens."""

    attempts: int = 0
    tokens: float = 0.0
    guessed: float = 0.0
    """Expected tokens of the attempts whose length was expected from earlier records or the benchmark's card."""
    became: float = 0.0
    """Tokens of the same attempts."""

    def add(self, attempt: Attempt, tokens: float) -> None:
        """Count an attempt that ended with a score after ``tokens``, beside what was expected of it before the run;
        where nothing was, or another repeat of the item has corrected it (``attempt.learned``), only its tokens count.
        """
        self.attempts += 1
        self.tokens += tokens
        if attempt.expected is not None and not attempt.learned:
            self.guessed += attempt.expected
            self.became += tokens

    def expected(self, attempt: Attempt) -> float | None:
        """Tokens that an attempt that is still open will take in all: what was expected of it before the run times
        ``factor``, or uncorrected what another repeat of the item took in this run.

        Where nothing was expected of it, the mean of the finished ones; None before any has ended.
        """
        if attempt.expected is None:
            return self.mean
        return attempt.expected if attempt.learned else attempt.expected * self.factor

    @property
    def factor(self) -> float:
        """Actual tokens per expected token, over the finished attempts that were counted with an expectation of before
        the run (see ``add``); 1 without any, or if 0 tokens were expected of all."""
        return self.became / self.guessed if self.guessed else 1.0

    @property
    def mean(self) -> float | None:
        """Mean tokens of the finished attempts; None before any has ended."""
        return self.tokens / self.attempts if self.attempts else None


@dataclass(slots=True)
class ObservedLengths:
    """What the replies of one endpoint have shown of lengths in this run."""

    cells: dict[int, LengthEstimator] = field(default_factory=dict)
    """Index of a cell -> its estimator; cells without a finished attempt are missing."""
    characters: float = CHARACTERS_PER_TOKEN
    """Characters of all whole replies; they say together with ``tokens`` how many tokens a text had."""
    tokens: float = 1.0

    def of(self, cell: int) -> LengthEstimator:
        """The estimator of the cell with index ``cell``; an empty one, which is not kept, before any of its attempts
        was added."""
        return self.cells.get(cell) or LengthEstimator()

    def add_reply(self, tokens: int, characters: int) -> None:
        """Count a whole reply of ``tokens`` and ``characters`` towards the ratio of the two."""
        self.tokens += tokens
        self.characters += characters

    def add_attempt(self, attempt: Attempt, tokens: int) -> None:
        """Count an attempt that ended with a score after ``tokens`` in the estimator of its cell."""
        self.cells.setdefault(attempt.cell, LengthEstimator()).add(attempt, tokens)

    def tokens_of(self, characters: int) -> float:
        """Estimated tokens of a text of ``characters`` characters, by the ratio in the replies so far, to which one
        of 4 characters and 1 token is added: before the first reply a quarter of the characters."""
        return characters * self.tokens / self.characters
