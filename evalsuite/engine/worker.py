"""One endpoint at work: its cells' attempts from the queue into the slots, and every end that an attempt can have."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from evalsuite.config.settings import Engine
from evalsuite.endpoint.faults import Rejected
from evalsuite.endpoint.stream import PartialReply
from evalsuite.engine.auxiliary import aide_ask
from evalsuite.engine.conversation import Ask, Conversation
from evalsuite.engine.deadline_fit import Fit
from evalsuite.engine.jobs import CellWork, Progress, Workload
from evalsuite.engine.judge_client import judging
from evalsuite.engine.lengths import LengthEstimator
from evalsuite.engine.retry import ask_again
from evalsuite.engine.scheduler import Attempt, AttemptQueue
from evalsuite.engine.stopping import Budget, Stop
from evalsuite.errors import ContextOverflow, EndpointUnusable, EvalsuiteError, SampleFailed, SimulatorFailed, Stopped
from evalsuite.records import Reply, Request, Score
from evalsuite.store.attempts import MODEL, CutRequest
from evalsuite.tasks.base import Tools

REJECTED_IN_A_ROW = 5
"""Refused requests on different items, one after the other, that stop an endpoint."""
CHARACTERS_PER_TOKEN = 4.0
"""Until the endpoint's own replies have shown it."""


