"""Generated word problems in five subjects: the task of the embedded demo models (``evalsuite.demo.problems``).

One variant, ``plain``: the question is the user's message, the answer is the whole reply without surrounding space.
The questions come with the package, so ``data=`` does not apply.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from evalsuite.demo.problems import held_out
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded, single_turn
from evalsuite.tasks.datasets import HUB, Source


@dataclass(frozen=True, slots=True)
class WordProblems:
    """One attempt is one question."""

    variant: str = "plain"
    seed: int = 42
    """Not used: nothing is drawn."""
    source: Source = HUB
    """Not used: the questions are generated."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("plain",)
    id_field: ClassVar[str] = "id"

    def items(self) -> Iterable[Item]:
        """The 2,000 held-out questions."""
        for problem in held_out():
            yield Item(problem.id, {"question": problem.question}, problem.answer, {"subject": problem.subject})

    def prompt(self, item: Item, repeat: int) -> Request:
        """The question as one user message."""
        return Request(({"role": "user", "content": item.inputs["question"]},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Right if the reply is the answer and nothing else."""
        answer = reply.text.strip() or None
        return graded(reply, right=answer == item.target, answer=answer, stage="text" if answer else "")

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask once and grade."""
        return await single_turn(self, item, repeat, tools)
