"""Effects in a table of two checkpoints at two server settings, paired by item."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from evalsuite.stats.delta import Delta, paired_delta
from evalsuite.stats.intervals import Bounds, Codes, Floats

Kind = Literal["checkpoint", "server", "interaction"]
Place = tuple[int, int]
"""(checkpoint, server setting) of an arm: 0 is the reference's, 1 the other."""


def effect(
    means: Mapping[Place, Floats],
    kind: Kind,
    at: int | None = None,
    *,
    single: bool = False,
    weights: Floats | None = None,
    clusters: Codes | None = None,
) -> Delta:
    """Measure one effect by the method that ``paired_delta`` chooses for the data.

    ``checkpoint`` is the other checkpoint minus the reference, ``server`` the other setting minus the reference's,
    ``interaction`` the checkpoint's effect at the other setting minus that at the reference's (a difference of
    differences, taken item by item).

    Args:
        means: Item means of the arms, fractions of 1, each of shape (items,), of the same items in the same order.
            Only the arms of the effect are needed.
        kind: The effect.
        at: The setting (of ``checkpoint``) or the checkpoint (of ``server``) at which it is measured, 0 or 1. None: the
            mean of both; for the interaction it has no meaning.
        single: Whether each item mean is one answer in every arm; counts only where ``at`` is given, and never for the
            interaction.
        weights: Weight of each item, shape (items,); None for equal weights.
        clusters: Integer code of each item's source, shape (items,); None when items share no sources.

    Returns:
        The change with its intervals (one-sided bounds at error 0.05), fractions of 1. The interaction lies between -2
        and 2: half of it is measured like a change of one score, then the change, its error, bounds and resolution are
        doubled.

    Raises:
        KeyError: An arm of the effect is missing.
        ValueError: There are no items, or the arms differ in length.
    """
    both = (0, 1) if at is None else (at,)
    arms: tuple[list[Place], list[Place]]
    if kind == "interaction":
        arms = [(0, 1), (1, 0)], [(0, 0), (1, 1)]
    elif kind == "checkpoint":
        arms = [(0, setting) for setting in both], [(1, setting) for setting in both]
    else:
        arms = [(checkpoint, 0) for checkpoint in both], [(checkpoint, 1) for checkpoint in both]
    base, cand = (np.mean([means[place] for place in places], axis=0) for places in arms)
    change = paired_delta(base, cand, single=single and len(arms[0]) == 1, weights=weights, clusters=clusters)
    return _doubled(change) if kind == "interaction" else change


def _doubled(change: Delta) -> Delta:
    return replace(
        change,
        delta=2 * change.delta,
        stderr=None if change.stderr is None else 2 * change.stderr,
        ci95=_twice(change.ci95),
        ci90=_twice(change.ci90),
        one_sided=_twice(change.one_sided),
        resolution=2 * change.resolution,
    )


def _twice(bounds: Bounds | None) -> Bounds | None:
    return None if bounds is None else (2 * bounds[0], 2 * bounds[1])
