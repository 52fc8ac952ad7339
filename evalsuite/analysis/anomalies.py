"""Finds gains that are too good: significant over the suite, and above the margin.

A quantized checkpoint does not learn. A significant gain is news about the measurement: a baseline that was truncated
or not parsed, another protocol, a baseline below its published value. The verdict and its exit code do not change.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalsuite.analysis.comparison import Comparison
from evalsuite.endpoint.identity.differences import differing_facts
from evalsuite.stats import rounding
from evalsuite.stats.multiplicity import adjust

SHARE = 0.25
"""Part of a gain from which on an outcome counts as its cause."""
_CHECKED = {
    "truncated": "fewer truncated answers than the baseline",
    "no_answer": "fewer answers without a readable result than the baseline",
    "refused": "fewer refused questions than the baseline",
}


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A gain on one benchmark; fractions of 1."""

    candidate: str
    """Name of the candidate model."""
    baseline: str
    """Name of the baseline model."""
    task: str
    """Name of the task."""
    delta: float
    """Candidate minus baseline."""
    ci95: tuple[float, float] | None
    """95 % interval of the delta."""
    p_holm: float
    """One-sided p value of no gain, adjusted by Holm over the compared benchmarks of the candidate."""
    margin: float
    """The margin that the gain exceeds."""
    causes: tuple[str, ...]
    """The usual causes that were found; empty when none was."""

    def to_json(self) -> dict[str, Any]:
        """Return the gain as a dict of JSON types for ``comparison.json`` and ``verdict.json``: all fields (tuples as
        lists), ``status`` (always "anomalous") and ``checked`` (the kinds of cause that are always looked for).
        """
        return {
            "status": "anomalous",
            "candidate": self.candidate,
            "baseline": self.baseline,
            "task": self.task,
            "delta": self.delta,
            "ci95": None if self.ci95 is None else list(self.ci95),
            "p_holm": self.p_holm,
            "margin": self.margin,
            "causes": list(self.causes),
            "checked": ["truncation", "parsing", "refusals", "protocol", "published value of the baseline"],
        }

    def with_cause(self, cause: str) -> "Anomaly":
        """Return a copy of this gain with the text ``cause`` appended to its causes."""
        return replace(self, causes=(*self.causes, cause))


def find_anomalies(rows: Sequence[Comparison], alpha: float) -> tuple[Anomaly, ...]:
    """Return the gains that are significant (one-sided p, Holm-adjusted over the comparisons looked at, at most
    ``alpha``) and above the margin, in the order of ``rows``; empty without any.

    ``rows``: the comparisons of one candidate, with their verdicts. Those without numbers or without a verdict are left
    out, and those that stopped early, whose p values are not valid. With missing answers delta, interval and p value of
    a gain are those of the worst case: the candidate's missing answers are wrong and the baseline's right.
    """
    shown = [row for row in rows if row.paired is not None and row.verdict is not None and not row.stopped]
    changes = [row.bounded.worst.change if row.bounded else row.paired.change for row in shown if row.paired]
    gains = [None if change.p_value is None else change.p_value / 2 if change.delta > 0 else 1.0 for change in changes]
    found = []
    for row, change, p_holm in zip(shown, changes, adjust(gains).holm, strict=True):
        margin = row.verdict.limit.margin if row.verdict else 0.0
        if p_holm is not None and p_holm <= alpha and change.delta > margin:
            names = row.candidate.cell.model, row.baseline.cell.model
            causes = tuple(_causes(row))
            found.append(Anomaly(*names, row.task, change.delta, change.ci95, p_holm, margin, causes))
    return tuple(found)


def _causes(row: Comparison) -> Iterator[str]:
    """Yield a line of text for each usual cause of a false gain that is present: fewer truncated, unreadable or refused
    answers (each if it makes up at least ``SHARE``, a quarter, of the gain among the measured answers), differing
    server facts that may have caused it, differing prompt tokens, unknown parts of the protocol. The comparison must
    have paired numbers.
    """
    assert row.paired is not None
    gain = row.paired.change.delta
    for outcome, text in _CHECKED.items():
        part = row.paired.causes.get(outcome, 0.0)
        if part >= SHARE * gain:
            yield f"{text}: {rounding.points(part)} of {rounding.points(gain)} pt"
    facts = differing_facts(row.baseline.cell.manifest, row.candidate.cell.manifest)
    differing = [fact.name for fact in facts if fact.kind == "confounder"]
    if differing:
        yield f"the servers differ in {', '.join(differing)}"
    if row.comparable.confounders:
        yield "the servers count different prompt tokens"
    if row.comparable.unknown:
        yield f"the protocol is not known to be the same: {', '.join(row.comparable.unknown)}"
