"""Items x repeats x models to samples: what is sent, when, and what is kept."""

__all__ = [
    "conversation",
    "embedded",
    "identity",
    "loop",
    "manifests",
    "probe",
    "progress",
    "session",
    "stopping",
    "stored",
]
