"""Margins against the benchmarks that a run asks."""

from evalsuite.config.settings import Run


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
