"""Log-probabilities of given tokens from real servers, beside those of the NumPy model with the same weights."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from evalsuite.config.settings import Engine, Model
from evalsuite.demo.linear import Scheme
from evalsuite.demo.model import build
from evalsuite.demo.problems import held_out
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.identity import identify as identity
from evalsuite.endpoint.logprobs import Scorer, TokenScores, find_scorer, generate, score, tokenize
from figures.line import Line
from figures.probe import logprobs
from tests.end_to_end.contract.servers import HERE, demo, dequantized_checkpoint, vllm

ABSENT = "not measured: the server is not installed"
ASKED = "99 % of token log-probabilities within 0.05 nats"
NEAR = 0.05
"""Nats."""
CASES: tuple[tuple[Scheme, str], ...] = (("bf16", "float32"), ("fp8", "float32"), ("nvfp4", "float32"))
"""(what the linears' weights went through, vLLM's type for weights and arithmetic)."""
BESIDE: tuple[tuple[Scheme, str], ...] = (("bf16", "bfloat16"),)
"""Arithmetic that is not the NumPy model's: nothing was asked of it."""

Tokens = tuple[list[int], list[int]]
"""(prompt, answer) of one question."""
Result = TypeVar("Result")


def logprob_lines(folder: Path, questions: int = 200) -> list[Line]:
    """The demo server (a control of the reading), then vLLM with the same weights and with other arithmetic."""
    with demo(folder) as model:
        pairs = written(model, questions)
        lines = [Line("log-probabilities, the demo server beside NumPy, BF16", ASKED, measured(model, pairs, "bf16"))]
    for scheme, dtype in [*CASES, *BESIDE]:
        what = f"log-probabilities, vLLM on CPU in {dtype} beside NumPy, weights of {scheme.upper()}"
        asked = ASKED if (scheme, dtype) in CASES else "none; how far other arithmetic moves them"
        lines.append(Line(what, asked, _vllm(folder, pairs, scheme, dtype) if "vllm" in HERE else ABSENT))
    return lines


def _vllm(folder: Path, pairs: Sequence[Tokens], scheme: Scheme, dtype: str) -> str:
    home = folder / f"{scheme}-{dtype}"
    home.mkdir()
    with vllm(home, scheme, dtype) as model:
        return measured(model, pairs, scheme)


def written(model: Model, questions: int) -> list[Tokens]:
    """A server's greedy answers to ``questions`` questions of all subjects."""
    return asyncio.run(_with(model, lambda scorer: _written(scorer, questions)))


def measured(model: Model, pairs: Sequence[Tokens], scheme: Scheme) -> str:
    """How far a server's log-probabilities are from those of NumPy with the dequantized weights of ``scheme``."""
    numpy_model = build(dequantized_checkpoint(scheme), "demo_bf16", {})
    scorer, scores, prompts = asyncio.run(_with(model, lambda scorer: _read(scorer, pairs)))
    parts = [_apart(part, logprobs(numpy_model, *pair)) for part, pair in zip(scores, pairs, strict=True)]
    given, listed = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return (
        f"{_share(given)} of {len(given):,} given tokens (largest {given.max():.2g} nats), {_share(listed)} of "
        f"{len(listed):,} listed ones (largest {listed.max():.2g}); {prompts} of {len(pairs)} prompts have the same "
        f"ids; {'; '.join(scorer.findings[1:])}"
    )


def _share(apart: NDArray[np.float64]) -> str:
    return f"{np.floor(1e4 * np.mean(apart <= NEAR)) / 100:.2f} %"


def _apart(scores: TokenScores, exact: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Absolute differences of the given tokens [n] and of all listed ones [at most n * k] from ``exact`` [n, v]."""
    given = np.abs(scores.logprobs - np.take_along_axis(exact, scores.tokens[:, None], 1)[:, 0])
    listed = np.abs(scores.top_logprobs - np.take_along_axis(exact, np.maximum(scores.top_tokens, 0), 1))
    return given, listed[scores.top_tokens >= 0]


async def _with(model: Model, work: Callable[[Scorer], Awaitable[Result]]) -> Result:
    client = connect(model, Engine(), model.served_name, 8)
    try:
        if model.served_name == "auto":
            client = identity.with_name(client, await identity.identify(client))
        return await work(await find_scorer(client))
    finally:
        await client.close()


async def _prompt(scorer: Scorer, question: str) -> list[int]:
    return await tokenize(scorer.client, {"messages": [{"role": "user", "content": question}]})


async def _written(scorer: Scorer, count: int) -> list[Tokens]:
    pairs = []
    for question in _questions(count):
        prompt = await _prompt(scorer, question)
        pairs.append((prompt, (await generate(scorer, prompt, 120)).tokens.tolist()))
    return pairs


async def _read(scorer: Scorer, pairs: Sequence[Tokens]) -> tuple[Scorer, list[TokenScores], int]:
    """Scores of every answer, and how many prompts have the same token ids by this server's tokenizer."""
    prompts = [await _prompt(scorer, question) for question in _questions(len(pairs))]
    same = sum(prompt == own for (prompt, _), own in zip(pairs, prompts, strict=True))
    return scorer, [await score(scorer, prompt, answer) for prompt, answer in pairs], same


def _questions(count: int) -> list[str]:
    problems = held_out()
    return [problem.question for problem in problems[:: len(problems) // count]][:count]
