"""MMMU (Yue et al. 2023, arXiv 2311.16502), validation split: 900 questions about images, 30 in each of 30 subjects.

847 have choices, 53 are open. Variants: ``sglang`` (SGLang's ``benchmark/mmmu/bench_sglang.py`` of 0572f4c with
``--multi-images``: each image at the position of its tag), ``sglang_first`` (the default of that script: only
``image_1``, at the position of the first tag, so that a question about several images cannot be answered). The prompts
and the parser of choices are those of the script, without the random guess; open questions are graded as MMMU's authors
do (MMMU-Benchmark/MMMU bb0b95a). Keys that are lists ("['24/7', '3.429']") are read as in
MMMU's own ``answer_dict_val.json``; the script compares with their text. Sampling is that of the run, because the
script states none.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from evalsuite.errors import BadInput
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded
from evalsuite.tasks.datasets import HUB, Source
from evalsuite.tasks.mmmu import images
from evalsuite.tasks.mmmu.parsing import LETTERS, open_answer, sglang_letter

CHOICES = "{question}\n\n{listed}\n\nAnswer with the option's letter from the given choices directly."
"""Template of a question with choices."""
OPEN = "{question}\n\nAnswer the question using a single word or phrase."
"""Template of an open question."""


@dataclass(frozen=True, slots=True)
class MMMUVal:
    """Adapter of MMMU's validation split; one attempt is one question."""

    variant: str = "sglang"
    """Protocol of the prompt."""
    seed: int = 42
    """Not used: nothing is shuffled."""
    source: Source = HUB
    """Where the questions come from."""

    version: ClassVar[str] = "1.1"
    variants: ClassVar[tuple[str, ...]] = ("sglang", "sglang_first")

    @property
    def images(self) -> int:
        """Largest number of different images in one request: 1 for ``sglang_first``, else 7."""
        return 1 if self.variant == "sglang_first" else images.MAX_IMAGES

    def items(self) -> Iterable[Item]:
        """Load and yield all questions in the dataset's order; the target is a letter, of an open question the list of
        accepted answers.

        Groups are subject and type of question. Raises, on iterating, ``StorageFailed`` when the cache of ``datasets``
        cannot be used, ``BadInput`` when the data cannot be loaded, for an item without an image or one that its text
        names or ``sglang_first`` shows, and for choices that are no list or have a key that is no letter.
        """
        for row in images.question_rows("mmmu_val", "validation", self.source):
            choices = images.options(row) if row["question_type"] == "multiple-choice" else []
            inputs = {"question": row["question"], "options": choices, "images": images.image_digests(row)}
            images.tagged_columns(row["id"], "\n".join((row["question"], *choices)), inputs["images"])
            if self.variant == "sglang_first" and "image_1" not in inputs["images"]:
                raise BadInput(f"mmmu_val item {row['id']} lacks picture image_1, the only one that sglang_first shows")
            groups = {"subject": _subject(row["id"]), "question_type": row["question_type"]}
            yield Item(row["id"], inputs, _key(row), groups)

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: one user message with question, choices and the images at their tags.

        Images without a tag follow at the end; the images are read here. ``sglang_first`` sends ``image_1`` only, at
        the first tag or, without one, at the end. ``repeat`` is not used. Raises ``BadInput`` when an image is missing
        or cannot be read.
        """
        question, choices = item.inputs["question"], item.inputs["options"]
        listed = "".join(f"({letter}) {choice}\n" for letter, choice in zip(LETTERS, choices, strict=False))
        text = CHOICES.format(question=question, listed=listed) if choices else OPEN.format(question=question)
        content = self._first(item, text) if self.variant == "sglang_first" else self._all(item, text)
        return Request(({"role": "user", "content": content},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Grade a reply: value 1 when it gives the key's letter (choices) or an accepted
        answer (open question), else 0.

        ``repeat`` is not used.
        """
        if not item.inputs["options"]:
            right, answer = open_answer(reply.text, item.target)
            return graded(reply, right=right, answer=answer, stage="" if answer is None else "open")
        extracted = sglang_letter(reply.text, item.inputs["options"])
        return graded(reply, right=extracted.answer == item.target, answer=extracted.answer, stage=extracted.stage)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the question once and grade the reply as ``score``: value 1 or 0.

        Raises what ``tools.chat`` raises (such as ``SampleFailed`` without a whole reply, ``ContextOverflow`` for a
        prompt that is too long) and ``BadInput`` when an image cannot be read.
        """
        return await images.single_turn_with_images(self, item, repeat, tools)

    def _all(self, item: Item, text: str) -> list[dict[str, Any]]:
        """Return OpenAI content parts: ``text`` with each image at its tag, then the item's images without a tag."""
        named = images.tagged_columns(item.id, text, item.inputs["images"])
        rest = [column for column in item.inputs["images"] if column not in named]
        content = images.interleaved("mmmu_val", "validation", self.source, item, text)
        return [*content, *(self._part(item, column) for column in rest)]

    def _first(self, item: Item, text: str) -> list[dict[str, Any]]:
        """Return OpenAI content parts: the pieces of ``text`` between its tags, with ``image_1`` at the first tag.

        Without a tag it follows the text. Other images are left out.
        """
        pieces = images.TAG.split(text)[::2]
        content = [{"type": "text", "text": piece} for piece in pieces if piece]
        content.insert(1 if pieces[0] else 0, self._part(item, "image_1"))
        return content

    def _part(self, item: Item, column: str) -> dict[str, Any]:
        return images.image_part("mmmu_val", "validation", self.source, item, column)


def _subject(item_id: str) -> str:
    """Return the subject of an item id: ``validation_Art_Theory_12`` -> ``Art_Theory``; empty without such parts."""
    return "_".join(item_id.split("_")[1:-1])


def _key(row: dict[str, Any]) -> str | list[str]:
    """Return the key of a row: the letter of a question with choices, or the list of
    accepted answers of an open question.

    Raises ``BadInput`` for choices with a key that is no letter.
    """
    key = str(row["answer"])
    if row["question_type"] == "multiple-choice":
        if key not in tuple(LETTERS):
            raise BadInput(f"mmmu_val item {row['id']}: key {key!r} is no letter")
        return key
    if key.startswith("["):
        try:
            listed = ast.literal_eval(key)
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
            return [key]
        return [str(answer) for answer in listed] if isinstance(listed, list) else [key]
    return [key]
