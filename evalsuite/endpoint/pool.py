"""One model behind one or several base URLs: requests go where there is most room, and wait while nobody is there.

A connection that breaks and a gateway's 502, 503 or 504 make a replica suspect. It is looked at (``breaker.py``); if it
is really down, nothing is sent to it until it is back, and what it was working on costs no attempt. While one replica
is down the others carry on with their own share. When all have been down for ``engine.outage_seconds``, the endpoint
is given up and the run can be continued later.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from evalsuite.config.address import shown_url
from evalsuite.config.settings import Engine, Model
from evalsuite.endpoint.client import Client, connect
from evalsuite.endpoint.concurrency import ConcurrencyLimit
from evalsuite.endpoint.faults import Busy, Down, Malformed, TooSlow, Transient, pause
from evalsuite.endpoint.health import EndpointHealth
from evalsuite.endpoint.replica import SUSPICIOUS, HealthCheck, Replica, ReplicaState
from evalsuite.endpoint.reply import Assembler
from evalsuite.endpoint.stream import PartialReply
from evalsuite.endpoint.timeouts import RequestTimeout
from evalsuite.errors import ContextOverflow, EndpointDown, EndpointUnusable, SampleFailed
from evalsuite.records import Reply, Request

LOOK_PAUSE = 15.0
"""Most seconds between two looks at a replica that is down."""


def base_urls(model: Model) -> tuple[str, ...]:
    """Where a model is served: one or several roots of the OpenAI API."""
    urls = model.base_url
    return (urls,) if isinstance(urls, str) else tuple(str(url) for url in urls)


def connect_all(model: Model, engine: Engine) -> tuple[Client, ...]:
    """One client per base URL; each has its URL, without a query, in ``client.model.base_url``. Close them, or the pool
    made of them.

    Raises ``BadInput`` as ``connect`` does.
    """
    urls = base_urls(model)
    share = -(-model.concurrency // len(urls))
    return tuple(connect(replace(model, base_url=url), engine, model.served_name, share) for url in urls)


@dataclass(slots=True)
class Pool:
    """A model that can be asked. Made by ``pool`` inside a running event loop; close it there."""

    model: Model
    engine: Engine
    replicas: tuple[Replica, ...]
    pace: RequestTimeout = field(default_factory=RequestTimeout)
    tally: EndpointHealth = field(default_factory=EndpointHealth)
    on_reconnect: Callable[[Client], Awaitable[None]] | None = None
    """Called after an outage with the replica's client, before anything more is sent to it. ``EndpointUnusable`` ends
    the endpoint (unless it has gone again), ``SampleFailed`` means that it is not back yet."""
    fault: BaseException | None = None
    """Why the endpoint was given up."""
    _waiters: "deque[asyncio.Future[None]]" = field(default_factory=deque)
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def clients(self) -> tuple[Client, ...]:
        """One per base URL."""
        return tuple(one.client for one in self.replicas)

    @property
    def served_name(self) -> str:
        """The model's name in requests."""
        return self.replicas[0].client.served_name

    @property
    def where(self) -> str:
        """The base URLs, for messages."""
        return ", ".join(map(shown_url, base_urls(self.model)))

    async def send(self, request: Request, progress: PartialReply | None = None) -> Reply:
        """Ask once, where there is most room; waits for room and for the end of an outage. ``progress`` shows the reply
        while it arrives.

        Raises ``Transient`` (``outage`` says that it happened because the endpoint was down), ``TooSlow``,
        ``Rejected``, ``ContextOverflow``, ``EndpointDown`` when an outage outlasts ``engine.outage_seconds``, and
        ``EndpointUnusable``.
        """
        one = await self._slot()
        sent = time.monotonic()
        longest = self.pace.longest(request.sampling.get("max_tokens"), self.engine.first_token_seconds)
        try:
            reply = await one.client.send(request, longest=longest, progress=progress)
        except ContextOverflow:
            raise
        except EndpointUnusable as error:
            self._give_up(error)
            raise
        except Transient as fault:
            failed = fault
            self._failed(one, fault, sent)
        else:
            self._answered(one, reply, sent)
            return reply
        finally:
            one.running -= 1
            self._wake()
        if progress is not None:
            progress.reply = Assembler()  # what had come is thrown away
        failed.outage = await self._outage(one, failed, raw=request.raw)
        raise failed

    async def gave_up(self, fault: SampleFailed) -> None:
        """A question was given up because of ``fault``.

        Raises ``EndpointUnusable`` if too many replies were no replies, ``EndpointDown`` if the endpoint has been busy
        for everybody and not only for this question.
        """
        if isinstance(fault, TooSlow):
            self.tally.slow += 1
        if isinstance(fault, Busy):
            looks = [await HealthCheck(generate=True).at(client) for client in self.clients]
            if all(looks):
                self._give_up(EndpointDown(f"{self.where} is too busy for everything: {looks[0]}"))
                raise EndpointDown(str(self.fault))
        if isinstance(fault, Malformed):
            self.tally.garbled += 1
            if self.tally.other_protocol:
                error = EndpointUnusable(
                    f"{self.where} does not speak the protocol of {self.model.server.dialect} servers: "
                    f"{self.tally.garbled} questions got no readable reply, at last: {fault}"
                )
                self._give_up(error)
                raise error

    async def close(self) -> None:
        """End all looks at replicas and close all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for client in self.clients:
            await client.close()

    def _answered(self, one: Replica, reply: Reply, sent: float) -> None:
        one.answered = time.monotonic()
        one.faults, one.suspicious = 0, SUSPICIOUS
        one.limit.answered(reply, sent, one.running, one.answered)
        self.pace.note(reply)
        self.tally.answered(reply)

    def _failed(self, one: Replica, fault: Transient, sent: float) -> None:
        if isinstance(fault, Busy) or (isinstance(fault, Down) and fault.gateway):
            one.limit.refused(sent, one.running, time.monotonic())
        if not isinstance(fault, Busy):
            one.faults += 1

    async def _slot(self) -> Replica:
        """A replica with room, taken."""
        while True:
            if self.fault is not None:
                raise self.fault.with_traceback(None)
            free = [one for one in self.replicas if one.free]
            if free:
                one = min(free, key=lambda one: (one.load, one.asked))
                one.running += 1
                one.asked += 1
                return one
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._wake()  # it was this one's turn; let another have it
                raise

    def _wake(self) -> None:
        """Let those go on who have room now; all of them when the endpoint was given up."""
        if not self._waiters:
            return
        room = len(self._waiters) if self.fault is not None else sum(one.free for one in self.replicas)
        while room > 0 and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1

    def _give_up(self, error: BaseException) -> None:
        self.fault = self.fault or error
        for one in self.replicas:
            one.told(down=True)
        self._wake()

    async def _outage(self, one: Replica, fault: Transient, *, raw: bool) -> bool:
        """Whether the replica was down when ``fault`` happened. Looks at it if there is reason to."""
        if self.fault is not None or isinstance(fault, Busy):
            return False
        if one.state is ReplicaState.UP:
            often = one.faults >= one.suspicious
            if not (often or isinstance(fault, Down)):
                return False
            one.state = ReplicaState.LOOKING
            one.looking = asyncio.get_running_loop().create_future()
            generate = often or (isinstance(fault, Down) and fault.gateway)
            known = isinstance(fault, Down) or self.tally.replies > 0
            task = asyncio.create_task(self._watch(one, HealthCheck(generate, raw, known)))
            self._tasks.add(task)
            task.add_done_callback(self._watched)
        assert one.looking is not None
        return await asyncio.shield(one.looking)

    def _watched(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._give_up(error)

    async def _watch(self, one: Replica, look: HealthCheck) -> None:
        """Look at a suspect until it can be used. Raises what makes it useless, which ends the endpoint."""
        began, looks = time.monotonic(), 1
        why = await look.at(one.client)
        if why:
            one.state, one.down = ReplicaState.DOWN, began
            self.tally.outages += 1
            one.told(down=True)
            while why:
                wait = min(pause(looks, Transient(why), self.engine), LOOK_PAUSE)
                await asyncio.sleep(min(wait, self._left(why)))
                why = await look.at(one.client) or await self._reconnected(one, look)
                looks += 1
                if why and looks > self.engine.retries + 1 and not (look.known or self.tally.replies):
                    raise EndpointUnusable(f"{self.where} has not answered a single question: {why}")
            one.faults = 0
            now = time.monotonic()
            one.limit.refused(now, one.limit.allowed, now)  # not everybody at once
        elif look.generate:
            one.suspicious = 2 * max(one.faults, SUSPICIOUS)  # it is there, so the questions are bad
        one.state, one.down = ReplicaState.UP, math.inf
        one.told(down=False)
        self._wake()

    async def _reconnected(self, one: Replica, look: HealthCheck) -> str:
        """Let ``on_reconnect`` have its say; why the replica is not back, or empty."""
        if self.on_reconnect is None:
            return ""
        try:
            await self.on_reconnect(one.client)
        except SampleFailed as fault:
            return str(fault)
        except EndpointUnusable:
            if why := await look.at(one.client):
                return why
            raise
        return ""

    def _left(self, why: str) -> float:
        """Seconds that the outage may still last. Raises ``EndpointDown`` when it has lasted too long."""
        if any(one.state is not ReplicaState.DOWN for one in self.replicas):
            return math.inf
        now = time.monotonic()
        began = max(*(one.down for one in self.replicas), *(one.answered for one in self.replicas))
        left = began + self.engine.outage_seconds - now
        if left <= 0:
            raise EndpointDown(
                f"{self.where} has been down for {now - began:.0f} s, longer than "
                f"engine.outage_seconds={self.engine.outage_seconds:g}: {why}"
            )
        return left


def pool(model: Model, engine: Engine, clients: Sequence[Client]) -> Pool:
    """The clients of ``connect_all``, asked who they are, as one model."""
    share = -(-model.concurrency // len(clients))
    replicas = tuple(Replica(one, ConcurrencyLimit(share, engine.first_token_seconds)) for one in clients)
    return Pool(model, engine, replicas)
