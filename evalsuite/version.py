"""The version of evalsuite."""

__version__ = "0.2.0"
