"""LiveCodeBench: competition problems, solved in Python and tested in the sandbox."""

__all__ = ["adapter"]
