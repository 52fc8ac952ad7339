"""SciCode: scientific programming in steps, executed in the sandbox."""

__all__ = ["adapter", "grading"]
