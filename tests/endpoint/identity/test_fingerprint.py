import asyncio
import itertools
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.identity import capture as taking
from evalsuite.endpoint.identity import fingerprint
from evalsuite.endpoint.identity.fingerprint import (
    FLOORS,
    PROMPTS,
    REPEATS,
    Fingerprint,
    TokenLogprobs,
    answer_distance,
    compare,
    from_answers,
    from_json,
    from_texts,
    mean_answer,
    text_distance,
)
from evalsuite.endpoint.identity.identify import ServerUnreachable
from tests.support.scripted_endpoint import Answer, scripted_endpoint

WORDS = [f"w{number}" for number in range(8)]
COUNTS = (7,) * len(PROMPTS)

tokens = st.builds(
    lambda text, values: TokenLogprobs(text, {text: -0.1, **dict(zip(WORDS, values, strict=False))}),
    st.sampled_from(WORDS),
    st.lists(st.floats(-12, 0), min_size=4, max_size=4),
)
answers = st.lists(tokens, min_size=1, max_size=6).map(tuple)
served = st.lists(st.lists(answers, min_size=REPEATS, max_size=REPEATS), min_size=5, max_size=5)


def server(seed: int, noise: float, shift: float = 0.0, length: int = 12) -> Callable[[int], Fingerprint]:
    """A made server: fixed log-probabilities by ``seed``, moved by ``shift``, with noise in every answer."""
    fixed, moved = random.Random(seed), random.Random(seed + 1)
    base = [[[fixed.uniform(-8, -0.5) for _ in range(4)] for _ in range(length)] for _ in PROMPTS]
    base = [[[one + moved.gauss(0, shift) for one in values] for values in rows] for rows in base] if shift else base

    def take(visit: int) -> Fingerprint:
        drawn = random.Random(visit)
        noisy = [
            [
                tuple(
                    TokenLogprobs(
                        "w0", {word: value + drawn.gauss(0, noise) for word, value in zip(WORDS, values, strict=False)}
                    )
                    for values in rows
                )
                for _ in range(REPEATS)
            ]
            for rows in base
        ]
        return from_answers(noisy, thinking=True, prompt_tokens=COUNTS)

    return take


@given(served, served)
@settings(max_examples=25, deadline=None)
def test_the_order_does_not_matter_and_nothing_differs_from_itself(one: Any, other: Any) -> None:
    a = from_answers(one, thinking=True, prompt_tokens=COUNTS)
    b = from_answers(other, thinking=True, prompt_tokens=COUNTS)
    assert compare(a, b) == compare(b, a)
    itself = compare(a, a)
    assert itself.distance == 0.0
    assert itself.verdict in ("same", "cannot tell")


@given(served, st.permutations(range(REPEATS)))
@settings(max_examples=25, deadline=None)
def test_the_spread_does_not_depend_on_the_order_of_repeats(one: Any, order: Sequence[int]) -> None:
    turned = [[repeats[place] for place in order] for repeats in one]
    spreads = [from_answers(rows, thinking=True, prompt_tokens=COUNTS).spread for rows in (one, turned)]
    assert spreads[0] == pytest.approx(spreads[1], abs=1e-12)


@given(served, served)
@settings(max_examples=25, deadline=None)
def test_a_manifest_keeps_the_distance_to_four_digits(one: Any, other: Any) -> None:
    a, b = (from_answers(rows, thinking=False, prompt_tokens=COUNTS) for rows in (one, other))
    kept = from_json(json.loads(json.dumps(a.to_json())))
    assert kept is not None
    assert kept.prompt_tokens == COUNTS
    before, after = compare(a, b).distance, compare(kept, b).distance
    assert after == pytest.approx(before, abs=1e-3)


def test_the_distance_of_a_constant_shift_is_the_shift() -> None:
    one = tuple(TokenLogprobs("a", {"a": -1.0, "b": -2.0}) for _ in range(5))
    other = tuple(TokenLogprobs("a", {"a": -1.25, "b": -1.75}) for _ in range(5))
    assert answer_distance(one, other) == pytest.approx(0.25)


def test_nothing_after_the_parting_of_two_answers_counts() -> None:
    one = (TokenLogprobs("a", {"a": -1.0, "b": -1.1}), TokenLogprobs("x", {"x": -1.0}))
    other = (TokenLogprobs("b", {"a": -1.1, "b": -1.0}), TokenLogprobs("x", {"x": -9.0}))
    assert answer_distance(one, other) == pytest.approx(0.1)


def test_a_token_that_only_one_side_lists_counts_with_the_least_possible_difference() -> None:
    one = (TokenLogprobs("a", {"a": -1.0, "c": -3.0}),)
    other = (TokenLogprobs("a", {"a": -1.0, "d": -3.5}),)
    assert answer_distance(one, other) == pytest.approx((0.0 + 0.5 + 0.0) / 3)


