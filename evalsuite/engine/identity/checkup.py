"""All checks of endpoints that need no run: identity, context, thinking, pictures, tools, replies, fingerprint.

The checks are those that a run makes before its first question (``preflight``). Here each goes on where it can after
another has failed, so that one visit finds everything. Cheap checks come first; a model that fails one of those is
asked no question.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from evalsuite.config.sampling import fields, model_sampling
from evalsuite.config.settings import Engine, Model, Sampling
from evalsuite.endpoint.client import Client
from evalsuite.endpoint.identity import fingerprint
from evalsuite.endpoint.identity.facts import canonical
from evalsuite.endpoint.identity.fingerprint import Fingerprint
from evalsuite.endpoint.identity.identify import identify, probe_thinking, with_name
from evalsuite.endpoint.identity.probes import probe_images, probe_tools
from evalsuite.endpoint.logprobs import find_scorer
from evalsuite.endpoint.pool import connect_all
from evalsuite.endpoint.reference import compare_with_reference, reference_request
from evalsuite.endpoint.thinking import switch_fields
from evalsuite.engine.identity.answer import check_answer
from evalsuite.engine.identity.known_servers import EarlierServers, refuse_duplicate
from evalsuite.engine.identity.preflight import (
    check_context,
    close_all,
    compare_replicas,
    context_of,
    images_needed,
    take_fingerprints,
    tools_needed,
)
from evalsuite.errors import EndpointUnusable, EvalsuiteError
from evalsuite.records import Reply
from evalsuite.tasks.loading import LoadedTask

CheckState = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check of one endpoint."""

    endpoint: str
    """Model, ``judge`` or ``simulator``."""
    check: str
    state: CheckState
    finding: str
    """Where it is not ok: with its cause and its remedy."""


@dataclass(slots=True)
class EndpointCheckup:
    """The results for one endpoint."""

    name: str
    model: Model
    clients: list[Client]
    checks: list[CheckResult] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """What the servers state, and what the checks have shown."""
    print: Fingerprint | None = None
    current: str = ""
    """The check that is being made; empty before the first and after the last."""

    def note(self, check: str, state: CheckState, finding: str) -> None:
        """Add the result of a check: its name, its state, and the finding for people."""
        self.checks.append(CheckResult(self.name, check, state, finding))

    async def result_of(self, check: str, probe: Awaitable[Any], finding: str = "") -> Any:
        """Await ``probe`` as the check named ``check`` and return its result; None, and a failed check, on
        ``EndpointUnusable``.

        ``finding`` is noted as ok if the probe succeeds; empty: nothing is noted then. Other errors are raised on.
        """
        self.current = check
        try:
            result = await probe
        except EndpointUnusable as error:
            self.note(check, "fail", str(error))
            return None
        if finding:
            self.note(check, "ok", finding)
        return result


@dataclass(frozen=True, slots=True)
class CheckupPlan:
    """What is checked at every model."""

    tasks: Sequence[LoadedTask]
    """What the models must be able to do."""
    sampling: Sampling
    """The run's sampling; test questions are asked with that of the first task."""
    engine: Engine
    earlier: EarlierServers

    @property
    def fields(self) -> Mapping[str, Any]:
        """Sampling fields of the test questions: those of the first task, or of the run's sampling without a task."""
        return self.tasks[0].sampling if self.tasks else fields(self.sampling)


def begin_checkups(models: Mapping[str, Model], engine: Engine) -> list[EndpointCheckup]:
    """One empty checkup, with clients, for each model, judge or simulator (name -> settings). Raises ``BadInput`` as
    ``connect``."""
    return [EndpointCheckup(name, model, list(connect_all(model, engine))) for name, model in models.items()]


async def check_models(checkups: Sequence[EndpointCheckup], plan: CheckupPlan) -> None:
    """Run all checks of all models side by side, and compare each with those before it; results go into ``checkups``.

    Closes the checkups' clients. Errors other than ``EndpointUnusable`` are raised.
    """

    async def check(checkup: EndpointCheckup) -> None:
        tasks = [task.for_model(checkup.model) for task in plan.tasks]
        sampling = model_sampling(plan.sampling, checkup.model)
        try:
            await _check_model(checkup, replace(plan, tasks=tasks, sampling=sampling))
        finally:
            checkup.current = ""
            await close_all(checkup.clients)

    await asyncio.gather(*(check(checkup) for checkup in checkups))
    for number, checkup in enumerate(checkups):
        _compare(checkup, checkups[:number])


