"""Items x repeats x models to samples: all endpoints side by side, until the end of the work or of the window."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from evalsuite.config.deadline import Window
from evalsuite.config.settings import Engine
from evalsuite.engine.deadline_fit import CellFit, Fit
from evalsuite.engine.jobs import CellWork, Progress, Workload
from evalsuite.engine.progress import observe
from evalsuite.engine.scheduler import AttemptQueue, Order
from evalsuite.engine.stopping import DEADLINE, Budget, Stop
from evalsuite.engine.worker import EndpointWorker
from evalsuite.errors import EndpointUnusable, EvalsuiteError

if TYPE_CHECKING:
    from evalsuite.engine.early_stopping.controller import EarlyStopping


Draw = Callable[[Mapping[str, Progress]], None]
"""Shows the progress of all endpoints."""

SEQUENTIAL = "sequential"
"""``engine.stop``: a stopping rule counts in the order of dispatch, so that order must be random."""
TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class LoopResult:
    """How a run's endpoints ended."""

    faults: Mapping[str, EvalsuiteError]
    """Lane -> what stopped it for good."""
    progress: Mapping[str, Progress]

    @property
    def unsent(self) -> int:
        """Attempts that were not begun or not gone on with because something stopped the run."""
        return sum(one.unsent for name, one in self.progress.items() if name not in self.faults)

    @property
    def nothing_fitted(self) -> bool:
        """Whether there was work and none of it could be begun."""
        return self.unsent > 0 and not any(one.started for one in self.progress.values())

    @property
    def needed(self) -> float | None:
        """Seconds that the shortest unsent attempt is expected to need at most, where that is known."""
        return min((one.needed for one in self.progress.values() if one.needed is not None), default=None)


def _lane_at_work(
    lane: Workload, engine: Engine, progress: Progress, budget: Budget, window: Window | None, rate: float | None
) -> EndpointWorker:
    """A lane with its queue filled. ``rate``: tokens per second of the whole endpoint, where the user states it."""
    order: Order = "random" if engine.stop == SEQUENTIAL else "longest"
    queue = AttemptQueue(
        [job.cap for job in lane.jobs], [job.cell.label for job in lane.jobs], strict=order == "random"
    )
    queue.fill([job.todo(number, order) for number, job in enumerate(lane.jobs)])
    progress.planned = queue.left
    progress.recorded = sum(len(job.items) * job.repeats for job in lane.jobs) - queue.left
    fit = None
    if window is not None:
        cells = [_cell_fit(job) for job in lane.jobs]
        fit = Fit(window.closes, cells, None if rate is None else rate / lane.limit)
    return EndpointWorker(lane, engine, budget.stop, progress, queue, budget, fit)


def _follow(running: EndpointWorker, contests: "EarlyStopping") -> None:
    for number, job in enumerate(running.lane.jobs):
        place = (job.cell.label, job.cell.folder.name)
        running.scored[number] = partial(contests.scored, place)
        contests.restrict[place] = partial(running.restrict, number)


def _cell_fit(job: CellWork) -> CellFit:
    cap = job.sampling.get("max_tokens")
    single = hasattr(job.adapter, "prompt")
    return CellFit(job.lengths, cap, single, job.cell.cuts(), list(job.lengths.replies))


async def run_lanes(
    lanes: Sequence[Workload],
    engine: Engine,
    stop: Stop,
    draw: Draw,
    *,
    window: Window | None = None,
    rate: float | None = None,
    contests: "EarlyStopping | None" = None,
) -> LoopResult:
    """Run all endpoints side by side until nothing is left, or until a signal, the window or the token budget stops
    them (``stop.reason``). A failing disk stops all of them at once. ``contests`` hear of every attempt of their
    cells, and end those that are decided.
    """
    progress = {lane.name: Progress() for lane in lanes}
    faults: dict[str, EvalsuiteError] = {}
    budget = Budget(engine.token_budget, stop)

    at_work = [_lane_at_work(lane, engine, progress[lane.name], budget, window, rate) for lane in lanes]

    if contests is not None:
        for running in at_work:
            _follow(running, contests)

    async def one(running: EndpointWorker) -> None:
        try:
            await running.work()
        except EndpointUnusable as error:
            faults[running.lane.name] = error
            running.progress.stopped = str(error)

    def show() -> None:
        for running in at_work:
            observe(running)
        draw(progress)

    ticker = asyncio.create_task(_tick(lanes, show))
    loop = asyncio.get_running_loop()
    closing = None if window is None else loop.call_later(max(0.0, window.left()), stop.request, DEADLINE, 0.0)
    try:
        async with asyncio.TaskGroup() as group:
            for running in at_work:
                group.create_task(one(running))
    except* EvalsuiteError as errors:
        raise errors.exceptions[0] from None
    finally:
        ticker.cancel()
        if closing is not None:
            closing.cancel()
        show()
    ended = LoopResult(faults, progress)
    if ended.unsent and not stop.requested:
        stop.request(DEADLINE)  # the queue is not empty, and nothing in it fits any more
    return ended


async def _tick(lanes: Sequence[Workload], draw: Callable[[], None]) -> None:
    """Show how far it is, and other processes that this one lives."""
    while True:
        draw()
        for lane in lanes:
            for job in lane.jobs:
                job.cell.beat()
        await asyncio.sleep(TICK_SECONDS)
