r"""GSM8K (Cobbe et al. 2021, arXiv 2110.14168): 1,319 grade-school problems with one number as the answer.

Variants: ``boxed`` (NeMo-Skills ``generic/math``, zero-shot chat; the number in ``\boxed{}`` compared by value),
``flexible`` and ``strict`` (lm-eval ``gsm8k`` version 3; its five examples are drawn at random from train, here they
are the first five of train, so that every precision sees the same), ``sglang`` (``benchmark/gsm8k/bench_sglang.py``:
its five examples are the first five test items, which it then also asks). SGLang's 512 tokens at temperature 0 and its
200 questions are settings of a run (``conf/suite/sglang.yaml``), not of this adapter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import ClassVar, Literal

from evalsuite.errors import BadInput
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded, single_turn
from evalsuite.tasks.datasets import HUB, Source, pin, rows
from evalsuite.tasks.grading import extract

SHOTS = 5
"""Number of examples of the few-shot variants."""
INSTRUCTION = r"Solve the following math problem. Make sure to put the answer (and only answer) inside \boxed{}."
"""First line of the prompt of ``boxed``."""
STOP = {
    "flexible": ("Question:", "</s>", "<|im_end|>"),
    "strict": ("Question:", "</s>", "<|im_end|>"),
    "sglang": ("Question", "Assistant:", "<|separator|>"),
}
"""Variant -> stop strings."""
EXTRACTORS = {
    "boxed": extract.boxed_number,
    "flexible": extract.flexible_number,
    "strict": extract.strict_number,
    "sglang": extract.last_integer,
}
"""Variant -> extractor of the answer."""


@dataclass(frozen=True, slots=True)
class GSM8K:
    """Adapter of GSM8K; one attempt is one problem."""

    variant: str = "boxed"
    """Protocol of prompt and grading."""
    seed: int = 42
    """Not used: nothing is random."""
    source: Source = HUB
    """Where the questions come from."""
    api: Literal["auto", "chat", "completion"] = "auto"
    """For the few-shot variants: ``auto`` sends the prompt raw, as their authors do; ``chat`` as one user message."""

    version: ClassVar[str] = "1.1"
    variants: ClassVar[tuple[str, ...]] = ("boxed", "flexible", "strict", "sglang")
    id_field: ClassVar[str] = "idx"

    def __post_init__(self) -> None:
        """Raise ``BadInput`` for ``api=completion`` with the variant ``boxed``, which is a chat protocol."""
        if self.api == "completion" and self.variant == "boxed":
            raise BadInput("gsm8k variant=boxed is a chat protocol; api=completion is for the few-shot variants")

    def items(self) -> Iterable[Item]:
        """Load and yield all problems of the test split; the target is the reference number as text, without commas.

        The id is the row's ``idx``, else its position from 0. Raises ``BadInput`` or ``StorageFailed`` when the data
        cannot be loaded, and ``BadInput`` when what stands behind a solution's last ``####`` (all of it without
        ``####``) is not digits with an optional minus, commas and decimals (``-1,234.5``).
        """
        for index, row in enumerate(rows("gsm8k", pin("gsm8k"), "test", self.source)):
            name, key = str(row.get("idx", index)), extract.gsm8k_key(row["answer"])
            if key is None:
                raise BadInput(f"gsm8k test item {name}: its answer does not end in '#### ' and a number")
            yield Item(name, {"question": row["question"]}, key)

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: one message, in few-shot variants with five worked examples
        before the problem and stop strings.

        The examples are loaded on first use. Few-shot requests are sent raw (no chat template) unless ``api=chat``.
        ``repeat`` is not used. Raises ``BadInput`` or ``StorageFailed`` when the examples cannot be loaded.
        """
        question = item.inputs["question"]
        if self.variant == "boxed":
            return Request(({"role": "user", "content": f"{INSTRUCTION}\n\n{question}"},))
        shots = _shots(self.source, "test" if self.variant == "sglang" else "train")
        message = {"role": "user", "content": f"{shots}Question: {question}\nAnswer:"}
        return Request((message,), stop=STOP[self.variant], raw=self.api != "chat")

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Grade a reply: value 1 when the number that the variant's extractor finds is the reference number, else 0.

        ``boxed`` compares by value, ``flexible`` and ``strict`` as text, ``sglang`` the last integers of both.
        ``repeat`` is not used. In ``boxed`` arithmetic in the box is evaluated in a process, which can take seconds and
        raises ``SampleFailed`` when the process does not work.
        """
        extracted = EXTRACTORS[self.variant](reply.text)
        if extracted.answer is None or not extracted.in_range:
            return graded(
                reply, right=False, answer=extracted.answer, stage=extracted.stage, note=_unreadable(extracted)
            )
        if self.variant == "boxed":
            right = Fraction(extracted.answer) == Fraction(item.target)
        elif self.variant == "sglang":
            right = extracted.answer == extract.last_integer(item.target).answer
        else:
            right = extracted.answer == item.target
        return graded(reply, right=right, answer=extracted.answer, stage=extracted.stage)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the problem once and grade the reply as ``score``: value 1 or 0.

        Raises what ``tools.chat`` (such as ``SampleFailed`` without a whole reply, ``ContextOverflow`` for a prompt
        that is too long), ``prompt`` and ``score`` raise. The variant ``boxed`` is graded in a thread, because
        arithmetic in a box can take seconds to evaluate.
        """
        return await single_turn(self, item, repeat, tools, slow=self.variant == "boxed")


def _unreadable(extracted: extract.Extracted) -> str:
    return "" if extracted.answer is None else "not one number"


@cache
def _shots(source: Source, split: str) -> str:
    """Return the first five problems of a split with their solutions, as the beginning of a few-shot prompt. Cached.

    Raises ``BadInput`` when the split has fewer, and what ``rows`` raises when it cannot be loaded.
    """
    examples = rows("gsm8k", pin("gsm8k"), split, source)[:SHOTS]
    if len(examples) < SHOTS:
        raise BadInput(f"the {split} split of gsm8k has {len(examples)} items: the few-shot variants need {SHOTS}")
    return "".join(f"Question: {row['question']}\nAnswer: {row['answer']}\n\n" for row in examples)
