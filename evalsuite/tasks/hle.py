r"""Humanity's Last Exam (Phan et al. 2025, arXiv 2501.14249): expert questions with short answers, graded by a judge.

Only the 2,158 questions without a picture are asked. Variants: ``official`` (centerforaisafety/hle 87c92ea, prompt and
judge of its scripts) and ``strict`` (NVIDIA's recipe: NeMo-Skills 8b18f399 ``generic/hle`` and ``judge/hle``, and no
verdict but a whole JSON object with the official fields). The judge also reads how confident the answer states to be,
from which the calibration error is computed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

from evalsuite.errors import JudgeFailed
from evalsuite.records import Item, JudgeVerdict, Request, Score
from evalsuite.tasks.base import Rubric, Tools, graded
from evalsuite.tasks.datasets import HUB, Source, pin, rows
from evalsuite.tasks.grading.judge_prompt import LONGEST_ANSWER

SYSTEM = {
    "official": "Your response should be in the following format:\n"
    "Explanation: {your explanation for your answer choice}\n"
    "Answer: {your chosen answer}\n"
    "Confidence: {your confidence score between 0% and 100% for your answer}",
    "strict": "Your response should be in the following format:\n"
    "Explanation: {your explanation for your final answer}\n"
    "Answer: {your succinct, final answer}\n"
    "Confidence: {your confidence score between 0% and 100% for your answer}",
}
"""Variant -> system message of the model under test."""
JUDGE = r"""Judge whether the following [response] to [question] is correct or not based on the precise and unambiguous [correct_answer] below.

[question]: {question}

[response]: {response}

Your judgement must be in the format and criteria specified below:

extracted_final_answer: The final exact answer extracted from the [response]. Put the extracted answer as 'None' if there is no exact, final answer to extract from the response.

[correct_answer]: {correct_answer}

reasoning: Explain why the extracted_final_answer is correct or incorrect based on [correct_answer], focusing only on if there are meaningful differences between [correct_answer] and the extracted_final_answer. Do not comment on any background to the problem, do not attempt to solve the problem, do not argue for any answer different than [correct_answer], focus only on whether the answers match.

correct: Answer 'yes' if extracted_final_answer matches the [correct_answer] given above, or is within a small margin of error for numerical problems. Answer 'no' otherwise, i.e. if there if there is any inconsistency, ambiguity, non-equivalency, or if the extracted answer is incorrect.


confidence: The extracted confidence score between 0|\%| and 100|\%| from [response]. Put 100 if there is no confidence score available."""  # noqa: E501
"""The official judge's prompt (``hle_eval/run_judge_results.py``)."""
LABELS = {"\n\n\nconfidence:": "\n\nConfidence:", "\n\nreasoning:": "\n\nReasoning:", "\n\ncorrect:": "\n\nJudgement:"}
"""What NeMo-Skills' ``judge/hle`` writes instead."""
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "extracted_final_answer": {"type": "string"},
        "reasoning": {"type": "string"},
        "correct": {"type": "string", "enum": ["yes", "no"]},
        "confidence": {"type": "integer"},
        "strict": {"type": "boolean", "const": True},
    },
    "required": ["extracted_final_answer", "reasoning", "correct", "confidence", "strict"],
    "additionalProperties": False,
}
"""Fields of the judge's reply: ``ExtractedAnswer`` of the official script, ``HLE_JUDGE_AA`` of NeMo-Skills."""
_LABELLED = re.compile(
    r"(?im)^[^a-z0-9\n]*(correct|judgement|confidence)[^a-z0-9\n:]*:[^a-z0-9\n]*(yes|no|[0-9]{1,3})[^a-z0-9\n]*$"
)
r"""A line of a judge that writes text; "0|\%|" and Markdown around the words do not count."""


def judge_prompt(variant: str, question: str, official: str, candidate: str) -> str:
    """Return the text of the request to the judge in a variant (``official`` or ``strict``).

    ``official`` is the reference answer, ``candidate`` the answer of the model, of which the first 100,000 characters
    are used.
    """
    template = JUDGE
    if variant == "strict":
        for label, other in LABELS.items():
            template = template.replace(label, other)
    return template.format(question=question, correct_answer=official, response=candidate[:LONGEST_ANSWER])


def read_json(text: str) -> JudgeVerdict | None:
    """Return the verdict of a judge's reply that is one JSON object with the official fields; None for any other text.

    The fields are ``extracted_final_answer`` and ``reasoning`` (texts), ``correct`` (``"yes"`` or ``"no"``),
    ``confidence`` (an integer, or what pydantic converts to one, such as ``"80"`` and 80.0) and ``strict`` (true or 1);
    further ones are ignored. The percentage ``confidence`` becomes a fraction of 1, and None when it is outside of 0 to
    100.
    """
    from pydantic import ValidationError

    try:
        found = _model().model_validate_json(text)
    except ValidationError:
        return None
    confidence = found.confidence / 100
    return JudgeVerdict(found.correct == "yes", confidence if 0 <= confidence <= 1 else None)


