"""The pass^k metric of tau-bench: consistency over several attempts at the same task."""

from collections.abc import Sequence
from math import comb


def pass_power_k(rewards: Sequence[Sequence[float]], k: int) -> float:
    """Compute pass^k of tau-bench: the chance that k repeats of a task all succeed (Yao et al. 2024, arXiv 2406.12045).

    The estimate is the mean over tasks of C(successes, k) / C(repeats, k); pass^1 is the mean share of successes.

    Args:
        rewards: For each task the rewards of its repeats; 1 is a success, anything else a failure.
        k: Number of repeats that must all succeed, at least 1.

    Returns:
        The estimate, a fraction.

    Raises:
        ValueError: ``k`` is below 1, there is no task, or any task has fewer than ``k`` repeats.
    """
    if k < 1 or not rewards or min(len(repeats) for repeats in rewards) < k:
        raise ValueError(f"pass^{k} needs at least one task and {k} repeats of each")
    shares = (comb(sum(value == 1 for value in repeats), k) / comb(len(repeats), k) for repeats in rewards)
    return sum(shares) / len(rewards)
