"""Connections to the models of a run, each identified and tested before the first question."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from evalsuite.config.settings import Engine, Model
from evalsuite.endpoint.client import Client
from evalsuite.endpoint.identity import fingerprint
from evalsuite.endpoint.identity.capture import take_fingerprint
from evalsuite.endpoint.identity.differences import differing_facts
from evalsuite.endpoint.identity.fact_tables import shipped_facts
from evalsuite.endpoint.identity.facts import canonical
from evalsuite.endpoint.identity.identify import (
    ServerUnreachable,
    WrongCheckpoint,
    identify,
    probe_thinking,
    with_name,
)
from evalsuite.endpoint.identity.probes import cut_answer_facts, probe_images, probe_tools
from evalsuite.endpoint.pool import Pool, connect_all, pool
from evalsuite.engine.identity.answer import check_answer
from evalsuite.engine.identity.known_servers import EarlierServers, cells_of, refuse_change, refuse_duplicate
from evalsuite.errors import EndpointUnusable, EvalsuiteError
from evalsuite.store.cell import Cell
from evalsuite.tasks.loading import LoadedTask


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model that was identified and can be asked."""

    pool: Pool
    entry: dict[str, Any]
    """Its entry in ``server`` of the manifests."""
    notes: tuple[str, ...]
    """What a person should know of it; part of ``entry``, too."""


Examined = tuple[list[Client], dict[str, Any]]
"""(one client per replica, ``server`` entry for manifests)"""


async def examine_models(
    models: Mapping[str, Model], tasks: Sequence[LoadedTask], engine: Engine, report: Callable[[str], None]
) -> dict[str, Examined | EndpointUnusable]:
    """Connect to several models side by side and check that their servers can do ``tasks``.

    Args:
        models: Key -> where it is served, and what it should be.
        tasks: What they must be able to do.
        engine: How requests are sent, and which checks are made.
        report: Called with a line on what is being done, unless ``engine.probe`` is false.

    Returns:
        Key -> the connected model, or why it cannot be used. Accept each of them with ``accept_model``. Of errors other
        than ``EndpointUnusable`` the first is raised, with all connections closed.
    """
    if not models:
        return {}
    if engine.probe:
        report(f"examining the servers of {', '.join(models)}: what they state, test questions, fingerprints")

    async def examine(name: str) -> Examined | EndpointUnusable:
        began = asyncio.get_running_loop().time()
        try:
            found = await connect_model(models[name], tasks, engine)
        except EndpointUnusable as error:
            return error
        if engine.probe:
            report(f"{name}: examined in {asyncio.get_running_loop().time() - began:.1f} s")
        return found

    results = await asyncio.gather(*(examine(name) for name in models), return_exceptions=True)
    examined: dict[str, Examined | EndpointUnusable] = {}
    failures = [result for result in results if isinstance(result, BaseException)]
    for name, result in zip(models, results, strict=True):
        if not isinstance(result, BaseException) or isinstance(result, EndpointUnusable):
            examined[name] = result
    unexpected = [failure for failure in failures if not isinstance(failure, EndpointUnusable)]
    if unexpected:
        for result in examined.values():
            if not isinstance(result, EndpointUnusable):
                await close_all(result[0])
        raise unexpected[0]
    return examined


async def accept_model(
    name: str,
    model: Model,
    examined: Examined | EndpointUnusable,
    cells: Sequence[Cell],
    engine: Engine,
    earlier: EarlierServers,
) -> OpenedModel:
    """Compare an examined model with all others on record, and with what answered before in ``cells``.

    The models of one run are accepted one after another, each after the manifests of those before it are written. Facts
    found to be idle are added to the cells' manifests; the entry in ``examined`` is completed in place; the clients are
    closed where the model is refused.

    Args:
        name: The model's key.
        model: Where it is served, and what it should be.
        examined: The result of ``examine_models``.
        cells: Its cells in this run.
        engine: How requests are sent.
        earlier: The servers on record.

    Returns:
        The model's pool, its entry for manifests, and notes for people.

    Raises:
        EndpointUnusable: It cannot be reached, cannot do these tasks, or is another model.
        BadInput: The baseline artefact of ``earlier`` is damaged.
        StorageFailed: The disk does not give or take a manifest.
    """
    if isinstance(examined, EndpointUnusable):
        raise _naming_cell(examined, earlier)
    clients, entry = examined
    entry |= {"same_as": model.same_as, "concurrency": model.concurrency}
    taken = fingerprint.from_json(entry["fingerprint"])
    notes = list(entry["notes"])
    idle: dict[str, None] = {}
    try:
        if taken is not None:
            known = await asyncio.to_thread(earlier.known)
            identity = {"checkpoint": model.checkpoint, "revision": model.revision}
            notes += refuse_duplicate(name, identity, taken, known, earlier.declared)
            idle |= dict.fromkeys(fact for server in known if server.model == name for fact in server.idle)
        for cell in cells:
            changes, learnt = refuse_change(cell, entry, taken)
            notes += changes
            idle |= dict.fromkeys(learnt)
    except EvalsuiteError:
        await close_all(clients)
        raise
    for cell in cells if idle else ():
        cell.update({"idle": sorted({*idle, *(cell.manifest.get("idle") or ())})})
    entry["notes"] = notes
    return OpenedModel(pool(model, engine, clients), entry, tuple(notes))


