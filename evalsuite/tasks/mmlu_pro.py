"""MMLU-Pro (Wang et al. 2024, arXiv 2406.01574): 12,032 questions in 14 subjects with three to ten options.

Variants: ``nvidia`` (NeMo-Skills ``eval/aai/mcq-10choices-boxed`` and its evaluator), ``aa`` (sentence and nine-stage
chain of Artificial Analysis), ``official`` (TIGER-AI-Lab/MMLU-Pro ``evaluate_from_local.py``: five worked examples,
completion style, without its random guess for answers that do not parse, and without dropping examples to fit 2,048
tokens). Only the options that an item has are shown; another letter is wrong. The key is ``answer``, never
``answer_index``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal

from evalsuite.errors import BadInput
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded, single_turn
from evalsuite.tasks.datasets import HUB, Source, pin, rows
from evalsuite.tasks.grading import extract

LETTERS = "ABCDEFGHIJ"
"""Letters of the options."""
SHOTS = 5
"""Number of worked examples of ``official``."""
LAST_LINE = (
    "Answer the following multiple choice question. The last line of your response should be in the following format: "
)
"""Beginning of the first sentence of the prompt."""
SENTENCES = {
    "nvidia": LAST_LINE + r"'Answer: \boxed{A/B/C/D/E/F/G/H/I/J}' (e.g. 'Answer: \boxed{A}').",
    "aa": LAST_LINE + "'Answer: A/B/C/D/E/F/G/H/I/J' (e.g. 'Answer: A').",
}
"""Variant -> first sentence of the prompt."""
HEADER = (
    "The following are multiple choice questions (with answers) about {subject}. Think step by step and then finish "
    'your answer with "the answer is (X)" where X is the correct letter choice.\n\n\n\n'
)
"""First sentence of the prompt of ``official``."""
CHAINS = {"nvidia": extract.boxed_chain, "aa": extract.aa_chain, "official": extract.official_chain}
"""Variant -> extractor of the answer."""


@dataclass(frozen=True, slots=True)
class MMLUPro:
    """Adapter of MMLU-Pro; one attempt is one question, and the headline is the mean over all items (micro)."""

    variant: str = "nvidia"
    """Protocol of prompt and grading."""
    seed: int = 42
    """Not used: nothing is shuffled."""
    source: Source = HUB
    """Where the questions come from."""
    api: Literal["auto", "chat", "completion"] = "auto"
    """For ``official`` only: ``auto`` sends the prompt raw, as its authors do; ``chat`` as one user message."""

    version: ClassVar[str] = "1.1"
    variants: ClassVar[tuple[str, ...]] = ("nvidia", "aa", "official")
    id_field: ClassVar[str] = "question_id"

    def __post_init__(self) -> None:
        """Raise ``BadInput`` for ``api=completion`` with a variant other than ``official``;
        the others are chat protocols.
        """
        if self.api == "completion" and self.variant != "official":
            raise BadInput(f"mmlu_pro variant={self.variant} is a chat protocol; api=completion is for official only")

    def items(self) -> Iterable[Item]:
        """Load and yield all questions of the test split; the target is the letter of the correct
        option, the group the subject.

        Raises ``BadInput`` or ``StorageFailed`` when the data cannot be loaded, and ``BadInput`` for options that are
        no list of texts, and a key that is no letter of the item's options.
        """
        for row in rows("mmlu_pro", pin("mmlu_pro"), "test", self.source):
            name, options = str(row["question_id"]), _options(row)
            if row["answer"] not in tuple(LETTERS[: len(options)]):
                raise BadInput(f"mmlu_pro item {name}: its answer {row['answer']!r} is no letter of its options")
            inputs = {"question": row["question"], "options": options, "subject": row["category"]}
            yield Item(name, inputs, row["answer"], {"subject": row["category"]})

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: one message with instruction, question and (at most ten) lettered options.

        ``official`` puts the subject's worked examples before the question (at most five, of the validation split,
        which is loaded on first use), stops at ``Question:`` and is sent raw (no chat template) unless ``api=chat``.
        ``repeat`` is not used. Raises ``BadInput`` when there are no examples, and ``BadInput`` or ``StorageFailed``
        when they cannot be loaded.
        """
        question, options = item.inputs["question"], item.inputs["options"]
        if self.variant == "official":
            text = _header(self.source, item.inputs["subject"]) + _official(question, options)
            message = {"role": "user", "content": text + "Answer: Let's think step by step."}
            return Request((message,), stop=("Question:",), raw=self.api != "chat")
        listed = "\n".join(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))
        text = question.strip("\n")
        return Request(({"role": "user", "content": f"{SENTENCES[self.variant]}\n\n{text}\n\n{listed}"},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Grade a reply: value 1 when the letter that the variant's extractor finds is the key, else 0.

        An extracted text that is none of the item's capital letters is wrong, and the note states it. In ``official``
        with ``api=chat``, ``**`` is removed from the reply before. ``repeat`` is not used.
        """
        text = reply.text
        if self.variant == "official" and self.api == "chat":  # as the authors' script for chat, evaluate_from_api.py
            text = text.replace("**", "")
        extracted = CHAINS[self.variant](text, LETTERS[: len(item.inputs["options"])])
        note = "" if extracted.answer is None or extracted.in_range else "not one of the item's options"
        return graded(
            reply, right=extracted.answer == item.target, answer=extracted.answer, stage=extracted.stage, note=note
        )

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the question once and grade the reply as ``score``: value 1 or 0.

        Raises what ``prompt`` and ``tools.chat`` raise, such as ``SampleFailed`` without a whole reply and
        ``ContextOverflow`` for a prompt that is too long.
        """
        return await single_turn(self, item, repeat, tools)


def _options(row: dict[str, Any]) -> list[str]:
    """Return the options of a row without those that are ``N/A``, the padding of early snapshots of the dataset.

    Raises ``BadInput`` for options that are no list of texts.
    """
    if not isinstance(row["options"], list) or not all(isinstance(option, str) for option in row["options"]):
        raise BadInput(f"mmlu_pro item {row.get('question_id')}: its options are no list of texts")
    return [option for option in row["options"] if option != "N/A"]


def _official(question: str, options: list[str]) -> str:
    listed = "".join(f"{letter}. {option}\n" for letter, option in zip(LETTERS, options, strict=False))
    return f"Question:\n{question}\nOptions:\n{listed}"


def _header(source: Source, subject: str) -> str:
    headers = _headers(source)
    if subject not in headers:
        raise BadInput(f"the validation split has no worked example for {subject}: variant=official needs {SHOTS}")
    return headers[subject]


@cache
def _headers(source: Source) -> dict[str, str]:
    """Load the validation split; return subject -> instruction with its first (at most five) worked examples, the
    beginning of a prompt.

    Cached per process and source. Raises ``BadInput`` or ``StorageFailed`` when the split cannot be loaded.
    """
    examples: dict[str, list[str]] = {}
    for row in rows("mmlu_pro", pin("mmlu_pro"), "validation", source):
        worked = row["cot_content"].replace("A: Let's think step by step.", "Answer: Let's think step by step.")
        text = _official(row["question"], _options(row)) + f"{worked}\n\n"
        examples.setdefault(row["category"], []).append(text)
    return {
        subject: HEADER.format(subject=subject) + "".join(worked_examples[:SHOTS])
        for subject, worked_examples in examples.items()
    }
