"""Computes the cost of the planned run per model and benchmark: tokens, hours, time windows and disk.

``rate`` is the number of generated tokens per second of one endpoint at the run's concurrency. Prefill is part of it
only as far as it was when the rate was measured.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from evalsuite.plan.benchmarks import TaskFacts, TypicalLengths
from evalsuite.stats.reply_lengths import p99_tokens

ASSUMED_SIGMA = 1.0
"""Assumed standard deviation of the logarithm of lengths that were not recorded (lognormal)."""
_BYTES_A_SAMPLE = 900
"""Bytes of the journal lines and the table row of one request without its text (measured: 750 to 900)."""
_BYTES_A_TOKEN = 5.5
"""Bytes of the text of one token: about 4.2 in the journal (JSON) and about 1.3 packed in the table."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Generation rate of one endpoint, and how long it may run without interruption."""

    rate: float | None = None
    """Generated tokens per second of one endpoint at the run's concurrency; None when not given."""
    window: float | None = None
    """Seconds of one time window; None without a limit."""


@dataclass(frozen=True, slots=True)
class TaskCost:
    """Cost of one benchmark on one model."""

    task: str
    """Name of the task."""
    attempts: int
    """Items x repeats."""
    lengths: TypicalLengths
    """Typical or recorded lengths."""
    completion: float
    """Generated tokens of all attempts."""
    prompt: float
    """Prompt tokens of all attempts, without prefix cache."""
    judge: tuple[float, float]
    """Prompt and completion tokens of the judge."""
    simulator: tuple[float, float]
    """Prompt and completion tokens of the user simulator."""
    p99: float
    """Generated tokens of one long attempt: recorded, or from an assumed lognormal distribution."""
    seconds: float | None
    """Seconds of the endpoint for this task alone; None without a rate."""
    p99_seconds: float | None
    """Seconds of one long attempt at its share of the rate; None without a rate."""
    request_seconds: float | None
    """Seconds within which 99 of 100 requests end, by the rule that a run uses: the recorded p99, else
    ``max_tokens``."""
    unfit: float
    """Expected number of attempts that are longer than a time window, so that they cannot finish."""
    fits: bool | None
    """Whether a request fits a time window by that rule; None without rate or window. Requests that do not fit are not
    sent."""
    disk: float
    """Bytes."""


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Cost of all tasks of one model."""

    model: str
    """Name of the model."""
    tasks: tuple[TaskCost, ...]
    """Cost of each task."""
    windows: int | None
    """Number of time windows; None without rate or window, or when a task does not fit."""

    def total(self, field: str) -> float:
        """Return the sum over the tasks of one numeric field of ``TaskCost`` that is never None, such as
        ``completion``, ``prompt`` (tokens), ``attempts`` or ``disk`` (bytes); 0.0 without tasks.
        """
        return float(sum(getattr(task, field) for task in self.tasks))

    @property
    def seconds(self) -> float | None:
        """Seconds of the endpoint for all tasks; None without a rate; 0.0 without tasks."""
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
    """Compute the tokens, seconds, disk space and fit into time windows of one benchmark on one model.

    ``lengths``: tokens of an attempt. ``max_tokens`` is the limit of one reply, None for none. ``concurrency``:
    requests at a time (at most one per attempt), over which the endpoint's rate is divided. ``single``: an attempt is
    one reply (else the recorded p99, which is of whole attempts, is no bound of a request). Times are None without a
    rate; ``request_seconds`` also when neither ``max_tokens`` nor a recorded p99 bounds a reply. ``fits`` is None
    without rate or window, else True where ``request_seconds`` is None.
    """
    mean, attempts = lengths.completion.value, facts.attempts
    p99 = lengths.p99
    if p99 is None:
        p99 = mean * math.exp(NormalDist().inv_cdf(0.99) * ASSUMED_SIGMA - ASSUMED_SIGMA**2 / 2)
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
        _auxiliary_tokens(lengths.judge, attempts),
        _auxiliary_tokens(lengths.simulator, attempts),
        p99,
        None if speed.rate is None else attempts * mean / speed.rate,
        None if stream is None else p99 / stream,
        request_seconds,
        _unfit_attempts(attempts, mean, p99, lengths, stream, speed.window),
        fits,
        attempts * (_BYTES_A_SAMPLE + _BYTES_A_TOKEN * mean),
    )


def model_cost(model: str, tasks: Sequence[TaskCost], speed: Speed) -> ModelCost:
    """Combine the tasks (at least one) of one model and estimate the number of time windows that they take together,
    rounded up; the number is None without window or rate, or when a request of a task does not fit.

    Near the end of a window no request starts whose p99 no longer fits. Slots are then idle for about the p99 minus
    half the mean length (what a running attempt still needs on average). This is counted only for a task that takes
    longer than one window.
    """
    windows: int | None = None
    if speed.window is not None and all(task.fits for task in tasks):
        used = 0.0
        for task in tasks:
            mean_seconds = (task.p99_seconds or 0.0) * task.lengths.completion.value / max(task.p99, 1.0)
            idle = max(0.0, (task.p99_seconds or 0.0) - mean_seconds / 2)
            busy = task.seconds or 0.0
            used += busy / max(speed.window - idle, speed.window / 20) if busy > speed.window else busy / speed.window
        windows = math.ceil(used - 1e-9)
    return ModelCost(model, tuple(tasks), windows)


def _auxiliary_tokens(per_attempt: Mapping[str, float] | None, attempts: int) -> tuple[float, float]:
    if per_attempt is None:
        return 0.0, 0.0
    return attempts * float(per_attempt["prompt"]), attempts * float(per_attempt["completion"])


def _unfit_attempts(
    attempts: int, mean: float, p99: float, lengths: TypicalLengths, stream: float | None, window: float | None
) -> float:
    """Return the expected number of attempts that take longer than a window, not rounded; 0.0 when the rate or the
    window is unknown (None) or the longest recorded attempt fits.

    Uses a lognormal distribution with this ``mean`` and, as nearly as it can, this ``p99`` (tokens). Of ``lengths``
    only the longest recorded attempt is used. ``stream``: tokens per second of one request; ``window``: seconds.
    """
    if stream is None or window is None:
        return 0.0
    window_tokens = stream * window
    if lengths.longest is not None and lengths.longest <= window_tokens:
        return 0.0
    z = NormalDist().inv_cdf(0.99)
    ratio = max(math.log(max(p99, mean * 1.001) / mean), 1e-6)
    sigma = z - math.sqrt(max(z * z - 2 * ratio, 0.0)) if z * z >= 2 * ratio else z  # log(p99/mean) = z s - s^2/2
    mu = math.log(mean) - sigma**2 / 2
    return attempts * (1 - NormalDist(mu, max(sigma, 1e-6)).cdf(math.log(window_tokens)))
