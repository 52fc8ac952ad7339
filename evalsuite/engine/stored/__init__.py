"""Samples from answers that are already stored: grading again, judging later, importing."""

__all__ = ["imported", "judge", "other_variants", "output_files", "rescore"]
