"""The auxiliary models of a run: the judge and the simulated user."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from evalsuite.config.sampling import fields
from evalsuite.config.settings import AuxiliaryModel, Engine
from evalsuite.endpoint.identity.identify import identify, with_name
from evalsuite.endpoint.pool import Pool, connect_all, pool
from evalsuite.engine.conversation import Send
from evalsuite.engine.identity.preflight import close_all
from evalsuite.engine.retry import ask_again
from evalsuite.engine.stopping import Stop
from evalsuite.errors import EndpointUnusable, SampleFailed
from evalsuite.records import Reply, Request
from evalsuite.tasks.grading import judge_prompt

JUDGE_OUTAGE_SECONDS = 60.0
"""Longest time that a run waits for a judge that is down: answers can be judged later, waiting slots are lost."""


@dataclass(frozen=True, slots=True)
class AuxiliaryClient:
    """The judge or the simulator, shared by all cells of a run."""

    pool: Pool
    sampling: Mapping[str, Any]
    limit: asyncio.Semaphore
    """Most requests in flight at its endpoint."""

    @property
    def identity(self) -> str:
        """One text of the checkpoint, the version of the judge's prompt and a hash of the sampling, as manifests and
        verdicts keep it."""
        return judge_prompt.identity(self.pool.model.checkpoint, self.sampling)

    def sender(self, role: str, stop: Stop) -> Send:
        """An async function that sends a request as it is to this model, with retries, and returns (reply, number of
        requests sent). It waits first while ``limit`` requests to this model are being made (pauses before a retry
        included).

        It raises ``SampleFailed`` for every fault of the model, with a text that begins with ``role``. A request that
        fails after ``stop`` was requested is not sent again.
        """

        async def send(request: Request) -> tuple[Reply, int]:
            try:
                async with self.limit:
                    return await ask_again(self.pool, request, stop)
            except (SampleFailed, EndpointUnusable) as error:
                raise SampleFailed(f"{role}: {error}", getattr(error, "attempts", 1)) from None

        return send


@dataclass(frozen=True, slots=True)
class Auxiliaries:
    """The judge and the simulator of a run, where it has them."""

    judge: AuxiliaryClient | None = None
    simulator: AuxiliaryClient | None = None
    missing: Mapping[str, str] | None = None
    """``judge`` or ``simulator`` -> why a task that needs it cannot use it."""

    @property
    def identities(self) -> dict[str, str]:
        """Role (``judge``, ``simulator``) -> identity of those that are connected, for manifests: by it verdicts and
        dialogues of different models are distinguished."""
        clients = {"judge": self.judge, "simulator": self.simulator}
        return {role: client.identity for role, client in clients.items() if client is not None}

    async def close(self) -> None:
        """Close the connections of judge and simulator, where they are connected."""
        for client in (self.judge, self.simulator):
            if client is not None:
                await client.pool.close()


async def connect_auxiliaries(
    judge: AuxiliaryModel | None, simulator: AuxiliaryModel | None, needed: Iterable[str], engine: Engine
) -> Auxiliaries:
    """Connect to the judge and the simulator (each None where it is not configured) as far as their roles (``judge``,
    ``simulator``) are in ``needed``. The caller closes the result.

    A needed role that cannot be filled (nothing is configured, or ``EndpointUnusable``) is listed in ``missing`` of the
    result, with the reason. During the run a judge that is down is waited for a minute at most; the answers that arrive
    then are stored ungraded. Without its simulator a task cannot go on, so a simulator is waited for as long as the
    model under test. Raises ``BadInput`` as ``connect_auxiliary``; nothing is left open then.
    """
    patience = {"judge": min(engine.outage_seconds, JUDGE_OUTAGE_SECONDS), "simulator": engine.outage_seconds}
    clients: dict[str, AuxiliaryClient] = {}
    missing: dict[str, str] = {}
    wanted = set(needed)
    async with AsyncExitStack() as opened:
        for role, model in (("judge", judge), ("simulator", simulator)):
            if role not in wanted:
                continue
            if model is None:
                missing[role] = f"no {role} is configured"
                continue
            try:
                patient = replace(engine, outage_seconds=patience[role], token_ids=False)
                clients[role] = await connect_auxiliary(model, patient)
                opened.push_async_callback(clients[role].pool.close)
            except EndpointUnusable as error:
                missing[role] = str(error)
        opened.pop_all()
    return Auxiliaries(clients.get("judge"), clients.get("simulator"), missing)


async def connect_auxiliary(model: AuxiliaryModel, engine: Engine) -> AuxiliaryClient:
    """Connect to a judge or simulator and check what it serves; the caller closes its pool. Raises ``EndpointUnusable``
    if it cannot be used, ``BadInput`` if its configuration cannot be (see ``connect_all``).
    """
    clients = connect_all(model, engine)
    async with AsyncExitStack() as opened:
        opened.push_async_callback(close_all, clients)
        identified = [with_name(client, await identify(client)) for client in clients]
        opened.pop_all()
    limit = asyncio.Semaphore(model.concurrency)
    return AuxiliaryClient(pool(model, engine, identified), fields(model.sampling), limit)
