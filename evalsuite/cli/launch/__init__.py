"""The same run on more than this process: joblib, SLURM, Ray."""

__all__ = ["start", "words"]
