"""Closed forms of the betting process, written apart from ``stats.sequential``, which is held against them."""

from collections.abc import Sequence
from math import log

import numpy as np
from scipy.special import logsumexp

from evalsuite.stats.sequential import BettingState, Rule, update


def log_e(bets: Sequence[float], margin: float, *, lost: int, gained: int, n: int, inferior: bool) -> float:
    """Log e-value of counts: evidence that the loss exceeds ``margin`` (``inferior``), or that it does not.

    ``bets`` are shares of the largest allowed stake, 1 / (1 + margin) and 1 / (1 - margin).
    """
    sign = -1.0 if inferior else 1.0
    stake = sign * np.asarray(bets) / (1 - sign * margin)
    logs = (
        gained * np.log1p(stake * (1 + margin))
        + (n - lost - gained) * np.log1p(stake * margin)
        + lost * np.log1p(-stake * (1 - margin))
    )
    return float(logsumexp(logs) - log(len(bets)))


def update_counts(rule: Rule, state: BettingState, *, lost: int, gained: int, n: int) -> BettingState:
    """``update`` with a block of ``n`` single 0/1 answers of which ``lost`` and ``gained`` changed, losses first."""
    return update(rule, state, np.repeat([-1.0, 0.0, 1.0], [lost, n - lost - gained, gained]))
