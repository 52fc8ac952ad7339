"""Reading answers again: every pass scores the same token ids at one server."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.endpoint.logprobs import Scorer, TokenScores, generate, score
from evalsuite.engine.probe.answers import TokenizedAnswer
from evalsuite.errors import EvalsuiteError
from evalsuite.stats.fidelity import Divergence, Listed, divergence

WINDOW = 512
"""Tokens of each end of a long answer that are read."""
LONGEST_PREFIX = 8192
"""Tokens before a second window, beyond which only the first is read: servers hold the logits of a whole prompt."""
DECODED = 20
"""Answers whose beginning is generated anew, to compare decoding with reading."""
DECODED_TOKENS = 64


@dataclass(frozen=True, slots=True)
class AnswerDivergence:
    """Baseline against another pass on one answer."""

    divergence: Divergence
    """[n] for each token that was read."""
    places: NDArray[np.int64]
    """[n]: their places in the answer, from 0."""


def windows(length: int, prompt: int) -> list[tuple[int, int]]:
    """(first, end) of the parts of an answer that are read: all of up to 1,024 tokens; of longer ones the first and the
    last 512, or the first 512 alone where answer and prompt together have over 8,192.

    ``length`` and ``prompt``: tokens of the answer and of its prompt.
    """
    if length <= 2 * WINDOW:
        return [(0, length)]
    ends = [(0, WINDOW), (length - WINDOW, length)]
    return ends if prompt + length <= LONGEST_PREFIX else ends[:1]


async def read_answer(scorer: Scorer, answer: TokenizedAnswer) -> TokenScores:
    """Log-probabilities of one answer's tokens in its ``windows``. Raises as ``endpoint.logprobs.score``."""
    return await score(scorer, answer.prompt, answer.answer, windows(len(answer.answer), len(answer.prompt)))


async def read_all(
    scorer: Scorer, answers: Sequence[TokenizedAnswer], concurrency: int, keep: Callable[[int, TokenScores], None]
) -> None:
    """Score all answers, at most ``concurrency`` at a time; ``keep`` is called with (index, scores) of each as it
    arrives.

    The first error of evalsuite's own (``EvalsuiteError``) ends all and is raised, as by ``endpoint.logprobs.score``.
    """
    slots = asyncio.Semaphore(concurrency)

    async def one(number: int, answer: TokenizedAnswer) -> None:
        async with slots:
            keep(number, await read_answer(scorer, answer))

    try:
        async with asyncio.TaskGroup() as group:
            for number, answer in enumerate(answers):
                group.create_task(one(number, answer))
    except* EvalsuiteError as errors:
        raise errors.exceptions[0] from None


async def compare_all(
    scorer: Scorer, answers: Sequence[TokenizedAnswer], reference: Sequence[TokenScores], concurrency: int
) -> list[AnswerDivergence]:
    """Score all answers and compare each with its scores in ``reference``; the divergences in the order of ``answers``.

    At most ``concurrency`` requests at a time; every reply is reduced to its divergences when it arrives. Raises as
    ``read_all``.
    """
    compared: dict[int, AnswerDivergence] = {}

    def keep(number: int, scores: TokenScores) -> None:
        compared[number] = against(reference[number], scores, answers[number])

    await read_all(scorer, answers, concurrency, keep)
    return [compared[number] for number in range(len(answers))]


def against(reference: TokenScores, scores: TokenScores, answer: TokenizedAnswer) -> AnswerDivergence:
    """The divergence of ``scores`` from ``reference``, both of the tokens in the ``windows`` of ``answer``, at each of
    these tokens, with their places in it."""
    spans = windows(len(answer.answer), len(answer.prompt))
    places = np.concatenate([np.arange(first, end) for first, end in spans])
    return AnswerDivergence(divergence(listed(reference), listed(scores)), places)


async def decode_against_prefill(scorer: Scorer, answers: Sequence[TokenizedAnswer]) -> float:
    """Mean divergence (nats a token) between generating at most 64 tokens and reading the same ones, after the prompts
    of the first 20 of ``answers``; 0 without any.

    Kernels of prefill and of decoding differ on some servers; a candidate that differs less than that cannot be seen.
    Raises as ``endpoint.logprobs.generate``.
    """
    total, tokens = 0.0, 0
    for answer in answers[:DECODED]:
        generated = await generate(scorer, answer.prompt, DECODED_TOKENS)
        read = await score(scorer, answer.prompt, generated.tokens.tolist())
        nats = divergence(listed(generated), listed(read)).nats
        total, tokens = total + float(nats.sum()), tokens + len(nats)
    return total / max(1, tokens)


def listed(scores: TokenScores) -> Listed:
    """The alternatives in ``scores``, from which divergences are computed; log-probabilities as float64."""
    return Listed(scores.top_tokens, scores.top_logprobs.astype(np.float64))