def test_repeats_that_leave_the_path_do_not_blur_the_mean() -> None:
    path = (TokenLogprobs("a", {"a": -1.0}), TokenLogprobs("b", {"b": -0.5}))
    stray = (TokenLogprobs("z", {"z": -1.0, "a": -1.2}), TokenLogprobs("b", {"b": -8.0}))
    mean = mean_answer([path, path, path, stray])
    assert [token.text for token in mean] == ["a", "b"]
    assert mean[0].top["a"] == pytest.approx(-1.05)
    assert mean[1].top["b"] == -0.5


@pytest.mark.parametrize(("factor", "verdict"), [(0.5, "same"), (2.0, "cannot tell"), (3.5, "different")])
def test_the_verdict_of_deterministic_servers_goes_by_the_floor(factor: float, verdict: str) -> None:
    spread = FLOORS["logprobs"]
    rows = [[-0.5 - 0.1 * prompt - 0.01 * place for place in range(12)] for prompt in range(5)]
    prints = [
        from_answers(
            [
                [tuple(TokenLogprobs("a", {"a": one + move, "b": 2 * one + move}) for one in row)] * REPEATS
                for row in rows
            ],
            thinking=True,
            prompt_tokens=COUNTS,
        )
        for move in (0.0, factor * spread)
    ]
    assert prints[0].spread == 0.0
    assert compare(*prints).verdict == verdict


def test_a_noisy_server_is_the_same_again_and_never_different() -> None:
    take = server(3, noise=0.03)
    verdicts = [compare(take(visit), take(visit + 1000)).verdict for visit in range(60)]
    assert verdicts.count("different") == 0
    assert verdicts.count("same") >= 59


def test_a_load_balancer_in_front_of_two_precisions_is_noticed_and_noise_is_not() -> None:
    assert not any(server(seed, noise=0.1)(seed).divided for seed in range(50))
    one, other = (server(3, noise=0.01, shift=shift, length=12) for shift in (0.0, 0.3))
    mixed = []
    for visit in range(50):
        drawn = random.Random(visit)
        kinds = (one(visit), other(visit))
        rows = [
            [kinds[drawn.random() < 0.25].answers[prompt] for _ in range(REPEATS)] for prompt in range(len(PROMPTS))
        ]
        mixed.append(from_answers(rows, thinking=True, prompt_tokens=COUNTS).divided)
    assert sum(mixed) >= 45


def test_a_shift_of_the_size_of_a_quantization_is_told_from_noise() -> None:
    one, other = server(3, noise=0.03), server(3, noise=0.03, shift=0.3)
    verdicts = [compare(one(visit), other(visit)).verdict for visit in range(60)]
    assert verdicts.count("different") >= 59


def test_thinking_and_kinds_are_never_mixed() -> None:
    take = server(1, noise=0.0)
    with_thinking = take(0)
    without = from_answers([[answer] * 4 for answer in with_thinking.answers], thinking=False, prompt_tokens=COUNTS)
    texts = from_texts([["x" * 80] * 4] * 5, thinking=True, prompt_tokens=COUNTS)
    assert compare(with_thinking, without).verdict == "cannot tell"
    assert compare(with_thinking, texts).verdict == "cannot tell"


def test_texts_tell_servers_apart_but_canned_ones_say_nothing() -> None:
    long = [[f"answer {prompt}: " + "lorem ipsum " * 8] * 4 for prompt in range(5)]
    parted = [[text[:40] + "dolor sit amet " * 6 for text in texts] for texts in long]
    one, other = (from_texts(texts, thinking=True, prompt_tokens=COUNTS) for texts in (long, parted))
    assert compare(one, one).verdict == "same"
    assert compare(one, other).verdict == "different"
    canned = from_texts([["4"] * 4] * 5, thinking=True, prompt_tokens=COUNTS)
    assert compare(canned, canned).verdict == "cannot tell"


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=40, deadline=None)
def test_text_distance_is_a_share_and_symmetric(one: str, other: str) -> None:
    assert 0.0 <= text_distance(one, other) <= 1.0
    assert text_distance(one, other) == text_distance(other, one)
    assert text_distance(one, one) == 0.0


LISTED = {"kind": "logprobs", "thinking": True, "spread": 0.1, "answers": [[["a", 5]]]}


@pytest.mark.parametrize("value", [None, {}, {"kind": "of another version"}, "x", {"kind": None}, {"kind": []}, LISTED])
def test_what_is_no_fingerprint_is_none(value: Any) -> None:
    assert from_json(value) is None


def taken(url: str, dialect: str = "sglang") -> Fingerprint:
    async def take() -> Fingerprint:
        model = Model("M", "org/m", None, "bf16", base_url=url, server=Server(dialect))
        client = connect(model, Engine(retries=2, backoff_seconds=0.01), "scripted", 10)
        try:
            return (await taking.take_fingerprint(client))[0]
        finally:
            await client.close()

    return asyncio.run(take())


