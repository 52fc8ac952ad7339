"""A verdict in the shape of NVIDIA's public day-0 gate (Model-Optimizer, day0-release/scripts/gate_compare.py).

The shape is theirs (``pass``, ``decision``, ``failure_class``, ``detail``, ``per_task``), the decision ours: a task is
within its threshold where it passes its margin, and what is undecided is not accepted.
"""

from collections.abc import Mapping
from typing import Any

DAY0 = "day0.json"
"""Name of the file in the report's folder."""
SCALE = 100.0
"""Scores are percentages."""


def day0_content(
    verdict: Mapping[str, Any], candidate: str, scores: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    """Return the verdict on one candidate in the shape of NVIDIA's day-0 gate.

    Args:
        verdict: The content of ``verdict.json``.
        candidate: Name of the candidate, which must be in it.
        scores: Task -> (baseline, candidate), fractions; tasks without an entry are left out.

    Returns:
        The JSON content, scores and ``drop`` in percent, ``drop_fraction`` a fraction; ``decision`` is ``REGRESSION``
        for a fail, ``ACCEPT`` for a pass, or ``ANOMALOUS`` for a pass with a gain that suggests a broken baseline and
        for what could not be decided.
    """
    release = verdict["candidates"][candidate]
    per_task = {row["task"]: _task(row, scores[row["task"]]) for row in release["rows"] if row["task"] in scores}
    anomalies = [anomaly for anomaly in verdict["anomalies"] if anomaly.get("candidate") == candidate]
    call = release["call"]
    if call == "fail":
        decision, failure = "REGRESSION", None
    elif call == "pass" and not anomalies:
        decision, failure = "ACCEPT", None
    else:
        decision, failure = "ANOMALOUS", "UNKNOWN"
    detail = "; ".join([release["reason"], *(f"{anomaly['task']}: implausible gain" for anomaly in anomalies)])
    return {
        "pass": decision == "ACCEPT",
        "decision": decision,
        "failure_class": failure,
        "detail": f"{call}: {detail}",
        "per_task": per_task,
    }


def _task(row: Mapping[str, Any], scores: tuple[float, float]) -> dict[str, Any]:
    baseline, candidate = (round(SCALE * score, 4) for score in scores)
    verdict = row["verdict"]
    return {
        "baseline": baseline,
        "candidate": candidate,
        "drop": round(baseline - candidate, 4),
        "drop_fraction": round((baseline - candidate) / SCALE, 4),
        "scale": SCALE,
        "within_threshold": bool(verdict and verdict["call"] == "pass"),
    }
