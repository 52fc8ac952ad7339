"""What a running endpoint says of itself while nothing ends."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from evalsuite.cli import run
from evalsuite.config.settings import Engine
from evalsuite.engine import loop as engine
from evalsuite.engine.lengths import LengthEstimator
from evalsuite.engine.progress import Progress
from evalsuite.engine.scheduler import Attempt, AttemptQueue, WaitingAttempts
from evalsuite.errors import Exit
from evalsuite.records import Item
from tests.support.fault_server import Crash, Steps, Wait, events, fault_server, streamed
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.toy import right, settings


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    """Every state of the only endpoint that a terminal would have shown."""
    found: list[Progress] = []

    @contextmanager
    def kept(_: Console) -> Iterator[Callable[[Mapping[str, Progress]], None]]:
        yield lambda lanes: found.extend(replace(one) for one in lanes.values())

    monkeypatch.setattr(run, "progress_display", kept)
    monkeypatch.setattr(engine, "TICK_SECONDS", 0.01)
    return found


def test_slots_arriving_text_and_what_is_left(tmp_path: Path, frames: list[Progress]) -> None:
    def answer(prompt: str) -> Answer:
        return Answer(right(prompt), reasoning="think " * 200, pace=0.005)

    with scripted_endpoint(answer) as server:
        assert (
            run.run(settings(tmp_path, ("bf16", server.base_url), model={"concurrency": 4}, report=False)) == Exit.DONE
        )
        first, last = frames[0], frames[-1]
        assert max(one.in_flight for one in frames) == 4 == last.limit
        assert max(one.arriving for one in frames) > 100  # long before any reply was whole
        assert (first.planned, first.recorded, first.tokens_left) == (40, 0, None)
        known = [one for one in frames if one.done >= 4]
        assert known[0].tokens_left is not None
        assert known[0].tokens_left > 0.5 * known[0].tokens / known[0].done * (40 - known[0].done)
        assert (last.done, last.tokens_left, last.arriving, last.in_flight, last.state) == (40, 0.0, 0.0, 0, "")
        del frames[:]
        wider = settings(tmp_path, ("bf16", server.base_url), task={"repeats": 2}, report=False)
        assert run.run(wider) == Exit.DONE
    assert (frames[0].planned, frames[0].recorded) == (40, 40)
    assert frames[0].tokens_left == pytest.approx(last.tokens)  # repeats are expected to be as long


def test_an_outage_says_that_it_is_one(tmp_path: Path, frames: list[Progress]) -> None:
    def script(prompt: str, number: int) -> Steps | None:
        if server.crashes == 0 and len(server.prompts) >= 6:
            threading.Thread(target=come_back, args=[asyncio.get_running_loop()], daemon=True).start()
            return streamed(events("7"), done=False, then=[Crash()])
        return None if server.crashes else streamed(events("7"), done=False, then=[Wait()])

    def come_back(loop: asyncio.AbstractEventLoop) -> None:
        """Once the outage was shown, however long that takes."""
        while not any(one.state.startswith("paused: down for") for one in frames):
            time.sleep(0.01)
        asyncio.run_coroutine_threadsafe(server.listen(), loop)

    with fault_server(right, script) as server:
        quick = Engine(retries=3, backoff_seconds=0.01, outage_seconds=600.0, probe=False)
        assert run.run(settings(tmp_path, ("bf16", server.base_url), engine=quick, report=False)) == Exit.DONE
    states = [one.state for one in frames]
    assert any(state.startswith("paused: down for") for state in states)
    assert {one.limit for one in frames if one.state.startswith("paused: down")} == {0}
    assert not frames[-1].state.startswith("paused")


def test_a_stop_says_that_it_drains(tmp_path: Path, frames: list[Progress]) -> None:
    def answer(prompt: str) -> Answer:
        if len(server.requests) == 5:
            signal.raise_signal(signal.SIGTERM)
        return Answer(right(prompt), delay=0.1)

    with scripted_endpoint(answer) as server:
        assert (
            run.run(settings(tmp_path, ("bf16", server.base_url), model={"concurrency": 4}, report=False))
            == Exit.SIGTERM
        )
    assert any(one.state.startswith("draining (SIGTERM, ") for one in frames)


def test_guesses_are_corrected_by_what_the_answers_became() -> None:
    grown = LengthEstimator()
    assert grown.expected(todo(1, 4000.0)) == 4000.0
    assert grown.expected(todo(1, None)) is None
    for _ in range(10):
        grown.add(todo(1, 4000.0), 100.0)
    grown.add(todo(2, 700.0, learned=True), 900.0)
    assert grown.expected(todo(3, 4000.0)) == pytest.approx(100.0)
    assert grown.expected(todo(3, 120.0, learned=True)) == 120.0  # known from this very model
    assert grown.expected(todo(4, None)) == pytest.approx(1900 / 11)


def test_the_queue_sums_up_what_waits() -> None:
    queue = AttemptQueue([9])
    queue.fill([[todo(1, 10.0), todo(2, 20.0), todo(3, None), todo(1, 10.0, repeat=1)]])
    assert queue.open == (WaitingAttempts(0.0, 40.0, 1),)
    assert queue.take() is not None
    queue.learn(0, "1", 2, 15.0)
    left = sum((one.learned or one.expected or 0.0) and (one.expected or 0.0) for one in queue.waiting)
    assert queue.open[0].learned + queue.open[0].guessed == left
    while queue.take():
        pass
    assert (round(queue.open[0].learned), round(queue.open[0].guessed), queue.open[0].unknown) == (0, 0, 0)


def todo(item: int, expected: float | None, *, repeat: int = 0, learned: bool = False) -> Attempt:
    rank = (0.0, -(expected or 0.0), repeat, item)
    return Attempt(0, Item(str(item), {}, None), repeat, expected, rank, learned)