def _naming_cell(error: EndpointUnusable, earlier: EarlierServers) -> EndpointUnusable:
    """The same error; if another checkpoint is served than was configured, and a cell on record has it, a new one that
    names that cell."""
    if not isinstance(error, WrongCheckpoint):
        return error
    there = cells_of(earlier.results, error.served)
    return EndpointUnusable(f"{error} {error.served} is what answered in {there[0]}") if there else error


async def connect_model(model: Model, tasks: Iterable[LoadedTask], engine: Engine) -> Examined:
    """Connect to a model and check it; (one client per replica, ``server`` entry for manifests). The caller closes the
    clients; on an ``EvalsuiteError`` they are closed here.

    What costs nothing is checked first; without ``tasks``, or with ``engine.probe=false``, no question is asked, and
    with ``engine.probe=false`` and a ``served_name`` other than ``auto`` nothing is requested at all.

    The entry holds ``at`` (UTC), ``facts`` of the first replica, ``replicas`` (their URLs, if several), ``fingerprint``
    (None where none was taken; ``notes`` then states so), ``notes``, and ``fact_table`` where it is not the one that is
    shipped for the dialect. Raises ``EndpointUnusable`` if these requests show that it cannot be reached, is not what
    was configured or cannot do the tasks, and ``BadInput`` as ``connect_all``.
    """
    clients = list(connect_all(model, engine))
    try:
        return await _probe(model, clients, [task.for_model(model) for task in tasks], engine)
    except EvalsuiteError:
        await close_all(clients)
        raise


async def close_all(clients: Iterable[Client]) -> None:
    """Close the connections of all ``clients``."""
    for client in clients:
        await client.close()


async def _probe(
    model: Model, clients: list[Client], tasks: Sequence[LoadedTask], engine: Engine
) -> tuple[list[Client], dict[str, Any]]:
    """Make all requests to the replicas before a run: (clients with the served name, ``server`` entry for manifests).
    The clients have ``thinking`` set where the model thinks although no switch is sent.

    Raises ``EndpointUnusable`` if a replica cannot do the tasks or is another model.
    """
    facts: list[dict[str, Any]] = [{} for _ in clients]
    if engine.probe or model.served_name == "auto":
        identities = await asyncio.gather(*(identify(client) for client in clients))
        clients = [with_name(client, identity) for client, identity in zip(clients, identities, strict=True)]
        facts = [dict(identity.facts) for identity in identities]
    for stated in facts:
        for task in tasks:
            check_context(model, task, stated)
    entry: dict[str, Any] = {"at": utc_now(), "facts": facts[0], "fingerprint": None, "notes": []}
    own = {kind: list(names) for kind, names in model.server.facts.items()}
    if own and own != shipped_facts(model.server.dialect):
        entry["fact_table"] = own
    if len(clients) > 1:
        entry["replicas"] = [client.model.base_url for client in clients]
        entry["notes"] += compare_replicas(entry["replicas"], facts)
    if engine.probe and tasks:
        for client in clients:
            abilities, unread = await _probe_abilities(client, tasks, context_of(facts[0]))
            facts[0] |= abilities
            entry["notes"] += [unread] if unread else []
        if facts[0]["probe_thinks"] and not model.thinking:  # no switch is sent, or this would have been refused
            clients = [replace(client, model=replace(client.model, thinking=True)) for client in clients]
    if not (engine.probe and engine.fingerprint and tasks):
        entry["notes"].append("no fingerprint was taken (engine.fingerprint=false or engine.probe=false)")
        return clients, entry
    prints, notes, cut_facts = await take_fingerprints(clients, context_of(facts[0]))
    facts[0] |= cut_facts
    entry["notes"] += notes
    if prints:
        entry["fingerprint"] = prints[0].to_json()
    return clients, entry


