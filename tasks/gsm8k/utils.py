"""What ``evalsuite_gsm8k.yaml`` calls: the extractor of evalsuite's own adapter, in the shape that lm-eval asks for."""

from collections.abc import Mapping, Sequence
from typing import Any

from evalsuite.tasks.grading.extract import boxed_number, gsm8k_key

INVALID = "[invalid]"


def key(doc: Mapping[str, Any]) -> str:
    """The number behind ``####`` of the reference solution."""
    found = gsm8k_key(doc["answer"])
    return INVALID if found is None else _canonical(found)


def boxed(resps: Sequence[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The number in the last box of each reply, written so that equal numbers are equal texts.

    A box that is not one number stays as it is and equals no key; without a box: ``[invalid]``.
    """
    return [[_boxed(text) for text in texts] for texts in resps]


def _boxed(text: str) -> str:
    found = boxed_number(text)
    if found.answer is None:
        return INVALID
    return _canonical(found.answer) if found.in_range else found.answer


def _canonical(number: str) -> str:
    """``-007.50`` as ``-7.5`` and ``-0`` as ``0``; by text, because Decimal rounds and float loses digits."""
    sign, digits = number[:1] == "-", number.removeprefix("-")
    whole, _, fraction = digits.partition(".")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    plain = f"{whole}.{fraction}" if fraction else whole
    return f"-{plain}" if sign and plain != "0" else plain
