"""MMMU (Yue et al. 2023, arXiv 2311.16502), validation: 900 questions about pictures, 30 in each of 30 subjects.

847 with choices, 53 open. Variants: ``sglang`` (SGLang's ``benchmark/mmmu/bench_sglang.py`` of 0572f4c with
``--multi-images``: each picture where its tag stands), ``sglang_first`` (as that script does by itself: only
``image_1``, in the place of the first tag, so that a question about several pictures cannot be answered). Its prompts
and parsers, without the random guess. Keys that are lists ("['24/7', '3.429']") are read as MMMU's own
``answer_dict_val.json`` has them, where the script compares with their text. Sampling is the run's: the script states
none.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from evalsuite.errors import BadInput
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded
from evalsuite.tasks.datasets import HUB, Source
from evalsuite.tasks.mmmu import images as pictures
from evalsuite.tasks.mmmu.parsing import LETTERS, open_answer, sglang_letter

CHOICES = "{question}\n\n{listed}\n\nAnswer with the option's letter from the given choices directly."
OPEN = "{question}\n\nAnswer the question using a single word or phrase."


@dataclass(frozen=True, slots=True)
class MMMUVal:
    """One attempt is one question."""

    variant: str = "sglang"
    seed: int = 42
    """Not used: nothing is shuffled."""
    source: Source = HUB

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("sglang", "sglang_first")

    @property
    def images(self) -> int:
        """Pictures of one request at most."""
        return 1 if self.variant == "sglang_first" else pictures.MOST

    def items(self) -> Iterable[Item]:
        """All questions, subject by subject; raises ``BadInput`` for one without pictures, options or key."""
        for row in pictures.rows("mmmu_val", "validation", self.source):
            choices = pictures.options(row) if row["question_type"] == "multiple-choice" else []
            inputs = {"question": row["question"], "options": choices, "images": pictures.images(row)}
            pictures.shown(row["id"], "\n".join((row["question"], *choices)), inputs["images"])
            if self.variant == "sglang_first" and "image_1" not in inputs["images"]:
                raise BadInput(f"mmmu_val item {row['id']} lacks picture image_1, the only one that sglang_first shows")
            groups = {"subject": _subject(row["id"]), "question_type": row["question_type"]}
            yield Item(row["id"], inputs, _key(row), groups)

    def prompt(self, item: Item, repeat: int) -> Request:
        """One user message; its pictures are read here. Raises ``BadInput`` when one cannot be."""
        question, choices = item.inputs["question"], item.inputs["options"]
        listed = "".join(f"({letter}) {choice}\n" for letter, choice in zip(LETTERS, choices, strict=False))
        text = CHOICES.format(question=question, listed=listed) if choices else OPEN.format(question=question)
        content = self._first(item, text) if self.variant == "sglang_first" else self._all(item, text)
        return Request(({"role": "user", "content": content},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Choices: right if the parser finds the key's letter. Open: right if the reply holds a key."""
        if not item.inputs["options"]:
            right, answer = open_answer(reply.text, item.target)
            return graded(reply, right=right, answer=answer, stage="" if answer is None else "open")
        found = sglang_letter(reply.text, item.inputs["options"])
        return graded(reply, right=found.answer == item.target, answer=found.answer, stage=found.stage)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask once and grade."""
        return await pictures.ask(self, item, repeat, tools)

    def _all(self, item: Item, text: str) -> list[dict[str, Any]]:
        """Pictures at their tags; those that no tag names follow the text."""
        named = pictures.shown(item.id, text, item.inputs["images"])
        rest = [column for column in item.inputs["images"] if column not in named]
        content = pictures.interleaved("mmmu_val", "validation", self.source, item, text)
        return [*content, *(self._part(item, column) for column in rest)]

    def _first(self, item: Item, text: str) -> list[dict[str, Any]]:
        """The pieces of the text between tags, with the first picture behind the first piece."""
        pieces = pictures.TAG.split(text)[::2]
        content = [{"type": "text", "text": piece} for piece in pieces if piece]
        content.insert(1 if pieces[0] else 0, self._part(item, "image_1"))
        return content

    def _part(self, item: Item, column: str) -> dict[str, Any]:
        return pictures.part("mmmu_val", "validation", self.source, item, column)


def _subject(item_id: str) -> str:
    """``validation_Art_Theory_12`` is of ``Art_Theory``."""
    return "_".join(item_id.split("_")[1:-1])


def _key(row: dict[str, Any]) -> str | list[str]:
    """A letter, or the accepted answers of an open question."""
    key = str(row["answer"])
    if row["question_type"] == "multiple-choice":
        if key not in tuple(LETTERS):
            raise BadInput(f"mmmu_val item {row['id']}: key {key!r} is no letter")
        return key
    if key.startswith("["):
        try:
            listed = ast.literal_eval(key)
        except (SyntaxError, ValueError):
            return [key]
        return [str(one) for one in listed] if isinstance(listed, list) else [key]
    return [key]
