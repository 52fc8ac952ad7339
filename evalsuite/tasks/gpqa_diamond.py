"""GPQA Diamond (Rein et al. 2023, arXiv 2311.12022): 198 graduate-level questions with four choices.

Variants: ``nvidia`` (NeMo-Skills ``eval/aai/mcq-4choices`` and its evaluator: one fixed order of the choices for all
repeats, choices cleaned as there), ``simple_evals`` (openai/simple-evals: another order at each repeat, unchanged
texts). The order is a pure function of record id, repeat and seed, not the sequence that the authors' generators draw,
so that every precision gets the same order however its items are scheduled. The correct choice is identified by its
index, never by its text, because two choices may have the same text. The dataset is gated, and its terms ask not to
show examples in plain text.
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
"""Letters of the choices."""
CHOICES = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
"""Columns of the choices; the first is the correct one."""
SENTENCES = {
    "nvidia": "Answer the following multiple choice question. The last line of your response should be in the "
    "following format: 'Answer: A/B/C/D' (e.g. 'Answer: A').",
    "simple_evals": "Answer the following multiple choice question. The last line of your response should be of the "
    "following format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before "
    "answering.",
}
"""Variant -> first sentence of the prompt."""
CHAINS = {"nvidia": extract.boxed_chain, "simple_evals": extract.simple_evals_letter}
"""Variant -> extractor of the answer."""


@dataclass(frozen=True, slots=True)
class GPQADiamond:
    """Adapter of GPQA Diamond; one attempt is one question."""

    variant: str = "nvidia"
    """Protocol of prompt and grading."""
    seed: int = 42
    """Determines the order of the choices."""
    source: Source = HUB
    """Where the questions come from."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("nvidia", "simple_evals")
    id_field: ClassVar[str] = "Record ID"
    shuffled: ClassVar[bool] = True
    """A letter has no meaning without the order of the choices: imported answers cannot be graded."""

    def items(self) -> Iterable[Item]:
        """Load and yield all questions; inputs are the question and four ``choices``, the correct one first (target 0).

        Groups are domain and subdomain. Raises ``BadInput`` or ``StorageFailed`` when the data cannot be loaded.
        """
        for row in rows("gpqa_diamond", pin("gpqa_diamond"), "train", self.source):
            inputs = {"question": row["Question"], "choices": [row[name] or "" for name in CHOICES]}
            groups = {"domain": row["High-level domain"], "subdomain": row["Subdomain"]}
            yield Item(row["Record ID"], inputs, 0, groups)

    def order(self, item: Item, repeat: int) -> tuple[int, ...]:
        """Return the order in which the item's four choices are shown as A to D: a tuple of their
        indices (0 is the correct one).

        It is a pseudo-random function of seed and item id, in the variant ``simple_evals`` also of ``repeat``.
        """
        drawn_for = 0 if self.variant == "nvidia" else repeat

        def rank(index: int) -> bytes:
            return hashlib.sha256(f"{self.seed}:{item.id}:{drawn_for}:{index}".encode()).digest()

        return tuple(sorted(range(len(LETTERS)), key=rank))

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: one user message with instruction, question and the choices as A) to D) in ``order``.

        In the variant ``nvidia`` the texts are cleaned as NeMo-Skills does, and every repeat has the same order.
        """
        question, choices = item.inputs["question"], item.inputs["choices"]
        if self.variant == "nvidia":
            question, choices = question.strip("\n"), [_cleaned(choice) for choice in choices]
        shown = (choices[index] for index in self.order(item, repeat))
        listed = "\n".join(f"{letter}) {choice}" for letter, choice in zip(LETTERS, shown, strict=True))
        content = f"{SENTENCES[self.variant]}\n\n{question}\n\n{listed}"
        return Request(({"role": "user", "content": content},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Grade a reply: value 1 when the text that the variant's extractor finds is the capital letter that the
        correct choice has in ``order`` (which only ``simple_evals`` changes with ``repeat``), else 0.

        The note states the order (indices of the choices as shown, 0 is the correct one) and the correct letter.
        """
        order = self.order(item, repeat)
        key = LETTERS[order.index(item.target)]
        extracted = CHAINS[self.variant](reply.text, LETTERS)
        note = f"order {''.join(str(index) for index in order)}, right is {key}"
        return graded(reply, right=extracted.answer == key, answer=extracted.answer, stage=extracted.stage, note=note)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the question once and grade the reply as ``score``: value 1 or 0.

        Raises what ``tools.chat`` raises, such as ``SampleFailed`` without a whole reply and ``ContextOverflow`` for a
        prompt that is too long.
        """
        return await single_turn(self, item, repeat, tools)


def _cleaned(text: str) -> str:
    """Return a choice cleaned as NeMo-Skills does: stripped, ``" [title]"`` -> ``". "``, each two spaces -> one."""
    return text.strip().replace(" [title]", ". ").replace("  ", " ")
