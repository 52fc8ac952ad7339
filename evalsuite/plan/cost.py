"""What the planned run costs: tokens, hours, windows and disk, per model and benchmark.

``rate`` is generated tokens per second of one endpoint at the run's concurrency, so that prefill is part of it only as
far as it was when the rate was measured.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from evalsuite.plan.benchmarks import TaskFacts, TypicalLengths
from evalsuite.stats.reply_lengths import p99_tokens

SIGMA = 1.0
"""Assumed standard deviation of log length where no lengths were recorded (lognormal)."""
_BYTES_A_SAMPLE = 900
"""Journal lines and table row of one request without its text (measured: 750 to 900)."""
_BYTES_A_TOKEN = 5.5
"""Text of one token in the journal (about 4.2 bytes as JSON) and packed in the table (about 1.3)."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one endpoint is, and how long it may run at a stretch."""

    rate: float | None = None
    """Generated tokens per second of one endpoint at the run's concurrency."""
    window: float | None = None
    """Seconds of one window; None: as long as it takes."""


@dataclass(frozen=True, slots=True)
class TaskCost:
    """One benchmark asked of one model."""

    task: str
    attempts: int
    lengths: TypicalLengths
    completion: float
    """Generated tokens of all attempts."""
    prompt: float
    """Read tokens of all attempts, before any prefix cache."""
    judge: tuple[float, float]
    """Prompt and completion tokens of the judge."""
    simulator: tuple[float, float]
    p99: float
    """Generated tokens of one long attempt: recorded, else by an assumed lognormal."""
    seconds: float | None
    """Of the endpoint, if it did nothing else."""
    p99_seconds: float | None
    """Of one long attempt at its share of the rate."""
    request_seconds: float | None
    """Within which 99 of 100 requests end as a run reckons (``windows``): the recorded p99, else ``max_tokens``."""
    unfit: float
    """Attempts expected to be longer than a window, so that no window can finish them."""
    fits: bool | None
    """Whether a request fits a window by that reckoning; None without rate or window. What does not is never sent."""
    disk: float
    """Bytes."""


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Everything that one model is asked."""

    model: str
    tasks: tuple[TaskCost, ...]
    windows: int | None
    """Windows that the model takes; None without rate or window, or where something fits none."""

    def total(self, field: str) -> float:
        """Sum of ``completion``, ``prompt``, ``attempts`` or ``disk`` over the tasks."""
        return float(sum(getattr(task, field) for task in self.tasks))

    @property
    def seconds(self) -> float | None:
        """Of the endpoint; None without a rate."""
        parts = [task.seconds for task in self.tasks]
        return None if any(part is None for part in parts) else float(sum(part or 0.0 for part in parts))


def task_cost(
    facts: TaskFacts,
    lengths: TypicalLengths,
    max_tokens: int | None,
    concurrency: int,
    speed: Speed,
    *,
    single: bool = True,
) -> TaskCost:
    """The cost of one benchmark; ``concurrency`` is the endpoint's, over which the rate is shared.

    ``max_tokens`` is the cap of one reply, ``single`` says that an attempt is one reply.
    """
    mean, attempts = lengths.completion.value, facts.attempts
    p99 = lengths.p99
    if p99 is None:
        p99 = mean * math.exp(NormalDist().inv_cdf(0.99) * SIGMA - SIGMA**2 / 2)
        if single and max_tokens is not None and mean < max_tokens:
            p99 = min(p99, float(max_tokens))
    stream = None if speed.rate is None else speed.rate / max(1, min(concurrency, attempts))
    request = p99_tokens(None, lengths.p99 if single else None, max_tokens)
    request_seconds = None if stream is None or request is None else request / stream
    fits = None if stream is None or speed.window is None else (request_seconds or 0.0) <= speed.window
    return TaskCost(
        facts.name,
        attempts,
        lengths,
        attempts * mean,
        attempts * lengths.prompt.value,
        _aide(lengths.judge, attempts),
        _aide(lengths.simulator, attempts),
        p99,
        None if speed.rate is None else attempts * mean / speed.rate,
        None if stream is None else p99 / stream,
        request_seconds,
        _unfit(attempts, mean, p99, lengths, stream, speed.window),
        fits,
        attempts * (_BYTES_A_SAMPLE + _BYTES_A_TOKEN * mean),
    )


def model_cost(model: str, tasks: Sequence[TaskCost], speed: Speed) -> ModelCost:
    """All tasks of one model, with the windows that they take.

    At the end of a window nothing starts whose p99 no longer fits: then slots run empty for about the p99 less what a
    running attempt still needs on average (half its mean).
    """
    windows: int | None = None
    if speed.window is not None and all(task.fits for task in tasks):
        used = 0.0
        for task in tasks:
            mean_seconds = (task.p99_seconds or 0.0) * task.lengths.completion.value / max(task.p99, 1.0)
            lost = max(0.0, (task.p99_seconds or 0.0) - mean_seconds / 2)
            whole = task.seconds or 0.0
            used += (
                whole / max(speed.window - lost, speed.window / 20) if whole > speed.window else whole / speed.window
            )
        windows = math.ceil(used - 1e-9)
    return ModelCost(model, tuple(tasks), windows)


def _aide(each: Mapping[str, float] | None, attempts: int) -> tuple[float, float]:
    if each is None:
        return 0.0, 0.0
    return attempts * float(each["prompt"]), attempts * float(each["completion"])


def _unfit(
    attempts: int, mean: float, p99: float, lengths: TypicalLengths, stream: float | None, window: float | None
) -> float:
    """Expected attempts longer than a window (a lognormal through mean and p99; none above the longest recorded)."""
    if stream is None or window is None:
        return 0.0
    room = stream * window
    if lengths.longest is not None and lengths.longest <= room:
        return 0.0
    z = NormalDist().inv_cdf(0.99)
    ratio = max(math.log(max(p99, mean * 1.001) / mean), 1e-6)
    sigma = z - math.sqrt(max(z * z - 2 * ratio, 0.0)) if z * z >= 2 * ratio else z  # log(p99/mean) = z s - s^2/2
    mu = math.log(mean) - sigma**2 / 2
    return attempts * (1 - NormalDist(mu, max(sigma, 1e-6)).cdf(math.log(room)))
