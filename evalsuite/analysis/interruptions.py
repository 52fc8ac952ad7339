"""Counts answers that were interrupted while they were generated, and whether regeneration favoured short ones.

A request that runs when a time window closes is lost and sent again later. Long answers are interrupted more often than
short ones, and the new answer is the one that counts. The second answer to such a question tends to be shorter, and
short answers tend to be correct. Therefore all interruptions are counted, and a cell with more than 1 % interrupted
samples is flagged.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.stats import rounding
from evalsuite.store.samples import read_cuts, read_samples

FLAGGED_ABOVE = 0.01
"""Fraction of the planned samples above which a cell is flagged."""


@dataclass(frozen=True, slots=True)
class CutAnswers:
    """Interrupted answers of a cell. Tokens are means; None when the server reported or streamed none."""

    samples: int
    """Number of samples with at least one interrupted answer."""
    share: float
    """Their fraction of the planned samples."""
    flagged: bool
    """Whether the fraction is above ``FLAGGED_ABOVE``."""
    tokens_at_cut: float | None
    """Generated tokens that had arrived at the (last) interruption."""
    tokens_finished: float | None
    """Generated tokens of the samples that were never interrupted."""
    redrawn: int
    """Number of interrupted samples that were generated again and finished."""
    tokens_redrawn: float | None
    """Generated tokens of these new answers."""
    redrawn_shorter: int
    """Number of new answers that are shorter than the interrupted part; each of them was certainly selected for its
    length."""

    def to_json(self) -> dict[str, Any]:
        """Return a dict of all fields: the entry ``cut`` of ``summary.json`` without its ``words``."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def describe(self) -> str:
        """Return a text for reports: how many answers were interrupted, how many were generated again, and how many new
        ones are shorter than what had arrived.
        """
        return (
            f"{self.samples:,} answers ({rounding.percent(self.share)} %) were cut by a deadline or a stop and asked "
            f"again; {self.redrawn_shorter} of {self.redrawn} came out shorter than what had been cut off. Asking "
            "again favours short answers: use longer windows"
        )


def cut_answers(folder: Path, planned: int) -> CutAnswers:
    """Count the interrupted answers of the cell in ``folder``, reading its record of interruptions and its samples;
    ``planned`` is its planned number of samples. Counts are 0 and means None when nothing was interrupted.
    """
    cuts = read_cuts(folder)
    if not cuts:
        return CutAnswers(0, 0.0, False, None, None, 0, None, 0)
    rows = read_samples(folder, ["item_id", "repeat", "outcome", "completion_tokens"]).to_pylist()
    lengths = {(row["item_id"], row["repeat"]): row["completion_tokens"] for row in rows if row["outcome"] != "failed"}
    at_cut = {key: interruptions[-1].tokens for key, interruptions in cuts.items()}
    redrawn = {key: lengths[key] for key in cuts if key in lengths}
    shorter = sum(
        tokens is not None and (reached := at_cut[key]) is not None and tokens < reached
        for key, tokens in redrawn.items()
    )
    part = len(cuts) / planned if planned else 0.0
    return CutAnswers(
        len(cuts),
        part,
        part > FLAGGED_ABOVE,
        _mean(at_cut.values()),
        _mean(tokens for key, tokens in lengths.items() if key not in cuts),
        len(redrawn),
        _mean(redrawn.values()),
        shorter,
    )


def _mean(values: Any) -> float | None:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None
