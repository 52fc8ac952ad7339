"""Clients for everything that a run talks to, each asked who it is before the first question."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalsuite.config.settings import Engine, Model, Run
from evalsuite.endpoint.client import Client
from evalsuite.endpoint.identity import capture as taking
from evalsuite.endpoint.identity import fingerprint, probes
from evalsuite.endpoint.identity import identify as identity
from evalsuite.endpoint.identity.differences import differing_facts
from evalsuite.endpoint.identity.facts import canonical
from evalsuite.endpoint.identity.probes import prove_images
from evalsuite.endpoint.pool import Pool, connect_all, pool
from evalsuite.engine.identity import known_servers
from evalsuite.errors import EndpointUnusable, EvalsuiteError
from evalsuite.store.cell import Cell
from evalsuite.tasks.loading import LoadedTask


async def open_model(
    name: str, model: Model, tasks: Iterable[LoadedTask], settings: Run, cells: Sequence[Cell]
) -> tuple[Pool, dict[str, Any], list[str]]:
    """(its replicas, ``server`` entry for manifests, notes for people): connect, and see that it is who it should be.

    Its answers are held against those of all other models on record, and against what answered before in ``cells``.
    Raises ``EndpointUnusable``.
    """
    results = Path(settings.results_dir)
    try:
        clients, entry = await connect_model(model, tasks, settings.engine)
    except identity.WrongCheckpoint as error:
        there = known_servers.cells_of(results, error.served)
        where = f" {error.served} is what answered in {there[0]}" if there else ""
        raise EndpointUnusable(f"{error}{where}") from None
    entry |= {"same_as": model.same_as, "concurrency": model.concurrency}
    mine = fingerprint.from_json(entry["fingerprint"])
    notes = list(entry["notes"])
    declared = [(key, one.same_as) for key, one in settings.models.items() if one.same_as]
    try:
        if mine is not None:
            known = await asyncio.to_thread(known_servers.known_servers, results, settings.baseline_run)
            who = {"checkpoint": model.checkpoint, "revision": model.revision}
            notes += known_servers.refuse_doubles(name, who, mine, known, declared)
        for cell in cells:
            notes += known_servers.refuse_change(cell, entry, mine)
    except EvalsuiteError:
        await close_all(clients)
        raise
    entry["notes"] = notes
    return pool(model, settings.engine, clients), entry, [f"{name}: {note}" for note in notes]


async def connect_model(
    model: Model, tasks: Iterable[LoadedTask], engine: Engine
) -> tuple[list[Client], dict[str, Any]]:
    """(one client a replica, ``server`` entry for manifests). Raises ``EndpointUnusable`` if it cannot do these tasks.

    What costs nothing is checked first. The entry holds ``at`` (UTC), ``facts`` of the first replica, ``replicas``
    (their URLs), ``fingerprint`` (None when there is none: then ``notes`` says why) and ``notes``.
    """
    clients = list(connect_all(model, engine))
    try:
        return await probe(model, clients, list(tasks), engine)
    except EvalsuiteError:
        await close_all(clients)
        raise


async def close_all(clients: Iterable[Client]) -> None:
    """Close the connections of all replicas."""
    for client in clients:
        await client.close()


async def probe(
    model: Model, clients: list[Client], tasks: Sequence[LoadedTask], engine: Engine
) -> tuple[list[Client], dict[str, Any]]:
    """(clients with the served name, ``server`` entry): everything that is asked of the replicas before a run."""
    stated: list[dict[str, Any]] = [{} for _ in clients]
    if engine.probe or model.served_name == "auto":
        found = await asyncio.gather(*(identity.identify(client) for client in clients))
        clients = [identity.named(client, one) for client, one in zip(clients, found, strict=True)]
        stated = [dict(one.facts) for one in found]
    for facts in stated:
        for task in tasks:
            check_context(model, task, facts)
    entry: dict[str, Any] = {"at": now(), "facts": stated[0], "fingerprint": None, "notes": []}
    if len(clients) > 1:
        entry["replicas"] = [client.model.base_url for client in clients]
        entry["notes"] += alike(entry["replicas"], stated)
    if engine.probe and tasks:
        for client in clients:
            stated[0] |= await _prove(client, tasks, context_of(stated[0]))
    if not (engine.probe and engine.fingerprint and tasks):
        entry["notes"].append("no fingerprint was taken (engine.fingerprint=false or engine.probe=false)")
        return clients, entry
    prints, notes, facts = await take_fingerprints(clients)
    stated[0] |= facts
    entry["notes"] += notes
    if prints:
        entry["fingerprint"] = prints[0].to_json()
    return clients, entry


async def take_fingerprints(
    clients: Sequence[Client],
) -> tuple[list[fingerprint.Fingerprint], list[str], dict[str, Any]]:
    """(one fingerprint for each replica, notes, facts on answers that are cut short).

    None at all where a server does not answer the five prompts, which is a note. Raises ``EndpointUnusable`` if
    replicas are not the same.
    """
    try:
        taken = await asyncio.gather(*(taking.take(client) for client in clients))
    except identity.ServerUnreachable as error:
        return [], [f"no fingerprint: {error}"], {}
    prints, notes = [one for one, _ in taken], []
    for client, one in zip(clients[1:], prints[1:], strict=True):
        likeness = fingerprint.compare(prints[0], one)
        who = f"replica {client.model.base_url} beside {clients[0].model.base_url}"
        if likeness.verdict == "different":
            raise EndpointUnusable(f"{who} answers as another model ({likeness.words()}): replicas must be the same")
        if likeness.verdict == "cannot tell":
            notes.append(f"{who}: {likeness.words()}")
    notes += [
        f"the answers of {client.model.base_url} fall into two groups: is it a load balancer in front of servers that "
        "are not the same? Give them one by one: base_url=[URL,URL]"
        for client, one in zip(clients, prints, strict=True)
        if one.divided
    ]
    if not fingerprint.telling(prints[0]):
        notes.append("the fingerprint tells nothing: the answers to its prompts are too short or too sure")
    return prints, notes, probes.cut_short(taken[0][1])


def context_of(facts: Mapping[str, Any]) -> int | None:
    """Tokens that a server's context holds, where it states them."""
    context = canonical(facts).get("context")
    return context if type(context) is int and context > 0 else None


