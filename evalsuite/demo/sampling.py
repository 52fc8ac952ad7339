"""Choosing the next token of one request: greedy, or at a temperature, with a random generator of its own."""

from dataclasses import dataclass

import numpy as np

from evalsuite.demo.quantize import Array


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """How a request wants its tokens chosen."""

    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    top_k: int = 0
    """0 is off."""
    min_p: float = 0.0
    seed: int | None = None
    """None: fresh entropy."""
    top_logprobs: int | None = None
    """None: no log-probabilities; else how many alternatives to report beside the chosen token."""


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Natural-log probabilities at temperature 1, before any truncation."""

    chosen: float
    top: tuple[tuple[int, float], ...]
    """(token id, log-probability), most likely first."""


def generator(sampling: SamplingParameters) -> np.random.Generator:
    """The request's own random generator: equal seeds give equal draws, whatever else is in the batch; without a seed
    it differs at each call.
    """
    return np.random.default_rng(sampling.seed)


def choose(logits: Array, sampling: SamplingParameters, rng: np.random.Generator) -> int:
    """The next token id for logits [v]: the likeliest at temperature 0, else drawn with `rng` under top_k, top_p and
    min_p, which act on the probabilities at that temperature and always keep the likeliest.
    """
    if sampling.temperature == 0:
        return int(logits.argmax())
    scaled = (logits.astype(np.float64) - logits.max()) / sampling.temperature
    order = np.argsort(-scaled, kind="stable")
    p = np.exp(scaled[order])
    p /= p.sum()
    keep = p >= sampling.min_p * p[0]
    if sampling.top_k > 0:
        keep[sampling.top_k :] = False
    # A token stays while the mass before it is below top_p: at least one always does.
    keep &= np.concatenate(([0.0], np.cumsum(p)[:-1])) < sampling.top_p
    keep[0] = True
    mass = np.cumsum(np.where(keep, p, 0.0))
    place = int(np.searchsorted(mass, rng.random() * mass[-1], side="right"))
    return int(order[min(place, int(np.flatnonzero(keep)[-1]))])


def log_probabilities(logits: Array, token: int, top: int) -> Logprobs:
    """Natural logs of the probabilities, at temperature 1 under logits [v], of the token id `token` and of the
    likeliest ids: as many as `top`, the likeliest first.
    """
    shifted = logits.astype(np.float64) - logits.max()
    logp = shifted - np.log(np.exp(shifted).sum())
    best = np.argsort(-logp, kind="stable")[:top]
    return Logprobs(float(logp[token]), tuple((int(index), float(logp[index])) for index in best))
