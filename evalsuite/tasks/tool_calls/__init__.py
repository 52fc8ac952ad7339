"""Function calling without simulator or judge: whether, which and with which arguments a model calls."""

__all__ = ["adapter"]
