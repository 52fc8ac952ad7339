"""The ``plan`` command."""

from pathlib import Path

from evalsuite.cli.json_output import Content
from evalsuite.cli.missing import MissingPiece, missing_pieces, missing_table, to_json
from evalsuite.config.settings import Run
from evalsuite.errors import Exit
from evalsuite.plan import document
from evalsuite.plan.build import make_plan
from evalsuite.plan.hardware import Placement, commands
from evalsuite.report.console import show, standard_output
from evalsuite.report.plan import tables
from evalsuite.store.manifest import write_json
from evalsuite.tasks.availability import load_available


def plan(settings: Run) -> Exit:
    """Print what a run can decide, what it costs and what it lacks here; with ``to=FILE`` also write it as JSON.

    Asks no model; returns ``DONE``, also where something is lacking. Raises ``BadInput`` for what cannot be planned,
    ``StorageFailed`` when the file cannot be written.
    """
    run_plan = make_plan(settings)
    output = standard_output()
    models = ", ".join(settings.models)
    pieces = _missing(settings)
    listed = [missing_table(pieces)] if pieces else []
    show([*tables(run_plan), *listed], f"evalsuite plan: {models}; nothing was sent", output)
    for line in _commands(run_plan.placement):
        output.print(line, soft_wrap=True, markup=False)
    if settings.to is not None:
        write_json(Path(settings.to), document.plan_json(run_plan) | {"missing": to_json(pieces)})
        output.print(f"\nplan: {settings.to}", soft_wrap=True, markup=False)
    return Exit.DONE


def plan_json(settings: Run) -> Content:
    """Make the same plan as ``plan`` without printing it; returns (``DONE``, fields of the document of
    ``output=json``). ``to=FILE`` also writes them. Raises as ``plan`` does.
    """
    content = document.plan_json(make_plan(settings)) | {"missing": to_json(_missing(settings))}
    if settings.to is not None:
        write_json(Path(settings.to), content)
    return Exit.DONE, content


def _missing(settings: Run) -> list[MissingPiece]:
    """What a run would lack here, found without loading questions (except of ``lm_eval`` tasks) and without looking for
    the models' servers and API keys."""
    return missing_pieces(settings, load_available(settings, without_items=True), servers=False)


def _commands(placement: Placement | None) -> list[str]:
    """Lines to copy: the launch commands of the servers, step by step; empty without a placement (no ``hardware=``)."""
    if placement is None:
        return []
    lines: list[str] = []
    for number, step in enumerate(placement.steps, 1):
        lines.append(f"\n# step {number} of {len(placement.steps)}")
        for server, command in commands(step, placement.machine):
            lines.append(f"{command or '# no launch command is known'}  # {', '.join(server.names)}")
        lines += [f"# on another machine: {server.command}  # {', '.join(server.names)}" for server in step.elsewhere]
    return lines