async def check_auxiliary(checkup: EndpointCheckup) -> None:
    """Check that a judge or simulator (its first replica) can be reached and is as configured; note in ``checkup`` what
    it serves, or a failed check. Closes its clients.
    """
    try:
        identity = await checkup.result_of("who it is", identify(checkup.clients[0]))
    finally:
        checkup.current = ""
        await close_all(checkup.clients)
    if identity is not None:
        checkup.facts = dict(identity.facts)
        checkup.note("who it is", "ok", f"serves {identity.served_name} ({checkup.model.base_url})")


async def _check_model(checkup: EndpointCheckup, plan: CheckupPlan) -> None:
    """Run all checks of one model, those that cost nothing first; one of which a replica cannot be identified is asked
    no question."""
    if not await _check_identity(checkup):
        return
    _check_contexts(checkup, plan.tasks)
    client, fields, context = checkup.clients[0], plan.fields, context_of(checkup.facts)
    switch = "on" if checkup.model.thinking else "off"
    dialect = checkup.model.server.dialect
    shown = f"{switch}, as asked" if switch_fields(checkup.model) else f"no switch is sent to this {dialect} server"
    if probed := await checkup.result_of("thinking", probe_thinking(client, fields, context), shown):
        checkup.facts |= probed[0]
        await checkup.result_of("test question", _call(_read_answer, checkup, probed[1]))
    if pictures := images_needed(plan.tasks):
        probe = probe_images(client, pictures, fields)
        checkup.facts |= await checkup.result_of("pictures", probe, f"takes {pictures} a request") or {}
    if tools_needed(plan.tasks):
        facts = await checkup.result_of("tools", probe_tools(client, fields, context))
        checkup.facts |= facts or {}
        if facts:
            streamed = facts["probe_tools_streamed"]
            checkup.note("tools", "ok", f"one call: {facts['probe_tools']}; streamed (never used): {streamed}")
    await _check_against_reference(checkup, plan)
    await _check_logprobs(checkup)
    if plan.engine.fingerprint:
        await _check_fingerprint(checkup, plan.earlier)
    else:
        checkup.note("fingerprint", "warn", "not taken: engine.fingerprint=false")


async def _check_identity(checkup: EndpointCheckup) -> bool:
    """Identify all replicas, set their served names, and return whether all of them could be identified. If so, sets
    ``facts`` (of the first) and notes how the replicas differ: a failed check where ``compare_replicas`` refuses them,
    a warning for other settings; both still return True.
    """
    stated: list[dict[str, Any]] = []
    for number, client in enumerate(checkup.clients):
        identity = await checkup.result_of("who it is", identify(client))
        if identity is None:
            return False
        checkup.clients[number] = with_name(client, identity)
        stated.append(dict(identity.facts))
        checkup.note("who it is", "ok", f"serves {identity.served_name} ({client.model.base_url})")
    checkup.facts = stated[0]
    if len(stated) > 1:
        urls = [client.model.base_url for client in checkup.clients]
        notes = await checkup.result_of("replicas", _call(compare_replicas, urls, stated))
        if notes is not None:
            checkup.note("replicas", "warn" if notes else "ok", "; ".join(notes) or "state the same")
    return True


def _check_contexts(checkup: EndpointCheckup, tasks: Sequence[LoadedTask]) -> None:
    """Note whether the longest prompt of every task and its answer fit the server's context; a warning where that is
    not known.
    """
    context = canonical(checkup.facts).get("context")
    if not isinstance(context, int):
        finding = "the server does not say how long it is: a prompt that is too long shows late"
        checkup.note("context", "warn", finding)
        return
    fits = True
    for task in tasks:
        try:
            check_context(checkup.model, task, checkup.facts)
        except EndpointUnusable as error:
            fits = False
            checkup.note("context", "fail", str(error))
    if fits:
        checkup.note("context", "ok", f"{context:,} tokens" + (", enough for all tasks" if tasks else ""))


