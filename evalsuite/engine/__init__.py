"""Items x repeats x models to samples: what is sent, when, and what is kept."""

__all__ = ["conversation", "early_stopping", "identity", "jobs", "loop", "manifests", "session", "stopping", "stored"]
