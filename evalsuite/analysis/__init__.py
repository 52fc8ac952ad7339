"""Computes scores, paired comparisons and verdicts from cells."""

__all__ = [
    "collect",
    "comparability",
    "comparison",
    "completeness",
    "drift",
    "fidelity",
    "groups",
    "interruptions",
    "release",
    "scores",
    "suite",
    "summary",
    "table",
    "verdict",
]
