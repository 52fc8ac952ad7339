"""One reply, whatever it takes: transient faults are asked again; a judge's or simulator's are told apart."""

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evalsuite.endpoint.pool import Pool
from evalsuite.endpoint.retry import Busy, Empty, TooSlow, Transient, pause
from evalsuite.errors import EndpointUnusable, SampleFailed
from evalsuite.records import Reply, Request
from evalsuite.turns import Ask


@dataclass(slots=True)
class Stop:
    """Set by a signal, a deadline or a spent budget: no new requests; running ones may finish."""

    reason: str = ""
    until: float | None = None
    """Loop time at which requests that are still running are cut; None: they may take as long as they need."""
    _event: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def request(self, reason: str, seconds: float | None = None) -> None:
        """Ask every lane to drain for at most ``seconds``. Asked again, the earlier end and a signal's name count."""
        if not self.reason or reason.startswith("SIG"):
            self.reason = reason
        if seconds is not None:
            until = asyncio.get_running_loop().time() + seconds
            self.until = until if self.until is None else min(self.until, until)
        self._event.set()
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def requested(self) -> bool:
        """Whether someone asked."""
        return self._event.is_set()

    @property
    def patience(self) -> float | None:
        """Seconds that running requests still have; None: no limit."""
        return None if self.until is None else max(0.0, self.until - asyncio.get_running_loop().time())

    async def wait(self) -> None:
        """Return when someone asks."""
        await self._event.wait()

    async def changed(self) -> None:
        """Return when someone asks again."""
        await self._changed.wait()


@dataclass(frozen=True, slots=True)
class AideClient:
    """The judge or the simulator, shared by all cells of a run."""

    client: Pool
    sampling: Mapping[str, Any]
    limit: asyncio.Semaphore
    """Most requests in flight at its endpoint."""


async def ask_again(client: Pool, request: Request, stop: Stop) -> tuple[Reply, int]:
    """(reply, requests sent): transient faults are asked again, as the settings of the pool's engine say.

    Waiting for a busy endpoint, or for one that was down, costs no attempt; both end after ``engine.outage_seconds``,
    and a question that an endpoint went down over more often than it may be asked is given up. Raises
    ``SampleFailed`` with the last fault, ``ContextOverflow`` and ``EndpointUnusable``.
    """
    engine = client.engine
    sent = spent = 0
    outages = busy = 0
    since = math.inf
    while True:
        sent += 1
        try:
            return await client.send(request), sent
        except TooSlow as fault:
            await client.gave_up(fault)
            raise SampleFailed(str(fault), sent) from None
        except Transient as fault:
            if isinstance(fault, Busy):
                busy, since = busy + 1, min(since, time.monotonic())
                over = time.monotonic() - since > engine.outage_seconds
            else:
                busy, since = 0, math.inf
                outages, spent = outages + fault.outage, spent + (not fault.outage)
                retries = engine.retries if fault.retries is None else min(fault.retries, engine.retries)
                over = spent > retries or outages > engine.retries + 1
            if isinstance(fault, Empty) and over:
                client.tally.empty += 1
                return fault.reply, sent
            if over or stop.requested:
                if not stop.requested:
                    await client.gave_up(fault)
                raise SampleFailed(f"{fault} (asked {sent} times)", sent) from None
            if not fault.outage:
                await asyncio.sleep(pause(busy or spent, fault, engine))


def aide_ask(aide: AideClient, who: str, stop: Stop) -> Ask:
    """Asks a judge or simulator, as patiently as its own pool is; its faults are told apart and never the model's."""

    async def ask(request: Request) -> tuple[Reply, int]:
        try:
            async with aide.limit:
                return await ask_again(aide.client, request, stop)
        except (SampleFailed, EndpointUnusable) as error:
            raise SampleFailed(f"{who}: {error}", getattr(error, "attempts", 1)) from None

    return ask
