"""Answer extractors: from the text of a reply to the letter or number that is compared with the key.

Every function is pure, takes time linear in the length of the text (an answer that loops for 300,000 characters costs
well under a second) and reports which stage of its chain matched. A chain is part of a benchmark's protocol: its
patterns are quoted from the named source. Where a published pattern is quadratic, a linear equivalent is used, and
tests compare their results. Nothing is guessed: without a match there is no answer.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evalsuite.tasks.grading import expressions, numbers

LONGEST_NUMBER = 200
r"""Length in characters of a ``\boxed{}`` above which it is not read as one number."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """Result of an extractor."""

    answer: str | None
    """The letter or number as the protocol compares it; None when no stage matched."""
    stage: str = ""
    """Name of the stage that matched; empty without an answer."""
    candidates: int = 0
    """Number of matches of that stage."""
    in_range: bool = False
    """Whether the answer is one that the item allows: one of its letters, or a readable number."""


NOTHING = Extracted(None)


def _letter(answer: str, stage: str, candidates: int, letters: str) -> Extracted:
    return Extracted(answer, stage, candidates, len(answer) == 1 and answer in letters)


# ---------------------------------------------------------------- letters: MMLU-Pro's own chain

_ANSWER_IS = re.compile(r"answer is \(?([A-J])\)?")
_ANSWER_COLON = re.compile(r"[aA]nswer:(?=\s*([A-J]))")
_CAPITAL_TO_J = re.compile(r"\b[A-J]\b")


def official_chain(text: str, letters: str) -> Extracted:
    r"""Extract a letter by MMLU-Pro's chain (TIGER-AI-Lab/MMLU-Pro,
    ``evaluate_from_local.py``) without its random guess.

    1. the first ``answer is \(?([A-J])\)?``; 2. ``.*[aA]nswer:\s*([A-J])``, which is the last such label on the first
    line that has one; 3. the last single capital A to J (the words "A" and "I" included). ``letters`` are the item's,
    as one text: another letter is returned with ``in_range`` False. Without a match the answer is None.
    """
    matches = _ANSWER_IS.findall(text)
    if matches:
        return _letter(matches[0], "answer_is", len(matches), letters)
    labels = list(_ANSWER_COLON.finditer(text))
    if labels:
        newline = text.find("\n", labels[0].start())
        line = labels if newline < 0 else [label for label in labels if label.start() < newline]
        return _letter(line[-1].group(1), "answer_colon", len(labels), letters)
    capitals = _CAPITAL_TO_J.findall(text)
    if capitals:
        return _letter(capitals[-1], "last_letter", len(capitals), letters)
    return NOTHING


# ---------------------------------------------------------------- letters: NVIDIA NeMo-Skills

_LABEL = re.compile(r"(?i)[\*\_]{0,2}Answer[\*\_]{0,2}\s*:[\s\*\_]{0,2}\s*([A-Z])(?![a-zA-Z0-9])")
_CAPITAL = re.compile(r"\b[A-Z]\b")
_BRACE = re.compile(r"[{}]")
_BOX = "\\boxed{"
_FINAL = "The final answer is "


def _last_box(text: str) -> str | None:
    r"""Return the content of the last ``\boxed{}`` with matched braces; None when there is none or it is not closed.

    A last ``\boxed`` without an opening brace directly behind it hides the earlier ones, as in NeMo-Skills.
    """
    start = text.rfind("\\boxed")
    if start < 0 or not text.startswith(_BOX, start):
        return None
    depth = 0
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return text[start + len(_BOX) : brace.start()]
    return None


def _final_answer(text: str) -> str | None:
    """Return the text behind the first "The final answer is " of the last line; None when
    that line has no such phrase or nothing behind it.
    """
    line = text.removesuffix("\n").rpartition("\n")[2]
    return line.partition(_FINAL)[2] or None


def boxed_chain(text: str, letters: str) -> Extracted:
    r"""Extract a letter by NVIDIA's chain (NeMo-Skills 0b012df8, ``evaluation/evaluator/mcq.py`` with ``relaxed``).

    1. the last ``\boxed{}``, or where that is missing, empty or not closed, the text behind "The final answer is " on
    the last line: its one character, or its last single capital; 2. the last ``Answer: X`` label in any case, converted
    to upper case. ``letters`` are the item's, as one text: another character is returned with ``in_range`` False.
    Without a match the answer is None.
    """
    box = _last_box(text)
    content, stage = (box, "boxed") if box else (_final_answer(text), "final_answer")
    if content and len(content) == 1:
        return _letter(content, stage, 1, letters)
    capitals = _CAPITAL.findall(content) if content else []
    if capitals:
        return _letter(capitals[-1], stage, len(capitals), letters)
    labels = _LABEL.findall(text)
    if labels:
        return _letter(labels[-1].upper(), "answer_label", len(labels), letters)
    return NOTHING


# ---------------------------------------------------------------- letters: Artificial Analysis v3

_ANY_CAPITAL = re.compile(r"[A-Z]")


def _capitals_in_boxes(text: str) -> list[str]:
    r"""Return, for each ``}`` of the text with a ``\boxed{`` since the previous ``}``, the
    last capital A-Z between them.

    These are the matches of ``\\boxed\{[^}]*([A-Z])[^}]*\}``, in order; none for a box without a capital.
    """
    if _BOX not in text:
        return []
    matches = []
    for piece in text.split("}")[:-1]:
        _, opened, content = piece.partition(_BOX)
        capitals = _ANY_CAPITAL.findall(content) if opened else []
        if capitals:
            matches.append(capitals[-1])
    return matches


def _aa(pattern: str) -> Callable[[str], list[Any]]:
    return re.compile(pattern, re.MULTILINE | re.DOTALL).findall


_AA_STAGES: tuple[tuple[str, Callable[[str], list[Any]]], ...] = (
    ("answer_label", _LABEL.findall),
    ("boxed", _capitals_in_boxes),
    ("answer_is", _aa(r"answer is ([a-zA-Z])")),
    ("answer_is_bracket", _aa(r"answer is \(([a-zA-Z])\)")),
    ("choice", _aa(r"([A-Z])\)")),  # published with \s*[^A-Z]* behind it, which never changes the letter
    ("is_correct", _aa(r"([A-Z])\s+is\s+the\s+correct\s+answer")),
    ("line_end", _aa(r"([A-Z])\s*$")),
    ("full_stop", _aa(r"([A-Z])\s*\.")),
    ("loose", _aa(r"([A-Z])\s*[^\w]")),
)


def aa_chain(text: str, letters: str) -> Extracted:
    """Extract a letter by Artificial Analysis' chain, version 3 (nvidia-simple-evals 26.3, ``*_aa_v3`` tasks).

    Nine patterns in order; the result is the last match of the first pattern that matches, unchanged in case; one that
    is not in ``letters`` (the item's, as one text) has ``in_range`` False. Without a match the answer is None. The
    later stages match ordinary prose, so the stage must be checked before a score is used.
    """
    for stage, find in _AA_STAGES:
        matches = find(text)
        if matches:
            return _letter(matches[-1], stage, len(matches), letters)
    return NOTHING


# ---------------------------------------------------------------- letters: simple-evals

_SIMPLE = re.compile(r"(?i)Answer[ \t]*:[ \t]*\$?([A-D])\$?")


def simple_evals_letter(text: str, letters: str) -> Extracted:
    """Extract a letter by the pattern of openai/simple-evals (``common.py``): the first ``Answer: X``, X of A to D.

    The word is matched in any case and the letter kept as written; one that is not in ``letters`` (the item's, as one
    text) has ``in_range`` False. Without a match the answer is None.
    """
    matches = _SIMPLE.findall(text)
    return _letter(matches[0], "answer_label", len(matches), letters) if matches else NOTHING


# ---------------------------------------------------------------- numbers

_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
_FLEXIBLE = re.compile(rb"-?[$0-9.,]{2,}|-?[0-9]+")
_NUMERIC = bytes(byte if byte in b"-$0123456789.," else ord(" ") for byte in range(256))
"""For ``bytes.translate``: a space for every character that no match holds."""
_DIGITS = re.compile(r"\d+")


def _lm_eval_number(text: str) -> str:
    """Return a text as lm-eval's GSM8K compares it: in lower case, without ``,`` and ``$``, without all up to the last
    ``#### ``, and without a final dot.
    """
    return re.sub(r"\.$", "", text.replace(",", "").replace("$", "").rpartition("#### ")[2]).lower()


def strict_number(text: str) -> Extracted:
    r"""Extract a number by lm-eval's ``strict-match`` (gsm8k v3): the first ``#### (\-?[0-9\.\,]+)``.

    The answer is normalised (commas, ``$`` and a final dot removed, which can leave an empty text) and is right when it
    equals the key as text; ``in_range`` is True for every match. Without a match the answer is None.
    """
    matches = _STRICT.findall(text)
    return Extracted(_lm_eval_number(matches[0].strip()), "hash_marks", len(matches), True) if matches else NOTHING


def flexible_number(text: str) -> Extracted:
    """Extract a number by lm-eval's ``flexible-extract`` (gsm8k v3): the last ``(-?[$0-9.,]{2,})|(-?[0-9]+)``.

    The answer is normalised (commas, ``$`` and a final dot removed, which can leave an empty text) and is right when it
    equals the key as text; ``in_range`` is True for every match, also for one without digits, such as ``..``. Without a
    match the answer is None.
    """
    pieces = text.encode("ascii", "replace").translate(_NUMERIC).split()  # the pattern alone takes five times as long
    others = [piece for piece in pieces if not piece.isdigit()]  # digits alone are one match
    count = len(pieces) - len(others) + len(_FLEXIBLE.findall(b" ".join(others)))
    if not count:
        return NOTHING
    last = next(matches[-1] for piece in reversed(pieces) if (matches := _FLEXIBLE.findall(piece)))
    return Extracted(_lm_eval_number(last.decode()), "last_number", count, True)


def last_integer(text: str) -> Extracted:
    r"""Extract a number by SGLang's parser (``benchmark/gsm8k/bench_sglang.py``): the last
    ``\d+`` after commas are removed.

    The sign is lost, and of a decimal number only the decimals are left (75 of 3.75). The answer is None without
    digits, and where Python rejects them as a literal ("08", digits of other scripts, more than 4,300 digits).
    """
    matches = _DIGITS.findall(text.replace(",", ""))
    if not matches:
        return NOTHING
    digits: str = matches[-1]
    value = digits.lstrip("0") or "0"
    refused = not digits.isascii() or len(digits) > 4300 or (value != "0" and digits.startswith("0"))
    return NOTHING if refused else Extracted(value, "last_integer", len(matches), True)


def boxed_number(text: str) -> Extracted:
    r"""Extract the number that the whole last ``\boxed{}`` is, for ``Fraction``:
    ``$1{,}234.50 \text{ USD}`` gives 1234.50.

    Constant arithmetic (``6 \times 3``, stage ``boxed_arithmetic``) is evaluated in a process, which can take seconds,
    and raises ``SampleFailed`` when the process does not work. Any other content, and a box of over 200 characters, is
    kept as text (80 characters) with ``in_range`` False, which is never correct; without a closed box, or with a blank
    one, the answer is None.
    """
    box = _last_box(text)
    if box is None or not box.strip():
        return NOTHING
    count = text.count(_BOX)
    if len(box) <= LONGEST_NUMBER:
        number = numbers.number(box)
        if number is not None:
            return Extracted(number, "boxed", count, True)
        arithmetic = numbers.expression(box)
        result = None if arithmetic is None else expressions.value(arithmetic)
        if result is not None:
            return Extracted(result, "boxed_arithmetic", count, True)
    return Extracted(box.strip()[:80], "boxed", count, False)


def gsm8k_key(solution: str) -> str | None:
    """Return the key of a GSM8K solution: the number behind its last ``####`` (the whole text without one), no commas.

    None unless that is digits with an optional minus and decimals (``-12.5``).
    """
    key = solution.rpartition("####")[2].strip().replace(",", "")
    return key if re.fullmatch(r"-?[0-9]+(?:\.[0-9]+)?", key) else None
