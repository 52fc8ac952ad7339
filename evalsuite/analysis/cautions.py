"""Statements next to a delta: the task cannot show a loss, or something changed that the score does not show.

A baseline at 0 % or at the level of guessing has nothing to lose, one at the ceiling has questions that are too easy.
Answers can change from wrong to truncated, or into loops, while the score stays where it is.
"""

from typing import TYPE_CHECKING

from evalsuite.analysis.comparability import checkpoint_of
from evalsuite.analysis.degenerate import DIFFERENT
from evalsuite.analysis.pairing import Paired
from evalsuite.endpoint.identity.differences import NUMERIC, differing_facts
from evalsuite.stats import rounding
from evalsuite.tasks.datasets import chance_level

if TYPE_CHECKING:
    from evalsuite.analysis.comparison import Comparison

CEILING = 0.99
"""Score from which a task is too easy to show a small loss."""
_SIGNIFICANT = 0.05
"""P value from which a score did not change."""


def cautions(row: "Comparison") -> tuple[str, ...]:
    """Return the warnings on one comparison, at most one line of each kind: floor or ceiling, server effect, shifted
    kinds of outcome, more or fewer degenerate answers; empty without any or without paired numbers.
    """
    if row.paired is None:
        return ()
    statements = (floor(row), _server(row, row.paired), _shift(row.paired), _degenerate(row.paired))
    return tuple(text for text in statements if text)


def floor(row: "Comparison") -> str:
    """Return the reason why this task cannot show a loss of the candidate, or only a large one: the baseline scores 0,
    is not shown to be above guessing (by its 95 % interval, or its score where it has none), is above guessing by no
    more than the declared margin, or scores 99 % or more. Empty when none holds, or without paired numbers.

    A margin that was derived from the data does not count. Where the level of guessing is unknown, the interval is not
    looked at, and the margin is compared with the score itself.
    """
    if row.paired is None:
        return ""
    score, scored = row.paired.baseline_score, row.baseline.scored
    low = score if scored is None or scored.ci95 is None else scored.ci95[0]
    cell = row.baseline.cell
    chance = chance_level(cell.task, str(cell.identity["variant"]))
    margin = row.verdict.limit.margin if row.verdict is not None and row.verdict.limit.declared else 0.0
    if score == 0:
        return "baseline at the floor (0 %): this task cannot show a loss"
    if chance is not None and low <= chance:
        return (
            f"baseline at the floor ({_percent(score)}, not shown to be above guessing, {_percent(chance)}): "
            "this task cannot show a loss"
        )
    if score - (chance or 0.0) <= margin:
        return f"baseline at the floor ({_percent(score)}): no loss can exceed the margin of {100 * margin:g} pt"
    if score >= CEILING:
        return f"baseline at the ceiling ({_percent(score)}): these questions are too easy to show a small loss"
    return ""


def _server(row: "Comparison", paired: Paired) -> str:
    """Return the warning that a loss can come from the servers' settings as well; empty without a loss (verdict fail,
    or one-sided p below 0.05), or when no setting differs that is known to change numbers or is named in ``varies``.

    Between arms of one checkpoint it is called the server's effect; settings that differ on purpose (``varies``) are
    called so. Where others differ between two checkpoints, the text names the control run that would separate them.
    """
    failed = row.verdict is not None and row.verdict.decision.call == "fail"
    p_loss = paired.change.p_loss
    if not failed and (p_loss is None or p_loss >= _SIGNIFICANT):
        return ""
    old, new = row.baseline.cell, row.candidate.cell
    varies = {name for cell in (old, new) for name in cell.manifest.get("varies") or ()}
    facts = [fact for fact in differing_facts(old.manifest, new.manifest) if fact.name in NUMERIC | varies]
    if not facts:
        return ""
    named = ", ".join(f"{fact.name} {fact.baseline} → {fact.candidate}" for fact in facts)
    unplanned = ", ".join(fact.name for fact in facts if fact.name not in varies)
    if checkpoint_of(old) and checkpoint_of(old) == checkpoint_of(new):
        purpose = f" ({unplanned} not declared in varies)" if unplanned else " on purpose (varies)"
        return f"server effect, not the checkpoint's: both arms are one checkpoint, and {named} differ{purpose}"
    if not unplanned:
        return f"checkpoint or server: {named} differ, too, on purpose (varies); the report has each effect by itself"
    equal = ", ".join(f"{fact.name} {fact.candidate}" for fact in facts)
    return (
        f"checkpoint or server: {named} differ, too. One control run would decide: serve {old.title} with {equal} and "
        "ask it again"
    )


def _shift(paired: Paired) -> str:
    changed = paired.change.p_value is not None and paired.change.p_value < _SIGNIFICANT
    if changed or not paired.shifts:
        return ""
    parts = [
        f"{shift.outcome.replace('_', ' ')} {_percent(shift.share.baseline)} → {_percent(shift.share.candidate)} "
        f"(p {_p(shift.p_holm)})"
        for shift in paired.shifts
    ]
    return f"kinds of outcome shifted though the score did not: {', '.join(parts)}"


def _degenerate(paired: Paired) -> str:
    share = paired.degenerate
    p_value = share.change.p_value
    if p_value is None or p_value >= DIFFERENT:
        return ""
    return f"degenerate answers {_percent(share.baseline)} → {_percent(share.candidate)} (p {_p(p_value)})"


def _percent(share: float) -> str:
    return f"{rounding.percent(share)} %"


def _p(p_value: float) -> str:
    return f"{p_value:.2g}" if p_value >= 0.001 else "< 0.001"
