"""Measured scores compared with published ones."""

__all__ = ["check", "match", "plausibility", "tables"]
