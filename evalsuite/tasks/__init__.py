"""Runs benchmarks: their items, prompts and grading."""

__all__ = [
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
