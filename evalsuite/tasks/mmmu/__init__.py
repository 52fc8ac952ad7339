"""MMMU and MMMU-Pro: questions about images."""

__all__ = ["pro", "val"]
