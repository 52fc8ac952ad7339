"""Compares measured scores with published ones."""

__all__ = ["check", "match", "plausibility", "tables"]
