"""Runs benchmarks: their items, prompts and grading."""

__all__ = ["base", "datasets", "downloads", "grading", "hub", "loading", "published", "registry"]
