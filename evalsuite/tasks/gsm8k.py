r"""GSM8K (Cobbe et al. 2021, arXiv 2110.14168): 1,319 grade-school problems with one number as the answer.

Variants: ``boxed`` (NeMo-Skills ``generic/math``, zero-shot chat; the number in ``\boxed{}`` compared as a decimal),
``flexible`` and ``strict`` (lm-eval ``gsm8k`` version 3; its five examples are drawn at random from train, here they
are train's first five, so that every precision sees the same), ``sglang`` (``benchmark/gsm8k/bench_sglang.py``: its
five examples are the first five test items, which it then also asks). SGLang's 512 tokens at temperature 0 and its
200 questions are settings of a run (``conf/suite/sglang.yaml``), not of this adapter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import ClassVar, Literal

from evalsuite.errors import BadInput
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded, single_turn
from evalsuite.tasks.datasets import HUB, Source, pin, rows
from evalsuite.tasks.grading import extract

SHOTS = 5
INSTRUCTION = r"Solve the following math problem. Make sure to put the answer (and only answer) inside \boxed{}."
STOP = {
    "flexible": ("Question:", "</s>", "<|im_end|>"),
    "strict": ("Question:", "</s>", "<|im_end|>"),
    "sglang": ("Question", "Assistant:", "<|separator|>"),
}
EXTRACTORS = {
    "boxed": extract.boxed_number,
    "flexible": extract.flexible_number,
    "strict": extract.strict_number,
    "sglang": extract.last_integer,
}


@dataclass(frozen=True, slots=True)
class GSM8K:
    """One attempt is one problem."""

    variant: str = "boxed"
    seed: int = 42
    """Not used: nothing is drawn."""
    source: Source = HUB
    api: Literal["auto", "chat", "completion"] = "auto"
    """Few-shot variants: ``auto`` sends the prompt raw, as their authors do; ``chat`` as one user message."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("boxed", "flexible", "strict", "sglang")
    id_field: ClassVar[str] = "idx"

    def __post_init__(self) -> None:
        """Raises ``BadInput`` for an ``api`` that the variant does not have."""
        if self.api == "completion" and self.variant == "boxed":
            raise BadInput("gsm8k variant=boxed is a chat protocol; api=completion is for the few-shot variants")

    def items(self) -> Iterable[Item]:
        """All problems of the test split, named by their place in it."""
        for place, row in enumerate(rows("gsm8k", pin("gsm8k"), "test", self.source)):
            name, key = str(row.get("idx", place)), extract.gsm8k_key(row["answer"])
            if key is None:
                raise BadInput(f"gsm8k test item {name}: its answer does not end in '#### ' and a number")
            yield Item(name, {"question": row["question"]}, key)

    def prompt(self, item: Item, repeat: int) -> Request:
        """The request; the few-shot variants read their examples on first use."""
        question = item.inputs["question"]
        if self.variant == "boxed":
            return Request(({"role": "user", "content": f"{INSTRUCTION}\n\n{question}"},))
        shots = _shots(self.source, "test" if self.variant == "sglang" else "train")
        message = {"role": "user", "content": f"{shots}Question: {question}\nAnswer:"}
        return Request((message,), stop=STOP[self.variant], raw=self.api != "chat")

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Right if the variant's extractor finds the key: as a decimal (boxed), as text, or as SGLang reads both."""
        found = EXTRACTORS[self.variant](reply.text)
        if found.answer is None or not found.in_range:
            return graded(reply, right=False, answer=found.answer, stage=found.stage, note=_unreadable(found))
        if self.variant == "boxed":
            right = Decimal(found.answer) == Decimal(item.target)
        elif self.variant == "sglang":
            right = found.answer == extract.last_integer(item.target).answer
        else:
            right = found.answer == item.target
        return graded(reply, right=right, answer=found.answer, stage=found.stage)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask once and grade."""
        return await single_turn(self, item, repeat, tools)


def _unreadable(found: extract.Extracted) -> str:
    return "" if found.answer is None else "not one number"


@cache
def _shots(source: Source, split: str) -> str:
    """The first five items of a split with their solutions."""
    found = rows("gsm8k", pin("gsm8k"), split, source)[:SHOTS]
    if len(found) < SHOTS:
        raise BadInput(f"the {split} split of gsm8k has {len(found)} items: the few-shot variants need {SHOTS}")
    return "".join(f"Question: {row['question']}\nAnswer: {row['answer']}\n\n" for row in found)
