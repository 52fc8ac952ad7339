"""CPU per server-sent event: evalsuite's client, bare aiohttp and the openai package, in one run."""

import json
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.mock_server import Shape, events
from benchmarks.processes import Served, run, serving

KINDS = ("aiohttp", "openai-raw", "evalsuite-client", "openai-objects")
TOKEN = 4
"""Characters in one event: about a token."""


@dataclass(frozen=True, slots=True)
class EventCost:
    """CPU microseconds of one event by client, medians of rounds; what a request costs is spread over its events."""

    many_to_a_read: Mapping[str, float]
    """The server sends the whole answer at once."""
    each_alone: Mapping[str, float]
    """Each stream gets an event by itself, ``rate`` times a second."""


def event_cost(
    *,
    answers: int = 64,
    length: int = 4000,
    concurrency: int = 64,
    rate: float = 50.0,
    seconds: float = 12.0,
    rounds: int = 3,
) -> EventCost:
    """``answers`` streams of ``length`` events at once; ``concurrency`` streams of ``rate`` events a second."""
    together = Shape(text=200, reasoning=TOKEN * length, event=TOKEN)
    alone = Shape(text=200, reasoning=TOKEN * int(rate * seconds), event=TOKEN, rate=rate)
    with serving(together) as served:
        many = [_all(served, together, answers, min(answers, concurrency)) for _ in range(rounds)]
    with serving(alone) as served:
        each = [_all(served, alone, concurrency, concurrency) for _ in range(rounds)]
    return EventCost(_medians(many), _medians(each))


def _all(served: Served, shape: Shape, answers: int, concurrency: int) -> dict[str, float]:
    return {kind: _cost(kind, served, shape, answers, concurrency) for kind in KINDS}


def _medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {kind: statistics.median(one[kind] for one in found) for kind in KINDS}


def _cost(kind: str, served: Served, shape: Shape, answers: int, concurrency: int) -> float:
    words = [kind, "--url", served.url, "--count", str(answers), "--concurrency", str(concurrency), "--stream"]
    cpu = float(json.loads(run([sys.executable, "-m", "benchmarks.clients", *words]).output))
    return 1e6 * cpu / (answers * len(events(shape)))
