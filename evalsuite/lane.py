"""What the engine works on: an endpoint with its cells of this run, and the counts that are kept of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evalsuite.adapters.base import Adapter
from evalsuite.asking import AideClient, Stop
from evalsuite.endpoint.pool import Pool
from evalsuite.lengths import Lengths
from evalsuite.records import Item
from evalsuite.schedule import Order, Todo, ordered
from evalsuite.store import Cell
from evalsuite.windows import BUDGET


@dataclass(frozen=True, slots=True)
class Job:
    """One cell of a run, ready to be asked."""

    cell: Cell
    adapter: Adapter
    client: Pool
    items: tuple[Item, ...]
    repeats: int
    sampling: Mapping[str, Any]
    """Fields of every request, ``seed`` excepted."""
    seed: int
    cap: int
    """Most attempts of this cell at the same time."""
    judge: AideClient | None = None
    simulator: AideClient | None = None
    lengths: Lengths = field(default_factory=Lengths)
    """What is known beforehand of its answers' lengths."""

    def todo(self, number: int, order: Order = "longest") -> list[Todo]:
        """The attempts that are not on record yet, in the order in which they are made (``schedule.ordered``)."""
        planned = ordered(
            number,
            self.items,
            self.repeats,
            expected=self.lengths.expected,
            order=order,
            seed=self.seed,
            together=getattr(self.adapter, "shares_prefix", False),
        )
        judged = self.judge is not None
        return [todo for todo in planned if self.cell.needs((todo.item.id, todo.repeat), judged=judged)]


@dataclass(frozen=True, slots=True)
class Lane:
    """One endpoint with all its cells of this run."""

    name: str
    limit: int
    """Most requests in flight."""
    jobs: tuple[Job, ...]
    looks: tuple[Callable[[], Awaitable[None]], ...] = ()
    """Asked again and again: each raises ``EndpointUnusable`` when its server is no longer who it was."""


@dataclass(slots=True)
class Progress:
    """Counts of one lane, for whoever draws them."""

    planned: int = 0
    done: int = 0
    failed: int = 0
    truncated: int = 0
    tokens: int = 0
    running: int = 0
    started: int = 0
    """Attempts that were begun."""
    cut: int = 0
    """Answers that were cut while they came."""
    unsent: int = 0
    """Attempts that were not begun, or not gone on with, because of the window, a stop or a spent budget."""
    needed: float | None = None
    """Seconds that the shortest unsent attempt is expected to need at most, where that is known."""
    stopped: str = ""
    """Why the endpoint was given up, if it was."""
    recorded: int = 0
    """Attempts of its cells that were on record before."""
    limit: int = 0
    """Most requests in flight now: fewer than the user set while the endpoint is overloaded or a replica is away."""
    in_flight: int = 0
    """Requests in flight."""
    arriving: float = 0.0
    """Generated tokens of replies that are still coming, estimated from their text; not in ``tokens`` yet."""
    tokens_left: float | None = None
    """Tokens that all open attempts are expected to generate yet, where anything is known of their lengths."""
    longest_left: float = 0.0
    """Of which the running attempt that is expected to last longest."""
    state: str = ""
    """What holds it up: an outage, overload, a stop; empty: nothing."""


@dataclass(slots=True)
class Grown:
    """How long the finished attempts of a cell became beside what was expected of them, in generated tokens."""

    attempts: int = 0
    tokens: float = 0.0
    guessed: float = 0.0
    """Expected tokens of those that were expected by earlier records or the benchmark's card."""
    became: float = 0.0
    """Tokens of the same attempts."""

    def add(self, todo: Todo, tokens: float) -> None:
        """One attempt ended with a verdict after ``tokens``."""
        self.attempts += 1
        self.tokens += tokens
        if todo.expected is not None and not todo.learned:
            self.guessed += todo.expected
            self.became += tokens

    def expected(self, todo: Todo) -> float | None:
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


@dataclass(slots=True)
class Budget:
    """Generated tokens of all endpoints of a run together."""

    limit: int | None
    stop: Stop
    spent: int = 0

    def add(self, tokens: int) -> None:
        """Count; a spent budget lets nothing new start."""
        self.spent += tokens
        if self.limit is not None and self.spent >= self.limit:
            self.stop.request(BUDGET)
