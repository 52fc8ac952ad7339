"""The values of a gate, and its margins against the benchmarks that a run asks."""

from collections.abc import Iterator
from math import inf

from evalsuite.config.settings import Gate, Run

TIERS = ("critical", "supporting", "advisory")


def gate_problems(gate: Gate | None) -> Iterator[str]:
    """Messages on values of a gate that are out of range, and on unknown tiers; none without a gate."""
    if gate is None:
        return
    points = {f"margins.{task}.points": margin.points for task, margin in gate.margins.items()}
    for key, value in (points | {"suite_points": gate.suite_points}).items():
        if value is not None and not 0 < value <= 100:
            yield f"gate.{key}={value}: must be above 0 (percentage points), and at most 100"
    for task, margin in gate.margins.items():
        if margin.tier not in TIERS:
            yield f"gate.margins.{task}.tier={margin.tier}: must be {', '.join(TIERS)}"
    if not 0 < gate.alpha < 0.5:
        yield f"gate.alpha={gate.alpha}: must be above 0 and below 0.5"
    if gate.tokens_ratio_max is not None and not 0 < gate.tokens_ratio_max < inf:
        yield f"gate.tokens_ratio_max={gate.tokens_ratio_max}: must be above 0"


def unmet_margins(run: Run) -> str:
    """A sentence naming the critical benchmarks of the gate that the run does not ask; empty if there are none, without
    a gate or tasks, and for a gate over nights (``drift``).
    """
    if run.gate is None or run.gate.drift or not run.tasks:
        return ""
    required = [task for task, margin in run.gate.margins.items() if margin.tier == "critical"]
    lacking = [task for task in required if task not in run.tasks]
    if not lacking:
        return ""
    return f"The gate requires {', '.join(lacking)}, not asked here: its verdict would be undecided."
