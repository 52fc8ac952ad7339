"""What the checker's libraries must not do with values that came out of the sandbox."""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

_trusted: set[str] = set()
"""Texts that SymPy may parse."""


def trust(values: Iterable[Any]) -> None:
    """Make the texts in ``values`` the only ones that SymPy may parse, in place of those of an earlier call.

    They are found at any depth of dictionaries (keys, too), lists, tuples, sets (not frozensets) and NumPy arrays of
    texts or objects; ``values`` itself is one of these. It has an effect once ``guard`` has been called.
    """
    _trusted.clear()
    _trusted.update(_texts(values))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield str(value)
    elif isinstance(value, Mapping):
        for pair in value.items():
            yield from _texts(pair)
    elif isinstance(value, list | tuple | set):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "UO":
        yield from _texts(value.ravel().tolist())


def guard() -> None:
    """Patch SymPy and NumPy in this process for good, against values from the sandbox that would run code or match by
    being empty.

    ``sympy.parse_expr``, by which ``sympify`` reads texts, takes only those given to ``trust`` (at first none), and
    ``sympy.lambdify`` takes nothing (both ``ValueError``); ``numpy.allclose``, ``isclose`` and ``array_equiv`` raise
    ``AssertionError`` where one side alone is empty.
    """
    import sympy
    from sympy.parsing import sympy_parser

    parse = sympy_parser.parse_expr

    def parse_trusted(text: str, *arguments: Any, **options: Any) -> Any:
        if text not in _trusted:
            raise ValueError("a text of the answer is not parsed")
        return parse(text, *arguments, **options)

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise ValueError("an expression of the answer is not made code")

    sympy_parser.parse_expr = sympy.parse_expr = parse_trusted
    sympy.lambdify = refuse
    vars(importlib.import_module("sympy.utilities.lambdify"))["lambdify"] = refuse
    for name in ("allclose", "isclose", "array_equiv"):
        setattr(np, name, _refusing_empty(getattr(np, name)))


def _refusing_empty(function: Callable[..., Any]) -> Callable[..., Any]:
    """A wrapper of the comparison ``function`` that raises ``AssertionError`` where one alone of its first two
    arguments, given by position, is empty; else it returns what ``function`` does.
    """

    def compare(first: Any, second: Any, *arguments: Any, **options: Any) -> Any:
        if _is_empty(first) != _is_empty(second):
            raise AssertionError("an empty value")
        return function(first, second, *arguments, **options)

    return compare


def lacks(value: Any, target: Any) -> bool:
    """Whether ``value`` is empty, or holds something empty, where ``target`` holds nothing empty.

    Lists, tuples and object arrays of equal length, and mappings at the keys that both have, are compared part by part,
    others as wholes. Empty are sequences (texts, too), mappings, sets and arrays without elements, and lists and tuples
    of nothing else. Views of a dictionary and iterators never count as empty.
    """
    if _is_empty(value):
        return not _holds_empty(target)
    if _is_row(value) and _is_row(target) and len(value) == len(target):
        return any(lacks(one, other) for one, other in zip(value, target, strict=True))
    if isinstance(value, Mapping) and isinstance(target, Mapping):
        return any(lacks(value[key], target[key]) for key in value.keys() & target.keys())
    return _holds_empty(value) and not _holds_empty(target)


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple) or (
        isinstance(value, np.ndarray) and value.dtype.kind == "O" and value.ndim > 0
    )


def _is_empty(value: Any) -> bool:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return 0 in shape
    if isinstance(value, Sequence | Mapping | set | frozenset):
        return len(value) == 0 or (isinstance(value, list | tuple) and all(_is_empty(one) for one in value))
    return False


def _holds_empty(value: Any) -> bool:
    if _is_empty(value):
        return True
    if isinstance(value, Mapping):
        return any(_holds_empty(one) for one in value.values())
    return _is_row(value) and any(_holds_empty(one) for one in value)
