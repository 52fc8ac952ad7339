"""SciCode: scientific programming in steps, run in the sandbox."""

__all__ = ["adapter"]
