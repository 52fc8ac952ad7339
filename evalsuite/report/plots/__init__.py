"""Draws plots on a given ``Axes`` (``changes``, ``answers``) and as whole figures (``save``)."""

__all__ = ["data", "docstrings", "drift", "save"]
