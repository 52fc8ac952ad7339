"""One endpoint in a run: its cells' attempts go from the queue into the slots, and each attempt ends in one way."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from evalsuite.config.settings import Engine
from evalsuite.endpoint.faults import Rejected
from evalsuite.endpoint.stream import PartialReply
from evalsuite.engine.conversation import Conversation, Send
from evalsuite.engine.deadline_fit import Fit
from evalsuite.engine.judge_client import JudgeClient
from evalsuite.engine.lengths import ObservedLengths
from evalsuite.engine.progress import Progress, observe
from evalsuite.engine.retry import ask_again
from evalsuite.engine.scheduler import Attempt, AttemptQueue
from evalsuite.engine.stopping import RunLimits
from evalsuite.engine.workload import CellWork, RunningAttempt, Workload
from evalsuite.errors import ContextOverflow, EndpointUnusable, EvalsuiteError, SampleFailed, SimulatorFailed, Stopped
from evalsuite.records import Reply, Request, Score
from evalsuite.store.attempts import MODEL, SIMULATOR, CutRequest
from evalsuite.tasks.base import Tools

REJECTED_IN_A_ROW = 5
"""Refused requests on different items, one after the other, that stop an endpoint."""


@dataclass(slots=True)
class EndpointWorker:
    """Makes the attempts of one endpoint."""

    workload: Workload
    engine: Engine
    limits: RunLimits
    progress: Progress
    queue: AttemptQueue
    fit: Fit | None = None
    """None: no window ends this run."""
    on_score: dict[int, Callable[[str, int, float | None], None]] = field(default_factory=dict)
    """Index of a cell -> called with item, repeat and value (None: not measured) of every attempt that ended."""
    lengths: ObservedLengths = field(default_factory=ObservedLengths)
    error: BaseException | None = None
    """What ends the endpoint."""
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a slot, the queue or ``error`` has changed."""
    _running: dict[tuple[int, str, int], RunningAttempt] = field(default_factory=dict)
    """(cell, item, repeat) -> the attempt."""
    _answered: set[int] = field(default_factory=set)
    """Cells that have had a reply in this run."""
    _refused: set[tuple[int, str]] = field(default_factory=set)
    """(cell, item) of requests that were refused since the last that was not."""

    async def work(self) -> None:
        """Make the endpoint's attempts until the queue is empty, nothing more fits, or a stop is requested; attempts
        that run then go on to their end, or are cancelled when the time that the stop leaves is over.

        Raises what broke the endpoint, such as ``EndpointUnusable`` or ``StorageFailed``, with all running attempts
        cancelled.
        """
        stop = self.limits.stop
        stopped = asyncio.create_task(stop.wait())
        watch = asyncio.create_task(self._watch_identity())
        stopped.add_done_callback(lambda _: self._changed.set())
        try:
            while not (stop.requested or self.error):
                self._changed.clear()
                if not self._fill_slots():
                    break
                await self._changed.wait()
            await self._drain()
        finally:
            await _cancel({*self._tasks, stopped, watch})
            unsent = self.queue.waiting
            self.progress.unsent += len(unsent)
            known = [] if self.fit is None else [seconds for left in unsent if (seconds := self.fit.seconds(left))]
            self.progress.needed = min(known, default=None)
        if self.error is not None:
            raise self.error

    def restrict(self, cell: int, items: frozenset[str]) -> None:
        """Drop the waiting attempts of a cell (index) at all items but ``items`` (ids), and subtract their number from
        ``progress.planned``; attempts that run go on to their end."""
        self.progress.planned -= self.queue.keep(cell, items)
        self._changed.set()

    def update_progress(self) -> None:
        """Bring those counts and estimates of ``progress`` up to date that change while no attempt ends (see
        ``observe``)."""
        observe(self.progress, self.workload, self.queue, self._running.values(), self.lengths, self.limits.stop)

    async def _watch_identity(self) -> None:
        """Check the identity of the servers every ``engine.reprobe_seconds``; on a failed check set ``error``,
        unless it is set, and return."""
        while True:
            await asyncio.sleep(self.engine.reprobe_seconds)
            for check in self.workload.identity_checks:
                try:
                    await check()
                except EvalsuiteError as error:
                    self.error = self.error or error
                    self._changed.set()
                    return

    def _fill_slots(self) -> bool:
        """Start attempts until the slots are full or none may start; returns whether any attempt runs, started here or
        before.
        """
        fits = None if self.fit is None else self.fit.fits
        while len(self._tasks) < self.workload.limit:
            attempt = self.queue.take(fits)
            if attempt is None and not self._tasks and self.queue.left:  # nothing fitted; does it by the latest rates?
                self.queue.reconsider()
                attempt = self.queue.take(fits)
            if attempt is None:
                break
            task = asyncio.create_task(self._make(attempt))
            self._tasks.add(task)
            self.progress.running += 1
            self.progress.started += 1
            task.add_done_callback(partial(self._ended, attempt))
        return bool(self._tasks)

    def _ended(self, attempt: Attempt, task: "asyncio.Task[None]") -> None:
        """Free the slot of an attempt whose ``task`` is done; the first exception of any attempt becomes ``error``."""
        self._tasks.discard(task)
        self._running.pop((attempt.cell, *attempt.key), None)
        self.progress.running -= 1
        self.queue.done(attempt)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.error = self.error or error
        self._changed.set()

    async def _drain(self) -> None:
        """Wait for running attempts as long as the stop, if one is requested, allows. ``error`` ends
        the wait, too, once an attempt ends or the stop changes."""
        stop = self.limits.stop
        while self._tasks and self.error is None:
            seconds = stop.seconds_left
            if seconds is not None and seconds <= 0:
                return
            changed = asyncio.create_task(stop.changed())
            await asyncio.wait({*self._tasks, changed}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            await _cancel({changed})

    async def _make(self, attempt: Attempt) -> None:
        """Make one attempt and record its score, or that it was cut. One that is stopped while no request to the model
        under test is in flight, or before a part of a streamed answer has come, gets neither.

        A prompt beyond the context scores 0 (``truncated``); a refused request or one that failed after its retries
        scores None (``failed``), and after ``SimulatorFailed`` all replies of the attempt are discarded. Cancellation
        is raised on, as is what ends the endpoint (``EndpointUnusable``).
        """
        work, key = self.workload.cells[attempt.cell], attempt.key
        running = self._running[attempt.cell, *key] = RunningAttempt(attempt)
        model, simulator, judge = self._tools(work, running)
        rerolled = work.cell.rerolled(key)
        try:
            tools = Tools(model.chat, None if simulator is None else simulator.chat, judge)
            score = await work.adapter.attempt(attempt.item, attempt.repeat, tools)
            self._refused.clear()
        except asyncio.CancelledError:
            if not self._record_cut(work, model, running):
                self.progress.unsent += 1
            raise
        except Stopped:
            self.progress.unsent += 1  # between two requests of a dialogue: the same command continues it
            return
        except ContextOverflow as error:
            score = Score(0.0, "truncated", note=f"the prompt does not fit the context: {error}")
        except Rejected as error:
            score = self._rejected(attempt, error)
        except SampleFailed as error:
            score = Score(None, "failed", note=str(error))
            if isinstance(error, SimulatorFailed):
                work.cell.invalidate(key)
        first = model if simulator is None else simulator  # in a dialogue the simulated user is asked first
        version = work.adapter.version
        sample = model.sample(score, version=version, rerolled=rerolled, prompt_sha=first.first_sha)
        work.cell.record_score(sample)
        self.progress.degenerate += bool(sample.degenerate)
        self._count(running, score)

    def _tools(
        self, work: CellWork, running: RunningAttempt
    ) -> tuple[Conversation, Conversation | None, JudgeClient | None]:
        """(the model, the simulated user, the judge) of one attempt; None for those that the task does not have."""
        item, repeat, stop = running.attempt.item, running.attempt.repeat, self.limits.stop
        check = partial(self._check_may_send, running)
        send: Send = partial(self._send, running)
        model = Conversation(work.cell, item, repeat, work.sampling, work.seed, send, check_may_send=check)
        user = judge = None
        if (simulator := work.simulator) is not None:
            send = self._budgeted(simulator.sender(SIMULATOR, stop))
            sampling = simulator.sampling
            user = Conversation(work.cell, item, repeat, sampling, work.seed, send, SIMULATOR, check_may_send=check)
        if work.judge is not None:
            send = self._budgeted(work.judge.sender("judge", stop))
            judge = JudgeClient(work.cell, running.attempt.key, work.judge.identity, work.judge.sampling, send)
        return model, user, judge

    def _check_may_send(self, running: RunningAttempt) -> None:
        """Raise ``Stopped`` if no new request may be sent: a stop is requested, or the attempt has asked the model
        under test before in this run and its next request is not expected to end within the window."""
        unfit = running.sent and self.fit is not None and not self.fit.fits(running.attempt)
        if self.limits.stop.requested or unfit:
            raise Stopped("no new request starts: the same command goes on from here")

    async def _send(self, running: RunningAttempt, request: Request) -> tuple[Reply, int]:
        """Send one request to the model under test, with retries, and return (reply, number of requests sent).

        Length and speed of the reply are noted for later expectations, and its tokens in the budget, where the server
        counts them. Raises ``SampleFailed``, ``ContextOverflow`` or ``EndpointUnusable`` as ``ask_again``.
        """
        attempt = running.attempt
        running.sent, running.partial, running.sent_at = True, PartialReply(), time.monotonic()
        if self.fit is not None:
            self.fit.sent_at[attempt.cell, *attempt.key] = running.sent_at
        try:
            pool = self.workload.cells[attempt.cell].pool
            reply, sent = await ask_again(pool, request, self.limits.stop, running.partial)
        finally:
            if self.fit is not None:
                del self.fit.sent_at[attempt.cell, *attempt.key]
        running.partial = None
        self._answered.add(attempt.cell)
        tokens = reply.usage.completion_tokens or 0
        running.tokens += tokens
        self.progress.tokens += tokens
        self.limits.budget.add(tokens)
        if tokens and not reply.tool_calls:
            self.lengths.add_reply(tokens, len(reply.text) + len(reply.reasoning))
        if self.fit is not None and tokens:
            self.fit.learn(attempt.cell, tokens, reply.seconds)
        return reply, sent

    def _budgeted(self, send: Send) -> Send:
        """A function as ``send`` that also counts the generated tokens of each reply in the run's budget."""

        async def counted(request: Request) -> tuple[Reply, int]:
            reply, sent = await send(request)
            self.limits.budget.add(reply.usage.completion_tokens or 0)
            return reply, sent

        return counted

    def _rejected(self, attempt: Attempt, error: Rejected) -> Score:
        """The score (``failed``, value None) of a refused request.

        Raises ``EndpointUnusable`` if the cell has never had a reply, in this run or an earlier one, or requests on
        ``REJECTED_IN_A_ROW`` (5) different items were refused since an attempt last succeeded.
        """
        self._refused.add((attempt.cell, attempt.item.id))
        cell = self.workload.cells[attempt.cell].cell
        answered = attempt.cell in self._answered or cell.reply_counts()  # in this run, or in an earlier one
        if not answered or len(self._refused) >= REJECTED_IN_A_ROW:
            raise EndpointUnusable(
                f"{self.workload.name} refuses the requests of {cell.folder.name}: {error}"
            ) from None
        return Score(None, "failed", note=str(error))

    def _record_cut(self, work: CellWork, model: Conversation, running: RunningAttempt) -> bool:
        """Record how far the answer of the model under test that is in flight had come when it was cut, and return
        whether that was recorded.

        Nothing is recorded if no such request is in flight, or nothing of a streamed answer had come: it is only asked
        again later. How far an answer had come that is not streamed is unknown. A request that has failed and waits to
        be sent again counts as in flight.
        """
        partial_reply = running.partial
        if partial_reply is None or partial_reply.reply is None:
            return False
        characters = partial_reply.characters
        if work.pool.model.server.stream and not characters:
            return False
        tokens = round(self.lengths.tokens_of(characters), 1) if characters else None
        cut = CutRequest(tokens, round(time.monotonic() - running.sent_at, 3))
        why = self.limits.stop.reason or "the endpoint was given up"
        work.cell.record_cut(running.attempt.key, (MODEL, model.turn - 1), cut, why)
        self.progress.cut += 1
        return True

    def _count(self, running: RunningAttempt, score: Score) -> None:
        """Count an attempt that ended with a score in ``progress``, report it to ``on_score``, and learn from its
        length."""
        attempt, tokens = running.attempt, running.tokens
        self.progress.done += 1
        self.progress.failed += score.outcome == "failed"
        self.progress.truncated += score.outcome == "truncated"
        if (on_score := self.on_score.get(attempt.cell)) is not None:
            on_score(attempt.item.id, attempt.repeat, score.value)
        if tokens and score.outcome != "failed":
            self.lengths.add_attempt(attempt, tokens)
        if tokens and not self.queue.strict:
            self.queue.learn(attempt.cell, attempt.item.id, self.workload.cells[attempt.cell].repeats, tokens)


async def _cancel(tasks: "set[asyncio.Task[None]]") -> None:
    """Cancel those of the tasks that are not done, and wait for their end."""
    pending = {task for task in tasks if not task.done()}
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending)
