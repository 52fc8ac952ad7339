"""The embedded default: a real, tiny language model served at four precisions (NumPy only at run time)."""

__all__ = ["problems", "process"]
