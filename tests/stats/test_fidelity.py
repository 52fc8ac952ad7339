"""Divergences of listed distributions: held against whole distributions, and the errors against simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import log_softmax, rel_entr

from evalsuite.stats.fidelity import Listed, above_floor, divergence, diverging, mean_per_token, ratio_to

VOCABULARY = 30


def drawn(seed: int, places: int = 5) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (places, VOCABULARY))
    return log_softmax(logits, axis=1), log_softmax(logits + rng.normal(0, 0.3, logits.shape), axis=1)


def listed(logprobs: NDArray[np.float64], top: int) -> Listed:
    order = np.argsort(-logprobs, axis=1)[:, :top]
    return Listed(order, np.take_along_axis(logprobs, order, 1))


@given(st.integers(0, 10_000), st.integers(1, VOCABULARY - 1))
def test_listing_a_part_gives_a_lower_bound_and_listing_all_the_value(seed: int, top: int) -> None:
    p, q = drawn(seed)
    nats, variation = rel_entr(np.exp(p), np.exp(q)).sum(axis=1), np.abs(np.exp(p) - np.exp(q)).sum(axis=1) / 2
    whole = divergence(listed(p, VOCABULARY), listed(q, VOCABULARY))
    np.testing.assert_allclose(whole.nats, nats, atol=1e-9)
    np.testing.assert_allclose(whole.variation, variation, atol=1e-9)
    part = divergence(listed(p, top), listed(q, top))
    assert (part.nats <= nats + 1e-9).all()
    assert (part.variation <= variation + 1e-9).all()
    assert (part.flips == (p.argmax(axis=1) != q.argmax(axis=1))).all()


@given(st.integers(0, 1000))
def test_equal_distributions_have_no_divergence(seed: int) -> None:
    p, _ = drawn(seed)
    same = divergence(listed(p, 5), listed(p, 5))
    assert not same.nats.max() > 1e-12
    assert not same.flips.any()


def test_places_of_padding_are_no_tokens() -> None:
    one = Listed(np.array([[3, -1]]), np.array([[np.log(0.9), -np.inf]]))
    other = Listed(np.array([[3, -1]]), np.array([[np.log(0.8), -np.inf]]))
    assert divergence(one, other).variation == pytest.approx([0.1])


def test_intervals_by_answer_cover_the_truth() -> None:
    rng = np.random.default_rng(4)
    covered = np.zeros(2)
    for _ in range(400):
        tokens = rng.integers(5, 60, 80).astype(float)
        level = rng.gamma(2.0, 0.5, 80)  # one answer's tokens share a level: errors by token would be far too small
        sums, floor = (level * tokens * rng.gamma(20.0, scale / 20, 80) for scale in (3.0, 1.0))
        mean, ratio = mean_per_token(sums, tokens), ratio_to(sums, floor)
        covered += mean.low <= 3.0 <= mean.high, ratio.low <= 3.0 <= ratio.high
    assert (covered >= 0.92 * 400).all()


def test_the_test_against_the_floor_is_silent_for_equals_and_finds_a_factor() -> None:
    rng = np.random.default_rng(5)
    tokens = np.full(40, 30.0)
    level = rng.gamma(2.0, 1e-5, (1000, 40))
    floor, again, twice = (level * rng.gamma(3.0, scale / 3, level.shape) * tokens for scale in (1, 1, 8))
    alarms = np.mean([above_floor(one, other, tokens) < 0.01 for one, other in zip(again, floor, strict=True)])
    assert alarms <= 0.02
    assert all(above_floor(one, other, tokens) < 0.01 for one, other in zip(twice, floor, strict=True))
    assert above_floor(floor[0], floor[0], tokens) == 1.0


def test_an_answer_diverges_where_any_of_its_tokens_does() -> None:
    assert diverging([np.array([False, True]), np.array([False]), np.array([], bool)]).tolist() == [True, False, False]