async def take_fingerprints(
    clients: Sequence[Client], context: int | None = None
) -> tuple[list[fingerprint.Fingerprint], list[str], dict[str, Any]]:
    """(one fingerprint per replica, notes, facts ``probe_cut_*`` on answers that are cut short, of the first replica).

    ``context``: tokens that the server's context holds, None where it is not known. Without any fingerprint or fact,
    and with a note, where a server does not answer the five prompts. Raises ``EndpointUnusable`` if replicas are
    different models.
    """
    try:
        taken = await asyncio.gather(*(take_fingerprint(client, context) for client in clients))
    except ServerUnreachable as error:
        return [], [f"no fingerprint: {error}"], {}
    prints, notes = [print_ for print_, _ in taken], []
    for client, other in zip(clients[1:], prints[1:], strict=True):
        comparison = fingerprint.compare(prints[0], other)
        replicas = f"replica {client.model.base_url} beside {clients[0].model.base_url}"
        if comparison.verdict == "different":
            raise EndpointUnusable(
                f"{replicas} answers as another model ({comparison.summary()}): replicas must be the same"
            )
        if comparison.verdict == "cannot tell":
            notes.append(f"{replicas}: {comparison.summary()}")
    notes += [
        f"the answers of {client.model.base_url} fall into two groups: is it a load balancer in front of servers that "
        "are not the same? Give them one by one: base_url=[URL,URL]"
        for client, print_ in zip(clients, prints, strict=True)
        if print_.divided
    ]
    if not fingerprint.is_distinctive(prints[0]):
        notes.append("the fingerprint identifies nothing: the answers to its prompts are too short or too certain")
    return prints, notes, cut_answer_facts(taken[0][1])


def context_of(facts: Mapping[str, Any]) -> int | None:
    """Tokens that a server's context holds, from its facts; None where the server does not state them."""
    context = canonical(facts).get("context")
    return context if type(context) is int and context > 0 else None


async def _probe_abilities(
    client: Client, tasks: Sequence[LoadedTask], context: int | None
) -> tuple[dict[str, Any], str]:
    """(facts on thinking, and on pictures and tools where a task needs them; a note on a test answer that was cut, or
    empty).

    Raises ``EndpointUnusable`` where the server lacks one of these or, unless ``engine.probe_answer`` is false, its
    test answer is wrong.
    """
    fields = tasks[0].sampling
    thinking, reply = await probe_thinking(client, fields, context)
    facts, unread = dict(thinking), check_answer(client.model, reply) if client.engine.probe_answer else ""
    if pictures := images_needed(tasks):
        facts |= await probe_images(client, pictures, fields)
    if tools_needed(tasks):
        facts |= await probe_tools(client, fields, context)
    return facts, unread


def images_needed(tasks: Sequence[LoadedTask]) -> int:
    """Largest number of pictures that one request of these tasks holds; 0 without any."""
    return max((getattr(task.adapter, "images", 0) for task in tasks), default=0)


def tools_needed(tasks: Sequence[LoadedTask]) -> bool:
    """Whether any of these tasks lets the model call tools."""
    return any(getattr(task.adapter, "uses_tools", False) for task in tasks)


def compare_replicas(urls: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare the servers' ``facts`` of all replicas with those of the first; returns notes on settings that differ.

    ``urls``: for messages, in the same order. Raises ``EndpointUnusable`` if they differ in what two precisions of a
    model differ in (checkpoint, quantization ...), or in chat template or tokenizer.
    """
    notes = []
    for url, stated in zip(urls[1:], facts[1:], strict=True):
        differences = differing_facts({"server": [{"facts": facts[0]}]}, {"server": [{"facts": stated}]})
        grave = [difference for difference in differences if difference.kind != "confounder"]
        words = "; ".join(
            f"{difference.name} {difference.candidate}, not {difference.baseline}"
            for difference in grave or differences
        )
        if grave:
            raise EndpointUnusable(f"replica {url} is not like {urls[0]}: {words}. Replicas must be the same")
        if differences:
            notes.append(f"replica {url} beside {urls[0]}: {words}")
    return notes


def utc_now() -> str:
    """The present time in UTC as manifests hold it: ``2026-05-31T12:00:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_context(model: Model, task: LoadedTask, facts: Mapping[str, Any]) -> None:
    """Raise ``EndpointUnusable`` if the longest prompt of a task and its answer do not fit the context in the server's
    ``facts``.

    vLLM would cut the answer short silently, SGLang would refuse the request. Of tasks that do not know the length of
    their prompts (``longest_prompt``, tokens) the answer and one token must fit. A context that is not stated passes,
    and an answer without a cap (``max_tokens``).
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
