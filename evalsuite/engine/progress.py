"""How far the endpoints of a run are: counts, and estimates of what is left.

``observe`` brings the counts of one endpoint up to date between two events: requests in flight, text that is arriving,
tokens that are left, what holds the endpoint up. Nothing here changes what is sent.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from evalsuite.endpoint.pool import Pool
from evalsuite.endpoint.replica import ReplicaState
from evalsuite.engine.lengths import ObservedLengths
from evalsuite.engine.scheduler import AttemptQueue
from evalsuite.engine.stopping import Stop
from evalsuite.engine.workload import RunningAttempt, Workload

OVERDUE = 0.1
"""An answer that is longer than expected is expected to grow by this share of what has arrived."""

_ENOUGH, _SICK = 20, 0.1
"""Answers, and the share of degenerate ones among them, from which a running endpoint's line states them."""


@dataclass(slots=True)
class Progress:
    """Counts of one endpoint in one run."""

    planned: int = 0
    """Attempts that this run is to make."""
    done: int = 0
    failed: int = 0
    truncated: int = 0
    degenerate: int = 0
    """Answers that are signs of a sick server (``tasks.grading.degenerate``)."""
    tokens: int = 0
    """Generated tokens of whole replies."""
    running: int = 0
    started: int = 0
    cut: int = 0
    """Answers that were cut while they arrived."""
    unsent: int = 0
    """Attempts that were not started, or not continued, because of the window, a stop or a spent budget."""
    needed: float | None = None
    """Seconds that the shortest unsent attempt is expected to need at most, where that is known."""
    stopped: str = ""
    """Why the endpoint was given up, if it was."""
    recorded: int = 0
    """Attempts of its cells that were on record before this run."""
    limit: int = 0
    """Most requests in flight now: fewer than the user set while the endpoint is overloaded or a replica is down."""
    in_flight: int = 0
    """Requests in flight."""
    arriving: float = 0.0
    """Generated tokens of replies that are still arriving, estimated from their text; not in ``tokens`` yet."""
    tokens_left: float | None = None
    """Tokens that all open attempts are expected to generate yet; None: their lengths are not known."""
    longest_left: float = 0.0
    """Tokens that the running attempt with the most left is expected to generate yet."""
    state: str = ""
    """What holds the endpoint up: an outage, overload, a stop; empty: nothing."""


Draw = Callable[[Mapping[str, Progress]], None]
"""Shows the progress of all endpoints, by their names."""


def observe(
    progress: Progress,
    workload: Workload,
    queue: AttemptQueue,
    running: Collection[RunningAttempt],
    lengths: ObservedLengths,
    stop: Stop,
) -> None:
    """Update the fields of ``progress`` that change while no attempt ends: ``in_flight``, ``limit``, ``state``,
    ``arriving``, ``tokens_left`` and ``longest_left``.

    ``running``: the attempts being made; ``queue``: those waiting; ``lengths``: what replies have shown of lengths.
    """
    pools = workload.pools
    progress.in_flight = sum(replica.running for pool in pools for replica in pool.replicas)
    progress.limit = min(workload.limit, sum(_allowed(pool) for pool in pools))
    progress.state = _state(workload, pools, progress.limit, stop) or _warning(progress)
    arrived = [lengths.tokens_of(attempt.characters) for attempt in running]
    progress.arriving = sum(arrived)
    rests = [_rest(lengths, attempt, tokens) for attempt, tokens in zip(running, arrived, strict=True)]
    waiting = _waiting(lengths, queue)
    known = waiting is not None and None not in rests
    progress.tokens_left = waiting + sum(rest or 0.0 for rest in rests) if known and waiting is not None else None
    progress.longest_left = max((rest for rest in rests if rest is not None), default=0.0)


def _allowed(pool: Pool) -> int:
    return sum(replica.limit.allowed for replica in pool.replicas if replica.state is not ReplicaState.DOWN)


def _waiting(lengths: ObservedLengths, queue: AttemptQueue) -> float | None:
    """Tokens that the attempts in the queue are expected to generate together; None where one is of unknown length and
    no attempt of its cell has ended in this run whose length counts (``LengthEstimator.mean``).
    """
    total = 0.0
    for cell, waiting in enumerate(queue.open):
        estimator = lengths.of(cell)
        if waiting.unknown and estimator.mean is None:
            return None
        total += waiting.learned + waiting.guessed * estimator.factor + waiting.unknown * (estimator.mean or 0.0)
    return total


def _rest(lengths: ObservedLengths, running: RunningAttempt, arriving: float) -> float | None:
    """Tokens that a running attempt is expected to generate yet, at least a tenth of what it has generated; None:
    unknown. ``arriving``: tokens that have come of its reply in flight.
    """
    expected = lengths.of(running.attempt.cell).expected(running.attempt)
    generated = running.tokens + arriving
    return None if expected is None else max(expected - generated, OVERDUE * generated)


def _warning(progress: Progress) -> str:
    """What is wrong with the endpoint's answers so far, for its line: the number of degenerate ones. Empty before 20
    attempts have ended (``done``), and while fewer than 10 % of them are degenerate."""
    few = progress.done < _ENOUGH or progress.degenerate < _SICK * progress.done
    return "" if few else f"{progress.degenerate:,} of {progress.done:,} answers are degenerate"


def _state(workload: Workload, pools: Collection[Pool], allowed: int, stop: Stop) -> str:
    if stop.requested:
        seconds = stop.seconds_left
        left = "" if seconds is None else f", {seconds:.0f} s left"
        return f"draining ({stop.reason}{left})"
    replicas = [replica for pool in pools for replica in pool.replicas]
    states = [replica.state for replica in replicas]
    down = states.count(ReplicaState.DOWN)
    if down == len(states) > 0:
        return f"paused: down for {time.monotonic() - min(replica.down for replica in replicas):.0f} s"
    if down:
        return f"{down} of {len(states)} replicas down"
    if ReplicaState.CHECKING in states:
        return "paused: is it there?"
    return f"slowed to {allowed} of {workload.limit} slots" if allowed < workload.limit else ""
