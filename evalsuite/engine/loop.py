"""All endpoints of a run side by side, until the end of the work or until a limit stops the run."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from evalsuite.config.settings import SEQUENTIAL, Engine
from evalsuite.engine.deadline_fit import CellFit, Fit
from evalsuite.engine.progress import Draw, Progress
from evalsuite.engine.scheduler import AttemptQueue
from evalsuite.engine.stopping import DEADLINE, RunLimits
from evalsuite.engine.worker import EndpointWorker
from evalsuite.engine.workload import CellWork, Workload
from evalsuite.errors import EndpointUnusable, EvalsuiteError

if TYPE_CHECKING:
    from evalsuite.engine.early_stopping.controller import EarlyStopping

TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class LoopResult:
    """How the endpoints of a run ended."""

    faults: Mapping[str, EvalsuiteError]
    """Endpoint -> what stopped it for good."""
    progress: Mapping[str, Progress]

    @property
    def unsent(self) -> int:
        """Number of attempts that were not started, not continued, or still without any part of a streamed answer when
        something stopped the run. Those that were stopped while an answer arrived count in ``cut`` instead; those of
        endpoints given up do not count."""
        return sum(progress.unsent for name, progress in self.progress.items() if name not in self.faults)

    @property
    def cut(self) -> int:
        """Number of answers that were cut while they arrived, at endpoints given up, too."""
        return sum(progress.cut for progress in self.progress.values())

    @property
    def nothing_fitted(self) -> bool:
        """Whether attempts were left (see ``unsent``) and not a single one was started at any endpoint."""
        return self.unsent > 0 and not any(progress.started for progress in self.progress.values())

    @property
    def needed(self) -> float | None:
        """Seconds that the shortest attempt that was never started is expected to need at most, of those whose length
        is known, at endpoints given up, too; None where none is known, or no window ends the run."""
        known = [progress.needed for progress in self.progress.values() if progress.needed is not None]
        return min(known, default=None)


async def run_workloads(
    workloads: Sequence[Workload],
    engine: Engine,
    limits: RunLimits,
    draw: Draw,
    early_stopping: "EarlyStopping | None" = None,
) -> LoopResult:
    """Work on all endpoints until nothing is left, or until a signal, the window or the token budget stops them.

    An endpoint that becomes unusable ends alone, and its error is in the result; a failing disk stops all at once.

    Args:
        workloads: One per endpoint.
        engine: How requests are sent.
        limits: What can stop the run; ``limits.stop.reason`` then names it, also where nothing that is left fits the
            window.
        draw: Called twice a second, and at the end, with the progress of all endpoints.
        early_stopping: Receives the value of every attempt, and ends the cells that are decided; None: no cell ends
            early.

    Returns:
        Endpoint -> error for those that became unusable, and endpoint -> progress for all.

    Raises:
        StorageFailed: The journals cannot be written.
        EvalsuiteError: Another error than ``EndpointUnusable`` ended an endpoint; all others are then stopped, too.
    """
    workers = [_worker(workload, engine, limits) for workload in workloads]
    progress = {worker.workload.name: worker.progress for worker in workers}
    faults: dict[str, EvalsuiteError] = {}
    if early_stopping is not None:
        for worker in workers:
            _connect(worker, early_stopping)

    async def work(worker: EndpointWorker) -> None:
        try:
            await worker.work()
        except EndpointUnusable as error:
            faults[worker.workload.name] = error
            worker.progress.stopped = str(error)

    def show() -> None:
        for worker in workers:
            worker.update_progress()
        draw(progress)

    stop, window = limits.stop, limits.window
    ticker = asyncio.create_task(_tick(workloads, show))
    loop = asyncio.get_running_loop()
    closing = None if window is None else loop.call_later(max(0.0, window.left()), stop.request, DEADLINE, 0.0)
    try:
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(work(worker))
    except* EvalsuiteError as errors:
        raise errors.exceptions[0] from None
    finally:
        ticker.cancel()
        if closing is not None:
            closing.cancel()
        show()
    result = LoopResult(faults, progress)
    if result.unsent and not stop.requested:
        stop.request(DEADLINE)  # the queue is not empty, and nothing in it fits the window any more
    return result


def _worker(workload: Workload, engine: Engine, limits: RunLimits) -> EndpointWorker:
    """The worker of an endpoint, its queue filled with the attempts that are still to be made, not started yet."""
    shuffle = engine.stop == SEQUENTIAL  # its stopping rule counts in the order of dispatch, so that must be random
    queue = AttemptQueue(
        [work.limit for work in workload.cells], [work.cell.label for work in workload.cells], strict=shuffle
    )
    queue.fill([work.open_attempts(number, shuffle=shuffle) for number, work in enumerate(workload.cells)])
    recorded = sum(len(work.items) * work.repeats for work in workload.cells) - queue.left
    fit = None
    if limits.window is not None:
        rate = None if limits.rate is None else limits.rate / workload.limit
        fit = Fit(limits.window.closes, [_cell_fit(work) for work in workload.cells], rate)
    return EndpointWorker(workload, engine, limits, Progress(planned=queue.left, recorded=recorded), queue, fit)


def _connect(worker: EndpointWorker, early_stopping: "EarlyStopping") -> None:
    """From now on pass the values of the worker's attempts to ``early_stopping``, and let it end cells of the worker by
    ``restrict``."""
    for number, work in enumerate(worker.workload.cells):
        name = (work.cell.label, work.cell.folder.name)
        worker.on_score[number] = partial(early_stopping.scored, name)
        early_stopping.restrict[name] = partial(worker.restrict, number)


def _cell_fit(work: CellWork) -> CellFit:
    single_turn = hasattr(work.adapter, "prompt")
    max_tokens = work.sampling.get("max_tokens")
    return CellFit(work.lengths, max_tokens, single_turn, work.cell.cuts(), list(work.lengths.replies))


async def _tick(workloads: Sequence[Workload], show: Callable[[], None]) -> None:
    """Every half second, until it is cancelled, call ``show`` and have all open cells show that they are alive
    (``Cell.show_alive``)."""
    while True:
        show()
        for workload in workloads:
            for work in workload.cells:
                work.cell.show_alive()
        await asyncio.sleep(TICK_SECONDS)
