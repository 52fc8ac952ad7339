"""What the ``evalsuite_mmlu_pro*.yaml`` files call: evalsuite's own prompt and extractor, in lm-eval's shapes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from evalsuite import Item
from evalsuite.tasks.grading.extract import boxed_chain
from evalsuite.tasks.mmlu_pro import LETTERS, MMLUPro

INVALID = "[invalid]"


def prompt(doc: Mapping[str, Any]) -> str:
    """NVIDIA's prompt (NeMo-Skills ``eval/aai/mcq-10choices-boxed``), from the adapter that owns it."""
    asked = {"question": doc["question"], "options": doc["options"], "subject": doc["category"]}
    return str(MMLUPro(variant="nvidia").prompt(Item("", asked), 0).messages[0]["content"])


def boxed(resps: Sequence[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The letter that NVIDIA's chain finds in each reply; ``[invalid]`` where it finds none."""
    return [[boxed_chain(text, LETTERS).answer or INVALID for text in texts] for texts in resps]


def _subject(dataset: Any, subject: str) -> Any:
    """The rows of one subject of a ``datasets.Dataset``."""
    return dataset.select([row for row, category in enumerate(dataset["category"]) if category == subject])


biology = partial(_subject, subject="biology")
business = partial(_subject, subject="business")
chemistry = partial(_subject, subject="chemistry")
computer_science = partial(_subject, subject="computer science")
economics = partial(_subject, subject="economics")
engineering = partial(_subject, subject="engineering")
health = partial(_subject, subject="health")
history = partial(_subject, subject="history")
law = partial(_subject, subject="law")
math = partial(_subject, subject="math")
other = partial(_subject, subject="other")
philosophy = partial(_subject, subject="philosophy")
physics = partial(_subject, subject="physics")
psychology = partial(_subject, subject="psychology")
