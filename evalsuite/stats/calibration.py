"""Calibration error: how far stated confidence is from the share of right answers."""

import numpy as np

from evalsuite.stats.intervals import Floats

BIN = 100
"""Answers in one bin."""


def calibration_error(confidence: Floats, right: Floats) -> float | None:
    """Compute the root mean square calibration error as Humanity's Last Exam publishes it.

    The answers are sorted by ascending confidence and cut into bins of 100; the differences between mean confidence and
    share of right answers are squared and weighted by 100 / n. As in the authors' script, the last bin, which has the
    highest confidences and takes the remainder, is left out. Source: centerforaisafety/hle 87c92ea,
    ``hle_eval/run_judge_results.py``, ``calib_err``.

    Args:
        confidence: Stated confidences, fractions of 1, shape (n,).
        right: 1 for a right answer and 0 for a wrong one, shape (n,).

    Returns:
        The error, a fraction of 1; None for fewer than 200 answers, which make no second bin.
    """
    bins = len(confidence) // BIN
    if bins < 2:
        return None
    order = np.argsort(confidence)
    kept = (bins - 1) * BIN
    means = [np.asarray(values)[order][:kept].reshape(-1, BIN).mean(axis=1) for values in (confidence, right)]
    return float(np.sqrt(np.sum(BIN / len(confidence) * np.square(means[0] - means[1]))))
