"""Log-probabilities of given tokens: reading an answer at once gives what generating it gave; noise moves both."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from evalsuite.demo.checkpoint import load_checkpoint, load_input_amax
from evalsuite.demo.model import build, new_cache, prefill, score
from evalsuite.demo.process import serving
from evalsuite.demo.text import load_codec
from tests.support.demo_client import post_raw


def post_json(url: str, body: Any, status: int = 200) -> Any:
    answered, content = post_raw(url, json.dumps(body).encode())
    assert answered == status, content
    return content


QUESTION = [{"role": "user", "content": "What is 17 + 25?"}]


@pytest.fixture(scope="module")
def exact() -> Iterator[str]:
    with serving(["demo_bf16"]) as urls:
        yield urls["demo_bf16"]


@pytest.mark.parametrize("precision", ["demo_bf16", "demo_nvfp4"])
def test_scores_of_a_whole_text_equal_those_of_its_prefixes(precision: str) -> None:
    model = build(load_checkpoint(), precision, load_input_amax())
    tokens = np.array(load_codec().encode("<|im_start|>user\nWhat is 17 + 25?<|im_end|>\n"), np.intp)
    whole = score(model, tokens)
    cache = new_cache(model.config, 1)
    for end in (1, 2, len(tokens)):
        np.testing.assert_allclose(whole[end - 1], prefill(model, cache, 0, tokens[:end]), atol=1e-4)


def test_prompt_log_probabilities_equal_those_of_generation(exact: str) -> None:
    prompt = post_json(f"{exact.removesuffix('/v1')}/tokenize", {"messages": QUESTION})["tokens"]
    asked = {"prompt": prompt, "max_tokens": 12, "temperature": 0, "logprobs": 5}
    generated = post_json(f"{exact}/completions", asked)["choices"][0]["logprobs"]
    answer = [int(name.removeprefix("token_id:")) for name in generated["tokens"]]
    again = {"prompt": [*prompt, *answer], "max_tokens": 1, "prompt_logprobs": 5}
    entries: list[Any] = post_json(f"{exact}/completions", again)["choices"][0]["prompt_logprobs"]
    assert entries[0] is None
    assert len(entries) == len(prompt) + len(answer)
    for token, chosen, top, entry in zip(
        answer, generated["token_logprobs"], generated["top_logprobs"], entries[len(prompt) :], strict=True
    ):
        assert entry[str(token)]["logprob"] == pytest.approx(chosen, abs=1e-4)
        assert {name.removeprefix("token_id:") for name in top} <= set(entry)
        assert min(value["rank"] for value in entry.values()) == 1


def test_noise_moves_log_probabilities_and_a_seedless_model_repeats_itself(exact: str) -> None:
    body = {"prompt": load_codec().encode("What is 63 times 9?"), "max_tokens": 1, "prompt_logprobs": 5}
    with serving(["demo_bf16"], noise=3) as urls:
        noisy = [post_json(f"{urls['demo_bf16']}/completions", body)["choices"][0]["prompt_logprobs"] for _ in "ab"]
    same = [post_json(f"{exact}/completions", body)["choices"][0]["prompt_logprobs"] for _ in "ab"]
    assert same[0] == same[1]
    assert noisy[0] != noisy[1]
    assert noisy[0] != same[0]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"prompt": "text", "max_tokens": 1}, "token ids"),
        ({"prompt": [1, 2], "max_tokens": 0, "prompt_logprobs": 2}, "max_tokens"),
        ({"prompt": [1, 2], "max_tokens": 1, "prompt_logprobs": 1000}, "max allowed: 20"),
        ({"prompt": [99999], "max_tokens": 1}, "below"),
        ({"prompt": [1] * 400, "max_tokens": 1}, "context length"),
    ],
)
def test_what_vllm_refuses_is_refused(exact: str, body: dict[str, Any], named: str) -> None:
    error = post_json(f"{exact}/completions", body, status=400)["error"]
    assert named in error["message"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"messages": QUESTION, "chat_template_kwargs": [1]}, "chat_template_kwargs"),
        ({"prompt": "a \ud800"}, "not valid Unicode"),
        ({}, "prompt must be a text"),
    ],
)
def test_what_cannot_be_tokenized_is_refused(exact: str, body: dict[str, Any], named: str) -> None:
    error = post_json(f"{exact.removesuffix('/v1')}/tokenize", body, status=400)["error"]
    assert named in error["message"]
