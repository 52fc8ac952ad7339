"""What runs a benchmark: its items, its prompt and its grading."""

__all__ = ["base", "datasets", "downloads", "grading", "hub", "loading", "published", "registry"]
