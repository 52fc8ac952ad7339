"""Which model a server runs: what it states about itself, and how it answers fixed requests."""

__all__ = [
    "capture",
    "checkpoint",
    "differences",
    "fact_tables",
    "facts",
    "fingerprint",
    "identify",
    "persistence",
    "probes",
    "survey",
]
