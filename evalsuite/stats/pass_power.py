"""What several attempts at the same item say beyond their mean."""

from collections.abc import Sequence
from math import comb


def pass_power_k(rewards: Sequence[Sequence[float]], k: int) -> float:
    """tau-bench's pass^k (Yao et al. 2024, arXiv 2406.12045): the chance that k repeats of a task all succeed.

    ``rewards`` holds the repeats' rewards (1 is success) of each task; the estimate is the mean over tasks of
    C(successes, k) / C(repeats, k), a fraction. pass^1 is the mean reward. Raises ``ValueError`` when a task has
    fewer than ``k`` repeats or there is no task.
    """
    if k < 1 or not rewards or min(len(one) for one in rewards) < k:
        raise ValueError(f"pass^{k} needs at least one task and {k} repeats of each")
    shares = (comb(sum(value == 1 for value in one), k) / comb(len(one), k) for one in rewards)
    return sum(shares) / len(rewards)
