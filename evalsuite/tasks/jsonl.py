r"""Questions of your own from one JSONL file: no code, the names of the fields are options.

Variants say how a reply is graded:

- ``letter``: choices are listed as A, B, ...; the letter in ``\boxed{}`` or after "Answer:" must be the key.
- ``exact``: the reply without surrounding space must be the key.
- ``number``: the number in ``\boxed{}``, else the last number of the reply, must equal the key.
- ``regex``: the first group (else the whole match) of the last match of ``pattern`` must be the key.
- ``contains``: the key must stand in the reply, whatever its case.
- ``judge``: a judge compares the reply with the key; with a prompt of your own in ``judge_prompt``.
"""

import base64
import json
import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import inf
from pathlib import Path
from string import Formatter, ascii_uppercase
from typing import Any, ClassVar

from evalsuite.errors import BadInput, JudgeFailed, unknown_name
from evalsuite.records import Item, JudgeVerdict, Reply, Request, Score
from evalsuite.tasks.base import Rubric, Tools, graded
from evalsuite.tasks.datasets import HUB, Source, read_jsonl
from evalsuite.tasks.grading import extract, numbers
from evalsuite.tasks.grading.judge_prompt import whole_word

BOX = {
    "letter": "Put the letter of your answer into \\boxed{}.",
    "number": "Put your final answer into \\boxed{}.",
}  # fmt: skip
"""Variant -> the line that is added to the question unless ``prompt`` is given."""
_NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:/\d+)?")


