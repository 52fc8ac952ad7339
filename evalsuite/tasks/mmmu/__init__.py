"""MMMU and MMMU-Pro."""

__all__ = ["pro", "val"]
