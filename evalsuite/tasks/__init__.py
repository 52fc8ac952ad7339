"""Runs benchmarks: their items, prompts and grading."""

__all__ = [
    "availability",
    "base",
    "datasets",
    "downloads",
    "gating",
    "grading",
    "hub",
    "loading",
    "provenance",
    "published",
    "registry",
]
