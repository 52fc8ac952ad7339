"""Questions of about 1 KB that need no data set."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded, single_turn
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.grading.extract import flexible_number

FILLING = "Read the following carefully before you answer, and take your time. " * 14


@dataclass(frozen=True)
class Echo:
    """``count`` questions whose answer is always 42."""

    variant: str = "plain"
    seed: int = 0
    source: Source = field(default_factory=Source)
    count: int = 1000

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("plain",)

    def items(self) -> Iterator[Item]:
        """The questions, in two groups."""
        for number in range(self.count):
            yield Item(f"q{number}", {"number": number}, "42", {"parity": ("even", "odd")[number % 2]})

    def prompt(self, item: Item, repeat: int) -> Request:
        """About 1 KB."""
        return Request(({"role": "user", "content": f"{FILLING} [id:{item.inputs['number']}] What is it?"},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Right if the last number is 42."""
        found = flexible_number(reply.text)
        return graded(reply, right=found.answer == item.target, answer=found.answer, stage=found.stage)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """One question, one answer."""
        return await single_turn(self, item, repeat, tools)
