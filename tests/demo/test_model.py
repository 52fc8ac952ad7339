"""The model at its four precisions: the same bits in any company, and the accuracy that is written down."""

import random
import threading
from collections.abc import Mapping

import numpy as np
import pytest

from evalsuite.demo.app import QUANTIZATION
from evalsuite.demo.checkpoint import load_checkpoint
from evalsuite.demo.engine import BatchEngine, Generation
from evalsuite.demo.linear import RECIPES
from evalsuite.demo.model import CAPACITIES, new_cache, prefill
from evalsuite.demo.problems import held_out
from evalsuite.demo.quantize import Array
from evalsuite.demo.sampling import SamplingParameters
from evalsuite.demo.server import PRECISIONS
from tests.support.demo_outputs import Trace, codec, is_right, model, prompt_of, run_jobs, shares, stratified, text_of

MEASURED = {"demo_bf16": 0.9245, "demo_fp8": 0.92, "demo_nvfp4": 0.906, "demo_nvfp4_v2": 0.914}
"""Greedy accuracy over all 2,000 held-out items, as `check_accuracy(2000)` gave it for the shipped weights."""


def check_batch_invariance(prompts: int) -> dict[str, int]:
    """Each prompt alone, in a full batch, and among noisy mates: equal tokens and bit-equal log-probabilities.

    Every second prompt is sampled at temperature 1 with a seed of its own, the others are greedy. Returns the number
    of prompts compared at each precision.
    """
    chosen = stratified(prompts)
    jobs = [
        Generation(
            problem.id, prompt_of(problem), 64, SamplingParameters(temperature=float(at % 2), seed=at, top_logprobs=0)
        )
        for at, problem in enumerate(chosen)
    ]
    compared = {}
    for precision in PRECISIONS:
        alone = run_jobs(precision, [[job] for job in jobs])
        together = run_jobs(precision, [jobs])
        mixed = run_jobs(precision, [_among_noise(jobs)])
        for job in jobs:
            assert alone[job.id] == together[job.id] == mixed[job.id], (precision, job.id)
        assert len({text_of(trace) for trace in alone.values()}) > len(jobs) // 2
        compared[precision] = len(jobs)
    return compared


def _among_noise(jobs: list[Generation]) -> list[Generation]:
    """The same jobs in another order, between hot, long ones that fill the context."""
    rng = random.Random(0)
    noise = [
        Generation(
            f"noise-{at}",
            prompt_of(rng.choice(held_out())) * rng.randrange(1, 5),
            80,
            SamplingParameters(temperature=2.0),
        )
        for at in range(len(jobs))
    ]
    mixed = [*jobs, *noise]
    rng.shuffle(mixed)
    return mixed


def check_accuracy(items: int) -> dict[str, dict[str, float]]:
    """Greedy accuracy by precision and subject; within 3.5 standard errors of the full measurement."""
    table: dict[str, dict[str, float]] = {}
    for precision, expected in MEASURED.items():
        table[precision] = shares(greedy_verdicts(precision, items))
        error = (expected * (1 - expected) / items) ** 0.5
        assert abs(table[precision]["all"] - expected) <= 3.5 * error + 1e-9, (precision, table[precision])
    return table


def greedy_verdicts(precision: str, items: int) -> Mapping[str, bool]:
    """Whether each of the first items is answered rightly at temperature 0."""
    traces = greedy_traces(precision, items)
    return {p.id: is_right(p, text_of(traces[p.id])) for p in stratified(items)}


def greedy_traces(precision: str, items: int) -> dict[str, Trace]:
    jobs = [
        Generation(problem.id, prompt_of(problem), 128, SamplingParameters(temperature=0))
        for problem in stratified(items)
    ]
    return run_jobs(precision, [jobs])


@pytest.mark.slow
def test_batch_invariance() -> None:
    assert check_batch_invariance(25) == dict.fromkeys(PRECISIONS, 25)


@pytest.mark.slow
def test_accuracy_is_what_the_figures_say() -> None:
    table = check_accuracy(200)
    assert set(table) == set(PRECISIONS)
    assert table["demo_bf16"]["add"] > table["demo_bf16"]["mod"]


def test_precisions_differ_for_real() -> None:
    logits: dict[str, list[Array]] = {precision: [] for precision in PRECISIONS}
    for precision in PRECISIONS:
        cache = new_cache(model(precision).config, 1)
        for problem in held_out()[::50]:
            tokens = [*prompt_of(problem), *codec().encode(problem.scratchpad)]
            logits[precision].append(prefill(model(precision), cache, 0, np.array(tokens, np.intp)))
    reference = np.stack(logits["demo_bf16"])
    distance = {name: float(np.abs(np.stack(rows) - reference).mean()) for name, rows in logits.items()}
    assert 0 < distance["demo_fp8"] < distance["demo_nvfp4"]
    assert 0 < distance["demo_nvfp4_v2"] < distance["demo_nvfp4"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_decoding_says_what_prefilling_says(precision: str) -> None:
    """The cached path and the whole-prompt path are the same function up to rounding."""
    problem = held_out()[1000]
    trace = run_jobs(precision, [[Generation("a", prompt_of(problem), 20, SamplingParameters(temperature=0))]])["a"]
    cache = new_cache(model(precision).config, 1)
    text = list(prompt_of(problem))
    for token, _ in trace:
        logits = prefill(model(precision), cache, 0, np.array(text, np.intp))
        assert logits[token] >= logits.max() - 0.05
        text.append(token)


def test_an_answer_ends_with_the_context() -> None:
    long_prompt = (prompt_of(held_out()[0]) * 10)[:250]
    trace = run_jobs("demo_bf16", [[Generation("a", long_prompt, 64000, SamplingParameters(temperature=2.0, seed=3))]])[
        "a"
    ]
    context = model("demo_bf16").config.max_position_embeddings
    assert len(long_prompt) + len(trace) <= context == CAPACITIES[-1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_failing_worker_says_so() -> None:
    """An error in the engine's thread must not leave requests waiting for ever."""
    failed = threading.Event()
    engine = BatchEngine(model("demo_bf16"), codec().im_end, lambda tokens: None, failed.set)
    engine.start()
    engine.submit(Generation("no such token", (10**6,), 5, SamplingParameters()))
    assert failed.wait(10)
    engine.stop()


def test_every_precision_is_named_everywhere() -> None:
    assert set(PRECISIONS) == set(RECIPES) == set(QUANTIZATION) == set(MEASURED)


def test_shipped_weights_are_small_and_bf16() -> None:
    parameters = sum(tensor.size for tensor in load_checkpoint().weights.values())
    assert 600_000 < parameters < 700_000
    assert codec().tokenizer.get_vocab_size() == 395
