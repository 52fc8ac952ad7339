"""Items x repeats x models to samples: bounded concurrency, one queue per endpoint, resume, clean stops."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalsuite.adapters.base import Adapter, Tools
from evalsuite.asking import AideClient, Stop, aide_ask, ask_again
from evalsuite.endpoint.client import Client
from evalsuite.endpoint.retry import Rejected
from evalsuite.errors import AttemptSpoiled, ContextOverflow, EndpointUnusable, EvalsuiteError, SampleFailed
from evalsuite.grading.judge import identity as judge_identity
from evalsuite.judging import Judging
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.schedule import Queue, Todo
from evalsuite.settings import Engine
from evalsuite.store import Cell
from evalsuite.turns import Turns

REJECTED_IN_A_ROW = 5
"""Refused requests on different items, one after the other, that stop an endpoint."""


@dataclass(frozen=True, slots=True)
class Job:
    """One cell of a run, ready to be asked."""

    cell: Cell
    adapter: Adapter
    client: Client
    items: tuple[Item, ...]
    repeats: int
    sampling: Mapping[str, Any]
    """Fields of every request, ``seed`` excepted."""
    seed: int
    cap: int
    """Most attempts of this cell at the same time."""
    judge: AideClient | None = None
    simulator: AideClient | None = None

    def todo(self, number: int) -> list[Todo]:
        """The attempts that are not on record yet, in the order in which they are made.

        All questions are asked once before any is asked twice, so that a run that is cut short has the widest sample.
        Only questions on one long text (a cluster of a task that says ``shares_prefix``) are sent together with all
        their repeats, because the server then computes that text once.
        """
        pairs = [(item, repeat) for repeat in range(self.repeats) for item in self.items]
        if getattr(self.adapter, "shares_prefix", False):
            place = {item.cluster: number for number, item in reversed(list(enumerate(self.items)))}
            pairs.sort(key=lambda pair: place[pair[0].cluster])
        judged = self.judge is not None
        return [
            Todo(number, item, repeat) for item, repeat in pairs if self.cell.needs((item.id, repeat), judged=judged)
        ]


@dataclass(frozen=True, slots=True)
class Lane:
    """One endpoint with all its cells of this run."""

    name: str
    limit: int
    """Most requests in flight."""
    jobs: tuple[Job, ...]


@dataclass(slots=True)
class Progress:
    """Counts of one lane, for whoever draws them."""

    planned: int = 0
    done: int = 0
    failed: int = 0
    truncated: int = 0
    tokens: int = 0
    running: int = 0
    stopped: str = ""
    """Why the endpoint was given up, if it was."""


@dataclass(slots=True)
class _Lane:
    """A lane that is running."""

    lane: Lane
    engine: Engine
    stop: Stop
    progress: Progress
    queue: Queue
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    answered: set[int] = field(default_factory=set)
    """Cells that have had a reply."""
    refused: int = 0
    fault: EvalsuiteError | None = None

    async def work(self) -> None:
        """One slot: take an attempt, make it, again."""
        while not self.stop.requested and self.fault is None:
            self.changed.clear()
            todo = self.queue.take()
            if todo is None:
                if not self.queue.left:
                    return
                await self.changed.wait()  # all cells with work left are at their caps
                continue
            self.progress.running += 1
            try:
                await self.attempt(todo)
            except EndpointUnusable as error:
                self.fault = self.fault or error
            finally:
                self.progress.running -= 1
                self.queue.done(todo)
                self.changed.set()

    async def attempt(self, todo: Todo) -> None:
        """Make one attempt and record how it ended."""
        job = self.lane.jobs[todo.cell]

        async def ask(request: Request) -> tuple[Reply, int]:
            reply, attempts = await ask_again(job.client, request, self.engine, self.stop)
            self.answered.add(todo.cell)
            self.progress.tokens += reply.usage.completion_tokens or 0
            return reply, attempts

        turns = Turns(job.cell, todo.item, todo.repeat, job.sampling, job.seed, ask)
        key = (todo.item.id, todo.repeat)
        judge = None if job.judge is None else judging(job.judge, job.cell, key, self.engine, self.stop)
        user = self.simulated(job, todo)
        tools = Tools(turns.chat, None if user is None else user.chat, judge)
        rerolled = job.cell.rerolled(key)
        try:
            score = await job.adapter.attempt(todo.item, todo.repeat, tools)
            self.refused = 0
        except ContextOverflow as error:
            score = Score(0.0, "truncated", note=f"the prompt does not fit the context: {error}")
        except Rejected as error:
            self.refused += 1
            if todo.cell not in self.answered or self.refused >= REJECTED_IN_A_ROW:
                task = job.cell.folder.name
                raise EndpointUnusable(f"{self.lane.name} refuses the requests of {task}: {error}") from None
            score = Score(None, "failed", note=str(error))
        except SampleFailed as error:
            score = Score(None, "failed", note=str(error))
            if isinstance(error, AttemptSpoiled):
                job.cell.spoil(key)
        asked = turns.first_sha if user is None else user.first_sha  # whoever is asked first is asked the same by all
        job.cell.score(turns.sample(score, version=job.adapter.version, rerolled=rerolled, prompt_sha=asked))
        self.progress.done += 1
        self.progress.failed += score.outcome == "failed"
        self.progress.truncated += score.outcome == "truncated"

    def simulated(self, job: Job, todo: Todo) -> Turns | None:
        """The simulated user of one attempt, journaled like the model."""
        aide = job.simulator
        if aide is None:
            return None
        ask = aide_ask(aide, "simulator", self.engine, self.stop)
        return Turns(job.cell, todo.item, todo.repeat, aide.sampling, job.seed, ask, who="simulator")


def judging(aide: AideClient, cell: Cell, key: tuple[str, int], engine: Engine, stop: Stop) -> Judging:
    """The judge of one attempt."""
    name = judge_identity(aide.client.model.checkpoint, aide.sampling)
    return Judging(cell, key, name, dict(aide.sampling), aide_ask(aide, "judge", engine, stop))


async def run_lane(lane: Lane, engine: Engine, stop: Stop, progress: Progress) -> None:
    """Ask everything that the lane's cells still need. Raises what stopped the endpoint for good.

    A stop lets running attempts finish for ``engine.drain_seconds`` and then cancels them; what they had received is
    asked again later.
    """
    queue = Queue([job.cap for job in lane.jobs])
    todo = [job.todo(number) for number, job in enumerate(lane.jobs)]
    queue.fill(todo)
    progress.planned = queue.left
    running = _Lane(lane, engine, stop, progress, queue)
    slots = [asyncio.create_task(running.work()) for _ in range(min(lane.limit, max(queue.left, 1)))]
    watcher = asyncio.create_task(stop.wait())
    try:
        rest = set(slots)
        while rest:
            done, rest = await asyncio.wait({*rest, watcher}, return_when=asyncio.FIRST_COMPLETED)
            rest.discard(watcher)
            for task in done - {watcher}:
                task.result()
            if running.fault is not None or stop.requested:
                running.changed.set()
                await _drain(rest, 0.0 if running.fault is not None else engine.drain_seconds)
                break
    finally:
        await _drain({*slots, watcher}, 0.0)
    if running.fault is not None:
        progress.stopped = str(running.fault)
        raise running.fault


async def _drain(tasks: set["asyncio.Task[None]"], seconds: float) -> None:
    """Wait for tasks, cancel what is left, and see them all end."""
    pending = {task for task in tasks if not task.done()}
    if pending and seconds > 0:
        _, pending = await asyncio.wait(pending, timeout=seconds)
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending)


async def run_lanes(
    lanes: Sequence[Lane], engine: Engine, stop: Stop, draw: Callable[[Mapping[str, Progress]], None]
) -> dict[str, EvalsuiteError]:
    """Run all endpoints side by side; returns what stopped those that could not go on.

    A failing disk stops all of them at once.
    """
    progress = {lane.name: Progress() for lane in lanes}
    faults: dict[str, EvalsuiteError] = {}

    async def one(lane: Lane) -> None:
        try:
            await run_lane(lane, engine, stop, progress[lane.name])
        except EndpointUnusable as error:
            faults[lane.name] = error

    async def tick() -> None:
        while True:
            draw(progress)
            for lane in lanes:
                for job in lane.jobs:
                    job.cell.beat()
            await asyncio.sleep(0.5)

    ticker = asyncio.create_task(tick())
    try:
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(one(lane))
    except* EvalsuiteError as errors:
        raise errors.exceptions[0] from None
    finally:
        ticker.cancel()
        draw(progress)
    return faults
