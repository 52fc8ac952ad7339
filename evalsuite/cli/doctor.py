"""The ``doctor`` command: can a run use every endpoint of a configuration? Writes nothing into results."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.cli.json_output import Content
from evalsuite.cli.missing import MissingPiece, missing_pieces, missing_table, to_json
from evalsuite.config.address import shown_urls
from evalsuite.config.settings import Run
from evalsuite.endpoint.identity.differences import Difference, differing_facts
from evalsuite.endpoint.identity.facts import canonical
from evalsuite.engine.embedded import serve_demo
from evalsuite.engine.identity.checkup import (
    CheckResult,
    CheckupPlan,
    EndpointCheckup,
    begin_checkups,
    check_auxiliary,
    check_models,
)
from evalsuite.engine.identity.known_servers import EarlierServers
from evalsuite.errors import BadInput, Exit
from evalsuite.records import SCHEMA
from evalsuite.report import console
from evalsuite.report.console import Column, Table
from evalsuite.store.manifest import write_json
from evalsuite.tasks.availability import load_available
from evalsuite.tasks.loading import LoadedTask

WAITING_SECONDS = 5.0
"""Time between two lines on what the servers are still examined for."""


def doctor(settings: Run) -> Exit:
    """Probe the endpoints of a configuration (models, judge, and the simulator if a task needs it) and print what was
    found and, with tasks, what a run of them lacks; ``to=FILE`` also writes JSON.

    Returns ``ENDPOINT`` if any check of an endpoint failed, else ``BAD_INPUT`` if tasks are named and the model, or
    what a task needs to be loaded, is missing; else ``DONE``, whatever else is listed. Raises ``BadInput`` when no
    model, judge or task is named, and for a variant or an option that a task does not have; ``StorageFailed`` when the
    file cannot be written.
    """
    examined = _examine(settings)
    tables = [*_missing_tables(examined), _checks_table(examined.checks), *_facts_tables(examined.checkups)]
    headline = f"doctor: {len(examined.checks)} checks, {examined.failed} failed"
    console.show(tables, headline, console.standard_output())
    return examined.exit_code


def doctor_json(settings: Run) -> Content:
    """Make the same checks as ``doctor`` without printing the tables; returns (exit code, fields of the document of
    ``output=json``). Also writes ``to=FILE``. Raises as ``doctor`` does.
    """
    examined = _examine(settings)
    return examined.exit_code, _to_json(examined)


@dataclass(frozen=True, slots=True)
class _Examined:
    """What was found at the endpoints, and what a run lacks here."""

    checkups: list[EndpointCheckup]
    pieces: list[MissingPiece]

    @property
    def checks(self) -> list[CheckResult]:
        return [check for checkup in self.checkups for check in checkup.checks]

    @property
    def failed(self) -> int:
        return sum(check.state == "fail" for check in self.checks)

    @property
    def exit_code(self) -> Exit:
        blocked = any(piece.blocks for piece in self.pieces)
        return Exit.ENDPOINT if self.failed else Exit.BAD_INPUT if blocked else Exit.DONE


def _examine(settings: Run) -> _Examined:
    """Probe the endpoints and find what a run lacks here (only if tasks are named); with ``to=FILE`` write both as
    JSON.

    The simulator is probed only if a task needs it. A server that cannot be reached is a failed check in the result.
    Raises ``BadInput`` when no model, judge or task is named, and for a variant or an option that a task does not have;
    ``StorageFailed`` when the file cannot be written.
    """
    if not (settings.models or settings.judge or settings.tasks):
        raise BadInput("no endpoint to check: add model=NAME (`evalsuite tasks` lists all names), or judge=NAME")
    available = load_available(settings)
    pieces = missing_pieces(settings, available, servers=False) if settings.tasks else []
    checkups: list[EndpointCheckup] = []
    if settings.models or settings.judge:
        names = [*settings.models, *(["the judge"] if settings.judge else [])]
        print(f"examining the servers of {', '.join(names)} ...", file=sys.stderr)
        checkups = asyncio.run(_check_all(settings, list(available.tasks.values())))
    examined = _Examined(checkups, pieces)
    if settings.to is not None:
        write_json(Path(settings.to), {"schema": SCHEMA, **_to_json(examined)})
    return examined


def _missing_tables(examined: _Examined) -> list[Table]:
    return [missing_table(examined.pieces)] if examined.pieces else []


async def _check_all(settings: Run, tasks: list[LoadedTask]) -> list[EndpointCheckup]:
    """Check all models side by side, with the judge if one is chosen, and the simulator if a task needs it.

    Returns the checkups of models, then of judge and simulator. Servers of demo models are started for it. Every
    ``WAITING_SECONDS`` a line on standard error for each unfinished one names what it is waiting for.
    """
    declared = [(name, model.same_as) for name, model in settings.models.items() if model.same_as]
    plan = CheckupPlan(
        tasks,
        settings.sampling,
        settings.engine,
        EarlierServers(Path(settings.results_dir), settings.baseline_run, declared),
    )
    needed = {role for task in tasks for role in task.needs}
    auxiliaries = {"judge": settings.judge, "simulator": settings.simulator}
    with ExitStack() as stack:
        begun = begin_checkups(serve_demo(settings.models, stack), settings.engine)
        others = begin_checkups(
            {role: model for role, model in auxiliaries.items() if model and (role in needed or role == "judge")},
            settings.engine,
        )
        waiting = asyncio.create_task(_report_waiting([*begun, *others]))
        try:
            await asyncio.gather(check_models(begun, plan), *(check_auxiliary(checkup) for checkup in others))
        finally:
            waiting.cancel()
    return [*begun, *others]


async def _report_waiting(checkups: Sequence[EndpointCheckup]) -> None:
    began, output = time.monotonic(), console.lines_output(stderr=True)
    while True:
        await asyncio.sleep(WAITING_SECONDS)
        for checkup in checkups:
            if checkup.current:
                place = f"{checkup.name} ({shown_urls(str(checkup.model.base_url))})"
                waited = f"{time.monotonic() - began:.0f} s"
                output.print(f"waiting for {place}: {checkup.current}, {waited}", markup=False, soft_wrap=True)


def _checks_table(checks: Sequence[CheckResult]) -> Table:
    columns = (
        Column("who", number=False),
        Column("check", number=False),
        Column("", number=False),
        Column("found", number=False),
    )
    rows = tuple((check.endpoint, check.check, check.state, check.finding) for check in checks)
    return Table("Checks", columns, rows)


def _facts_tables(checkups: Sequence[EndpointCheckup]) -> list[Table]:
    """A table of the facts that each server states, and one of where models differ from the first that states any, if
    they do.

    Judge and simulator are not compared. Empty where no server states anything.
    """
    shown = [checkup for checkup in checkups if checkup.facts]
    if not shown:
        return []
    stated = {checkup.name: canonical(checkup.facts) for checkup in shown}
    names = dict.fromkeys(name for facts in stated.values() for name in facts)
    columns = (Column("fact", number=False), *(Column(checkup.name, number=False) for checkup in shown))
    rows = tuple((name, *(str(stated[checkup.name].get(name, "")) for checkup in shown)) for name in names)
    tables = [Table("What the servers state", columns, rows, ("Empty: not stated.",))]
    lines = tuple(
        (line.name, name, f"{line.baseline} -> {line.candidate}", line.kind) for name, line in _differences(shown)
    )
    if lines:
        titles = ("fact", "model", f"{shown[0].name} -> it", "kind")
        tables.append(Table("What differs", tuple(Column(title, number=False) for title in titles), lines))
    return tables


def _differences(checkups: Sequence[EndpointCheckup]) -> list[tuple[str, Difference]]:
    """One (name of a later model, difference) for each fact in which its server differs from the first model's; judge,
    simulator and servers that state no facts are left out.
    """
    models = [checkup for checkup in checkups if checkup.facts and checkup.name not in ("judge", "simulator")]
    return [
        (other.name, difference)
        for other in models[1:]
        for difference in differing_facts(_server(models[0]), _server(other))
    ]


def _server(checkup: EndpointCheckup) -> dict[str, Any]:
    """The facts of an endpoint in the form of a manifest, ``{"server": [{"facts": ...}]}``."""
    return {"server": [{"facts": checkup.facts}]}


def _to_json(examined: _Examined) -> dict[str, Any]:
    """The fields of the JSON document: failures, missing pieces, checks, facts, differences, fingerprints."""
    checkups = examined.checkups
    return {
        "failed": examined.failed,
        "missing": to_json(examined.pieces),
        "checks": [
            {"who": check.endpoint, "what": check.check, "state": check.state, "says": check.finding}
            for check in examined.checks
        ],
        "facts": {checkup.name: checkup.facts for checkup in checkups},
        "canonical": {checkup.name: canonical(checkup.facts) for checkup in checkups},
        "differences": [
            {"model": name, "fact": line.name, "first": line.baseline, "this": line.candidate, "kind": line.kind}
            for name, line in _differences(checkups)
        ],
        "fingerprints": {checkup.name: checkup.print.to_json() for checkup in checkups if checkup.print is not None},
    }
