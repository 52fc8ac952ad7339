"""Plots: functions that draw on a given ``Axes`` (``changes``, ``answers``) and whole figures (``save``)."""

__all__ = ["data", "drift", "save"]
