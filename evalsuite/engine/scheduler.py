"""The order in which attempts are made: one queue per endpoint over all its cells, expected-longest first.

A run lasts at least as long as its longest answer and as the sum of all answers over the slots. Sending the longest
first keeps it near the larger of the two (Graham 1969: never above 4/3 of the best schedule); in the order of the
dataset a long answer that begins late keeps one slot busy while all others stand idle.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from evalsuite.records import Item, canonical_sha
from evalsuite.store.attempts import AttemptKey


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that is still to be made."""

    cell: int
    """Index of the cell among the cells of its endpoint."""
    item: Item
    repeat: int
    expected: float | None = None
    """Tokens that it is expected to generate; None: unknown."""
    rank: tuple[float, float, int, int] = (0.0, 0.0, 0, 0)
    """Place among the attempts of its cell, lowest first: (group that is sent together, minus expected tokens, repeat,
    index of the item)."""
    learned: bool = False
    """Whether ``expected`` is what another repeat of the item took in this run."""

    @property
    def key(self) -> AttemptKey:
        """(item id, repeat) of the attempt."""
        return self.item.id, self.repeat


def ordered(
    cell: int,
    items: Sequence[Item],
    repeats: int,
    *,
    expected: Callable[[str], float | None] = lambda _: None,
    shuffle_seed: int | None = None,
    together: bool = False,
) -> list[Attempt]:
    """All attempts of a cell, in the order in which they are to be made (by ``rank``), as long as nothing is learned of
    their lengths.

    The expected-longest go first; an unknown length counts as 0. Among attempts that are expected to be equally long
    (nothing is known, say) all items come once before any comes twice, so that a run that is cut short has the widest
    sample. ``together`` and ``shuffle_seed`` change this.

    Args:
        cell: Index of the cell among the cells of its endpoint.
        items: The items to be asked.
        repeats: Attempts at each item.
        expected: Item id -> tokens that an attempt at it will generate; None: unknown.
        shuffle_seed: If given, items come in a random order instead, each with all its repeats; the order depends on
            this seed and the items' ids alone, so that neither a resume nor the other model changes it.
        together: Items of one cluster share a long prefix and are sent together with all their repeats, the longest
            cluster (by its mean) first, because the server then computes that prefix once. Ignored in random order.
    """
    lengths = [expected(item.id) for item in items]
    if shuffle_seed is not None:
        groups = [float(int(canonical_sha([shuffle_seed, "order", item.id])[:12], 16)) for item in items]
    else:
        groups = _clusters(items, lengths) if together else [0.0] * len(items)
    random = shuffle_seed is not None
    attempts = [
        Attempt(cell, item, repeat, length, rank=(group, 0.0 if random else -(length or 0.0), repeat, place))
        for place, (item, length, group) in enumerate(zip(items, lengths, groups, strict=True))
        for repeat in range(repeats)
    ]
    return sorted(attempts, key=lambda attempt: attempt.rank)


def _clusters(items: Sequence[Item], lengths: Sequence[float | None]) -> list[float]:
    """For every item the rank of its cluster (0: first): by mean expected length, longest first (an unknown one counts
    as 0); equal ones in their order. An item without a cluster is one of its own.
    """
    members: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        members.setdefault(item.cluster or f"\0{place}", []).append(place)

    def mean(places: Sequence[int]) -> float:
        return sum(lengths[place] or 0.0 for place in places) / len(places)

    ranks = [0.0] * len(items)
    for rank, places in enumerate(sorted(members.values(), key=lambda places: (-mean(places), places[0]))):
        for place in places:
            ranks[place] = float(rank)
    return ranks


Fits = Callable[[Attempt], bool]
"""Whether an attempt may still be started (``deadline_fit.Fit.fits``)."""
CHECKS_PER_END = 100
"""Attempts that did not fit: so many of them are checked again for every attempt that ends."""


