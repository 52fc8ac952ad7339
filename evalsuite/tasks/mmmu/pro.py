"""MMMU-Pro (Yue et al. 2024, arXiv 2409.02813): 1,730 questions about pictures in 30 subjects, in three settings.

Settings: ``vision`` (the question stands in the picture), ``standard10`` and ``standard4`` (text with one to seven
pictures; the "ten" options are really 1 to 12). Variants: ``vision`` (NVIDIA ``ns_mmmu_pro``: NeMo-Skills
``vlm/mmmu-pro`` and its evaluator: the picture, then the options as text), ``standard10`` and ``standard4`` (the same
sentence and evaluator, question and options as text, each picture where its tag stands), and ``official_*``
(MMMU-Benchmark/MMMU bb0b95a, its step-by-step prompts: text, then the pictures in the order of their tags; its parser
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
from evalsuite.tasks.mmmu import images as pictures
from evalsuite.tasks.mmmu.parsing import LETTERS, pro_letter

LAST_LINE = (
    "Answer the following multiple choice question. The last line of your response should be in the following format: "
)
TEN = LAST_LINE + "'Answer: A/B/C/D/E/F/G/H/I/J' (e.g. 'Answer: A')."
SENTENCES = {"vision": TEN, "standard10": TEN, "standard4": LAST_LINE + "'Answer: A/B/C/D' (e.g. 'Answer: A')."}
STEPS = (
    "The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes) where "
    "LETTER is one of options. Think step by step before answering."
)
OFFICIAL_VISION = f"Write out the multiple-choice question in the image and then solve it. {STEPS}"
OFFICIAL_STANDARD = f"Answer the preceding multiple choice question. {STEPS}"


@dataclass(frozen=True, slots=True)
class MMMUPro:
    """One attempt is one question; the headline is the mean over all items of one setting (micro)."""

    variant: str = "vision"
    seed: int = 42
    """Not used: nothing is shuffled."""
    source: Source = HUB

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
        """Which of the three settings is asked."""
        return self.variant.removeprefix("official_")

    @property
    def images(self) -> int:
        """Pictures of one request at most."""
        return 1 if self.split == "vision" else pictures.MOST

    def items(self) -> Iterable[Item]:
        """All questions of the setting; raises ``BadInput`` for one without pictures, options or key."""
        for row in pictures.rows("mmmu_pro", self.split, self.source):
            inputs = {"options": pictures.options(row), "images": pictures.images(row), "subject": row["subject"]}
            if self.split != "vision":
                inputs["question"] = row["question"]
                pictures.shown(row["id"], "\n".join((row["question"], *inputs["options"])), inputs["images"])
            elif "image" not in inputs["images"]:
                raise BadInput(f"mmmu_pro item {row['id']} lacks its picture in column image")
            if row["answer"] not in tuple(LETTERS):  # B for a single option is in the data
                raise BadInput(f"mmmu_pro item {row['id']}: key {row['answer']!r} is no letter")
            yield Item(row["id"], inputs, row["answer"], {"subject": row["subject"]})

    def prompt(self, item: Item, repeat: int) -> Request:
        """One user message; its pictures are read here. Raises ``BadInput`` when one cannot be."""
        content = self._official(item) if self.variant.startswith("official") else self._nvidia(item)
        return Request(({"role": "user", "content": content},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Right if the variant's parser finds the key's letter."""
        options = item.inputs["options"]
        if self.variant.startswith("official"):
            found = pro_letter(reply.text, options)
        else:
            found = boxed_chain(reply.text, LETTERS[: len(options)])
        note = "" if found.answer is None or found.in_range else "not one of the item's options"
        return graded(reply, right=found.answer == item.target, answer=found.answer, stage=found.stage, note=note)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask once and grade."""
        return await pictures.ask(self, item, repeat, tools)

    def _nvidia(self, item: Item) -> list[dict[str, Any]]:
        listed = _listed(item.inputs["options"], ")")
        if self.split == "vision":  # four line breaks: NeMo-Skills puts an empty question before the options
            text = f"{SENTENCES[self.split]}\n\n\n\n{listed}"
            return [self._part(item, "image"), {"type": "text", "text": text}]
        question = item.inputs["question"].strip("\n")
        text = f"{SENTENCES[self.split]}\n\n{question}\n\n{listed}"
        return pictures.interleaved("mmmu_pro", self.split, self.source, item, text)

    def _official(self, item: Item) -> list[dict[str, Any]]:
        if self.split == "vision":
            return [{"type": "text", "text": OFFICIAL_VISION}, self._part(item, "image")]
        text = f"{item.inputs['question']}\n{_listed(item.inputs['options'], '.')}\n{OFFICIAL_STANDARD}"
        columns = pictures.shown(item.id, text, item.inputs["images"])
        asked = {"type": "text", "text": pictures.TAG.sub("<image>", text)}
        return [asked, *(self._part(item, column) for column in columns)]

    def _part(self, item: Item, column: str) -> dict[str, Any]:
        return pictures.part("mmmu_pro", self.split, self.source, item, column)


def _listed(options: list[str], mark: str) -> str:
    return "\n".join(f"{letter}{mark} {option}" for letter, option in zip(LETTERS, options, strict=False))
