"""The ``doctor`` command: can a run use every endpoint of a configuration? Writes nothing into results."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from evalsuite.cli.json_output import Content
from evalsuite.config.settings import Run
from evalsuite.endpoint.identity.differences import Difference, differing_facts
from evalsuite.endpoint.identity.facts import canonical
from evalsuite.engine.embedded import serve_demo
from evalsuite.engine.identity.checkup import (
    CheckResult,
    CheckupPlan,
    EndpointCheckup,
    check_auxiliary,
    check_models,
)
from evalsuite.engine.identity.known_servers import EarlierServers
from evalsuite.errors import BadInput, Exit
from evalsuite.records import SCHEMA
from evalsuite.report import console
from evalsuite.report.console import Column, Table
from evalsuite.store.manifest import write_json
from evalsuite.tasks.loading import load_tasks


def doctor(settings: Run) -> Exit:
    """Probe all endpoints of a configuration and print what was found; ``to=FILE`` also writes it as JSON.

    Returns ``DONE``, or ``ENDPOINT`` if one of them cannot be used. Raises ``BadInput`` when no endpoint is named.
    """
    checkups = _checkups(settings)
    checks = [check for checkup in checkups for check in checkup.checks]
    headline = f"doctor: {len(checks)} checks, {_failed(checkups)} failed"
    console.show([_checks_table(checks), *_facts_tables(checkups)], headline, console.standard_output())
    return Exit.ENDPOINT if _failed(checkups) else Exit.DONE


def doctor_json(settings: Run) -> Content:
    """The same checks as the document of ``output=json``."""
    checkups = _checkups(settings)
    return Exit.ENDPOINT if _failed(checkups) else Exit.DONE, _to_json(checkups)


def _checkups(settings: Run) -> list[EndpointCheckup]:
    """Probe all endpoints; with ``to=FILE`` write what was found. Raises ``BadInput`` when no endpoint is named."""
    if not (settings.models or settings.judge):
        raise BadInput("no endpoint to check: add model=NAME (`evalsuite tasks` lists all names), or judge=NAME")
    names = [*settings.models, *(["the judge"] if settings.judge else [])]
    print(f"examining the servers of {', '.join(names)} ...", file=sys.stderr)
    checkups = asyncio.run(_check_all(settings))
    if settings.to is not None:
        write_json(Path(settings.to), {"schema": SCHEMA, **_to_json(checkups)})
    return checkups


def _failed(checkups: Sequence[EndpointCheckup]) -> int:
    return sum(check.state == "fail" for checkup in checkups for check in checkup.checks)


async def _check_all(settings: Run) -> list[EndpointCheckup]:
    """Check all models, then the judge, and the simulator if a task needs it (one is always configured)."""
    tasks = list(load_tasks(settings).values())
    declared = [(name, model.same_as) for name, model in settings.models.items() if model.same_as]
    plan = CheckupPlan(
        tasks,
        settings.sampling,
        settings.engine,
        EarlierServers(Path(settings.results_dir), settings.baseline_run, declared),
    )
    with ExitStack() as stack:
        checkups = await check_models(serve_demo(settings.models, stack), plan)
        needed = {role for task in tasks for role in task.needs}
        for role, model in (("judge", settings.judge), ("simulator", settings.simulator)):
            if model is not None and (role in needed or role == "judge"):
                checkups.append(await check_auxiliary(role, model, settings.engine))
    return checkups


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
    """What the servers state, and where they differ from the first one."""
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
    """(model, fact in which its server differs from that of the first model)."""
    models = [checkup for checkup in checkups if checkup.facts and checkup.name not in ("judge", "simulator")]
    return [
        (other.name, difference)
        for other in models[1:]
        for difference in differing_facts(_server(models[0]), _server(other))
    ]


def _server(checkup: EndpointCheckup) -> dict[str, Any]:
    """The facts of an endpoint as a manifest holds them."""
    return {"server": [{"facts": checkup.facts}]}


def _to_json(checkups: Sequence[EndpointCheckup]) -> dict[str, Any]:
    """Machine-readable: checks, facts without secrets, fingerprints."""
    checks = [check for checkup in checkups for check in checkup.checks]
    return {
        "failed": _failed(checkups),
        "checks": [
            {"who": check.endpoint, "what": check.check, "state": check.state, "says": check.finding}
            for check in checks
        ],
        "facts": {checkup.name: checkup.facts for checkup in checkups},
        "canonical": {checkup.name: canonical(checkup.facts) for checkup in checkups},
        "differences": [
            {"model": name, "fact": line.name, "first": line.baseline, "this": line.candidate, "kind": line.kind}
            for name, line in _differences(checkups)
        ],
        "fingerprints": {checkup.name: checkup.print.to_json() for checkup in checkups if checkup.print is not None},
    }
