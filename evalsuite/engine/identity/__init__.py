"""The identity checks of a run: before the first question, during the run and at its end."""

__all__ = ["checkup", "known_servers", "monitor", "preflight"]
