"""Interface between evalsuite and a benchmark: what an adapter must implement, and the tools that an attempt may
use.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from evalsuite.records import Item, JudgeVerdict, Reply, Request, Score

SLOW_TEXT = 20_000
"""Length in characters from which a reply is graded in a thread (the slowest extractor takes 2 ms for such a text)."""


class Chat(Protocol):
    """One call of a model. Replies are written to the journal when they arrive and read from it when a run is
    resumed.
    """

    async def __call__(self, request: Request) -> Reply:
        """Send one request to the model, with the sampling that the run sets for it, and wait for the reply.

        Args:
            request: The messages, tools and stop strings; its field ``sampling`` is replaced by that of the run.

        Returns:
            The whole reply, its text cut before the first stop string (where the reply has reasoning, white space at
                the beginning of the text is not searched). A reply that the journal has from an earlier run is
                returned without sending anything.

        Raises:
            SampleFailed: No whole reply was received, or nothing may be sent and the journal has none.
            ContextOverflow: The prompt does not fit the context of the model under test.
            EndpointUnusable: The model under test cannot be used any more.
            Stopped: The run stops before the request is sent.
            StorageFailed: The reply cannot be written to the journal.
            BadInput: The journal's reply is to another prompt.
        """
        ...


@dataclass(frozen=True, slots=True)
class Rubric:
    """How a judge is asked about an answer, and how its reply is read."""

    name: str
    """Name and version; verdicts of different rubrics are never mixed."""
    request: Callable[[str, str, str], Request]
    """(question, reference answer, answer to judge) -> the request, without sampling."""
    read: Callable[[str], JudgeVerdict | None]
    """Text of the judge's reply -> verdict; None when it states none, so that it is asked again."""


class Judge(Protocol):
    """A language model that compares a free-text answer with the reference answer."""

    async def __call__(self, question: str, official: str, candidate: str) -> bool:
        """Decide whether an answer agrees with the reference answer, by the rubric of AA-LCR.

        The verdict is journaled, and reused for the same judge, question, reference answer and answer of this attempt.

        Args:
            question: The question.
            official: The reference answer.
            candidate: The answer to judge.

        Returns:
            Whether the answer is correct.

        Raises:
            JudgeFailed: The judge cannot be asked or stated no verdict. This is never counted as a wrong answer.
            StorageFailed: The verdict cannot be written to the journal.
        """
        ...

    async def verdict(self, rubric: Rubric, question: str, official: str, candidate: str) -> JudgeVerdict:
        """Decide whether an answer agrees with the reference answer, with the prompt and reading of a given rubric.

        The verdict is journaled, and reused for the same judge, rubric, question, reference answer and answer of this
        attempt.

        Args:
            rubric: Prompt and reading of the benchmark.
            question: The question.
            official: The reference answer.
            candidate: The answer to judge.

        Returns:
            The verdict: ``right``, whether the answer is right, and ``confidence``, the confidence (a fraction of 1)
                that the judge read in the answer, or None where the rubric reads none in the judge's reply.

        Raises:
            JudgeFailed: The judge cannot be asked or stated no verdict. This is never counted as a wrong answer.
            StorageFailed: The verdict cannot be written to the journal.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What one attempt may use; bound to its item, repeat and cell."""

    chat: Chat
    """The model under test."""
    simulator: Chat | None = None
    """The simulated user of a dialogue; None when the task has none."""
    judge: Judge | None = None
    """The judge; None when there is none, so that free-text answers stay ``ungraded`` until later."""


class Adapter(Protocol):
    """A benchmark: its items, and one attempt at one item.

    An adapter is a frozen dataclass whose fields are its options.
    """

    version: ClassVar[str]
    """``P.S``: P is the version of what is asked, S that of the grading."""

    def items(self) -> Iterable[Item]:
        """Load the items, all of the task in the order of the dataset.

        Returns:
            The items, possibly as an iterator that loads them, and raises, only when it is iterated over.

        Raises:
            BadInput: The data cannot be loaded.
            StorageFailed: A cache on disk cannot be used.
        """
        ...

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask one item once and grade the answer.

        Args:
            item: The item.
            repeat: Number of the repeat, from 0.
            tools: The model under test, and the simulator and judge when the task needs them.

        Returns:
            The score; its value is a fraction of 1, or None when nothing was measured (such as without a judge).

        Raises:
            SampleFailed: No reply, or none that can be graded, was received. What else ``tools.chat`` raises (such as
                ``ContextOverflow``) passes through as well.
        """
        ...


class SingleTurn(Protocol):
    """The pure part of a benchmark with one request and one reply per attempt."""

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request of an attempt from item, repeat, options and the task's data alone: the same on every call.

        Args:
            item: The item.
            repeat: Number of the repeat, from 0.

        Returns:
            The request without sampling.
        """
        ...

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Grade a whole reply; nothing is sent or stored.

        Args:
            item: The item.
            repeat: Number of the repeat, from 0; it determines the order of the options in some tasks.
            reply: The reply.

        Returns:
            The score; its value is a fraction of 1, or None when nothing was measured (such as when a judge is needed).
        """
        ...


async def single_turn(task: SingleTurn, item: Item, repeat: int, tools: Tools, *, slow: bool = False) -> Score:
    """Make one attempt of a single-turn benchmark: send the prompt to the model under test, grade the reply.

    A reply whose text has 20,000 characters or more, and with ``slow`` every reply, is graded in a thread, so that
    grading does not block the event loop.

    Args:
        task: The benchmark.
        item: The item.
        repeat: Number of the repeat, from 0.
        tools: The tools of the attempt.
        slow: Whether grading a short reply, too, can take more than a few milliseconds.

    Returns:
        The score of the reply.

    Raises:
        SampleFailed: No whole reply was received. What else ``tools.chat``, ``task.prompt`` and ``task.score`` raise
            passes through as well.
    """
    reply = await tools.chat(task.prompt(item, repeat))
    if len(reply.text) < SLOW_TEXT and not slow:
        return task.score(item, repeat, reply)
    import asyncio  # 0.05 s, which a plan or a dry run does not need

    return await asyncio.to_thread(task.score, item, repeat, reply)


def graded(reply: Reply, *, right: bool, answer: str | None, stage: str = "", note: str = "") -> Score:
    """Build the score of a 0/1 answer; wrong replies that are truncated, refused or answerless get their own outcomes.

    Args:
        reply: The graded reply.
        right: Whether the answer is correct; a correct answer counts even in a truncated or refused reply.
        answer: The extracted answer; None when none was found.
        stage: The stage of the extractor that found it.
        note: A remark for people.

    Returns:
        A score with value 1 and outcome ``correct``, or with value 0 and outcome ``truncated`` (token limit),
            ``refused`` (content filter), ``no_answer`` (``answer`` is None) or ``wrong``, checked in this order.
    """
    if right:
        return Score(1.0, "correct", answer, stage, note=note)
    if reply.truncated:
        return Score(0.0, "truncated", answer, stage, note=note)
    if reply.finish_reason == "content_filter":
        return Score(0.0, "refused", answer, stage, note=note)
    return Score(0.0, "no_answer" if answer is None else "wrong", answer, stage, note=note)
