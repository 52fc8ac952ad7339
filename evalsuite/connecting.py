"""Clients for everything that a run talks to, each asked who it is before the first question."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from evalsuite import sampling
from evalsuite.asking import AideClient
from evalsuite.cells import LoadedTask
from evalsuite.endpoint import identity
from evalsuite.endpoint.client import Client, connect
from evalsuite.endpoint.images import prove_images
from evalsuite.errors import EndpointUnusable, EvalsuiteError
from evalsuite.grading.judge import identity as judge_identity
from evalsuite.settings import Aide, Engine, Model

CONTEXT_FACTS = ("max_model_len", "context_length", "meta.n_ctx")
"""Where servers state how many tokens a prompt and its answer may have together."""


@dataclass(frozen=True, slots=True)
class Aides:
    """The judge and the simulator of a run, where it has them."""

    judge: AideClient | None = None
    simulator: AideClient | None = None
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
                await aide.client.api.close()


async def connect_aides(judge: Aide | None, simulator: Aide | None, needed: Iterable[str], engine: Engine) -> Aides:
    """Connect to those of the two that are ``needed``; who cannot be reached is named in ``missing``."""
    found: dict[str, AideClient] = {}
    missing: dict[str, str] = {}
    for who, aide in (("judge", judge), ("simulator", simulator)):
        if who not in set(needed):
            continue
        if aide is None:
            missing[who] = f"no {who} is configured"
            continue
        try:
            found[who] = await connect_aide(aide, engine)
        except EndpointUnusable as error:
            missing[who] = str(error)
    return Aides(found.get("judge"), found.get("simulator"), missing)


async def connect_aide(aide: Aide, engine: Engine) -> AideClient:
    """A client for a judge or simulator. Raises ``EndpointUnusable``."""
    client = connect(aide, engine, aide.served_name, aide.concurrency)
    try:
        client = identity.named(client, await identity.identify(client))
    except EndpointUnusable:
        await client.api.close()
        raise
    return AideClient(client, sampling.fields(aide.sampling), asyncio.Semaphore(aide.concurrency))


async def connect_model(model: Model, tasks: Iterable[LoadedTask], engine: Engine) -> tuple[Client, dict[str, Any]]:
    """(client, what the server says of itself). Raises ``EndpointUnusable`` if it cannot answer these tasks."""
    client = connect(model, engine, model.served_name, model.concurrency)
    facts: dict[str, Any] = {}
    try:
        if engine.probe or model.served_name == "auto":
            known = await identity.identify(client)
            client, facts = identity.named(client, known), dict(known.facts)
        asked = list(tasks)
        for task in asked:
            check_context(model, task, facts)
        if engine.probe and asked:
            facts |= await identity.prove_thinking(client, asked[0].sampling)
            pictures = max(getattr(task.adapter, "images", 0) for task in asked)
            if pictures:
                facts |= await prove_images(client, pictures, asked[0].sampling)
    except EvalsuiteError:
        await client.api.close()
        raise
    return client, {"at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "facts": facts}


def check_context(model: Model, task: LoadedTask, facts: Mapping[str, Any]) -> None:
    """Raises ``EndpointUnusable`` if the longest prompt of a task and its answer do not fit the server's context.

    Only tasks that know the length of their prompts (``longest_prompt``, tokens) are checked; vLLM would cut the
    answer short without a word, SGLang would refuse it.
    """
    prompt, answer = getattr(task.adapter, "longest_prompt", None), task.sampling.get("max_tokens")
    context = next((facts[name] for name in CONTEXT_FACTS if isinstance(facts.get(name), int)), None)
    if prompt is None or answer is None or context is None or prompt + answer <= context:
        return
    raise EndpointUnusable(
        f"{model.base_url} has a context of {context} tokens; {task.name} needs {prompt} for its longest prompt and "
        f"{answer} for the answer. Serve it with more context, or set tasks.{task.name}.sampling.max_tokens"
    )
