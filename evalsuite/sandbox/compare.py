"""The comparisons that SciCode's tests call, with the semantics of ``scicode.compare.cmp`` (scicode-bench 588b406).

Used by the checker only. In dictionaries symbols are compared by their names, as the original does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

issparse: Callable[[Any], bool] = sparse.issparse


def cmp_tuple_or_list(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Whether two sequences are of equal length and equal item by item; the type of an item of ``first`` chooses how.

    Dictionaries as in ``are_dicts_close``, CSR and CSC matrices as dense ones, booleans by ``==``, all others by
    NumPy's ``allclose`` with its default tolerances (which takes a list of one number as equal to a list of several
    such numbers), or by ``==`` where that raises ``ValueError``. Items that cannot be compared so either, such as texts
    (``TypeError``) or arrays of shapes that do not fit (``ValueError``), raise, unless an item before them differs.
    """
    if len(first) != len(second):
        return False
    for one, other in zip(first, second, strict=True):
        if isinstance(one, dict):
            same = are_dicts_close(one, other)
        elif issparse(one) and one.format in ("csr", "csc"):
            same = _are_csc_matrix_close(one, other)
        elif isinstance(one, bool):
            same = bool(one == other)
        else:
            same = _close(one, other)
        if not same:
            return False
    return True


def are_dicts_close(
    first: Mapping[Any, Any], second: Mapping[Any, Any], atol: float = 1e-8, rtol: float = 1e-5
) -> bool:
    """Whether two dictionaries have the same keys and equal values: texts of ``first`` by ``==``, all others by NumPy's
    ``allclose`` with ``atol`` and ``rtol``, sparse matrices as dense ones.

    Where ``allclose`` raises ``ValueError``, ``==`` decides (not of sparse matrices). SymPy symbols, as keys or values,
    are replaced by their names before. Values that cannot be compared so, such as inner dictionaries, raise (mostly
    ``TypeError``), unless a value before them differs.
    """
    first, second = _named(first), _named(second)
    if first.keys() != second.keys():
        return False
    for key, one in first.items():
        other = second[key]
        if isinstance(one, str):
            same = bool(one == other)
        elif issparse(one):
            same = np.allclose(one.toarray(), other.toarray(), atol=atol, rtol=rtol)
        else:
            same = _close(one, other, atol, rtol)
        if not same:
            return False
    return True


def _named(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """A copy of ``mapping`` in which each key or value of SymPy's class ``Symbol`` or ``Dummy`` (no subclass) is
    replaced by its text: ``x``, of a ``Dummy`` ``_x``.
    """
    return {_name(key): _name(value) for key, value in mapping.items()}


def _name(value: Any) -> Any:
    return str(value) if type(value).__name__ in ("Symbol", "Dummy") else value


def _are_csc_matrix_close(first: Any, second: Any) -> bool:
    """Whether two sparse matrices are close as dense ones, with NumPy's default tolerances; ``ValueError`` for shapes
    that do not fit each other.
    """
    return bool(np.allclose(first.toarray(), second.toarray()))


def _close(one: Any, other: Any, atol: float = 1e-8, rtol: float = 1e-5) -> bool:
    try:
        return bool(np.allclose(one, other, atol=atol, rtol=rtol))
    except ValueError:  # shapes that do not fit each other
        return bool(one == other)
