"""Multiple comparisons: adjusted p values of one family of tests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Adjusted p values in the order of the input; None where the input was None."""

    holm: tuple[float | None, ...]
    """Holm's adjustment, which controls the family-wise error: for claims (Holm 1979)."""
    bh: tuple[float | None, ...]
    """Benjamini and Hochberg's adjustment, which controls the false discovery rate: for browsing (1995)."""


def adjust(p_values: Sequence[float | None]) -> Adjusted:
    """Adjust the p values of one family by Holm and by Benjamini and Hochberg.

    ``multipletests`` of statsmodels gives the same numbers (a test compares them) but runs the garbage collector at
    every call, 35 ms each, and a report with many subjects calls this often.

    Args:
        p_values: P values of the family; None counts as p = 1, so that the family keeps the size it had before the data
            were seen.

    Returns:
        Both adjustments in the order of the input; None where the input is None, empty for an empty family.
    """
    if not p_values:
        return Adjusted((), ())
    filled = np.array([1.0 if p is None else p for p in p_values])
    holm, bh = holm_arrays(filled[None, :])[0], _bh(filled)
    known = [p is not None for p in p_values]
    return Adjusted(_keep(holm, known), _keep(bh, known))


def holm_arrays(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust the p values of many families at once by Holm 1979.

    Args:
        p_values: P values of shape (families, tests); NaN counts as 1.

    Returns:
        Adjusted p values of the same shape.
    """
    filled = np.where(np.isnan(p_values), 1.0, p_values)
    order = np.argsort(filled, axis=1, kind="stable")
    family = filled.shape[1]
    stepped = np.take_along_axis(filled, order, axis=1) * np.arange(family, 0, -1)
    stepped = np.minimum(np.maximum.accumulate(stepped, axis=1), 1.0)
    adjusted = np.empty_like(filled)
    np.put_along_axis(adjusted, order, stepped, axis=1)
    return adjusted


def _bh(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the p values of one family adjusted by Benjamini and Hochberg, same shape and order: the smallest of p m /
    rank over this and all larger p values (at most the largest p).
    """
    order = np.argsort(p_values)[::-1]
    family = len(p_values)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum.accumulate(p_values[order] * family / np.arange(family, 0, -1))
    return adjusted


def _keep(values: NDArray[np.float64], known: Sequence[bool]) -> tuple[float | None, ...]:
    return tuple(float(value) if is_known else None for value, is_known in zip(values, known, strict=True))
