"""One probe: the baseline's reading from disk or from its server, then the passes of each candidate."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evalsuite.config.settings import Engine, Model
from evalsuite.endpoint.client import Client
from evalsuite.endpoint.logprobs import Scorer, TokenScores, detokenize, find_scorer
from evalsuite.engine.identity.preflight import close_all, connect_model
from evalsuite.engine.probe import reference as stored_reference
from evalsuite.engine.probe.answers import StoredAnswer, identity_of, prompt_ids, tokenized_answers
from evalsuite.engine.probe.passes import AnswerDivergence, compare_all, decode_against_prefill, read_all
from evalsuite.engine.probe.reference import Reference
from evalsuite.errors import EndpointUnusable, SampleFailed

CONCURRENCY = 16
"""Most requests at a time: each holds the logits of a whole prompt at the server."""
AROUND = 12
"""Tokens before a place that are shown with it."""


@dataclass(frozen=True, slots=True)
class CandidateReading:
    """The two passes of one candidate."""

    together: list[AnswerDivergence]
    """With many requests at a time, as the reference was read."""
    alone: list[AnswerDivergence]
    """With one request at a time."""
    prompts_differ: int
    """Answers whose prompt has other token ids here than at the baseline's server."""


async def read_baseline(
    model: Model, engine: Engine, chosen: Sequence[StoredAnswer], report: Callable[[str], None]
) -> Reference:
    """Read the answers ``chosen`` twice at the baseline's own server: the first reading is the reference, its
    divergence from the second the floor of later comparisons. Also compares generating with reading. Writes no file.

    ``chosen`` that the server cannot render as they were generated are left out. ``report`` is called with lines on
    what is being done. Raises ``NoLogprobs`` where the server gives no log-probabilities, ``EndpointUnusable`` for a
    server that is not as configured or renders the answers otherwise than the run's did, and for one that is lost on
    the way, ``BadInput`` as ``connect_model``.
    """
    clients, _ = await connect_model(model, (), engine)
    try:
        with _lost_server():
            return await _read_baseline(clients[0], chosen, min(model.concurrency, CONCURRENCY), report)
    finally:
        await close_all(clients)


async def _read_baseline(
    client: Client, chosen: Sequence[StoredAnswer], limit: int, report: Callable[[str], None]
) -> Reference:
    scorer = await _scorer(client, report)
    answers, notes = await tokenized_answers(client, chosen, limit)
    for note in notes:
        report(note)
    report(f"reading {len(answers)} answers, the baseline's reference")
    scores: dict[int, TokenScores] = {}
    await read_all(scorer, answers, limit, scores.__setitem__)
    ordered = tuple(scores[number] for number in range(len(answers)))
    report("reading them again: the floor")
    floor = await compare_all(scorer, answers, ordered, limit)
    decode = await decode_against_prefill(scorer, answers)
    return Reference(
        tuple(answers),
        ordered,
        tuple(float(part.divergence.nats.sum()) for part in floor),
        tuple(float(part.divergence.variation.sum()) for part in floor),
        tuple(int(part.divergence.flips.sum()) for part in floor),
        decode,
    )


async def read_candidate(
    model: Model, engine: Engine, reference: Reference, report: Callable[[str], None]
) -> tuple[CandidateReading, list[Client]]:
    """Read the answers of ``reference`` at a candidate's server (its first replica), up to 16 (or
    ``model.concurrency``, if lower) at a time and then one at a time.

    Returns both passes and the open clients, which the caller closes; ``report`` is called with lines on what is being
    done. Raises ``NoLogprobs`` where the server gives no log-probabilities, ``EndpointUnusable`` where it cannot be
    used, ``BadInput`` as ``connect_model``. On any error the clients are closed.
    """
    clients, _ = await connect_model(model, (), engine)
    try:
        with _lost_server():
            scorer = await _scorer(clients[0], report)
            limit = min(model.concurrency, CONCURRENCY)
            prompts = await _prompts(scorer.client, reference, limit)
            report(f"reading {len(reference.answers)} answers, {limit} at a time")
            together = await compare_all(scorer, reference.answers, reference.scores, limit)
            report("reading them one at a time")
            alone = await compare_all(scorer, reference.answers, reference.scores, 1)
    except BaseException:
        await close_all(clients)
        raise
    return CandidateReading(together, alone, prompts), list(clients)


@contextmanager
def _lost_server() -> Iterator[None]:
    """A ``with`` block in which a request that failed after its retries (``SampleFailed``) is ``EndpointUnusable``."""
    try:
        yield
    except SampleFailed as error:
        raise EndpointUnusable(f"the probe ended: {error}") from None


async def _scorer(client: Client, report: Callable[[str], None]) -> Scorer:
    scorer = await find_scorer(client)
    report("; ".join(scorer.findings))
    return scorer


async def _prompts(client: Client, reference: Reference, limit: int) -> int:
    """Number of answers whose prompt has other token ids at this server than at the baseline's; ``limit`` requests at a
    time."""
    slots = asyncio.Semaphore(limit)

    async def differs(number: int) -> bool:
        async with slots:
            answer = reference.answers[number]
            return tuple(await prompt_ids(client, answer.stored)) != answer.prompt

    return sum(await asyncio.gather(*(differs(number) for number in range(len(reference.answers)))))


async def text_around(client: Client, tokens: Sequence[int], place: int) -> str:
    """The text of up to 12 tokens before the one at index ``place``, then of that one in brackets; empty if the server
    gives none or does not answer.

    ``tokens``: those of the answer, turned into text by the server. Raises ``EndpointUnusable`` as ``Client.post``.
    """
    try:
        before = await detokenize(client, tokens[max(0, place - AROUND) : place])
        token = await detokenize(client, tokens[place : place + 1])
    except SampleFailed:
        return ""
    return f"{before}[{token}]" if before or token else ""


def reference_path(results: Path, chosen: Sequence[StoredAnswer], checkpoint: str) -> Path:
    """Path below ``results`` of the file with the baseline's reading of these answers; ``checkpoint`` is the
    baseline's."""
    return stored_reference.path_of(results, identity_of(chosen, checkpoint))
