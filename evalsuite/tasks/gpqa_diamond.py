"""GPQA Diamond (Rein et al. 2023, arXiv 2311.12022): 198 graduate-level questions with four choices.

Variants: ``nvidia`` (NeMo-Skills ``eval/aai/mcq-4choices`` and its evaluator: one fixed order of the choices for all
repeats, choices cleaned as there), ``simple_evals`` (openai/simple-evals: another order at each repeat, texts as they
are). The order is a pure function of record id, repeat and seed - not the sequence that the authors' generators draw -
so that every precision is asked the same in any order of items. Right is the choice's index, never its text: two
choices may read alike. The dataset is gated, and its terms ask not to show examples in plain text.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded, single_turn
from evalsuite.tasks.datasets import HUB, Source, pin, rows
from evalsuite.tasks.grading import extract

LETTERS = "ABCD"
CHOICES = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
SENTENCES = {
    "nvidia": "Answer the following multiple choice question. The last line of your response should be in the "
    "following format: 'Answer: A/B/C/D' (e.g. 'Answer: A').",
    "simple_evals": "Answer the following multiple choice question. The last line of your response should be of the "
    "following format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before "
    "answering.",
}
CHAINS = {"nvidia": extract.boxed_chain, "simple_evals": extract.simple_evals_letter}


@dataclass(frozen=True, slots=True)
class GPQADiamond:
    """One attempt is one question; repeats are averaged within an item first."""

    variant: str = "nvidia"
    seed: int = 42
    """Of the order of choices."""
    source: Source = HUB

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("nvidia", "simple_evals")
    id_field: ClassVar[str] = "Record ID"
    shuffled: ClassVar[bool] = True
    """A letter means nothing without the order that was shown: answers recorded elsewhere cannot be graded."""

    def items(self) -> Iterable[Item]:
        """All records; the right choice is the first of ``choices``."""
        for row in rows("gpqa_diamond", pin("gpqa_diamond"), "train", self.source):
            inputs = {"question": row["Question"], "choices": [row[name] or "" for name in CHOICES]}
            groups = {"domain": row["High-level domain"], "subdomain": row["Subdomain"]}
            yield Item(row["Record ID"], inputs, 0, groups)

    def order(self, item: Item, repeat: int) -> tuple[int, ...]:
        """Indices of the choices in the order in which they are shown as A to D."""
        shown = 0 if self.variant == "nvidia" else repeat

        def rank(index: int) -> bytes:
            return hashlib.sha256(f"{self.seed}:{item.id}:{shown}:{index}".encode()).digest()

        return tuple(sorted(range(len(LETTERS)), key=rank))

    def prompt(self, item: Item, repeat: int) -> Request:
        """One user message."""
        question, choices = item.inputs["question"], item.inputs["choices"]
        if self.variant == "nvidia":
            question, choices = question.strip("\n"), [_cleaned(choice) for choice in choices]
        shown = (choices[index] for index in self.order(item, repeat))
        listed = "\n".join(f"{letter}) {choice}" for letter, choice in zip(LETTERS, shown, strict=True))
        content = f"{SENTENCES[self.variant]}\n\n{question}\n\n{listed}"
        return Request(({"role": "user", "content": content},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Right if the chain finds the letter under which this repeat showed the right choice."""
        order = self.order(item, repeat)
        key = LETTERS[order.index(item.target)]
        found = CHAINS[self.variant](reply.text, LETTERS)
        note = f"order {''.join(str(index) for index in order)}, right is {key}"
        return graded(reply, right=found.answer == key, answer=found.answer, stage=found.stage, note=note)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask once and grade."""
        return await single_turn(self, item, repeat, tools)


def _cleaned(text: str) -> str:
    """As NeMo-Skills' ``dataset/gpqa/prepare.py`` cleans choices."""
    return text.strip().replace(" [title]", ". ").replace("  ", " ")
