"""The order in which attempts are made: one queue per endpoint over all its cells, expected-longest first.

A run lasts at least as long as its longest answer and as the sum of all answers over the slots. Sending the longest
first keeps it near the larger of the two (Graham 1969: never above 4/3 of the best schedule); in the order of the
dataset a long answer that begins late keeps one slot busy while all others stand idle.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from evalsuite.records import Item, canonical_sha

Order = Literal["longest", "random"]
"""``longest``: expected-longest first. ``random``: items in a random order that depends on nothing but the seed, for
stopping rules that count in the order of dispatch."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that is still to be made."""

    cell: int
    """Index of the cell in the queue's list of caps."""
    item: Item
    repeat: int
    expected: float | None = None
    """Tokens that it will generate, as far as is known."""
    rank: tuple[float, float, int, int] = (0.0, 0.0, 0, 0)
    """Place among the attempts of its cell, lowest first: (group that is sent together, minus expected tokens, repeat,
    place of the item)."""
    learned: bool = False
    """Whether ``expected`` is what another repeat of the item has just taken."""


def ordered(
    cell: int,
    items: Sequence[Item],
    repeats: int,
    *,
    expected: Callable[[str], float | None] = lambda _: None,
    order: Order = "longest",
    seed: int = 0,
    together: bool = False,
) -> list[Attempt]:
    """All attempts of a cell, in the order in which they are made.

    ``expected`` gives the tokens of an item (None: unknown). The expected-longest go first, all repeats alike; of
    attempts that are expected to be equally long (nothing is known, say) all items come once before any comes twice,
    so that a run that is cut short has the widest sample. ``together``: items of one cluster share a long prefix and
    are sent in one go with all their repeats, the longest cluster first, because the server then computes that prefix
    once. In ``random`` order nothing is known or kept together: items come in an order drawn from ``seed`` and their
    ids alone, each with all its repeats, so that neither a resume nor the other arm changes it.
    """
    lengths = [expected(item.id) for item in items]
    if order == "random":
        groups = [float(int(canonical_sha([seed, "order", item.id])[:12], 16)) for item in items]
    else:
        groups = _clusters(items, lengths) if together else [0.0] * len(items)
    todo = [
        Attempt(cell, item, repeat, length, rank=(group, 0.0 if order == "random" else -(length or 0.0), repeat, place))
        for place, (item, length, group) in enumerate(zip(items, lengths, groups, strict=True))
        for repeat in range(repeats)
    ]
    return sorted(todo, key=lambda one: one.rank)


def _clusters(items: Sequence[Item], lengths: Sequence[float | None]) -> list[float]:
    """For every item the rank of its cluster: by mean expected length, longest first; equal ones in their order."""
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
"""Whether an attempt may still begin (``windows``)."""
LOOKS = 100
"""Attempts set aside that one finished attempt pays a second look at."""


@dataclass(slots=True)
class WaitingAttempts:
    """The waiting attempts of one cell, summed up."""

    learned: float = 0.0
    """Tokens expected of attempts whose item was answered a moment ago."""
    guessed: float = 0.0
    """Tokens expected of the others, by earlier records or the benchmark's card."""
    unknown: int = 0
    """Attempts of which nothing is known."""

    def count(self, todo: Attempt, sign: int) -> None:
        """Add (1) or take away (-1) an attempt."""
        if todo.expected is None:
            self.unknown += sign
        elif todo.learned:
            self.learned += sign * todo.expected
        else:
            self.guessed += sign * todo.expected


@dataclass(slots=True)
class _Cell:
    """The waiting attempts of one cell."""

    waiting: dict[tuple[str, int], Attempt] = field(default_factory=dict)
    """(item, repeat) -> the attempt as it is known now; heap entries that are not in here are void."""
    heap: list[tuple[tuple[float, float, int, int], int, Attempt]] = field(default_factory=list)
    """(rank, number that no other entry has, attempt)"""
    pushed: int = 0
    aside: list[Attempt] = field(default_factory=list)
    """Attempts that did not fit when they were looked at."""
    running: int = 0
    taken: int = 0
    open: WaitingAttempts = field(default_factory=WaitingAttempts)

    def push(self, todo: Attempt) -> None:
        old = self.waiting.get((todo.item.id, todo.repeat))
        if old is not None:
            self.open.count(old, -1)
        self.open.count(todo, 1)
        self.waiting[todo.item.id, todo.repeat] = todo
        self.again(todo)

    def drop(self, todo: Attempt) -> None:
        del self.waiting[todo.item.id, todo.repeat]
        self.open.count(todo, -1)

    def again(self, todo: Attempt) -> None:
        self.pushed += 1
        heapq.heappush(self.heap, (todo.rank, self.pushed, todo))

    def first(self, fits: Fits | None, *, strict: bool) -> Attempt | None:
        """The next attempt that may begin; it stays where it is."""
        while self.heap:
            todo = self.heap[0][2]
            if self.waiting.get((todo.item.id, todo.repeat)) is not todo:
                heapq.heappop(self.heap)
            elif fits is None or fits(todo):
                return todo
            elif strict:
                return None
            else:
                self.aside.append(heapq.heappop(self.heap)[2])
        return None


