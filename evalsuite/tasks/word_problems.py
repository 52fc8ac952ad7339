"""Generated word problems in five subjects: the task of the embedded demo models (``evalsuite.demo.problems``).

One variant, ``plain``: the question is the user message, and the answer is the whole reply without surrounding space.
The questions are part of the package, so ``data=`` does not apply.
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
    """Adapter of the generated word problems; one attempt is one question."""

    variant: str = "plain"
    """Protocol of the prompt."""
    seed: int = 42
    """Not used: nothing is random."""
    source: Source = HUB
    """Not used: the questions are generated."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("plain",)
    id_field: ClassVar[str] = "id"

    def items(self) -> Iterable[Item]:
        """Yield the 2,000 generated questions that the demo models were not trained on, the same on every call.

        The target is the answer as text, the group ``subject`` the kind of question.
        """
        for problem in held_out():
            yield Item(problem.id, {"question": problem.question}, problem.answer, {"subject": problem.subject})

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: the question as the only message, of the user. ``repeat`` is not used."""
        return Request(({"role": "user", "content": item.inputs["question"]},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Grade a reply: value 1 when it equals the answer, apart from surrounding space,
        else 0. ``repeat`` is not used.
        """
        answer = reply.text.strip() or None
        return graded(reply, right=answer == item.target, answer=answer, stage="text" if answer else "")

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the question once and grade the reply as ``score``: value 1 or 0.

        Raises what ``tools.chat`` raises, such as ``SampleFailed`` without a whole reply and ``ContextOverflow`` for a
        prompt that is too long.
        """
        return await single_turn(self, item, repeat, tools)
