"""Counts degenerate answers of a cell: signs of a sick server or checkpoint that would otherwise count as the model's.

They keep their outcome and value, for a checkpoint that loops has lost accuracy. From ``FLAGGED`` of a cell's answers
they are stated with its score; from ``WITHHELD`` the cell has no score until a person accepts them with a reason.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evalsuite.records import Reply
from evalsuite.stats import rounding
from evalsuite.store.runs import TableCell
from evalsuite.store.samples import read_batches, read_signs
from evalsuite.tasks.grading.degenerate import KINDS, degenerate

FLAGGED, WITHHELD = 0.02, 0.5
"""Share of a cell's answers from which degenerate ones are stated, and from which the cell has no score."""
DIFFERENT = 0.01
"""P value below which the shares of baseline and candidate differ."""
ACCEPT = 'accept_degenerate="reason"'
"""The setting that gives such a cell its score."""
_WORDS: Mapping[str, str] = {
    "empty": "empty",
    "thought_only": "thinking without an answer",
    "loop": "loops",
    "call_as_text": "tool calls as text",
    "garbled": "garbled",
}


@dataclass(frozen=True, slots=True)
class DegenerateAnswers:
    """The degenerate answers of one cell."""

    counts: Mapping[str, int]
    """Sign -> number of answers, for signs that occur, in the order of ``KINDS``."""
    answers: int
    """Number of all answers; failed attempts have none."""
    accepted: str = ""
    """The reason for which they were accepted; empty when they were not."""

    @property
    def share(self) -> float:
        """Fraction of the answers that are degenerate; 0 without answers."""
        return sum(self.counts.values()) / self.answers if self.answers else 0.0

    @property
    def flagged(self) -> bool:
        """Whether they are frequent enough (2 % of the answers or more) to be stated with the cell's score."""
        return self.share >= FLAGGED

    @property
    def withheld(self) -> bool:
        """Whether the cell has no score because of them: half of its answers or more are degenerate, and no reason
        accepts them.
        """
        return self.share >= WITHHELD and not self.accepted

    @property
    def count_text(self) -> str:
        """Their number, that of all answers, and the number by kind, such as ``5 of 100 (5 loops)``; ``0 of 100``
        without any.
        """
        parts = ", ".join(f"{count:,} {_WORDS[kind]}" for kind, count in self.counts.items())
        return f"{sum(self.counts.values()):,} of {self.answers:,}" + (f" ({parts})" if parts else "")

    @property
    def text(self) -> str:
        """The warning for reports, with a remedy where the score is withheld, and the reason where they were accepted
        with one; empty below 2 % of the answers.
        """
        if not self.flagged:
            return ""
        if self.withheld:
            remedy = f"mend the server and ask again with redo=TASK, or accept them with {ACCEPT}"
            return f"no score: {self.count_text} answers are degenerate; {remedy}"
        reason = f'; accepted: "{self.accepted}"' if self.accepted else ""
        return f"{self.count_text} answers are degenerate, {rounding.percent(self.share)} %{reason}"


NO_DEGENERATE = DegenerateAnswers({}, 0)


def degenerate_answers(cell: TableCell, rows: pd.DataFrame) -> DegenerateAnswers:
    """Count the degenerate answers (column ``degenerate``: kind, empty for none) among the planned ``rows`` of a cell,
    failed attempts left out; the reason that accepts them comes from the cell's manifest.
    """
    signs = rows.loc[rows["outcome"] != "failed", "degenerate"].fillna("")
    counts = signs.value_counts()
    accepted = (cell.manifest.get("accepted") or {}).get("degenerate") or ""
    occurring = {kind: int(counts[kind]) for kind in KINDS if counts.get(kind, 0)}
    return DegenerateAnswers(occurring, len(signs), str(accepted))


def accepting(cells: Iterable[TableCell], reasons: Mapping[str, str | None]) -> tuple[TableCell, ...]:
    """Return copies of the cells whose manifests, in memory only, also hold ``reasons`` for accepting what withholds a
    score: kind (``degenerate``, ``log_disagreement``) -> reason; None values are ignored.
    """
    given = {kind: reason for kind, reason in reasons.items() if reason is not None}
    return tuple(TableCell(cell.run, cell.folder, with_accepted(cell.manifest, given)) for cell in cells)


def with_accepted(manifest: Mapping[str, Any], reasons: Mapping[str, str]) -> dict[str, Any]:
    """Return a copy of a manifest whose entry ``accepted`` also holds ``reasons`` (kind of problem -> reason),
    replacing those of the same kind.
    """
    if not reasons:
        return dict(manifest)
    return {**manifest, "accepted": {**(manifest.get("accepted") or {}), **reasons}}


def signs_of(cell: TableCell, rows: pd.DataFrame) -> list[str]:
    """Return, for each of a cell's ``rows`` in order, the kind of degenerate answer (one of ``KINDS``) or "" for an
    ordinary one.

    Stored signs are read from the cell's folder; for a cell that was graded without them they are computed from its
    stored texts, so that ``rows`` must then be all of the cell's in stored order.
    """
    signs = read_signs(cell.folder)
    if signs is None:
        return _signs_of_texts(cell)
    if not signs:
        return [""] * len(rows)
    return [signs.get((item, int(repeat)), "") for item, repeat in zip(rows["item_id"], rows["repeat"], strict=True)]


def _signs_of_texts(cell: TableCell) -> list[str]:
    """Return the kind of degenerate answer, or "", of each stored row of a cell graded by a version that recorded none,
    by reading its texts.

    Neither the item nor the tool calls are known there, so foreign scripts are not counted, nor answers with the finish
    reason ``tool_calls`` or with an extracted answer and no text.
    """
    columns = ("outcome", "answer", "stage", "finish_reason", "text", "reasoning")
    return [_sign_of_row(row) for batch in read_batches(cell.folder, columns) for row in batch]


def _sign_of_row(row: Mapping[str, Any]) -> str:
    text, reasoning = row["text"] or "", row["reasoning"] or ""
    called = row["finish_reason"] == "tool_calls" or (not text.strip() and row["answer"])
    if row["outcome"] == "failed" or called:
        return ""
    return degenerate(Reply(text, reasoning, row["finish_reason"]), call_as_text=row["stage"] == "as_text")