@dataclass(slots=True)
class AttemptQueue:
    """Attempts in order, with a cap on how many of one cell run at the same time.

    Arms (models at one endpoint) take turns, attempt by attempt. Inside an arm the expected-longest attempt of all its
    cells goes first; cells that are expected to be equally long take turns. Only the very first attempt of every cell
    goes ahead of all that, so that a task that cannot be asked at all shows at the start.
    """

    caps: Sequence[int]
    """Most running attempts per cell."""
    arms: Sequence[str] = ()
    """The model of every cell; empty: one arm."""
    strict: bool = False
    """Keep the order even where a later attempt would fit and an earlier one does not."""
    _cells: list[_Cell] = field(default_factory=list)
    _turns: list[list[int]] = field(default_factory=list)
    """Per arm its cells, the one served longest ago first."""
    _unknown: float = 0.0
    """Stands for an unknown length: the mean of the known ones."""
    _credit: int = 0

    def fill(self, cells: Sequence[Sequence[Attempt]]) -> None:
        """Take the attempts of every cell, in the order of ``caps``."""
        self._cells = [_Cell() for _ in cells]
        for cell, todos in zip(self._cells, cells, strict=True):
            for todo in todos:
                cell.push(todo)
        known = [todo.expected for todos in cells for todo in todos if todo.expected is not None]
        self._unknown = sum(known) / len(known) if known else 0.0
        arms: dict[str, list[int]] = {}
        for number in range(len(cells)):
            arms.setdefault(self.arms[number] if self.arms else "", []).append(number)
        self._turns = list(arms.values())

    def take(self, fits: Fits | None = None) -> Attempt | None:
        """The next attempt that may start now; None if there is none, all are capped, or none fits."""
        for turn, arm in enumerate(self._turns):
            found = {
                number: todo
                for number in arm
                if self._cells[number].running < self.caps[number]
                and (todo := self._cells[number].first(fits, strict=self.strict)) is not None
            }
            if not found:
                continue
            number = max(found, key=lambda number: self._urgency(number, found[number]))
            cell = self._cells[number]
            heapq.heappop(cell.heap)
            cell.drop(found[number])
            cell.running += 1
            cell.taken += 1
            arm.remove(number)
            arm.append(number)
            self._turns.append(self._turns.pop(turn))
            return found[number]
        return None

    def _urgency(self, number: int, todo: Attempt) -> tuple[bool, float]:
        """Highest first; ``max`` takes the first of equals, which is the cell served longest ago."""
        expected = self._unknown if todo.expected is None else todo.expected
        return self._cells[number].taken == 0, 0.0 if self.strict else expected

    def done(self, todo: Attempt) -> None:
        """An attempt that was taken has ended."""
        self._cells[todo.cell].running -= 1
        self._credit += LOOKS
        if self._credit >= sum(len(cell.aside) for cell in self._cells):
            self.reconsider()

    def reconsider(self) -> None:
        """Look again at attempts that did not fit: what is known of lengths and rates has changed since."""
        self._credit = 0
        for cell in self._cells:
            for todo in cell.aside:
                cell.again(todo)
            cell.aside = []

    def learn(self, cell: int, item: str, repeats: int, tokens: float) -> None:
        """One attempt at an item took ``tokens``: its waiting repeats are expected to take as many."""
        for repeat in range(repeats):
            todo = self._cells[cell].waiting.get((item, repeat))
            if todo is not None:
                group, _, _, place = todo.rank
                rank = (group, -tokens, repeat, place)
                self._cells[cell].push(replace(todo, expected=tokens, learned=True, rank=rank))

    def keep(self, cell: int, items: frozenset[str]) -> int:
        """Drop the waiting attempts of a cell at all other items; returns how many those were."""
        one = self._cells[cell]
        dropped = [todo for (item, _), todo in one.waiting.items() if item not in items]
        for todo in dropped:
            one.drop(todo)
        one.aside = [todo for todo in one.aside if todo.item.id in items]
        return len(dropped)

    @property
    def open(self) -> tuple[WaitingAttempts, ...]:
        """What waits in every cell, summed up."""
        return tuple(cell.open for cell in self._cells)

    @property
    def waiting(self) -> list[Attempt]:
        """Attempts that have not been taken."""
        return [todo for cell in self._cells for todo in cell.waiting.values()]

    @property
    def left(self) -> int:
        """How many attempts have not been taken."""
        return sum(len(cell.waiting) for cell in self._cells)
