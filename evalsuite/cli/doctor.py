"""The ``doctor`` command: is everything that a run would talk to what it should be? Writes nothing into results.

Each check goes on where it can after another has failed, so that one visit tells all. Cheap checks come first; a model
that fails one of those is asked no question.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from evalsuite.config import sampling
from evalsuite.config.settings import DEMO, AuxiliaryModel, Engine, Model, Run
from evalsuite.endpoint.client import Client
from evalsuite.endpoint.identity import fingerprint, probes
from evalsuite.endpoint.identity import identify as identity
from evalsuite.endpoint.identity.differences import differing_facts
from evalsuite.endpoint.identity.facts import canonical
from evalsuite.endpoint.identity.fingerprint import Fingerprint
from evalsuite.endpoint.identity.probes import prove_images
from evalsuite.endpoint.pool import connect_all
from evalsuite.endpoint.thinking import switch_fields
from evalsuite.engine.identity import known_servers
from evalsuite.engine.identity import preflight as connecting
from evalsuite.errors import BadInput, EndpointUnusable, Exit
from evalsuite.records import SCHEMA
from evalsuite.report import console
from evalsuite.report.console import Column, Table
from evalsuite.store.manifest import write_json
from evalsuite.tasks.loading import LoadedTask, load_task

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at."""

    who: str
    """Model, ``judge`` or ``simulator``."""
    what: str
    state: State
    says: str
    """What was found; where it is not ok, with its cause and its cure."""


@dataclass(slots=True)
class EndpointCheckup:
    """What is known of one endpoint so far."""

    name: str
    model: Model
    clients: list[Client]
    checks: list[CheckResult] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    print: Fingerprint | None = None

    def note(self, what: str, state: State, says: str) -> None:
        """Add a finding."""
        self.checks.append(CheckResult(self.name, what, state, says))

    async def holds(self, what: str, asked: Awaitable[Any], says: str = "") -> Any:
        """The result of a probe; None, and a failed check, if it raises ``EndpointUnusable``."""
        try:
            found = await asked
        except EndpointUnusable as error:
            self.note(what, "fail", str(error))
            return None
        if says:
            self.note(what, "ok", says)
        return found


def doctor(settings: Run) -> Exit:
    """Probe all endpoints of a configuration and print what was found; ``to=FILE`` also writes it as JSON.

    Returns ``DONE``, or ``ENDPOINT`` if one of them cannot be used. Raises ``BadInput`` when nobody is named.
    """
    if not (settings.models or settings.judge):
        raise BadInput("nobody to look at: add model=NAME (`evalsuite tasks` lists all names), or judge=NAME")
    tasks = [load_task(name, task, settings) for name, task in settings.tasks.items()]
    with ExitStack() as stack:
        patients = asyncio.run(_visit(_served(settings, stack), tasks, settings))
    checks = [check for patient in patients for check in patient.checks]
    failed = sum(check.state == "fail" for check in checks)
    output = console.standard_output()
    headline = f"doctor: {len(checks)} checks, {failed} failed"
    console.show([_checks_table(checks), *_facts_tables(patients)], headline, output)
    if settings.to is not None:
        write_json(Path(settings.to), _to_json(patients))
    return Exit.ENDPOINT if failed else Exit.DONE


def _served(settings: Run, stack: ExitStack) -> dict[str, Model]:
    """The models with real base URLs: embedded ones are started."""
    wanted = [name for name, model in settings.models.items() if model.base_url == DEMO]
    if not wanted:
        return dict(settings.models)
    from evalsuite.demo.process import serving

    started = stack.enter_context(serving(wanted))
    return {name: replace(model, base_url=started.get(name, model.base_url)) for name, model in settings.models.items()}


async def _visit(models: Mapping[str, Model], tasks: Sequence[LoadedTask], settings: Run) -> list[EndpointCheckup]:
    patients: list[EndpointCheckup] = []
    for name, model in models.items():
        patient = EndpointCheckup(name, model, list(connect_all(model, settings.engine)))
        try:
            await _examine(patient, tasks, settings)
        finally:
            await connecting.close_all(patient.clients)
        _compare(patient, patients)
        patients.append(patient)
    needed = {who for task in tasks for who in getattr(task.adapter, "needs", ())}
    for who, aide in (("judge", settings.judge), ("simulator", settings.simulator)):
        if aide is not None and (who in needed or who == "judge"):  # a simulator is always configured
            patients.append(await _examine_aide(who, aide, settings.engine))
    return patients