@dataclass(slots=True)
class WaitingAttempts:
    """The waiting attempts of one cell, summed up."""

    learned: float = 0.0
    """Tokens expected of attempts at items that were answered in this run."""
    guessed: float = 0.0
    """Tokens expected of the others, by earlier records or the benchmark's card."""
    unknown: int = 0
    """Attempts of unknown length."""

    def count(self, attempt: Attempt, sign: int) -> None:
        """Add an attempt to the sum that it belongs to (``learned``, ``guessed`` or ``unknown``; ``sign`` 1) or take it
        away (-1).
        """
        if attempt.expected is None:
            self.unknown += sign
        elif attempt.learned:
            self.learned += sign * attempt.expected
        else:
            self.guessed += sign * attempt.expected


@dataclass(slots=True)
class _Cell:
    """The waiting attempts of one cell."""

    waiting: dict[AttemptKey, Attempt] = field(default_factory=dict)
    """(item, repeat) -> the attempt as it is known now; heap entries that are not in here are void."""
    heap: list[tuple[tuple[float, float, int, int], int, Attempt]] = field(default_factory=list)
    """(rank, number that no other entry has, attempt)"""
    pushed: int = 0
    unfit: list[Attempt] = field(default_factory=list)
    """Attempts that did not fit into the window when they were checked."""
    running: int = 0
    taken: int = 0
    open: WaitingAttempts = field(default_factory=WaitingAttempts)

    def push(self, attempt: Attempt) -> None:
        old = self.waiting.get(attempt.key)
        if old is not None:
            self.open.count(old, -1)
        self.open.count(attempt, 1)
        self.waiting[attempt.key] = attempt
        self.push_again(attempt)

    def drop(self, attempt: Attempt) -> None:
        del self.waiting[attempt.key]
        self.open.count(attempt, -1)

    def push_again(self, attempt: Attempt) -> None:
        self.pushed += 1
        heapq.heappush(self.heap, (attempt.rank, self.pushed, attempt))

    def first(self, fits: Fits | None, *, strict: bool) -> Attempt | None:
        """The next attempt that may be started; it stays in the heap. None if there is none.

        ``fits``: whether an attempt fits into the window (None: all do); with ``strict`` one that does not ends the
        search, else it is kept in ``unfit``.
        """
        while self.heap:
            attempt = self.heap[0][2]
            if self.waiting.get(attempt.key) is not attempt:
                heapq.heappop(self.heap)
            elif fits is None or fits(attempt):
                return attempt
            elif strict:
                return None
            else:
                self.unfit.append(heapq.heappop(self.heap)[2])
        return None