def logprobs_body(prompt: str, drift: float = 0.0, strange: Any = None) -> str:
    """``strange`` takes the place of the third token's entry."""
    seed = PROMPTS.index(prompt)
    content: list[Any] = [
        {
            "token": "t",
            "logprob": -0.1 * seed - drift,
            "top_logprobs": [{"token": "u", "logprob": -2.0 - 0.1 * place - 0.01 * seed}],
        }
        for place in range(12)
    ]
    if strange is not None:
        content[2] = strange
    choice = {"index": 0, "finish_reason": "length", "message": {"content": "ttt"}, "logprobs": {"content": content}}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 10 + seed, "completion_tokens": 12}})


def test_twenty_requests_of_few_tokens_alone_five_and_ten_at_once() -> None:
    with scripted_endpoint(lambda prompt: Answer(body=logprobs_body(prompt), delay=0.05)) as one:
        found = taken(one.base_url)
    assert (found.kind, found.spread, found.prompt_tokens) == ("logprobs", 0.0, (10, 11, 12, 13, 14))
    assert len(one.requests) == 20
    assert one.peak == 10
    assert {request.body["max_tokens"] for request in one.requests} == {taking.TOKENS}
    assert {request.body["temperature"] for request in one.requests} == {0.0}
    assert not any(request.body.get("stream") for request in one.requests)
    sent = [request.at for request in one.requests]
    assert all(later - earlier > 0.04 for earlier, later in itertools.pairwise(sent[:5]))


@pytest.mark.parametrize("refusal", [None, 400, 500])
def test_without_log_probabilities_it_is_twenty_texts(refusal: int | None) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> Answer:
        asked.append(prompt)
        if refusal and len(asked) == 1:
            return Answer(status=refusal)
        return Answer(f"{prompt} Let me see: " + "of all that could be said " * 3)

    with scripted_endpoint(answer) as one:
        found = taken(one.base_url)
    assert found.kind == "texts"
    assert fingerprint.is_distinctive(found)
    assert len(one.requests) == 21
    assert one.requests[-1].body["max_tokens"] == taking.TEXT_TOKENS


def test_a_server_that_answers_nothing_is_unreachable_not_another() -> None:
    with (
        scripted_endpoint(lambda _: Answer(status=500)) as one,
        pytest.raises(ServerUnreachable, match="does not answer: HTTP 500"),
    ):
        taken(one.base_url)
    with pytest.raises(ServerUnreachable, match="connection to"):
        taken("http://127.0.0.1:9/v1")


LOST = Answer(hang_up=True)
BUSY = Answer(status=503)


def test_a_dropped_connection_and_a_busy_gateway_cost_no_fingerprint() -> None:
    faults = {PROMPTS[0]: [LOST, BUSY], PROMPTS[3]: [LOST, LOST]}

    def answer(prompt: str) -> Sequence[Answer]:
        return [*faults.get(prompt, ()), Answer(body=logprobs_body(prompt))]

    with scripted_endpoint(answer) as one, scripted_endpoint(lambda _: Answer(body=logprobs_body(_))) as other:
        found = taken(one.base_url)
        assert compare(found, taken(other.base_url)).distance == 0.0
    assert (found.kind, len(one.requests)) == ("logprobs", 24)


def test_a_server_that_always_drops_the_connection_is_unreachable_after_the_runs_own_retries() -> None:
    with scripted_endpoint(lambda _: LOST) as one, pytest.raises(ServerUnreachable, match="connection"):
        taken(one.base_url)
    assert len(one.requests) == 3


@pytest.mark.parametrize(
    "strange",
    [
        {"token": "t", "logprob": None, "top_logprobs": [{"token": "u", "logprob": -2.2}]},
        {"token": "t", "logprob": -0.1, "top_logprobs": [{"token": "u", "logprob": None}]},
        {"token": "t", "logprob": "-0.1", "top_logprobs": {}},
        {"token": "t", "logprob": -0.1, "top_logprobs": [None, 3]},
        {"token": "\ufffd", "bytes": [300, "x"], "logprob": None},
        {"token": None},
    ],
)
def test_a_log_probability_that_is_none_is_unknown_at_its_place_only(strange: Any) -> None:
    with (
        scripted_endpoint(lambda prompt: Answer(body=logprobs_body(prompt, strange=strange))) as one,
        scripted_endpoint(lambda prompt: Answer(body=logprobs_body(prompt, 0.2, strange=strange))) as other,
    ):
        found, again, moved = taken(one.base_url), taken(one.base_url), taken(other.base_url)
    assert found.kind == "logprobs"
    assert compare(found, again).verdict == "same"
    assert compare(found, moved).verdict == "different"


@pytest.mark.parametrize("content", [None, [], {}, "x", [None], [{"token": "t", "logprob": None}] * 12])
def test_log_probabilities_that_say_nothing_are_none_at_all(content: Any) -> None:
    text = "all that could be said, and a little more of it, and more " * 2

    def answer(prompt: str) -> Answer:
        message = {"content": f"{prompt} {text}"}
        choice = {"finish_reason": "length", "message": message, "logprobs": {"content": content}}
        return Answer(body=json.dumps({"choices": [choice], "usage": None}))

    with scripted_endpoint(answer) as one:
        assert taken(one.base_url).kind == "texts"
