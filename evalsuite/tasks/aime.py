r"""AIME (American Invitational Mathematics Examination): 30 problems a year whose answers are integers from 0 to 999.

Variants: ``boxed`` (NeMo-Skills ``generic/math``, the prompt of GSM8K; the number in ``\boxed{}`` must equal the key)
and ``aa`` (``AIME_2025_aa_v2`` of nvidia-simple-evals 26.3, Artificial Analysis' prompt: the text of the last box is
compared by the number reader where it is one number, else by a judge with simple-evals' question about equality).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar, Literal

from evalsuite.errors import BadInput, JudgeFailed
from evalsuite.records import Item, JudgeVerdict, Reply, Request, Score
from evalsuite.tasks.base import Rubric, Tools, graded
from evalsuite.tasks.datasets import HUB, Source, pin, rows
from evalsuite.tasks.grading import extract, numbers
from evalsuite.tasks.grading.judge_prompt import whole_word
from evalsuite.tasks.gsm8k import INSTRUCTION

SPLITS = {2025: "test", 2024: "test_2024"}
"""Year -> split of the card."""
AA_PROMPT = r"""Solve the following math problem step by step. Put your answer inside \\boxed{{}}.

{problem}

Remember to put your answer inside \\boxed{{}}."""
"""Template of ``aa``; the backslashes are doubled in the package's own file as well."""
EQUALITY = r"""Look at the following two expressions (answers to a math problem) and judge whether they are equivalent. Only perform trivial simplifications

Examples:

    Expression 1: $2x+3$
    Expression 2: $3+2x$

Yes

    Expression 1: 3/2
    Expression 2: 1.5

Yes

    Expression 1: $x^2+2x+1$
    Expression 2: $y^2+2y+1$

No

    Expression 1: $x^2+2x+1$
    Expression 2: $(x+1)^2$

Yes

    Expression 1: 3245/5
    Expression 2: 649

No
(these are actually equal, don't mark them equivalent if you need to do nontrivial simplifications)

    Expression 1: 2/(-3)
    Expression 2: -2/3

Yes
(trivial simplifications are allowed)

    Expression 1: 72 degrees
    Expression 2: 72

Yes
(give benefit of the doubt to units)

    Expression 1: 64
    Expression 2: 64 square feet

Yes
(give benefit of the doubt to units)

---

YOUR TASK


Respond with only "Yes" or "No" (without quotes). Do not include a rationale.

    Expression 1: %(expression1)s
    Expression 2: %(expression2)s"""  # noqa: E501
"""The judge's prompt: openai/simple-evals 01ac108d ``common.py`` ``EQUALITY_TEMPLATE``, unchanged in the package."""
LONGEST = 1_000
"""Characters of an answer that the judge is asked about; a longer text is no answer to a problem of AIME."""
_BOX = re.compile(r"(?i)\\boxed\{")
_CONTEST = re.compile(r"AIME_(I{1,2})_")


def _equality(question: str, official: str, candidate: str) -> Request:
    text = EQUALITY % {"expression1": official, "expression2": candidate}
    return Request(({"role": "user", "content": text},))


def _read(text: str) -> JudgeVerdict | None:
    right = {"yes": True, "no": False}.get(whole_word(text))
    return None if right is None else JudgeVerdict(right)


RUBRIC = Rubric("equality 1", _equality, _read)
"""How the judge of ``aa`` is asked."""