async def _prove(client: Client, tasks: Sequence[LoadedTask], context: int | None) -> dict[str, Any]:
    """Thinking, and pictures and tools where a task needs them."""
    fields = tasks[0].sampling
    facts = dict(await identity.prove_thinking(client, fields, context))
    pictures = max(getattr(task.adapter, "images", 0) for task in tasks)
    if pictures:
        facts |= await prove_images(client, pictures, fields)
    if any(getattr(task.adapter, "uses_tools", False) for task in tasks):
        facts |= await probes.prove_tools(client, fields, context)
    return facts


def alike(bases: Sequence[str], stated: Sequence[Mapping[str, Any]]) -> list[str]:
    """Notes on settings in which replicas differ. Raises ``EndpointUnusable`` if they serve different things."""
    notes = []
    for base, facts in zip(bases[1:], stated[1:], strict=True):
        found = differing_facts({"server": [{"facts": stated[0]}]}, {"server": [{"facts": facts}]})
        grave = [one for one in found if one.kind != "confounder"]
        if grave:
            what = "; ".join(f"{one.name} {one.candidate}, not {one.baseline}" for one in grave)
            raise EndpointUnusable(f"replica {base} is not like {bases[0]}: {what}. Replicas must be the same")
        if found:
            what = "; ".join(f"{one.name} {one.candidate}, not {one.baseline}" for one in found)
            notes.append(f"replica {base} beside {bases[0]}: {what}")
    return notes


def now() -> str:
    """UTC, as manifests write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_context(model: Model, task: LoadedTask, facts: Mapping[str, Any]) -> None:
    """Raises ``EndpointUnusable`` if the longest prompt of a task and its answer do not fit the server's context.

    vLLM would cut the answer short without a word, SGLang would refuse it. Of tasks that do not know the length of
    their prompts (``longest_prompt``, tokens) at least the answer must fit.
    """
    prompt, answer = getattr(task.adapter, "longest_prompt", None), task.sampling.get("max_tokens")
    context = context_of(facts)
    if answer is None or context is None or (prompt or 1) + answer <= context:
        return
    asks = f"{prompt:,} for its longest prompt and " if prompt else ""
    raise EndpointUnusable(
        f"{model.base_url} has a context of {context:,} tokens; {task.name} needs {asks}{answer:,} for the answer. "
        f"Serve it with more context, or set tasks.{task.name}.sampling.max_tokens"
    )
