"""The models beside the one under test: the judge and the simulated user."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evalsuite.config import sampling
from evalsuite.config.settings import AuxiliaryModel, Engine
from evalsuite.endpoint.identity import identify as identity
from evalsuite.endpoint.pool import Pool, connect_all, pool
from evalsuite.engine.conversation import Ask
from evalsuite.engine.identity.preflight import close_all
from evalsuite.engine.retry import ask_again
from evalsuite.engine.stopping import Stop
from evalsuite.errors import EndpointUnusable, EvalsuiteError, SampleFailed
from evalsuite.records import Reply, Request
from evalsuite.tasks.grading.judge_prompt import identity as judge_identity


@dataclass(frozen=True, slots=True)
class AuxiliaryClient:
    """The judge or the simulator, shared by all cells of a run."""

    client: Pool
    sampling: Mapping[str, Any]
    limit: asyncio.Semaphore
    """Most requests in flight at its endpoint."""


def aide_ask(aide: AuxiliaryClient, who: str, stop: Stop) -> Ask:
    """Asks a judge or simulator, as patiently as its own pool is; its faults are told apart and never the model's."""

    async def ask(request: Request) -> tuple[Reply, int]:
        try:
            async with aide.limit:
                return await ask_again(aide.client, request, stop)
        except (SampleFailed, EndpointUnusable) as error:
            raise SampleFailed(f"{who}: {error}", getattr(error, "attempts", 1)) from None

    return ask


JUDGE_OUTAGE_SECONDS = 60.0
"""Most time that a run waits for a judge that is away: answers can be judged later, while slots that wait are lost."""


@dataclass(frozen=True, slots=True)
class Auxiliaries:
    """The judge and the simulator of a run, where it has them."""

    judge: AuxiliaryClient | None = None
    simulator: AuxiliaryClient | None = None
    missing: Mapping[str, str] | None = None
    """Who is not there -> why."""

    def names(self) -> dict[str, str]:
        """Who they are, for manifests: verdicts and dialogues of unequal ones are never compared."""
        found = {"judge": self.judge, "simulator": self.simulator}
        return {
            who: judge_identity(aide.client.model.checkpoint, aide.sampling)
            for who, aide in found.items()
            if aide is not None
        }

    async def close(self) -> None:
        """Close the connections."""
        for aide in (self.judge, self.simulator):
            if aide is not None:
                await aide.client.close()


async def connect_auxiliaries(
    judge: AuxiliaryModel | None, simulator: AuxiliaryModel | None, needed: Iterable[str], engine: Engine
) -> Auxiliaries:
    """Connect to those of the two that are ``needed``; who cannot be reached is named in ``missing``.

    A judge that goes away is waited for a minute at most; then the answers that come are stored ungraded. Without its
    simulator nothing can go on, so that is waited for as long as for a model.
    """
    patience = {"judge": min(engine.outage_seconds, JUDGE_OUTAGE_SECONDS), "simulator": engine.outage_seconds}
    found: dict[str, AuxiliaryClient] = {}
    missing: dict[str, str] = {}
    for who, aide in (("judge", judge), ("simulator", simulator)):
        if who not in set(needed):
            continue
        if aide is None:
            missing[who] = f"no {who} is configured"
            continue
        try:
            found[who] = await connect_auxiliary(aide, replace(engine, outage_seconds=patience[who]))
        except EndpointUnusable as error:
            missing[who] = str(error)
    return Auxiliaries(found.get("judge"), found.get("simulator"), missing)


async def connect_auxiliary(aide: AuxiliaryModel, engine: Engine) -> AuxiliaryClient:
    """A client for a judge or simulator. Raises ``EndpointUnusable``."""
    clients = connect_all(aide, engine)
    try:
        named = [identity.named(client, await identity.identify(client)) for client in clients]
    except EvalsuiteError:
        await close_all(clients)
        raise
    return AuxiliaryClient(
        pool(aide, engine, named), sampling.fields(aide.sampling), asyncio.Semaphore(aide.concurrency)
    )
