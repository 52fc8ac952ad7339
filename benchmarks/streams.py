"""CPU per server-sent event: evalsuite's client, bare aiohttp and the openai package, in one run."""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.mock_server import WRITE, Shape, events
from benchmarks.processes import ROOT, Served, evalsuite_words, run, serving
from evalsuite.endpoint.reply import Assembler
from evalsuite.endpoint.sse import DONE, SSEReader
from evalsuite.endpoint.stream import ReplyStream

KINDS = ("aiohttp", "openai-raw", "evalsuite-client", "openai-objects")
BEFORE = "evalsuite-client before"
TOKEN = 4
"""Characters in one event: about a token."""
RATE = 50.0
"""Events a second of a stream whose events come each alone."""
FURTHER_EVENTS = 4
"""Of an answer without reasoning: role, finish reason, token counts and ``[DONE]``."""
SHORT = 32
"""Answers of the short run that is taken off the long one, so that start-up and report do not count."""


@dataclass(frozen=True, slots=True)
class EventCost:
    """CPU microseconds of one event by client, medians of rounds; what a request costs is spread over its events."""

    many_to_a_read: Mapping[str, float]
    """The server sends the whole answer at once."""
    each_alone: Mapping[str, float]
    """Each stream gets an event by itself, ``RATE`` times a second."""


def event_cost(
    *,
    answers: int = 64,
    length: int = 4000,
    concurrency: int = 64,
    seconds: float = 12.0,
    rounds: int = 3,
    before: Path | None = None,
) -> EventCost:
    """``answers`` streams of ``length`` events at once; ``concurrency`` streams of ``RATE`` events a second."""
    together = Shape(text=200, reasoning=TOKEN * length, event=TOKEN)
    alone = Shape(text=200, reasoning=TOKEN * int(RATE * seconds), event=TOKEN, rate=RATE)
    with serving(together) as served:
        many = [_all(served, together, answers, min(answers, concurrency), before) for _ in range(rounds)]
    with serving(alone) as served:
        each = [_all(served, alone, concurrency, concurrency, before) for _ in range(rounds)]
    return EventCost(_medians(many), _medians(each))


def answer_cost(
    *,
    count: int = 200,
    writes: int = 16,
    answers: int = 1000,
    concurrency: int = 64,
    rounds: int = 3,
    before: Path | None = None,
) -> list[float]:
    """CPU milliseconds of one streamed answer of ``count`` events in ``writes`` writes, of the whole command.

    Returns the median of this checkout, then that of ``before`` where it is given.
    """
    shape = Shape(text=TOKEN * (count - FURTHER_EVENTS), event=TOKEN, writes=writes)
    assert len(events(shape)) == count
    checkouts = [ROOT] if before is None else [ROOT, before]
    costs: list[list[float]] = [[] for _ in checkouts]
    with tempfile.TemporaryDirectory(prefix="evalsuite-bench-") as home, serving(shape) as served:
        for number in range(rounds):
            for place, checkout in enumerate(checkouts):
                cpu = []
                for size in (SHORT, SHORT + answers):
                    results = Path(home) / f"{place}-{number}-{size}"
                    words = evalsuite_words(served.url, results, size, concurrency)
                    cpu.append(run(words, cwd=checkout, environment={"PYTHONPATH": str(checkout)}).cpu)
                costs[place].append(1000 * (cpu[1] - cpu[0]) / answers)
    return [statistics.median(found) for found in costs]


def reading_cost(length: int = 4000, rounds: int = 7) -> tuple[float, float]:
    """CPU microseconds of reading one event of ``length`` out of memory, least of the rounds.

    Returns (as evalsuite reads, with only their text parsed where events are otherwise equal; each parsed as a whole).
    """
    data = b"".join(events(Shape(text=200, reasoning=TOKEN * length, event=TOKEN)))
    costs = []
    for read in (_recognised, _parsed):
        found = []
        for _ in range(rounds):
            began = time.process_time()
            read([data[at : at + WRITE] for at in range(0, len(data), WRITE)])
            found.append(time.process_time() - began)
        costs.append(1e6 * min(found) / length)
    return costs[0], costs[1]


def _recognised(chunks: list[bytes]) -> None:
    stream = ReplyStream(10**9)
    for chunk in chunks:
        stream.feed(chunk)


def _parsed(chunks: list[bytes]) -> None:
    reader, assembler = SSEReader(), Assembler()
    for chunk in chunks:
        for payload in reader.feed(chunk):
            if payload != DONE:
                assembler.add(orjson.loads(payload))


def _all(served: Served, shape: Shape, answers: int, concurrency: int, before: Path | None) -> dict[str, float]:
    costs = {kind: _cost(kind, served, shape, answers, concurrency) for kind in KINDS}
    if before is not None:
        costs[BEFORE] = _cost("evalsuite-client", served, shape, answers, concurrency, before)
    return costs


def _medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {kind: statistics.median(one[kind] for one in found) for kind in found[0]}


def _cost(kind: str, served: Served, shape: Shape, answers: int, concurrency: int, checkout: Path = ROOT) -> float:
    words = [kind, "--url", served.url, "--count", str(answers), "--concurrency", str(concurrency), "--stream"]
    call = [sys.executable, "-m", "benchmarks.clients", *words]
    cpu = float(json.loads(run(call, cwd=checkout, environment={"PYTHONPATH": str(checkout)}).output))
    return 1e6 * cpu / (answers * len(events(shape)))
