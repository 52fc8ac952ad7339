"""From cells to scores, paired comparisons and verdicts."""

__all__ = [
    "collect",
    "comparability",
    "comparison",
    "drift",
    "interruptions",
    "release",
    "scores",
    "suite",
    "summary",
    "table",
    "verdict",
]
