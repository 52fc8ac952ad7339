"""The one seam of evalsuite: what a benchmark must offer, and what it is given to work with."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from evalsuite.records import Item, Reply, Request, Score

SLOW_TEXT = 20_000
"""Characters from which grading leaves the event loop (measured: the slowest extractor takes 2 ms here)."""


class Chat(Protocol):
    """One call of the model under test: journaled when it arrives, replayed on resume."""

    async def __call__(self, request: Request) -> Reply:
        """Send ``request`` with the run's sampling; raises ``SampleFailed`` when no whole reply could be had."""
        ...


class Judge(Protocol):
    """A language model that holds a free answer against the official one."""

    async def __call__(self, question: str, official: str, candidate: str) -> bool:
        """Whether ``candidate`` says the same as ``official``; journaled, and replayed for the same answer.

        Raises ``JudgeFailed`` when no verdict could be had: never the model's fault.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What one attempt may use. Bound to its item, repeat and cell."""

    chat: Chat
    """The model under test."""
    simulator: Chat | None = None
    """The simulated user that it talks with, where the task has one."""
    judge: Judge | None = None
    """None: free answers stay ``ungraded`` until later."""


class Adapter(Protocol):
    """A benchmark: which items it has, and one attempt at one item.

    An adapter is a frozen dataclass; its fields are its options.
    """

    version: ClassVar[str]
    """``P.S``: P = what is asked, S = how it is graded."""

    def items(self) -> Iterable[Item]:
        """All items in the dataset's order; raises ``BadInput`` when the data cannot be had."""
        ...

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask once and grade; ``repeat`` counts from 0."""
        ...


class SingleTurn(Protocol):
    """The pure half of a benchmark that asks one question and grades one reply."""

    def prompt(self, item: Item, repeat: int) -> Request:
        """The request: a pure function of the item, the repeat and the options."""
        ...

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """The verdict on a whole reply; pure. ``repeat`` tells the option order where a task has one."""
        ...


async def single_turn(task: SingleTurn, item: Item, repeat: int, tools: Tools) -> Score:
    """The attempt of every single-turn benchmark."""
    reply = await tools.chat(task.prompt(item, repeat))
    if len(reply.text) < SLOW_TEXT:
        return task.score(item, repeat, reply)
    return await asyncio.to_thread(task.score, item, repeat, reply)


def graded(reply: Reply, *, right: bool, answer: str | None, stage: str = "", note: str = "") -> Score:
    """The score of a 0/1 answer, with its outcome: truncation, refusal and silence are told apart from wrong."""
    if right:
        return Score(1.0, "correct", answer, stage, note=note)
    if reply.truncated:
        return Score(0.0, "truncated", answer, stage, note=note)
    if reply.finish_reason == "content_filter":
        return Score(0.0, "refused", answer, stage, note=note)
    return Score(0.0, "no_answer" if answer is None else "wrong", answer, stage, note=note)
