"""One replica of a model server as a pool sees it, and the look that tells whether it is there."""

import asyncio
import math
from dataclasses import dataclass
from enum import Enum

from evalsuite.endpoint.client import Client
from evalsuite.endpoint.concurrency import ConcurrencyLimit
from evalsuite.endpoint.fault_mapping import status_fault
from evalsuite.endpoint.faults import Rejected, Transient
from evalsuite.errors import ContextOverflow, SampleFailed
from evalsuite.records import Request

SUSPICIOUS = 5
"""Faults in a row, whatever they are, after which a replica is looked at."""
QUESTION = "What is 2 + 2? Answer with the number only."
"""The question of ``identity.PROBE``: harmless, and any server can answer it."""
LOOK_TIMEOUTS = 3.0
"""A look may take this many times ``engine.connect_seconds``: an idle server makes one token in less."""


class ReplicaState(Enum):
    """Whether requests are given to a replica."""

    UP = "up"
    LOOKING = "looking"
    """Something was wrong and it is being looked at: nothing new for a moment."""
    DOWN = "down"


@dataclass(slots=True)
class Replica:
    """One base URL."""

    client: Client
    limit: ConcurrencyLimit
    state: ReplicaState = ReplicaState.UP
    running: int = 0
    asked: int = 0
    """Requests sent."""
    faults: int = 0
    """Faults since the last whole reply."""
    suspicious: int = SUSPICIOUS
    """Faults at which it is looked at; doubled each time it turns out to be there, for then the questions are bad."""
    answered: float = -math.inf
    """When the last whole reply came, ``time.monotonic()``."""
    down: float = math.inf
    """When the outage began."""
    looking: "asyncio.Future[bool] | None" = None
    """Will tell whether it was down."""

    def told(self, *, down: bool) -> None:
        """Answer those who wait to know whether it was down."""
        if self.looking is not None and not self.looking.done():
            self.looking.set_result(down)

    @property
    def load(self) -> float:
        """Share of its slots that are taken."""
        return self.running / self.limit.allowed

    @property
    def free(self) -> int:
        """Requests that it may be given now."""
        return max(0, self.limit.allowed - self.running) if self.state is ReplicaState.UP else 0


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a suspect is looked at."""

    generate: bool
    """Ask for one token, too: servers list their model while they load it, and after their engine died."""
    raw: bool = False
    """Ask as ``/completions``."""
    known: bool = True
    """Whether it has ever worked, or is merely not there yet: what never worked is not waited for so long."""

    async def at(self, client: Client) -> str:
        """Why the server cannot be used now; empty if it can. Raises ``EndpointUnusable`` if it never will.

        ``GET /models`` may be answered by anything but a gateway or a fault: some servers have no such path.
        """
        try:
            response = await client.get("/models")
        except Transient as fault:
            return str(fault)
        if response.status in (401, 403):
            raise status_fault(response, client.model)
        if response.status >= 500 and response.status != 501:
            return str(status_fault(response, client.model))
        if response.status < 300 and "html" in response.headers.get("content-type", ""):
            return f"{client.model.base_url}: a proxy answers, not the model server"
        return await self._question(client) if self.generate else ""

    async def _question(self, client: Client) -> str:
        request = Request(({"role": "user", "content": QUESTION},), sampling={"max_tokens": 1}, raw=self.raw)
        try:
            await client.send(request, longest=LOOK_TIMEOUTS * client.engine.connect_seconds)
        except (Rejected, ContextOverflow):
            return ""
        except SampleFailed as fault:
            return f"{client.model.base_url} does not answer a test question: {fault}"
        return ""
