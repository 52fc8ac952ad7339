"""The command line: one module per command."""

__all__ = ["main", "python"]
