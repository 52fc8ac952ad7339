"""Continuous batching: one worker thread steps the model over up to 32 requests; the rest wait in line.

The event loop's side sees `submit` and `cancel`; the worker hands over the tokens of a whole step at once.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from evalsuite.demo.model import Cache, LanguageModel, decode, new_cache, prefill
from evalsuite.demo.quantize import Array
from evalsuite.demo.sampling import Logprobs, SamplingParameters, choose, generator, log_probabilities

SLOTS = 32
"""Requests that are decoded together."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation."""

    id: str
    prompt: tuple[int, ...]
    """Token ids; shorter than the context."""
    max_tokens: int
    """Of the answer; the context may end it earlier."""
    sampling: SamplingParameters


@dataclass(frozen=True, slots=True)
class GeneratedToken:
    """One generated token of one job."""

    job: str
    token: int
    finish: Literal["stop", "length"] | None
    """Set on the job's last token; with `stop` that token is the end marker itself."""
    logprobs: Logprobs | None


@dataclass(slots=True)
class _Running:
    """A job in a slot: the worker's own mutable state."""

    job: Generation
    rng: np.random.Generator
    position: int
    """Where the latest token stands; it has not been read by the model yet."""
    latest: int
    generated: int


@dataclass(slots=True)
class BatchEngine:
    """The worker thread and its line of waiting jobs."""

    model: LanguageModel
    eos: int
    deliver: Callable[[Sequence[GeneratedToken]], None]
    """Called from the worker with the tokens of one step; must not block."""
    failed: Callable[[], None]
    """Called from the worker when it ends by an error: no job will ever get another token."""
    _cache: Cache = field(init=False)
    _slots: list[_Running | None] = field(default_factory=lambda: [None] * SLOTS)
    _waiting: deque[Generation] = field(default_factory=deque)
    _cancelled: set[str] = field(default_factory=set)
    _wake: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._cache = new_cache(self.model.config, SLOTS)

    def start(self) -> None:
        """Start the worker thread, a daemon."""
        self._thread = threading.Thread(target=self._work, name="demo-engine", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the worker after its current step and wait for that; later no job gets a further token."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def submit(self, job: Generation) -> None:
        """Append a job to the queue and return at once; its tokens arrive through `deliver` while the worker runs."""
        with self._wake:
            self._waiting.append(job)
            self._wake.notify()

    def cancel(self, job_id: str) -> None:
        """Have the job of this id, waiting or running, dropped before the next step: its slot is free then, and after
        the current step it gets no further token. An id that no job has then is ignored.
        """
        with self._wake:
            self._cancelled.add(job_id)
            self._wake.notify()

    def load(self) -> tuple[int, int]:
        """(number of jobs in slots, number of jobs waiting)."""
        with self._wake:
            return sum(slot is not None for slot in self._slots), len(self._waiting)

    def _work(self) -> None:
        try:
            while self._step():
                pass
        finally:
            if not self._stopping:
                self.failed()

    def _step(self) -> bool:
        """Wait for work, read the prompts of new jobs, decode one token of every job in a slot, deliver the tokens.

        Cancelled jobs are dropped first. A new job gets the token that follows its prompt and, unless that is its last,
        the one decoded. Returns False, without doing anything, once stopped, else True.
        """
        with self._wake:
            while not (self._stopping or self._waiting or self._cancelled or any(self._slots)):
                self._wake.wait()
            if self._stopping:
                return False
            self._drop_cancelled()
            admitted = self._admit()
        tokens = [self._prefill(slot, running) for slot, running in admitted]
        tokens += self._decode()
        if tokens:
            self.deliver(tokens)
        return True

    def _drop_cancelled(self) -> None:
        if not self._cancelled:
            return
        self._waiting = deque(job for job in self._waiting if job.id not in self._cancelled)
        for slot, running in enumerate(self._slots):
            if running is not None and running.job.id in self._cancelled:
                self._slots[slot] = None
        self._cancelled.clear()

    def _admit(self) -> list[tuple[int, _Running]]:
        """Give free slots to waiting jobs, first come first served; returns (slot, job in it) of each new one."""
        admitted = []
        free = [slot for slot, running in enumerate(self._slots) if running is None]
        for slot in free[: len(self._waiting)]:
            job = self._waiting.popleft()
            running = _Running(job, generator(job.sampling), len(job.prompt) - 1, 0, 0)
            self._slots[slot] = running
            admitted.append((slot, running))
        return admitted

    def _prefill(self, slot: int, running: _Running) -> GeneratedToken:
        logits = prefill(self.model, self._cache, slot, np.array(running.job.prompt, np.intp))
        return self._take(slot, running, logits, choose(logits, running.job.sampling, running.rng))

    def _decode(self) -> list[GeneratedToken]:
        active = [(slot, running) for slot, running in enumerate(self._slots) if running is not None]
        if not active:
            return []
        slots = np.array([slot for slot, _ in active], np.intp)
        positions = np.array([running.position for _, running in active], np.intp)
        latest = np.array([running.latest for _, running in active], np.intp)
        logits = decode(self.model, self._cache, slots, positions, latest)
        greedy = logits.argmax(axis=1).tolist()
        tokens = []
        for row, (slot, running) in enumerate(active):
            sampling = running.job.sampling
            token = greedy[row] if sampling.temperature == 0 else choose(logits[row], sampling, running.rng)
            tokens.append(self._take(slot, running, logits[row], token))
        return tokens

    def _take(self, slot: int, running: _Running, logits: Array, token: int) -> GeneratedToken:
        """Record the chosen token id of a running job and return it as a ``GeneratedToken``; free the slot if it is the
        last one (end token, `max_tokens` or full context).

        `logits` [v] give the log-probabilities, if the job asks for them.
        """
        job = running.job
        running.position += 1
        running.latest = token
        running.generated += 1
        finish: Literal["stop", "length"] | None = None
        if token == self.eos:
            finish = "stop"
        elif running.generated >= job.max_tokens or running.position + 1 >= self.model.config.max_position_embeddings:
            finish = "length"
        if finish is not None:
            self._slots[slot] = None
        top = job.sampling.top_logprobs
        return GeneratedToken(job.id, token, finish, None if top is None else log_probabilities(logits, token, top))
