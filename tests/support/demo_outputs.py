"""The demo model driven without HTTP: many prompts through one engine, and what its answers are worth."""

import threading
from collections.abc import Mapping, Sequence
from functools import cache

from evalsuite.demo.checkpoint import load_checkpoint, load_input_amax
from evalsuite.demo.engine import BatchEngine, GeneratedToken, Generation
from evalsuite.demo.model import LanguageModel, build
from evalsuite.demo.problems import SUBJECTS, Problem, held_out
from evalsuite.demo.text import TextCodec, load_codec

Trace = list[tuple[int, float | None]]
"""Token ids of an answer and, where asked for, the bits of their log-probabilities."""


@cache
def codec() -> TextCodec:
    return load_codec()


@cache
def model(precision: str) -> LanguageModel:
    return build(load_checkpoint(), precision, load_input_amax())


def prompt_of(problem: Problem) -> tuple[int, ...]:
    text = codec().render([{"role": "user", "content": problem.question}], thinking=True)
    return tuple(codec().encode(text))


def stratified(items: int) -> list[Problem]:
    """The first items of every subject, in equal shares."""
    each = items // len(SUBJECTS)
    return [p for subject in SUBJECTS for p in [p for p in held_out() if p.subject == subject][:each]]


def run_jobs(precision: str, waves: Sequence[Sequence[Generation]]) -> dict[str, Trace]:
    """Answers by job id; the jobs of a wave are in line together, the next wave waits until they are done."""
    traces: dict[str, Trace] = {}
    done = threading.Semaphore(0)

    def deliver(tokens: Sequence[GeneratedToken]) -> None:
        for token in tokens:
            traces[token.job].append((token.token, token.logprobs.chosen if token.logprobs else None))
            if token.finish:
                done.release()

    def failed() -> None:
        broken.append(precision)
        for _ in range(sum(len(wave) for wave in waves)):
            done.release()

    broken: list[str] = []
    engine = BatchEngine(model(precision), codec().im_end, deliver, failed)
    engine.start()
    try:
        for wave in waves:
            for job in wave:
                traces[job.id] = []
                engine.submit(job)
            for _ in wave:
                assert done.acquire(timeout=600)
    finally:
        engine.stop()
    assert not broken
    return traces


def text_of(trace: Trace) -> str:
    ids = [token for token, _ in trace]
    return b"".join(codec().token_bytes[token] for token in ids).decode("utf-8", errors="replace")


def is_right(problem: Problem, text: str) -> bool:
    """Whether an answer whose thinking is still in it ends in the right answer."""
    return text.rsplit("</think>", 1)[-1].strip() == problem.answer


def shares(right: Mapping[str, bool]) -> dict[str, float]:
    """Share of right answers by subject, and `all`."""
    table = {"all": sum(right.values()) / len(right)}
    for subject in SUBJECTS:
        of_subject = [value for name, value in right.items() if name.startswith(f"{subject}-")]
        table[subject] = sum(of_subject) / len(of_subject)
    return table
