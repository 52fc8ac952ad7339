"""Statistics as pure functions on arrays: no files, no tables, no benchmarks."""

__all__ = [
    "cusum",
    "decision",
    "delta",
    "grim",
    "heterogeneity",
    "intervals",
    "multiplicity",
    "paired",
    "pass_power",
    "power",
    "ratios",
    "reply_lengths",
    "sequential",
    "variance",
]
