"""One model behind one or several base URLs: each request goes to the replica with the lowest load.

After a broken connection, or a gateway's 502, 503 or 504, a replica is checked (``replica.HealthCheck``). If it is
down, no request is sent to it until a check succeeds, and requests that were in flight cost no retry. While one replica
is down, the others keep their own share of the concurrency. When all have been down for ``engine.outage_seconds``, the
endpoint is given up; the run can be continued later.
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
from evalsuite.endpoint.environment import base_urls
from evalsuite.endpoint.faults import Busy, Down, Malformed, TooSlow, Transient, pause
from evalsuite.endpoint.health import EndpointHealth
from evalsuite.endpoint.replica import SUSPICIOUS, HealthCheck, Replica, ReplicaState
from evalsuite.endpoint.reply import Assembler
from evalsuite.endpoint.stream import PartialReply
from evalsuite.endpoint.timeouts import RequestTimeout
from evalsuite.errors import ContextOverflow, EndpointDown, EndpointUnusable, SampleFailed
from evalsuite.records import Reply, Request

CHECK_PAUSE = 15.0
"""Most seconds between two checks of a replica that is down."""


def connect_all(model: Model, engine: Engine) -> tuple[Client, ...]:
    """One client per base URL of ``model``, each with an equal share (rounded up) of its concurrency as limit of
    connections.

    ``client.model.base_url`` is without the query. The caller closes them, or the pool made of them. Raises
    ``BadInput`` as ``connect`` does.
    """
    urls = base_urls(model)
    share = -(-model.concurrency // len(urls))
    return tuple(connect(replace(model, base_url=url), engine, model.served_name, share) for url in urls)


@dataclass(slots=True)
class Pool:
    """The replicas of one model. Made by ``pool`` in a running event loop; must be closed in it."""

    model: Model
    engine: Engine
    replicas: tuple[Replica, ...]
    pace: RequestTimeout = field(default_factory=RequestTimeout)
    tally: EndpointHealth = field(default_factory=EndpointHealth)
    on_reconnect: Callable[[Client], Awaitable[None]] | None = None
    """Called with the replica's client after an outage, before further requests are sent to it. ``EndpointUnusable``
    ends the endpoint (unless the replica is down again), ``SampleFailed`` means that it is still down."""
    fault: BaseException | None = None
    """The error for which the endpoint was given up."""
    _waiters: "deque[asyncio.Future[None]]" = field(default_factory=deque)
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def clients(self) -> tuple[Client, ...]:
        """The clients of the replicas, one per base URL."""
        return tuple(replica.client for replica in self.replicas)

    @property
    def served_name(self) -> str:
        """The model's name in requests to the first replica."""
        return self.replicas[0].client.served_name

    @property
    def where(self) -> str:
        """The base URLs without queries, joined by commas, for messages."""
        return ", ".join(map(shown_url, base_urls(self.model)))

    async def send(self, request: Request, progress: PartialReply | None = None) -> Reply:
        """Send a request once, to the free replica with the lowest load; waits until one is free and up, so also for
        the end of an outage.

        Returns the whole reply; ``progress``, if given, shows it while it arrives. Raises ``Transient``, ``TooSlow``,
        ``Rejected``, ``ContextOverflow``, ``EndpointDown`` when an outage outlasts ``engine.outage_seconds``, and
        ``EndpointUnusable``. The last two end the pool: from then on every ``send`` raises that error at once. A
        ``Transient`` after which the replica is checked is raised when that check has its first result; its ``outage``
        is set if the replica was down, or the endpoint was given up meanwhile.
        """
        replica = await self._slot()
        sent = time.monotonic()
        longest = self.pace.longest(request.sampling.get("max_tokens"), self.engine.first_token_seconds)
        try:
            reply = await replica.client.send(request, longest=longest, progress=progress)
        except ContextOverflow:
            raise
        except EndpointUnusable as error:
            self._give_up(error)
            raise
        except Transient as fault:
            failed = fault
            self._failed(replica, fault, sent)
        else:
            self._answered(replica, reply, sent)
            return reply
        finally:
            replica.running -= 1
            self._wake()
        if progress is not None:
            progress.reply = Assembler()  # the part that had arrived is dropped
        failed.outage = await self._outage(replica, failed, raw=request.raw)
        raise failed

    async def gave_up(self, fault: SampleFailed) -> None:
        """Count a request that is not sent again because of ``fault`` (``TooSlow`` and ``Malformed`` are counted);
        after ``Busy`` the replicas get a test request.

        Raises ``EndpointUnusable`` if too large a share of the replies was unreadable, and ``EndpointDown`` if every
        replica fails its test request, too; after either the pool fails all further requests. Also raises
        ``EndpointUnusable`` as ``HealthCheck.at``; that alone does not end the pool.
        """
        if isinstance(fault, TooSlow):
            self.tally.slow += 1
        if isinstance(fault, Busy):
            reasons = [await HealthCheck(generate=True).at(client) for client in self.clients]
            if all(reasons):
                self._give_up(EndpointDown(f"{self.where} is too busy for everything: {reasons[0]}"))
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
        """Cancel all checks of replicas and close all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for client in self.clients:
            await client.close()

    def _answered(self, replica: Replica, reply: Reply, sent: float) -> None:
        replica.answered = time.monotonic()
        replica.faults, replica.suspicious = 0, SUSPICIOUS
        replica.limit.answered(reply, sent, replica.running, replica.answered)
        self.pace.note(reply)
        self.tally.answered(reply)

    def _failed(self, replica: Replica, fault: Transient, sent: float) -> None:
        if isinstance(fault, Busy) or (isinstance(fault, Down) and fault.gateway):
            replica.limit.refused(sent, replica.running, time.monotonic())
        if not isinstance(fault, Busy):
            replica.faults += 1

    async def _slot(self) -> Replica:
        """Reserve a slot on the free replica with the lowest load (of equal ones, the one that was asked less often),
        waiting until there is one, and return that replica.

        Raises the error for which the endpoint was given up.
        """
        while True:
            if self.fault is not None:
                raise self.fault.with_traceback(None)
            free = [replica for replica in self.replicas if replica.free]
            if free:
                replica = free[0] if len(free) == 1 else min(free, key=lambda replica: (replica.load, replica.asked))
                replica.running += 1
                replica.asked += 1
                return replica
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._wake()  # the slot that this request was woken for goes to the next
                raise

    def _wake(self) -> None:
        """Wake as many waiting requests as there are free slots, in the order in which they came; all of them when the
        endpoint was given up."""
        if not self._waiters:
            return
        room = len(self._waiters) if self.fault is not None else sum(replica.free for replica in self.replicas)
        while room > 0 and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1

    def _give_up(self, error: BaseException) -> None:
        self.fault = self.fault or error
        for replica in self.replicas:
            replica.resolve(down=True)
        self._wake()

    async def _outage(self, replica: Replica, fault: Transient, *, raw: bool) -> bool:
        """Whether the replica was down when ``fault`` happened (True, too, if the endpoint is given up during the
        wait). False at once after ``Busy`` and if the endpoint was given up before.

        Of a replica that is up: a check of it is started if the fault is a reason to (``Down``, or many faults in a
        row), else False at once. The first result of that check, or of one that was started before, is waited for;
        further ones are not.

        ``raw``: whether the failed request went to ``/completions``, as the check's then does.
        """
        if self.fault is not None or isinstance(fault, Busy):
            return False
        if replica.state is ReplicaState.UP:
            often = replica.faults >= replica.suspicious
            if not (often or isinstance(fault, Down)):
                return False
            replica.state = ReplicaState.CHECKING
            replica.checking = asyncio.get_running_loop().create_future()
            generate = often or (isinstance(fault, Down) and fault.gateway)
            known = isinstance(fault, Down) or self.tally.replies > 0
            task = asyncio.create_task(self._watch(replica, HealthCheck(generate, raw, known)))
            self._tasks.add(task)
            task.add_done_callback(self._watched)
        assert replica.checking is not None
        return await asyncio.shield(replica.checking)

    def _watched(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._give_up(error)

    async def _watch(self, replica: Replica, check: HealthCheck) -> None:
        """Check a replica, with pauses, until it can be used, and set its state. Raises ``EndpointDown`` or
        ``EndpointUnusable`` if it is given up."""
        began, checks = time.monotonic(), 1
        why = await check.at(replica.client)
        if why:
            replica.state, replica.down = ReplicaState.DOWN, began
            self.tally.outages += 1
            replica.resolve(down=True)
            while why:
                wait = min(pause(checks, Transient(why), self.engine), CHECK_PAUSE)
                await asyncio.sleep(min(wait, self._left(why)))
                why = await check.at(replica.client) or await self._reconnected(replica, check)
                checks += 1
                if why and checks > self.engine.retries + 1 and not (check.known or self.tally.replies):
                    raise EndpointUnusable(f"{self.where} has not answered a single question: {why}")
            replica.faults = 0
            now = time.monotonic()
            replica.limit.refused(
                now, replica.limit.allowed, now
            )  # the waiting requests are not all sent at the same moment
        elif check.generate:
            replica.suspicious = 2 * max(replica.faults, SUSPICIOUS)  # it works, so the faults come from the requests
        replica.state, replica.down = ReplicaState.UP, math.inf
        replica.resolve(down=False)
        self._wake()

    async def _reconnected(self, replica: Replica, check: HealthCheck) -> str:
        """Call ``on_reconnect``, if there is one; returns why the replica is still down, or an empty text.

        Raises ``EndpointUnusable`` as ``on_reconnect`` does, if the replica itself works.
        """
        if self.on_reconnect is None:
            return ""
        try:
            await self.on_reconnect(replica.client)
        except SampleFailed as fault:
            return str(fault)
        except EndpointUnusable:
            if why := await check.at(replica.client):
                return why
            raise
        return ""

    def _left(self, why: str) -> float:
        """Seconds until the outage reaches ``engine.outage_seconds``; infinity while any replica is not down.

        The outage began when the last replica went down, or the last whole reply came, if that is later. Raises
        ``EndpointDown``, with ``why``, after that.
        """
        if any(replica.state is not ReplicaState.DOWN for replica in self.replicas):
            return math.inf
        now = time.monotonic()
        began = max(*(replica.down for replica in self.replicas), *(replica.answered for replica in self.replicas))
        left = began + self.engine.outage_seconds - now
        if left <= 0:
            raise EndpointDown(
                f"{self.where} has been down for {now - began:.0f} s, longer than "
                f"engine.outage_seconds={self.engine.outage_seconds:g}: {why}"
            )
        return left


def pool(model: Model, engine: Engine, clients: Sequence[Client]) -> Pool:
    """A pool of ``clients`` (of ``connect_all``), whose servers have been identified; ``model.concurrency`` is divided
    among them, rounded up.
    """
    share = -(-model.concurrency // len(clients))
    replicas = tuple(Replica(replica, ConcurrencyLimit(share, engine.first_token_seconds)) for replica in clients)
    return Pool(model, engine, replicas)
