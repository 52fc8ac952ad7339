"""The verdict of a comparison that was run with ``engine.stop=sequential``, as its cells recorded it.

Whoever has looked may not use the bounds of a fixed number of items afterwards, not even if everything was asked in
the end: for such a pair the recorded decision is the only verdict.
"""

from collections.abc import Mapping
from typing import Any

from evalsuite.records import canonical_sha
from evalsuite.stats.decision import Settled
from evalsuite.table import TableCell

NEAR = 1e-9


def settled(baseline: TableCell, candidate: TableCell, margin: float, lower: float | None = None) -> Settled | None:
    """What was decided between two cells, for a gate with this ``margin`` (fraction); None: a fixed-size comparison.

    ``lower``: one-sided lower bound of the delta over all items. It decides passing only where the rule had no looks,
    that is where there was a single claim of passing all along.
    """
    rule = candidate.manifest.get("sequential")
    stopped = [cell.model for cell in (baseline, candidate) if cell.manifest.get("stopped")]
    if rule is None and not stopped:
        return None
    if rule is None or rule["baseline_sha"] != canonical_sha(dict(baseline.identity)):
        words = f"{', '.join(stopped) or candidate.model} stopped or looked early in another comparison"
        return Settled("undecided", f"{words}; these items say nothing fair about this one")
    return _recorded(rule, str(candidate.manifest["version"]), margin, lower)


def _recorded(rule: Mapping[str, Any], version: str, margin: float, lower: float | None) -> Settled:
    decision = rule["decision"]
    if decision is None:
        return Settled("undecided", "sequential: not decided yet; the run's own command goes on")
    if decision["version"] != version:
        graded = f"decided on answers graded by version {decision['version']}, now {version}"
        return Settled("undecided", f"sequential: {graded}; the run's own command decides anew")
    call, reason = decision["call"], f"sequential: {decision['reason']}"
    asked, run_for = f"margin {100 * margin:g} pt", f"run for a margin of {100 * rule['margin']:g} pt"
    if call == "pass" and margin < rule["margin"] - NEAR:
        return Settled("undecided", f"{reason}; but {run_for}, and a pass there is none at {asked}")
    if call == "fail" and margin > rule["margin"] + NEAR:
        return Settled("undecided", f"{reason}; but {run_for}, and a failure there is none at {asked}")
    if call == "undecided" and not rule["looks"] and lower is not None and lower > -margin:
        points = f"{100 * lower:+.2f} pt is above the margin of {-100 * margin:+.2f} pt"
        return Settled("pass", f"sequential: never failed; the one look at passing, at the end: lower bound {points}")
    return Settled(call, reason)