@dataclass(slots=True)
class AttemptQueue:
    """The attempts of one endpoint in order, with a limit on how many of one cell run at the same time.

    The models at the endpoint take turns, attempt by attempt. Of one model the expected-longest attempt of all its
    cells goes first; cells whose next attempts are expected to be equally long take turns, with ``strict`` all cells.
    Only the very first attempts of a model's cells precede its others, so that a task that cannot be asked at all shows
    at the start.
    """

    limits: Sequence[int]
    """Most running attempts of each cell."""
    models: Sequence[str] = ()
    """The model of each cell; empty: one model."""
    strict: bool = False
    """Keep the order even where a later attempt would fit and an earlier one does not."""
    _cells: list[_Cell] = field(default_factory=list)
    _turns: list[list[int]] = field(default_factory=list)
    """For each model the indices of its cells, the one served longest ago first."""
    _unknown: float = 0.0
    """Length assumed where none is known: the mean of the known ones."""
    _credit: int = 0

    def fill(self, cells: Sequence[Sequence[Attempt]]) -> None:
        """Fill the queue: ``cells`` holds the attempts of every cell, in the order of ``limits``.

        Those of one cell may come in any order: they are taken by their ``rank``. Replaces what the queue held
        and its numbers of running attempts: call it while none runs.
        """
        self._cells = [_Cell() for _ in cells]
        for cell, attempts in zip(self._cells, cells, strict=True):
            for attempt in attempts:
                cell.push(attempt)
        known = [attempt.expected for attempts in cells for attempt in attempts if attempt.expected is not None]
        self._unknown = sum(known) / len(known) if known else 0.0
        turns: dict[str, list[int]] = {}
        for number in range(len(cells)):
            turns.setdefault(self.models[number] if self.models else "", []).append(number)
        self._turns = list(turns.values())

    def take(self, fits: Fits | None = None) -> Attempt | None:
        """Take out the next attempt that may start now; None if there is none, every cell is at its limit, or none
        fits.

        ``fits``: whether an attempt fits into the window; None: all do. Those that do not are set aside until
        ``reconsider``; with ``strict`` they stay, and the first of them ends the search in its cell. Call ``done`` when
        the attempt ends.
        """
        for turn, numbers in enumerate(self._turns):
            first = {
                number: attempt
                for number in numbers
                if self._cells[number].running < self.limits[number]
                and (attempt := self._cells[number].first(fits, strict=self.strict)) is not None
            }
            if not first:
                continue
            number = max(first, key=lambda number: self._urgency(number, first[number]))
            cell = self._cells[number]
            heapq.heappop(cell.heap)
            cell.drop(first[number])
            cell.running += 1
            cell.taken += 1
            numbers.remove(number)
            numbers.append(number)
            self._turns.append(self._turns.pop(turn))
            return first[number]
        return None

    def _urgency(self, number: int, attempt: Attempt) -> tuple[bool, float]:
        """Sort key of a cell's next attempt: (whether it is the cell's very first, expected tokens), highest first; the
        tokens are the mean of the known ones where unknown, and 0 with ``strict``.

        ``max`` takes the first of equals, which is the cell served longest ago.
        """
        expected = self._unknown if attempt.expected is None else attempt.expected
        return self._cells[number].taken == 0, 0.0 if self.strict else expected

    def done(self, attempt: Attempt) -> None:
        """Note that an attempt that was taken has ended, which frees its place; now and then reconsiders those that did
        not fit."""
        self._cells[attempt.cell].running -= 1
        self._credit += CHECKS_PER_END
        if self._credit >= sum(len(cell.unfit) for cell in self._cells):
            self.reconsider()

    def reconsider(self) -> None:
        """Put attempts that did not fit the window back, so that ``take`` checks them again: known lengths and rates
        have changed."""
        self._credit = 0
        for cell in self._cells:
            for attempt in cell.unfit:
                cell.push_again(attempt)
            cell.unfit = []

    def learn(self, cell: int, item: str, repeats: int, tokens: float) -> None:
        """Note that one attempt at an item (id) took ``tokens``: its waiting repeats (numbers below ``repeats``) are
        expected to take as many, and move accordingly in the order of their group."""
        for repeat in range(repeats):
            attempt = self._cells[cell].waiting.get((item, repeat))
            if attempt is not None:
                group, _, _, place = attempt.rank
                rank = (group, -tokens, repeat, place)
                self._cells[cell].push(replace(attempt, expected=tokens, learned=True, rank=rank))

    def keep(self, cell: int, items: frozenset[str]) -> int:
        """Drop the waiting attempts of a cell (index) at all items but ``items`` (ids); returns how many were
        dropped."""
        waiting = self._cells[cell]
        dropped = [attempt for (item, _), attempt in waiting.waiting.items() if item not in items]
        for attempt in dropped:
            waiting.drop(attempt)
        waiting.unfit = [attempt for attempt in waiting.unfit if attempt.item.id in items]
        return len(dropped)

    @property
    def open(self) -> tuple[WaitingAttempts, ...]:
        """Sums over the waiting attempts of every cell, in the order of the cells; they change with the queue."""
        return tuple(cell.open for cell in self._cells)

    @property
    def waiting(self) -> list[Attempt]:
        """All attempts that have not been taken, cell by cell, in no particular order."""
        return [attempt for cell in self._cells for attempt in cell.waiting.values()]

    @property
    def left(self) -> int:
        """Number of attempts that have not been taken, those that do not fit included."""
        return sum(len(cell.waiting) for cell in self._cells)
