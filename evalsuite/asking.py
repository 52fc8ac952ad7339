"""One reply, whatever it takes: transient faults are asked again; a judge's or simulator's are told apart."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evalsuite.endpoint.client import Client
from evalsuite.endpoint.retry import Transient, pause
from evalsuite.errors import EndpointUnusable, SampleFailed
from evalsuite.records import Reply, Request
from evalsuite.settings import Engine
from evalsuite.turns import Ask


@dataclass(slots=True)
class Stop:
    """Set from a signal handler: no new attempts; running ones may finish."""

    reason: str = ""
    _event: asyncio.Event = field(default_factory=asyncio.Event)

    def request(self, reason: str) -> None:
        """Ask every lane to drain."""
        self.reason = self.reason or reason
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether someone asked."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Return when someone asks."""
        await self._event.wait()


@dataclass(frozen=True, slots=True)
class AideClient:
    """The judge or the simulator, shared by all cells of a run."""

    client: Client
    sampling: Mapping[str, Any]
    limit: asyncio.Semaphore
    """Most requests in flight at its endpoint."""


async def ask_again(client: Client, request: Request, engine: Engine, stop: Stop) -> tuple[Reply, int]:
    """(reply, requests sent): transient faults are asked again, as the engine's settings say. Raises the last fault."""
    attempt = 1
    while True:
        try:
            return await client.send(request), attempt
        except Transient as fault:
            if attempt > engine.retries or stop.requested:
                raise SampleFailed(f"{fault} (asked {attempt} times)", attempt) from None
            await asyncio.sleep(pause(attempt, fault, engine))
            attempt += 1


def aide_ask(aide: AideClient, who: str, engine: Engine, stop: Stop) -> Ask:
    """Asks a judge or simulator; its faults are told apart and never the model's."""

    async def ask(request: Request) -> tuple[Reply, int]:
        try:
            async with aide.limit:
                return await ask_again(aide.client, request, engine, stop)
        except (SampleFailed, EndpointUnusable) as error:
            raise SampleFailed(f"{who}: {error}", getattr(error, "attempts", 1)) from None

    return ask
