"""Whether an output of an answer is the expected one, by LiveCodeBench's rules. Pure.

Rules of LiveCodeBench/LiveCodeBench 28fef95e, ``lcb_runner/evaluation/testing_util.py``. They run outside of the
sandbox, on data that left it.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

JSON, VALUE = "json", "value"
"""First part of a returned value: it was plain JSON and left as text, or anything else."""


def same_output(printed: Any, expected: str) -> bool:
    """Return whether the standard output of an answer, ``printed``, is the expected one, line by line.

    Lines are stripped and must be equal as texts, or as sequences of decimal numbers; empty lines at the beginning and
    the end do not count. False when ``printed`` is no text.
    """
    if not isinstance(printed, str):
        return False
    lines, wanted = _lines(printed), _lines(expected)
    return len(lines) == len(wanted) and all(
        line == other or _same_numbers(line, other) for line, other in zip(lines, wanted, strict=True)
    )


def same_value(returned: Any, expected: str) -> bool:
    """Return whether the value that an answer returned equals the expected one (JSON) by Python's ``==`` (1 is 1.0).

    ``returned`` is a tuple of two: ("json", JSON text), else the second part is the value itself. False for anything
    but such a tuple and for a broken JSON text. Raises ``ValueError`` if ``expected`` is no JSON or the comparison has
    no truth value (of arrays).
    """
    if not isinstance(returned, tuple) or len(returned) != 2:
        return False
    kind, value = returned
    if kind == JSON:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError, TypeError):
            return False
    return bool(value == json.loads(expected))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]


def _same_numbers(line: str, other: str) -> bool:
    try:
        return [Decimal(word) for word in line.split()] == [Decimal(word) for word in other.split()]
    except InvalidOperation:
        return False