@dataclass(frozen=True, slots=True)
class AIME:
    """Adapter of AIME; one attempt is one problem."""

    variant: str = "boxed"
    """Protocol of prompt and grading."""
    seed: int = 42
    """Not used: nothing is random."""
    source: Source = HUB
    """Where the problems come from."""
    year: Literal[2025, 2024] = 2025
    """Year of the two contests, I and II."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("boxed", "aa")
    id_field: ClassVar[str] = "id"

    @property
    def needs(self) -> tuple[str, ...]:
        """The auxiliary models that the task uses: ``judge`` in the variant ``aa``, else none."""
        return ("judge",) if self.variant == "aa" else ()

    def items(self) -> Iterable[Item]:
        """Load and yield the problems of the year; the target is the key as text, an integer without leading zeros.

        The group is the contest, ``I`` or ``II``. Raises ``BadInput`` or ``StorageFailed`` when the data cannot be
        loaded, and ``BadInput`` for a key that is not read as an integer of one to three digits.
        """
        for place, row in enumerate(rows("aime", pin("aime"), SPLITS[self.year], self.source)):
            name = str(row["id"])
            key = extract.boxed_number(f"\\boxed{{{row['answer']}}}")
            if key.answer is None or not re.fullmatch(r"[0-9]{1,3}", key.answer):
                raise BadInput(f"aime {self.year}, item {name}: its answer {row['answer']!r} is no integer of AIME")
            yield Item(name, {"problem": row["problem"]}, str(int(key.answer)), {"contest": self._contest(row, place)})

    def _contest(self, row: dict[str, str], place: int) -> str:
        """Return ``I`` or ``II``: from the row's ``url``, else by the position
        ``place`` (from 0; the first 15 are I).
        """
        found = _CONTEST.search(str(row.get("url", "")))
        return found[1] if found else ("I" if place < 15 else "II")

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: one user message with the variant's instruction and the
        problem. ``repeat`` is not used.
        """
        problem = item.inputs["problem"]
        text = f"{INSTRUCTION}\n\n{problem}" if self.variant == "boxed" else AA_PROMPT.format(problem=problem)
        return Request(({"role": "user", "content": text},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        r"""Grade a reply by the number in its last ``\boxed{}``: value 1 when it equals the key by value, else 0.

        A unit and a lead-in beside the number (``x = 70``) do not count. ``repeat`` is not used.

        ``boxed`` reads the box by ``extract.boxed_number``; arithmetic in it is evaluated in a process, which can take
        seconds and raises ``SampleFailed`` when the process does not work.

        ``aa`` reads it by ``last_box``: without a box, and for a blank one or one of over 1,000 characters, the value
        is 0. For a box with ``/`` or ``frac``, or in which ``numbers.number`` reads no number or writes it otherwise
        (``1{,}234``), the value is None with outcome ``ungraded``: a judge decides.
        """
        if self.variant == "aa":
            return _score_aa(reply, item.target)
        found = extract.boxed_number(reply.text)
        right = found.in_range and found.answer is not None and Fraction(found.answer) == int(item.target)
        note = "" if found.answer is None or found.in_range else "not one number"
        return graded(reply, right=right, answer=found.answer, stage=found.stage, note=note)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the problem once and grade the reply as ``score``: value 1 or 0.

        In the variant ``aa`` the judge decides where ``score`` gives ``ungraded``; without a judge, or when it gives no
        verdict, the score stays ``ungraded`` with value None. Raises what ``score`` and ``tools.chat`` raise (such as
        ``SampleFailed`` without a whole reply, ``ContextOverflow`` for a prompt that is too long), and what
        ``tools.judge`` raises except ``JudgeFailed``.
        """
        import asyncio  # 0.05 s, which a plan or a dry run does not need

        reply = await tools.chat(self.prompt(item, repeat))
        score = await asyncio.to_thread(self.score, item, repeat, reply)
        if score.outcome != "ungraded" or tools.judge is None or score.answer is None:
            return score
        try:
            verdict = await tools.judge.verdict(RUBRIC, item.inputs["problem"], item.target, score.answer)
        except JudgeFailed as error:
            return replace(score, note=str(error))
        return graded(reply, right=verdict.right, answer=score.answer, stage="judge")


def _score_aa(reply: Reply, target: str) -> Score:
    box = last_box(reply.text).strip()
    if not box:
        return graded(reply, right=False, answer=None)
    if len(box) > LONGEST:
        return graded(reply, right=False, answer=box[:80], stage="boxed", note="not one number")
    number = numbers.number(box)
    if number is None or number not in box or re.search(r"/|frac", box):  # 74/2 is a question for the judge
        return Score(None, "ungraded", box, "boxed", note="waits for a judge")
    return graded(reply, right=Fraction(number) == int(target), answer=number, stage="boxed")


def last_box(text: str) -> str:
    r"""Return the answer as the variant ``aa`` extracts it: from behind the last ``\boxed{``
    to the last ``}`` of the text.

    Empty when there is no box or no ``}`` behind it. ``\boxed`` may be written in any case.
    """
    start = max((match.end() for match in _BOX.finditer(text)), default=-1)
    end = text.rfind("}")
    return text[start:end] if 0 <= start <= end else ""