def read_labelled(text: str) -> JudgeVerdict | None:
    """Return the verdict of a judge's reply in JSON, or in lines such as ``correct: yes`` and ``confidence: 80``.

    A line holds nothing but label and value, in any case; other characters than ASCII letters and digits beside them
    (Markdown, also a minus) do not count. The label of the verdict is ``correct`` or ``judgement``. The last confidence
    of one to three digits counts, as a fraction of 1 (None without one or above 100). None instead of a verdict when no
    line says yes or no, or lines contradict each other.
    """
    verdict = read_json(text)
    if verdict is not None:
        return verdict
    lines = [(match[1].lower(), match[2].lower()) for match in _LABELLED.finditer(text)]
    words = {word for label, word in lines if label != "confidence" and not word.isdigit()}
    confidences = [int(word) for label, word in lines if label == "confidence" and word.isdigit()]
    if len(words) != 1:
        return None
    confidence = confidences[-1] / 100 if confidences else None
    return JudgeVerdict(words == {"yes"}, confidence if confidence is None or confidence <= 1 else None)


@cache
def _model() -> Any:
    """Return the pydantic model class ``ExtractedAnswer`` of the official judge's reply; imports pydantic."""
    from typing import Literal

    from pydantic import create_model

    fields: dict[str, Any] = {"extracted_final_answer": str, "reasoning": str, "correct": Literal["yes", "no"]}
    return create_model("ExtractedAnswer", **fields, confidence=int, strict=Literal[True])


def _rubric(variant: str) -> Rubric:
    def request(question: str, official: str, candidate: str) -> Request:
        text = judge_prompt(variant, question, official, candidate)
        return Request(({"role": "user", "content": text},), json_schema=SCHEMA)

    return Rubric(f"hle {variant} 1", request, read_json if variant == "strict" else read_labelled)


RUBRICS = {variant: _rubric(variant) for variant in SYSTEM}
"""Variant -> how its judge is asked."""


@dataclass(frozen=True, slots=True)
class HLE:
    """Adapter of HLE; one attempt is one question and one verdict, ``ungraded`` without a judge."""

    variant: str = "official"
    """Protocol of the prompts of model and judge, and which verdicts count."""
    seed: int = 42
    """Not used: nothing is random."""
    source: Source = HUB
    """Where the questions come from."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("official", "strict")
    id_field: ClassVar[str] = "id"
    needs: ClassVar[tuple[str, ...]] = ("judge",)

    def items(self) -> Iterable[Item]:
        """Load and yield the questions without a picture, in the dataset's order; the target is the reference answer.

        Groups are the category and the type of answer. Raises ``BadInput`` or ``StorageFailed`` when the data cannot be
        loaded.
        """
        for row in rows("hle", pin("hle"), "test", self.source):
            groups = {"category": row["category"], "answer_type": row["answer_type"]}
            yield Item(str(row["id"]), {"question": row["question"]}, row["answer"], groups)

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: the variant's system message, then the question as user
        message. ``repeat`` is not used.
        """
        system = {"role": "system", "content": SYSTEM[self.variant]}
        return Request((system, {"role": "user", "content": item.inputs["question"]}))

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the question once and let the judge grade the answer: value 1 or 0.

        ``parts`` has the ``confidence`` (a fraction of 1) that the judge states for the answer, if any. The judge is
        not asked about a blank answer, which gets 0. Where there is no judge, or it gives no verdict, any other answer
        is ``ungraded`` with value None. Raises what ``tools.chat`` raises (such as ``SampleFailed`` without a whole
        reply, ``ContextOverflow`` for a prompt that is too long), and what ``tools.judge`` raises except
        ``JudgeFailed``.
        """
        reply = await tools.chat(self.prompt(item, repeat))
        answer = reply.text.strip()
        if not answer:
            return graded(reply, right=False, answer=None)
        if tools.judge is None:
            return Score(None, "ungraded", answer[:1000], note="waits for a judge")
        try:
            rubric = RUBRICS[self.variant]
            verdict = await tools.judge.verdict(rubric, item.inputs["question"], item.target, answer)
        except JudgeFailed as error:
            return Score(None, "ungraded", answer[:1000], note=str(error))
        parts = {} if verdict.confidence is None else {"confidence": verdict.confidence}
        return replace(graded(reply, right=verdict.right, answer=answer[:1000], stage="judge"), parts=parts)