async def _examine(patient: EndpointCheckup, tasks: Sequence[LoadedTask], settings: Run) -> None:
    """All checks of one model: what costs nothing first."""
    stated: list[dict[str, Any]] = []
    for number, client in enumerate(patient.clients):
        found = await patient.holds("who it is", identity.identify(client))
        if found is None:
            return
        patient.clients[number] = identity.named(client, found)
        stated.append(dict(found.facts))
        says = f"serves {found.served_name} ({client.model.base_url})"
        patient.note("who it is", "ok", says)
    patient.facts = stated[0]
    if len(stated) > 1:
        bases = [client.model.base_url for client in patient.clients]
        notes = await patient.holds("replicas", _later(connecting.alike, bases, stated))
        if notes is not None:
            patient.note("replicas", "warn" if notes else "ok", "; ".join(notes) or "state the same")
    _context(patient, tasks)
    fields = tasks[0].sampling if tasks else sampling.fields(settings.sampling)
    client, context = patient.clients[0], connecting.context_of(patient.facts)
    switch = "on" if patient.model.thinking else "off"
    dialect = patient.model.server.dialect
    said = f"{switch}, as asked" if switch_fields(patient.model) else f"no switch is sent to this {dialect} server"
    thinks = await patient.holds("thinking", identity.prove_thinking(client, fields, context), said)
    patient.facts |= thinks or {}
    pictures = max((getattr(task.adapter, "images", 0) for task in tasks), default=0)
    if pictures:
        says = f"takes {pictures} a request"
        patient.facts |= await patient.holds("pictures", prove_images(client, pictures, fields), says) or {}
    if any(getattr(task.adapter, "uses_tools", False) for task in tasks):
        found = await patient.holds("tools", probes.prove_tools(client, fields, context))
        patient.facts |= found or {}
        if found:
            streamed = found["probe_tools_streamed"]
            patient.note("tools", "ok", f"one call: {found['probe_tools']}; streamed (never used): {streamed}")
    await _fingerprint(patient, settings)


def _context(patient: EndpointCheckup, tasks: Sequence[LoadedTask]) -> None:
    """Whether the longest prompt of every task and its answer fit."""
    context = canonical(patient.facts).get("context")
    if not isinstance(context, int):
        patient.note("context", "warn", "the server does not say how long it is: a prompt that is too long shows late")
        return
    fits = True
    for task in tasks:
        try:
            connecting.check_context(patient.model, task, patient.facts)
        except EndpointUnusable as error:
            fits = False
            patient.note("context", "fail", str(error))
    if fits:
        patient.note("context", "ok", f"{context:,} tokens" + (", enough for all tasks" if tasks else ""))


async def _fingerprint(patient: EndpointCheckup, settings: Run) -> None:
    """Whose answers these are, and what becomes of one that is cut short."""
    if not settings.engine.fingerprint:
        patient.note("fingerprint", "warn", "not taken: engine.fingerprint=false")
        return
    found = await patient.holds("fingerprint", connecting.take_fingerprints(patient.clients))
    if found is None:
        return
    prints, notes, facts = found
    patient.facts |= facts
    if facts:
        finish, place = facts["probe_cut_finish"], facts["probe_cut_text"]
        said = f"finish_reason {finish}, its text is in {place}"
        patient.note("a cut answer", "ok" if finish == "length" else "warn", said)
    for note in notes:
        patient.note("fingerprint", "warn", note)
    if not prints:
        return
    patient.print = prints[0]
    who = {"checkpoint": patient.model.checkpoint, "revision": patient.model.revision}
    known = known_servers.known_servers(Path(settings.results_dir), settings.baseline_run)
    pairs = [(name, model.same_as) for name, model in settings.models.items() if model.same_as]
    doubles = await patient.holds(
        "fingerprint", _later(known_servers.refuse_doubles, patient.name, who, prints[0], known, pairs)
    )
    if doubles is not None:
        others = len({one.model for one in known} - {patient.name})
        unit = "nats" if prints[0].kind == "logprobs" else "of a text"
        says = f"by {prints[0].kind}, own spread {prints[0].spread:.4f} {unit}; held against {others} known models"
        patient.note("fingerprint", "ok", says)
        for note in doubles:
            patient.note("fingerprint", "warn", note)


