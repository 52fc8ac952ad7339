"""MMMU-Pro (Yue et al. 2024, arXiv 2409.02813): 1,730 questions about images in 30 subjects, in three settings.

Settings: ``vision`` (the question is part of the image), ``standard10`` and ``standard4`` (text with one to seven
images; the "ten" options are really 1 to 12). Variants: ``vision`` (NVIDIA ``ns_mmmu_pro``: NeMo-Skills
``vlm/mmmu-pro`` and its evaluator: the image, then the options as text), ``standard10`` and ``standard4`` (the same
sentence and evaluator, question and options as text, each image at the position of its tag), and ``official_*``
(MMMU-Benchmark/MMMU bb0b95a, its step-by-step prompts: text, then the images in the order of their tags; its parser
without the random guess, and without the system message that calls the model ChatGPT).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from evalsuite.errors import BadInput
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded
from evalsuite.tasks.datasets import HUB, Source
from evalsuite.tasks.grading.extract import boxed_chain
from evalsuite.tasks.mmmu import images
from evalsuite.tasks.mmmu.parsing import LETTERS, pro_letter

LAST_LINE = (
    "Answer the following multiple choice question. The last line of your response should be in the following format: "
)
"""Beginning of the first sentence of the prompt."""
TEN = LAST_LINE + "'Answer: A/B/C/D/E/F/G/H/I/J' (e.g. 'Answer: A')."
"""First sentence of the prompt with ten options."""
SENTENCES = {"vision": TEN, "standard10": TEN, "standard4": LAST_LINE + "'Answer: A/B/C/D' (e.g. 'Answer: A')."}
"""Setting -> first sentence of the prompt."""
STEPS = (
    "The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes) where "
    "LETTER is one of options. Think step by step before answering."
)
"""Last sentences of the official prompts."""
OFFICIAL_VISION = f"Write out the multiple-choice question in the image and then solve it. {STEPS}"
OFFICIAL_STANDARD = f"Answer the preceding multiple choice question. {STEPS}"


@dataclass(frozen=True, slots=True)
class MMMUPro:
    """Adapter of MMMU-Pro; one attempt is one question.

    The headline is the mean over all items of one setting (micro).
    """

    variant: str = "vision"
    """Setting and protocol."""
    seed: int = 42
    """Not used: nothing is shuffled."""
    source: Source = HUB
    """Where the questions come from."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = (
        "vision",
        "standard10",
        "standard4",
        "official_vision",
        "official_standard10",
        "official_standard4",
    )

    @property
    def split(self) -> str:
        """The setting of the variant: ``vision``, ``standard10`` or ``standard4``."""
        return self.variant.removeprefix("official_")

    @property
    def images(self) -> int:
        """Largest number of different images in one request: 1 for ``vision``, else 7."""
        return 1 if self.split == "vision" else images.MAX_IMAGES

    def items(self) -> Iterable[Item]:
        """Load and yield all questions of the setting; inputs hold the options, the SHA-256 of images, the subject and,
        except for ``vision``, the question; the target is a letter.

        The group is the subject. Raises, on iterating, ``StorageFailed`` when the cache of ``datasets`` cannot be used,
        ``BadInput`` when the data cannot be loaded, and for an item without an image or one that its text names, with
        options that are no list, or a key that is no letter A to Z.
        """
        for row in images.question_rows("mmmu_pro", self.split, self.source):
            inputs = {"options": images.options(row), "images": images.image_digests(row), "subject": row["subject"]}
            if self.split != "vision":
                inputs["question"] = row["question"]
                images.tagged_columns(row["id"], "\n".join((row["question"], *inputs["options"])), inputs["images"])
            elif "image" not in inputs["images"]:
                raise BadInput(f"mmmu_pro item {row['id']} lacks its picture in column image")
            if row["answer"] not in tuple(LETTERS):  # B for a single option is in the data
                raise BadInput(f"mmmu_pro item {row['id']}: key {row['answer']!r} is no letter")
            yield Item(row["id"], inputs, row["answer"], {"subject": row["subject"]})

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: one user message of text and image parts, as the variant states; the images are read here.

        ``repeat`` is not used. Raises ``BadInput`` when an image is missing or cannot be read.
        """
        content = self._official(item) if self.variant.startswith("official") else self._nvidia(item)
        return Request(({"role": "user", "content": content},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Grade a reply: value 1 when the letter that the variant's parser finds is the key, else 0.

        An answer that is none of the item's letters gets a note. ``repeat`` is not used.
        """
        options = item.inputs["options"]
        if self.variant.startswith("official"):
            extracted = pro_letter(reply.text, options)
        else:
            extracted = boxed_chain(reply.text, LETTERS[: len(options)])
        note = "" if extracted.answer is None or extracted.in_range else "not one of the item's options"
        return graded(
            reply, right=extracted.answer == item.target, answer=extracted.answer, stage=extracted.stage, note=note
        )

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the question once and grade the reply as ``score``: value 1 or 0.

        Raises what ``tools.chat`` raises (such as ``SampleFailed`` without a whole reply, ``ContextOverflow`` for a
        prompt that is too long) and ``BadInput`` when an image cannot be read.
        """
        return await images.single_turn_with_images(self, item, repeat, tools)

    def _nvidia(self, item: Item) -> list[dict[str, Any]]:
        listed = _listed(item.inputs["options"], ")")
        if self.split == "vision":  # four line breaks: NeMo-Skills puts an empty question before the options
            text = f"{SENTENCES[self.split]}\n\n\n\n{listed}"
            return [self._part(item, "image"), {"type": "text", "text": text}]
        question = item.inputs["question"].strip("\n")
        text = f"{SENTENCES[self.split]}\n\n{question}\n\n{listed}"
        return images.interleaved("mmmu_pro", self.split, self.source, item, text)

    def _official(self, item: Item) -> list[dict[str, Any]]:
        if self.split == "vision":
            return [{"type": "text", "text": OFFICIAL_VISION}, self._part(item, "image")]
        text = f"{item.inputs['question']}\n{_listed(item.inputs['options'], '.')}\n{OFFICIAL_STANDARD}"
        columns = images.tagged_columns(item.id, text, item.inputs["images"])
        text_part = {"type": "text", "text": images.TAG.sub("<image>", text)}
        return [text_part, *(self._part(item, column) for column in columns)]

    def _part(self, item: Item, column: str) -> dict[str, Any]:
        return images.image_part("mmmu_pro", self.split, self.source, item, column)


def _listed(options: list[str], mark: str) -> str:
    return "\n".join(f"{letter}{mark} {option}" for letter, option in zip(LETTERS, options, strict=False))
