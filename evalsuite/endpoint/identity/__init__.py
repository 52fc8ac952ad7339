"""Which server is this: what it reports about itself, and how it answers fixed requests."""

__all__ = ["capture", "differences", "facts", "fingerprint", "identify", "probes"]