async def _check_against_reference(checkup: EndpointCheckup, plan: CheckupPlan) -> None:
    """Note whether the stock OpenAI client reads replies, streamed and not, as evalsuite does.

    A difference is a warning: which of the two is wrong, or whether the server is, has to be looked at.
    """
    request = reference_request(plan.fields, context_of(checkup.facts), tools=tools_needed(plan.tasks))
    for check, streamed in (("OpenAI client", False), ("OpenAI client, streamed", True)):
        checkup.current = check
        comparison = await compare_with_reference(checkup.clients[0], request, streamed=streamed)
        checkup.note(check, "ok" if comparison.same else "warn", comparison.finding)


async def _check_logprobs(checkup: EndpointCheckup) -> None:
    """Note whether ``evalsuite probe`` can be used: whether short requests get log-probabilities of given tokens. Never
    a failure."""
    checkup.current = "probe"
    try:
        scorer = await find_scorer(checkup.clients[0])
    except EvalsuiteError as error:
        checkup.note("probe", "ok", str(error))  # a run needs none
        return
    checkup.note("probe", "ok", "; ".join(scorer.findings))


async def _check_fingerprint(checkup: EndpointCheckup, earlier: EarlierServers) -> None:
    """Take fingerprints, compare the first with all models on record, and note how the server ends an answer that is
    cut short.

    Sets ``print`` of ``checkup``, unless none could be taken; answers like those of another checkpoint that is not
    declared equal are a failed check.
    """
    taken = await checkup.result_of("fingerprint", take_fingerprints(checkup.clients, context_of(checkup.facts)))
    if taken is None:
        return
    prints, notes, facts = taken
    checkup.facts |= facts
    if facts:
        finish, place = facts["probe_cut_finish"], facts["probe_cut_text"]
        finding = f"finish_reason {finish}, its text is in {place}"
        checkup.note("a cut answer", "ok" if finish == "length" else "warn", finding)
    for note in notes:
        checkup.note("fingerprint", "warn", note)
    if not prints:
        return
    checkup.print = prints[0]
    identity = {"checkpoint": checkup.model.checkpoint, "revision": checkup.model.revision}
    known = earlier.known()
    probe = _call(refuse_duplicate, checkup.name, identity, prints[0], known, earlier.declared)
    doubles = await checkup.result_of("fingerprint", probe)
    if doubles is not None:
        others = len({server.model for server in known} - {checkup.name})
        unit = "nats" if prints[0].kind == "logprobs" else "of a text"
        finding = f"by {prints[0].kind}, own spread {prints[0].spread:.4f} {unit}; held against {others} known models"
        checkup.note("fingerprint", "ok", finding)
        for note in doubles:
            checkup.note("fingerprint", "warn", note)


def _compare(checkup: EndpointCheckup, others: Sequence[EndpointCheckup]) -> None:
    """Note how the fingerprint and token counts of one model differ from those of the models checked before it
    (``others``); models without a fingerprint, or with another thinking switch, are left out.

    Answers that count as the same, of different checkpoints that are not declared ``same_as``, are a failure.
    """
    for other in others:
        if checkup.print is None or other.print is None or other.model.thinking != checkup.model.thinking:
            continue
        comparison = fingerprint.compare(checkup.print, other.print)
        pair = {checkup.name, other.name}
        declared = checkup.model.same_as in pair or other.model.same_as in pair
        same = comparison.verdict == "same" and checkup.model.checkpoint != other.model.checkpoint and not declared
        state: CheckState = "fail" if same else "ok" if comparison.verdict == "different" else "warn"
        remedy = f"; serve {checkup.name} itself, or declare same_as" if same else ""
        checkup.note(f"beside {other.name}", state, comparison.summary() + remedy)
        if checkup.print.prompt_tokens != other.print.prompt_tokens:
            finding = "counts other prompt tokens for equal prompts: another chat template or tokenizer"
            checkup.note(f"beside {other.name}", "warn", f"{finding}; a comparison lies")


def _read_answer(checkup: EndpointCheckup, reply: Reply) -> None:
    """Note whether ``reply``, to the test question, was right, was cut, or was not read
    (``engine.probe_answer=false``).

    Raises ``EndpointUnusable`` where it is wrong or a sign of a sick server.
    """
    if not checkup.clients[0].engine.probe_answer:
        return checkup.note("test question", "warn", "its answer was not read: engine.probe_answer=false")
    unread = check_answer(checkup.clients[0].model, reply)
    checkup.note("test question", "warn" if unread else "ok", unread or "answered")


async def _call(function: Any, *arguments: Any) -> Any:
    """Call a plain function and return its result, as an awaitable for ``result_of``."""
    return function(*arguments)