def _compare(patient: EndpointCheckup, others: Sequence[EndpointCheckup]) -> None:
    """Hold one model of this visit against those before it."""
    for other in others:
        if patient.print is None or other.print is None or other.model.thinking != patient.model.thinking:
            continue
        likeness = fingerprint.compare(patient.print, other.print)
        one = {patient.name, other.name}
        declared = patient.model.same_as in one or other.model.same_as in one
        same = likeness.verdict == "same" and patient.model.checkpoint != other.model.checkpoint and not declared
        state: State = "fail" if same else "ok" if likeness.verdict == "different" else "warn"
        cure = f"; serve {patient.name} itself, or declare same_as" if same else ""
        patient.note(f"beside {other.name}", state, likeness.words() + cure)
        if patient.print.prompt_tokens != other.print.prompt_tokens:
            says = "counts other prompt tokens for equal prompts: another chat template or tokenizer; a comparison lies"
            patient.note(f"beside {other.name}", "warn", says)


async def _examine_aide(who: str, aide: AuxiliaryModel, engine: Engine) -> EndpointCheckup:
    patient = EndpointCheckup(who, aide, list(connect_all(aide, engine)))
    try:
        found = await patient.holds("who it is", identity.identify(patient.clients[0]))
    finally:
        await connecting.close_all(patient.clients)
    if found is not None:
        patient.facts = dict(found.facts)
        patient.note("who it is", "ok", f"serves {found.served_name} ({aide.base_url})")
    return patient


async def _later(function: Any, *arguments: Any) -> Any:
    """A plain function as a probe."""
    return function(*arguments)


def _checks_table(checks: Sequence[CheckResult]) -> Table:
    columns = (
        Column("who", number=False),
        Column("check", number=False),
        Column("", number=False),
        Column("found", number=False),
    )
    rows = tuple((check.who, check.what, check.state, check.says) for check in checks)
    return Table("Checks", columns, rows)


def _facts_tables(patients: Sequence[EndpointCheckup]) -> list[Table]:
    """What the servers state, and where they differ from the first one."""
    shown = [patient for patient in patients if patient.facts]
    if not shown:
        return []
    stated = {patient.name: canonical(patient.facts) for patient in shown}
    names = dict.fromkeys(name for facts in stated.values() for name in facts)
    columns = (Column("fact", number=False), *(Column(patient.name, number=False) for patient in shown))
    rows = tuple((name, *(str(stated[patient.name].get(name, "")) for patient in shown)) for name in names)
    tables = [Table("What the servers state", columns, rows, ("Empty: not stated.",))]
    first, *others = (patient for patient in shown if patient.name not in ("judge", "simulator"))
    lines = [
        (one.name, other.name, f"{one.baseline} -> {one.candidate}", one.kind)
        for other in others
        for one in differing_facts({"server": [{"facts": first.facts}]}, {"server": [{"facts": other.facts}]})
    ]
    if lines:
        heads = tuple(Column(title, number=False) for title in ("fact", "model", f"{first.name} -> it", "kind"))
        tables.append(Table("What differs", heads, tuple(lines)))
    return tables


def _to_json(patients: Sequence[EndpointCheckup]) -> dict[str, Any]:
    """Machine-readable: checks, facts without secrets, fingerprints."""
    return {
        "schema": SCHEMA,
        "checks": [asdict(check) for patient in patients for check in patient.checks],
        "facts": {patient.name: patient.facts for patient in patients},
        "canonical": {patient.name: canonical(patient.facts) for patient in patients},
        "fingerprints": {patient.name: patient.print.to_json() for patient in patients if patient.print is not None},
    }
