"""What changes at an endpoint while nothing ends: requests in flight, text that arrives, what is left, what stops it.

``observe`` writes it into the lane's ``Progress`` for whoever draws it. Nothing here changes what is sent.
"""

import time

from evalsuite.endpoint.pool import Pool
from evalsuite.endpoint.replica import ReplicaState
from evalsuite.engine.lengths import LengthEstimator
from evalsuite.engine.worker import AttemptRequests, EndpointWorker

OVERDUE = 0.1
"""An answer that is longer than expected is expected to grow by this share of what has come."""


def observe(running: EndpointWorker) -> None:
    """Bring ``running.progress`` up to this moment."""
    progress = running.progress
    pools = _pools(running)
    progress.in_flight = sum(one.running for pool in pools for one in pool.replicas)
    progress.limit = min(running.lane.limit, sum(_allowed(pool) for pool in pools))
    progress.state = _state(running, pools)
    per_character = running.generated / running.characters
    arrived = [(one, one.watch.characters * per_character if one.watch else 0.0) for one in running.asking.values()]
    progress.arriving = sum(tokens for _, tokens in arrived)
    rests = [_rest(running, one, tokens) for one, tokens in arrived]
    waiting = _waiting(running)
    known = waiting is not None and None not in rests
    progress.tokens_left = waiting + sum(rest or 0.0 for rest in rests) if known and waiting is not None else None
    progress.longest_left = max((rest for rest in rests if rest is not None), default=0.0)


def _pools(running: EndpointWorker) -> list[Pool]:
    """The models at this endpoint, each once."""
    return list({id(job.client): job.client for job in running.lane.jobs}.values())


def _allowed(pool: Pool) -> int:
    return sum(one.limit.allowed for one in pool.replicas if one.state is not ReplicaState.DOWN)


def _waiting(running: EndpointWorker) -> float | None:
    """Tokens of the attempts that were not begun; None where nobody can say."""
    total = 0.0
    for cell, found in enumerate(running.queue.open):
        grown = running.grown.get(cell, LengthEstimator())
        if found.unknown and grown.mean is None:
            return None
        total += found.learned + found.guessed * grown.factor + found.unknown * (grown.mean or 0.0)
    return total


def _rest(running: EndpointWorker, asking: AttemptRequests, arriving: float) -> float | None:
    """Tokens that a running attempt is expected to generate yet."""
    expected = running.grown.get(asking.todo.cell, LengthEstimator()).expected(asking.todo)
    come = asking.tokens + arriving
    return None if expected is None else max(expected - come, OVERDUE * come)


def _state(running: EndpointWorker, pools: list[Pool]) -> str:
    if running.stop.requested:
        patience = running.stop.patience
        left = "" if patience is None else f", {patience:.0f} s left"
        return f"draining ({running.stop.reason}{left})"
    states = [one.state for pool in pools for one in pool.replicas]
    down = states.count(ReplicaState.DOWN)
    if down == len(states) > 0:
        since = min(one.down for pool in pools for one in pool.replicas)
        return f"paused: down for {time.monotonic() - since:.0f} s"
    if down:
        return f"{down} of {len(states)} replicas down"
    if ReplicaState.LOOKING in states:
        return "paused: is it there?"
    allowed, asked = running.progress.limit, running.lane.limit
    return f"slowed to {allowed} of {asked} slots" if allowed < asked else ""