@dataclass(slots=True)
class EndpointWorker:
    """A lane that is being worked on."""

    lane: Workload
    engine: Engine
    stop: Stop
    progress: Progress
    queue: AttemptQueue
    budget: Budget
    fit: Fit | None = None
    """None: no window ends this run."""
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    asking: "dict[tuple[int, str, int], AttemptRequests]" = field(default_factory=dict)
    """(cell, item, repeat) -> a running attempt."""
    grown: dict[int, LengthEstimator] = field(default_factory=dict)
    """Cell -> how its answers turned out beside what was expected of them."""
    answered: set[int] = field(default_factory=set)
    """Cells that have had a reply."""
    refused: set[tuple[int, str]] = field(default_factory=set)
    """(cell, item) of requests that were refused since the last that was not."""
    characters: float = CHARACTERS_PER_TOKEN
    generated: float = 1.0
    """Of the replies so far; together they say how many tokens a cut text had."""
    scored: dict[int, Callable[[str, int, float | None], None]] = field(default_factory=dict)
    """Cell -> told of every attempt that ended: item, repeat and value (None: not measured)."""
    error: BaseException | None = None
    """What ends the lane."""

    async def work(self) -> None:
        """Keep the slots full until the queue is empty, nothing more fits, or someone stops. Raises what broke."""
        watcher = asyncio.create_task(self.stop.wait())
        looker = asyncio.create_task(self.check_identity())
        watcher.add_done_callback(lambda _: self.changed.set())
        try:
            while not (self.stop.requested or self.error):
                self.changed.clear()
                if not self.fill():
                    break
                await self.changed.wait()
            await self.drain()
        finally:
            await ended({*self.tasks, watcher, looker})
            waiting = self.queue.waiting
            self.progress.unsent += len(waiting)
            known = [] if self.fit is None else [seconds for one in waiting if (seconds := self.fit.seconds(one))]
            self.progress.needed = min(known, default=None)
        if self.error is not None:
            raise self.error

    async def check_identity(self) -> None:
        """Every ``engine.reprobe_seconds`` ask the servers who they are; returns when one is no longer who it was."""
        while True:
            await asyncio.sleep(self.engine.reprobe_seconds)
            for check_identity in self.lane.looks:
                try:
                    await check_identity()
                except EvalsuiteError as error:
                    self.error = self.error or error
                    self.changed.set()
                    return

    def restrict(self, cell: int, items: frozenset[str]) -> None:
        """Begin no attempt at any other item of a cell any more; those that run go on to their end."""
        self.progress.planned -= self.queue.keep(cell, items)
        self.changed.set()

    def fill(self) -> bool:
        """Begin attempts until the slots are full; whether anything runs."""
        fits = None if self.fit is None else self.fit.fits
        while len(self.tasks) < self.lane.limit:
            todo = self.queue.take(fits)
            if todo is None and not self.tasks and self.queue.left:  # nothing fits; by what was learned last, too?
                self.queue.reconsider()
                todo = self.queue.take(fits)
            if todo is None:
                break
            task = asyncio.create_task(self.attempt(todo))
            self.tasks.add(task)
            self.progress.running += 1
            self.progress.started += 1
            task.add_done_callback(self._finisher(todo))
        return bool(self.tasks)

    def _finisher(self, todo: Attempt) -> "Callable[[asyncio.Task[None]], None]":
        def finished(task: "asyncio.Task[None]") -> None:
            self.tasks.discard(task)
            self.asking.pop((todo.cell, todo.item.id, todo.repeat), None)
            self.progress.running -= 1
            self.queue.done(todo)
            if not task.cancelled() and (error := task.exception()) is not None:
                self.error = self.error or error
            self.changed.set()

        return finished

    async def drain(self) -> None:
        """Let running attempts finish as long as they may."""
        while self.tasks and self.error is None:
            patience = self.stop.patience
            if patience is not None and patience <= 0:
                return
            again = asyncio.create_task(self.stop.changed())
            await asyncio.wait({*self.tasks, again}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            await ended({again})

    async def attempt(self, todo: Attempt) -> None:
        """Make one attempt and record how it ended."""
        job, key = self.lane.jobs[todo.cell], (todo.item.id, todo.repeat)
        asking = self.asking[todo.cell, *key] = AttemptRequests(self, todo)
        turns = Conversation(
            job.cell, todo.item, todo.repeat, job.sampling, job.seed, asking.ask, may_ask=asking.may_ask
        )
        judge = None if job.judge is None else judging(job.judge, job.cell, key, self.stop, self.counted)
        user = self.simulated(job, todo, asking)
        tools = Tools(turns.chat, None if user is None else user.chat, judge)
        rerolled = job.cell.rerolled(key)
        try:
            score = await job.adapter.attempt(todo.item, todo.repeat, tools)
            self.refused.clear()
        except asyncio.CancelledError:
            self.cut(job, key, turns, asking)
            raise
        except Stopped:
            self.progress.unsent += 1  # between two requests of a dialogue: it goes on from there
            return
        except ContextOverflow as error:
            score = Score(0.0, "truncated", note=f"the prompt does not fit the context: {error}")
        except Rejected as error:
            self.refused.add((todo.cell, todo.item.id))
            if not self.had_reply(todo.cell) or len(self.refused) >= REJECTED_IN_A_ROW:
                task = job.cell.folder.name
                raise EndpointUnusable(f"{self.lane.name} refuses the requests of {task}: {error}") from None
            score = Score(None, "failed", note=str(error))
        except SampleFailed as error:
            score = Score(None, "failed", note=str(error))
            if isinstance(error, SimulatorFailed):
                job.cell.invalidate(key)
        asked = turns.first_sha if user is None else user.first_sha  # whoever is asked first is asked the same by all
        job.cell.score(turns.sample(score, version=job.adapter.version, rerolled=rerolled, prompt_sha=asked))
        self.progress.done += 1
        self.progress.failed += score.outcome == "failed"
        self.progress.truncated += score.outcome == "truncated"
        if (tell := self.scored.get(todo.cell)) is not None:
            tell(todo.item.id, todo.repeat, score.value)
        if asking.tokens and score.outcome != "failed":
            self.grown.setdefault(todo.cell, LengthEstimator()).add(todo, asking.tokens)
        if asking.tokens and not self.queue.strict:
            self.queue.learn(todo.cell, todo.item.id, job.repeats, asking.tokens)

    def had_reply(self, cell: int) -> bool:
        """Whether a cell has ever had a reply, now or in an earlier run."""
        return cell in self.answered or bool(self.lane.jobs[cell].cell.replies())

    def cut(self, job: CellWork, key: tuple[str, int], turns: Conversation, asking: "AttemptRequests") -> None:
        """Note how far an answer had come that is cut now; one of which nothing had come is only asked later."""
        watch = asking.watch
        if watch is None or watch.reply is None or (job.client.model.server.stream and not watch.characters):
            return
        tokens = watch.characters * self.generated / self.characters if watch.characters else None
        cut = CutRequest(None if tokens is None else round(tokens, 1), round(time.monotonic() - asking.sent, 3))
        job.cell.cut(key, (MODEL, turns.turn - 1), cut, self.stop.reason or "the endpoint was given up")
        self.progress.cut += 1

    def simulated(self, job: CellWork, todo: Attempt, asking: "AttemptRequests") -> Conversation | None:
        """The simulated user of one attempt, journaled like the model."""
        aide = job.simulator
        if aide is None:
            return None
        ask = self.counted(aide_ask(aide, "simulator", self.stop))
        who, sampling = "simulator", aide.sampling
        return Conversation(job.cell, todo.item, todo.repeat, sampling, job.seed, ask, who, may_ask=asking.may_ask)

    def counted(self, ask: Ask) -> Ask:
        """``ask`` with its tokens on the run's budget."""

        async def asked(request: Request) -> tuple[Reply, int]:
            reply, attempts = await ask(request)
            self.budget.add(reply.usage.completion_tokens or 0)
            return reply, attempts

        return asked


@dataclass(slots=True)
class AttemptRequests:
    """The requests of one attempt to the model under test."""

    running: EndpointWorker
    todo: Attempt
    tokens: int = 0
    """Generated so far."""
    watch: PartialReply | None = None
    """The request that is in flight."""
    sent: float = 0.0
    asked: bool = False

    def may_ask(self) -> None:
        """Raises ``Stopped`` between two requests of an attempt when no new one may start."""
        fit = self.running.fit
        if self.running.stop.requested or (self.asked and fit is not None and not fit.fits(self.todo)):
            raise Stopped("no new request starts: the same command goes on from here")

    async def ask(self, request: Request) -> tuple[Reply, int]:
        """One reply, whatever it takes; what it shows of lengths and speed is learned from."""
        running, todo = self.running, self.todo
        key = (todo.cell, todo.item.id, todo.repeat)
        self.asked, self.watch, self.sent = True, PartialReply(), time.monotonic()
        if running.fit is not None:
            running.fit.begun[key] = self.sent
        try:
            client = running.lane.jobs[todo.cell].client
            reply, attempts = await ask_again(client, request, running.stop, self.watch)
        finally:
            if running.fit is not None:
                del running.fit.begun[key]
        self.watch = None
        running.answered.add(todo.cell)
        tokens = reply.usage.completion_tokens or 0
        self.tokens += tokens
        running.progress.tokens += tokens
        running.budget.add(tokens)
        if tokens and not reply.tool_calls:
            running.generated += tokens
            running.characters += len(reply.text) + len(reply.reasoning)
        if running.fit is not None and tokens:
            running.fit.learn(todo.cell, tokens, reply.seconds)
        return reply, attempts


async def ended(tasks: "set[asyncio.Task[None]]") -> None:
    """Cancel tasks and see them end."""
    pending = {task for task in tasks if not task.done()}
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending)
