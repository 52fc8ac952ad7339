"""Computes scores, paired comparisons and verdicts from cells."""

__all__ = [
    "anomalies",
    "collect",
    "comparability",
    "comparison",
    "completeness",
    "degenerate",
    "drift",
    "effects",
    "fidelity",
    "groups",
    "interruptions",
    "recipes",
    "release",
    "scores",
    "suite",
    "summary",
    "table",
    "verdict",
]
