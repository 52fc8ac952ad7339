"""The state of one replica of a model server, and the check of whether it can be used."""

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
"""Consecutive faults of any kind after which a replica is checked."""
QUESTION = "What is 2 + 2? Answer with the number only."
"""The text of ``identity.PROBE``, which any model can answer."""
CHECK_TIMEOUTS = 3.0
"""Time-out of the test request in units of ``engine.connect_seconds``: an idle server generates one token in less."""


class ReplicaState(Enum):
    """Whether requests are sent to a replica."""

    UP = "up"
    CHECKING = "looking"
    """A check runs after a fault; no request is sent until it ends."""
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
    """Consecutive faults after which it is checked; doubled after a check that succeeds, because the faults then come
    from the requests."""
    answered: float = -math.inf
    """When the last whole reply came, ``time.monotonic()``."""
    down: float = math.inf
    """When the outage began."""
    checking: "asyncio.Future[bool] | None" = None
    """The result of the running check: whether it was down."""

    def resolve(self, *, down: bool) -> None:
        """Give the result of the running check (``down``: the replica was down) to the requests that wait for it, if
        any."""
        if self.checking is not None and not self.checking.done():
            self.checking.set_result(down)

    @property
    def load(self) -> float:
        """Requests in flight as a share of the allowed number (fraction, may exceed 1)."""
        return self.running / self.limit.allowed

    @property
    def free(self) -> int:
        """Number of further requests that may be sent to it now; 0 unless it is up."""
        return max(0, self.limit.allowed - self.running) if self.state is ReplicaState.UP else 0


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a replica is checked."""

    generate: bool
    """Whether one token is requested, too: servers list their model while it loads, and after their engine has died."""
    raw: bool = False
    """Whether that request goes to ``/completions``."""
    known: bool = True
    """Whether it has answered any request; a replica that never has is given up earlier."""

    async def at(self, client: Client) -> str:
        """Request ``/models`` (and one token, if ``generate``): the reason why the server cannot be used now; empty if
        it can.

        ``GET /models`` may fail with 501 or a status below 500 other than 401 and 403, because some servers lack this
        path; a proxy's page with status 200 is a reason. The request for a token may be refused as unfit (400, say).
        Raises ``EndpointUnusable`` if no later check can succeed (a refused key, an untrusted certificate, another
        model, or status 404 or a redirect in reply to that request).
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
            await client.send(request, longest=CHECK_TIMEOUTS * client.engine.connect_seconds)
        except (Rejected, ContextOverflow):
            return ""
        except SampleFailed as fault:
            return f"{client.model.base_url} does not answer a test question: {fault}"
        return ""