@dataclass(frozen=True)
class JSONLTask:
    """Adapter of a file of questions; one attempt is one question."""

    variant: str = "exact"
    """How a reply is graded."""
    seed: int = 42
    """Not used: nothing is random."""
    source: Source = HUB
    """Not used: the file is named by ``file``."""
    file: str = ""
    """JSONL file with one question a line."""
    question: str = "question"
    """Field with the question."""
    answer: str = "answer"
    """Field with the key: a letter, the index or the text of a choice, a number or a text."""
    choices: str = "choices"
    """Field with the choices of ``letter``, a list."""
    id: str = "id"
    """Field with a unique id; where no line has it, the number of the line is the id."""
    groups: tuple[str, ...] = ()
    """Fields by whose values scores are shown, too."""
    cluster: str = ""
    """Field whose value questions of one source share."""
    image: str = ""
    """Field with a picture: a data URL, an address, or a file beside ``file``."""
    prompt_template: str = ""
    """Text of the request with ``{question}`` and ``{choices}``; empty: question, choices and one line on the form."""
    pattern: str = ""
    """Regular expression of ``regex``."""
    judge_prompt: str = ""
    """Prompt of ``judge`` with ``{question}``, ``{answer}`` and ``{response}`` that asks for CORRECT or INCORRECT;
    empty: that of AA-LCR."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("exact", "letter", "number", "regex", "contains", "judge")
    id_field: ClassVar[str] = "id"

    def __post_init__(self) -> None:
        """Check the options. Raises ``BadInput`` without ``file``, for one that is no file on disk, for a ``pattern``
        that is empty or no regular expression (variant ``regex``), and for templates with unknown, broken or formatted
        fields in braces.
        """
        if not self.file:
            raise BadInput("task jsonl needs its file: tasks.NAME.options.file=questions.jsonl")
        if not Path(self.file).is_file():
            raise BadInput(f"options.file={self.file}: there is no such file")
        if self.variant == "regex":
            try:
                re.compile(self.pattern or "(")
            except (re.error, OverflowError, RecursionError) as error:
                raise BadInput(f"variant=regex needs options.pattern, a regular expression ({error})") from None
        for name, text, fields in (
            ("prompt_template", self.prompt_template, ("question", "choices")),
            ("judge_prompt", self.judge_prompt, ("question", "answer", "response")),
        ):
            if fault := _template_fault(text, fields):
                raise BadInput(f"options.{name}: {fault}; its fields are {', '.join(fields)} in braces")

    @property
    def needs(self) -> tuple[str, ...]:
        """The auxiliary models that the task uses: ``judge`` in the variant ``judge``, else none."""
        return ("judge",) if self.variant == "judge" else ()

    @property
    def images(self) -> int:
        """Largest number of pictures in one request: 1 when the option ``image`` names a field, else 0."""
        return 1 if self.image else 0

    def items(self) -> Iterable[Item]:
        """Read the file of questions and yield one item for each line that is not blank.

        Inputs are the question, in the variant ``letter`` the choices, and with the option ``image`` the picture's
        path, address or data URL; the target is the key as text, in ``letter`` a letter; groups and cluster are texts,
        too. The options name the fields. The id is the line number when no line has the field of the id. Raises
        ``BadInput`` for a line that is no JSON object, that lacks a field, or has a value in it that cannot be used
        (such as a blank question, or a key that is no number in ``number``), and for a file that cannot be read.
        """
        rows = list(read_jsonl(Path(self.file)))
        named = any(self.id in row for _, row in rows)
        for number, row in rows:
            where = f"{self.file}, line {number}"
            inputs: dict[str, Any] = {"question": self._text(row, self.question, where)}
            target = self._field(row, self.answer, where)
            if self.variant == "letter":
                choices = self._field(row, self.choices, where)
                if not isinstance(choices, list) or not 2 <= len(choices) <= 26:
                    raise BadInput(f"{where}: {self.choices} must be a list of 2 to 26 choices")
                inputs["choices"] = [_plain(choice, f"{where}: a choice of {self.choices}") for choice in choices]
                target = _key(target, inputs["choices"], where)
            else:
                target = self._text(row, self.answer, where)
            if self.variant == "number" and numbers.number(target) is None:
                raise BadInput(f"{where}: {self.answer}={target!r} is no number; variant=exact compares texts")
            if self.image:
                inputs["image"] = self._text(row, self.image, where)
            groups = {name: _plain(self._field(row, name, where), f"{where}: {name}") for name in self.groups}
            cluster = self._text(row, self.cluster, where) if self.cluster else ""
            name = self._text(row, self.id, where) if named else str(number)
            yield Item(name, inputs, target.strip() if self.variant == "exact" else target, groups, cluster)

    def _field(self, row: Mapping[str, Any], name: str, where: str) -> Any:
        if row.get(name) is None:
            raise BadInput(f"{where}: {unknown_name('field', name, row, 'Names of fields are options of the task.')}")
        return row[name]

    def _text(self, row: Mapping[str, Any], name: str, where: str) -> str:
        """Return the value of the field ``name`` of ``row``, a text or number, as text.

        Raises ``BadInput``, which names ``where`` (file and line), when it is missing, null, blank, or neither text nor
        finite number.
        """
        text = _plain(self._field(row, name, where), f"{where}: {name}")
        if not text.strip():  # as a key it would be right for any reply, or for none
            raise BadInput(f"{where}: {name} is empty")
        return text

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: one user message, ``prompt_template`` filled with the question and the lettered choices.

        Without a template it is the question, the lettered choices, and in the variants ``letter`` and ``number`` a
        line on the answer's form. With the option ``image`` the item's picture is read from disk (a relative path
        starts at the folder of ``file``) and put before the text as a data URL; data URLs and http addresses stay.
        ``repeat`` is not used. Raises ``BadInput`` when the picture cannot be read.
        """
        lettered = zip(ascii_uppercase, item.inputs.get("choices", ()), strict=False)
        choices = "\n".join(f"{letter}. {choice}" for letter, choice in lettered)
        if self.prompt_template:
            text = self.prompt_template.format(question=item.inputs["question"], choices=choices)
        else:
            text = "\n\n".join(part for part in (item.inputs["question"], choices, BOX.get(self.variant)) if part)
        if not self.image:
            return Request(({"role": "user", "content": text},))
        picture = {"type": "image_url", "image_url": {"url": self._url(item.inputs["image"])}}
        return Request(({"role": "user", "content": [picture, {"type": "text", "text": text}]},))

    def _url(self, image: str) -> str:
        if image.startswith(("data:", "http://", "https://")):
            return image
        path = Path(self.file).parent / image
        try:
            content = base64.b64encode(path.read_bytes()).decode()
        except (OSError, ValueError) as error:  # ValueError: a null character in the path
            raise BadInput(f"the picture {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        return f"data:{mimetypes.guess_type(path.name)[0] or 'image/png'};base64,{content}"

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        r"""Grade a reply against the item's key by the variant: value 1 or 0; ``repeat`` is not used.

        ``exact``: the reply without surrounding space is the key. ``contains``: it contains the key, in any case.
        ``regex``: the last match of ``pattern`` (its first group, if there is one) is the key. ``letter``: the letter
        that ``extract.boxed_chain`` finds is the key. ``number``: the number in ``\boxed{}``, else the last number of
        the reply, has the key's value.

        In the variant ``judge`` a whole reply that is not blank gets value None and outcome ``ungraded``, and a blank
        or truncated one value 0. In ``number`` arithmetic in a box is evaluated in a process, which can take seconds
        and raises ``SampleFailed`` when the process does not work.
        """
        text = reply.text.strip()
        if self.variant == "judge":
            waits = bool(text) and not reply.truncated
            return Score(None, "ungraded", text[:1000], note="waits for a judge") if waits else graded(
                reply, right=False, answer=text[:1000] or None
            )  # fmt: skip
        if self.variant == "letter":
            letters = ascii_uppercase[: len(item.inputs["choices"])]
            found = extract.boxed_chain(reply.text, letters)
            return graded(reply, right=found.answer == item.target, answer=found.answer, stage=found.stage)
        if self.variant == "number":
            return self._number(item, reply)
        if self.variant == "regex":
            matches = list(self._compiled.finditer(reply.text))
            last = matches[-1] if matches else None
            answer = None if last is None else (last[1] if self._compiled.groups else last[0])
            return graded(reply, right=answer == item.target, answer=answer, stage="regex" if answer else "")
        if self.variant == "contains":
            right = item.target.casefold() in text.casefold()
            return graded(reply, right=right, answer=text[:200] or None, stage="contains" if right else "")
        return graded(reply, right=text == item.target, answer=text[:200] or None, stage="text" if text else "")

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def _number(self, item: Item, reply: Reply) -> Score:
        found = extract.boxed_number(reply.text)
        answer, stage = (found.answer if found.in_range else None), found.stage
        if answer is None:
            last = [value for value in map(numbers.number, _NUMBER.findall(reply.text)) if value is not None]
            answer, stage = (last[-1], "last_number") if last else (None, "")
        key = numbers.number(item.target)
        right = answer is not None and key is not None and Fraction(answer) == Fraction(key)
        return graded(reply, right=right, answer=answer, stage=stage)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the question once and grade the reply as ``score``; value 1 or 0.

        In the variant ``judge`` the judge decides where ``score`` gives ``ungraded``; without a judge, or when it gives
        no verdict, the score stays ``ungraded`` with value None. Raises what ``prompt``, ``score`` and ``tools.chat``
        raise (such as ``SampleFailed`` without a whole reply, ``ContextOverflow`` for a prompt that is too long), and
        what ``tools.judge`` raises except ``JudgeFailed``.
        """
        import asyncio  # 0.05 s, which a plan or a dry run does not need

        reply = await tools.chat(self.prompt(item, repeat))
        score = await asyncio.to_thread(self.score, item, repeat, reply)
        if score.outcome != "ungraded" or tools.judge is None:
            return score
        question, candidate = item.inputs["question"], reply.text.strip()
        try:
            if self.judge_prompt:
                right = (await tools.judge.verdict(self._rubric, question, item.target, candidate)).right
            else:
                right = await tools.judge(question, item.target, candidate)
        except JudgeFailed as error:
            return replace(score, note=str(error))
        return graded(reply, right=right, answer=candidate[:1000], stage="judge")

    @cached_property
    def _rubric(self) -> Rubric:
        def request(question: str, official: str, candidate: str) -> Request:
            text = self.judge_prompt.format(question=question, answer=official, response=candidate)
            return Request(({"role": "user", "content": text},))

        def read(text: str) -> JudgeVerdict | None:
            right = {"correct": True, "incorrect": False}.get(whole_word(text))
            return None if right is None else JudgeVerdict(right)

        return Rubric(f"own {json.dumps(self.judge_prompt)}", request, read)


def _template_fault(text: str, fields: Sequence[str]) -> str:
    """Return why a template may not be filled with ``fields``: the first field that is none of them, or the parser's
    message; empty if it may. A field with an attribute, conversion or format, which could ask for a text of any length,
    is none of them."""
    try:
        for _, name, form, conversion in Formatter().parse(text):
            if name is not None and (name not in fields or form or conversion):
                return repr(name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else ""))
    except ValueError as error:
        return str(error)
    return ""


def _plain(value: Any, what: str) -> str:
    """Return a text, or a finite number as text.

    Raises ``BadInput`` for anything else, such as a boolean or a list; ``what`` names the value in its message.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value in (inf, -inf) or value != value:
        raise BadInput(f"{what} is {json.dumps(value)[:40]}: write it as a text")
    return str(value)


def _key(target: Any, choices: list[str], where: str) -> str:
    """Return the key as a capital letter, where ``target`` is the index of a choice (an integer from 0), or, as text
    (``str``) without space around it, equals exactly one choice, or is a choice's letter (any case).

    Tried in this order; ``where`` names file and line in messages. Raises ``BadInput`` for anything else.
    """
    letters = ascii_uppercase[: len(choices)]
    if isinstance(target, int) and not isinstance(target, bool) and 0 <= target < len(choices):
        return letters[target]
    text = str(target).strip()
    if choices.count(text) == 1:
        return letters[choices.index(text)]
    if len(text) == 1 and text.upper() in letters:
        return text.upper()
    raise BadInput(f"{where}: the answer {target!r} is no letter up to {letters[-1]}, no index and no choice")
