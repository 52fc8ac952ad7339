"""From divergences of single tokens to what a probe reports: sizes, strata, the worst places, and alarms."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engine.probe.answers import TokenizedAnswer
from evalsuite.engine.probe.passes import AnswerDivergence
from evalsuite.engine.probe.reference import Reference
from evalsuite.records import SCHEMA
from evalsuite.stats.fidelity import Estimate, above_floor, diverging, mean_per_token, ratio_to

NATS_FACTOR, FLIPS_FACTOR, STRATUM_FACTOR = 10.0, 2.0, 5.0
"""An alarm: that many times the last accepted candidate's divergence, share of other likeliest tokens, and divergence
of one stratum."""
FEWEST_FLIPS = 5
"""Fewer tokens with another likeliest one than this show no share."""
FEWEST_ANSWERS = 10
"""Strata with fewer answers are shown and never alarm."""
WORST = 10
CLAIM = (
    "A probe measures how much two servers disagree on given answers, not which of them is right: between nearly "
    "lossless quantizations it says nothing about accuracy (arXiv 2606.19558). It can raise an alarm, show where, and "
    "find no difference from the baseline served again. It never passes a checkpoint and ranks none."
)


@dataclass(frozen=True, slots=True)
class PartDivergence:
    """One part of the answers: a task, or a task and the value of its first group."""

    name: str
    answers: int
    nats: float
    """Mean divergence a token."""
    flips: float
    """Share of tokens whose likeliest one differs."""
    right_diverging: int
    """Answers that were right in the baseline and have a token whose likeliest one differs."""
    right: int
    wrong_diverging: int
    wrong: int


@dataclass(frozen=True, slots=True)
class DivergentToken:
    """One token where baseline and candidate differ most."""

    answer: str
    place: int
    """Number of the token in the answer, from 0."""
    nats: float
    token: int
    """Token id in the baseline's answer."""
    text: str = ""
    """The answer around it, the token in brackets; empty where the item is gated or the server has no text for it."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One candidate held against the baseline's reading."""

    model: str
    baseline: str
    answers: int
    tokens: int
    nats: Estimate
    """Mean Kullback-Leibler divergence a token."""
    variation: Estimate
    """Mean total variation a token, a fraction."""
    log_nats: float
    """Mean over answers of the natural logarithm of their mean divergence."""
    flips: Estimate
    """Share of tokens whose likeliest one differs."""
    diverging: int
    """Answers with such a token."""
    floor_nats: float
    """Mean divergence of the baseline served again."""
    floor_flips: float
    to_floor: Estimate | None
    """Divergence as a multiple of the floor's; None where the baseline repeats itself exactly."""
    p_floor: float
    """One-sided p value of the test that the candidate differs more than the baseline served again."""
    alone_nats: float
    """Mean divergence when one request is sent at a time."""
    decode_nats: float
    """The baseline: mean divergence between generating and reading."""
    prompts_differ: int
    """Answers whose prompt has other token ids at the candidate's server."""
    greedy_bounds: tuple[float, float] | None
    """Under greedy decoding, where reading equals decoding: least and greatest change of accuracy on these answers, a
    fraction; None where half of the answers or more diverge, and for sampled answers."""
    strata: tuple[PartDivergence, ...]
    worst: tuple[DivergentToken, ...]
    alarms: tuple[str, ...]
    blind: str
    """Why the probe cannot see a difference here; empty where it can."""
    compared: bool
    """Whether an accepted candidate was given, which alone makes alarms of sizes."""

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``probe.json``: a dict of all fields (nested values as dicts), the schema version, and
        the statement of what a probe can show (``claim``).
        """
        return {"schema": SCHEMA, **asdict(self), "claim": CLAIM}


def evaluate(
    names: tuple[str, str],
    reference: Reference,
    passes: tuple[Sequence[AnswerDivergence], Sequence[AnswerDivergence]],
    *,
    prompts_differ: int = 0,
    greedy: bool = False,
    accepted: Mapping[str, Any] | None = None,
) -> Probe:
    """Compute what a probe reports from a candidate's token divergences: mean sizes, floor tests, strata, worst tokens,
    alarms.

    Args:
        names: (baseline, candidate).
        reference: The baseline's reading, with the answers that were read.
        passes: The candidate's divergences by answer, in the order of ``reference.answers``: sent with many requests at
            a time, and one at a time.
        prompts_differ: Number of answers whose prompt has other token ids at the candidate's server.
        greedy: Whether the baseline's answers were decoded greedily; only then accuracy bounds are computed.
        accepted: Content of ``probe.json`` of the last accepted candidate of this precision; None: no alarms of size.

    Returns:
        The figures, with their alarms; texts around the worst tokens are still empty.
    """
    answers = reference.answers
    candidate, alone = passes
    tokens = np.array([len(part.places) for part in candidate], np.float64)
    nats = np.array([part.divergence.nats.sum() for part in candidate])
    flips = [part.divergence.flips for part in candidate]
    changed = diverging(flips)
    floor = np.array(reference.floor_nats)
    mean = mean_per_token(nats, tokens)
    strata = _strata(answers, candidate, changed)
    share = mean_per_token(np.array([float(part.sum()) for part in flips]), tokens)
    probe = Probe(
        names[1],
        names[0],
        len(answers),
        int(tokens.sum()),
        mean,
        mean_per_token(np.array([part.divergence.variation.sum() for part in candidate]), tokens),
        float(np.log(np.maximum(nats / tokens, 1e-12)).mean()),
        share,
        int(changed.sum()),
        float(floor.sum() / tokens.sum()),
        float(sum(reference.floor_flips) / tokens.sum()),
        ratio_to(nats, floor) if floor.sum() > 0 else None,
        above_floor(nats, floor, tokens),
        float(sum(part.divergence.nats.sum() for part in alone) / tokens.sum()),
        reference.decode_nats,
        prompts_differ,
        _bounds(answers, changed) if greedy and 2 * changed.sum() < len(answers) else None,
        strata,
        _worst(answers, candidate),
        (),
        _blind(mean.value, reference.decode_nats),
        accepted is not None,
    )
    return _with_alarms(probe, int(sum(part.sum() for part in flips)), accepted)


def _strata(
    answers: Sequence[TokenizedAnswer], candidate: Sequence[AnswerDivergence], changed: NDArray[np.bool_]
) -> tuple[PartDivergence, ...]:
    rows = []
    for name in sorted({answer.stored.stratum for answer in answers}):
        mine = [number for number, answer in enumerate(answers) if answer.stored.stratum == name]
        tokens = sum(len(candidate[number].places) for number in mine)
        right = [number for number in mine if answers[number].stored.right]
        wrong = [number for number in mine if not answers[number].stored.right]
        rows.append(
            PartDivergence(
                name,
                len(mine),
                float(sum(candidate[number].divergence.nats.sum() for number in mine) / tokens),
                float(sum(candidate[number].divergence.flips.sum() for number in mine) / tokens),
                int(changed[right].sum()),
                len(right),
                int(changed[wrong].sum()),
                len(wrong),
            )
        )
    return tuple(rows)


def _worst(answers: Sequence[TokenizedAnswer], candidate: Sequence[AnswerDivergence]) -> tuple[DivergentToken, ...]:
    places = [
        DivergentToken(
            answer.stored.key, int(part.places[at]), float(part.divergence.nats[at]), answer.answer[part.places[at]]
        )
        for answer, part in zip(answers, candidate, strict=True)
        for at in np.argsort(-part.divergence.nats)[:WORST]
    ]
    return tuple(sorted(places, key=lambda place: -place.nats)[:WORST])


def _bounds(answers: Sequence[TokenizedAnswer], changed: NDArray[np.bool_]) -> tuple[float, float]:
    right = np.array([answer.stored.right for answer in answers])
    return -float((changed & right).mean()), float((changed & ~right).mean())


def _blind(nats: float, decode_nats: float) -> str:
    if decode_nats < nats or decode_nats == 0:
        return ""
    return (
        f"the baseline's own server differs by {decode_nats:.2g} nats a token between generating an answer and reading "
        f"it, as much as the candidate ({nats:.2g}): its kernels hide what is smaller"
    )


def _with_alarms(probe: Probe, flips: int, accepted: Mapping[str, Any] | None) -> Probe:
    alarms = []
    if probe.prompts_differ:
        share_of = f"{probe.prompts_differ} of {probe.answers} prompts"
        alarms.append(f"{share_of} have other token ids: another chat template or tokenizer")
    if accepted is not None:
        known, share = float(accepted["nats"]["value"]), float(accepted["flips"]["value"])
        if probe.nats.value > NATS_FACTOR * known:
            alarms.append(f"divergence {probe.nats.value / max(known, 1e-300):.3g} x the accepted candidate's")
        if flips >= FEWEST_FLIPS and probe.flips.value > FLIPS_FACTOR * share:
            alarms.append(f"likeliest tokens differ {probe.flips.value / max(share, 1e-300):.3g} x as often")
        strata = {stratum["name"]: float(stratum["nats"]) for stratum in accepted["strata"]}
        alarms += [
            f"{stratum.name}: divergence {stratum.nats / max(strata[stratum.name], 1e-300):.3g} x the accepted one's"
            for stratum in probe.strata
            if stratum.answers >= FEWEST_ANSWERS
            and strata.get(stratum.name) is not None
            and stratum.nats > STRATUM_FACTOR * strata[stratum.name]
        ]
    return replace(probe, alarms=tuple(alarms))
