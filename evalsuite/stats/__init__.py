"""Statistics as pure functions on arrays, without files, tables or benchmarks."""

__all__ = [
    "calibration",
    "cusum",
    "decision",
    "delta",
    "distributions",
    "effects",
    "fidelity",
    "grim",
    "heterogeneity",
    "intervals",
    "multiplicity",
    "paired",
    "pass_power",
    "power",
    "ratios",
    "reply_lengths",
    "rounding",
    "selection",
    "sequential",
    "variance",
]
