"""The fidelity probe: stored answers of a baseline, read again by its own server and by a candidate's."""

__all__ = ["answers", "passes", "reference", "session"]
