"""Answers that were cut while they came: how many, how long, and whether asking again favoured short ones.

A request that runs when the window closes is lost and asked again later. Long answers are cut more often than short
ones, and of a cut answer a new draw counts: the second draw of a long answer tends to be shorter, and short answers
tend to be right. So every cut is counted, and a cell in which more than 1 % of the samples were cut says so.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.store.samples import read_cuts, read_samples

FLAGGED_ABOVE = 0.01
"""Share of the planned samples."""


@dataclass(frozen=True, slots=True)
class CutAnswers:
    """What a cell's cut answers came to. Tokens are means; None where the server counted or streamed none."""

    samples: int
    """Samples of which an answer was cut at least once."""
    share: float
    """Of the planned samples."""
    flagged: bool
    tokens_at_cut: float | None
    """Generated tokens that had arrived at the (last) cut."""
    tokens_finished: float | None
    """Of the samples that were never cut."""
    redrawn: int
    """Cut samples that were asked again and answered."""
    tokens_redrawn: float | None
    redrawn_shorter: int
    """Redrawn answers shorter than what had been thrown away: each of them is a selected one for certain."""

    def to_json(self) -> dict[str, Any]:
        """As in ``summary.json``."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def words(self) -> str:
        """One sentence for people."""
        return (
            f"{self.samples:,} answers ({100 * self.share:.1f} %) were cut by a deadline or a stop and asked again; "
            f"{self.redrawn_shorter} of {self.redrawn} came out shorter than what had been cut off. Asking again "
            "favours short answers: use longer windows"
        )


def cut_answers(folder: Path, planned: int) -> CutAnswers:
    """The cut answers of the cell in ``folder``, of which ``planned`` samples were to be made."""
    cuts = read_cuts(folder)
    if not cuts:
        return CutAnswers(0, 0.0, False, None, None, 0, None, 0)
    rows = read_samples(folder, ["item_id", "repeat", "outcome", "completion_tokens"]).to_pylist()
    lengths = {(row["item_id"], row["repeat"]): row["completion_tokens"] for row in rows if row["outcome"] != "failed"}
    at_cut = {key: found[-1].tokens for key, found in cuts.items()}
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
