"""Samples whose first answer was lost on the way and drawn anew, held beside the others.

A crash or a time-out hits long answers more often, and long answers are more often wrong: where many were drawn anew,
the difference between the two shows whether that chose answers.
"""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True, slots=True)
class Rerolled:
    """The samples of one cell that were asked again; fractions of 1."""

    samples: int
    share: float
    """Of all samples of the cell."""
    score: float | None
    """Mean value of these samples; None without any, or while the cell is incomplete."""
    others: float | None
    """Mean value of the samples that were asked once."""

    def to_json(self) -> dict[str, Any]:
        """As in ``summary.json``."""
        return asdict(self)


def rerolled(rows: pd.DataFrame, *, complete: bool) -> Rerolled:
    """Count them and compare; ``rows`` are a cell's planned samples with ``rerolled`` and ``value``."""
    marked = rows["rerolled"].fillna(False).astype(bool)
    share = float(marked.mean()) if len(rows) else 0.0
    scores = [_mean(rows.loc[part, "value"]) if complete else None for part in (marked, ~marked)]
    return Rerolled(int(marked.sum()), share, *scores)


def _mean(values: "pd.Series[float]") -> float | None:
    return float(values.mean()) if len(values) else None
