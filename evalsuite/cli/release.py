"""The ``release`` command: everything between two servers and a signed decision, as far as the servers at hand allow.

Baseline, candidate and judge need not be up together: what is missing ends the command with 75 and the launch command
of the next server; the same command then goes on.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from evalsuite.analysis.collect import REPORT_FOLDER
from evalsuite.cli import gate as gating
from evalsuite.cli.judge import judge
from evalsuite.cli.probe import probe
from evalsuite.cli.report import report
from evalsuite.cli.run import run
from evalsuite.config.compose import load_settings
from evalsuite.config.margins import unmet_margins
from evalsuite.config.paths import expanded, shipped
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Model, Run
from evalsuite.errors import BadInput, EndpointUnusable, EvalsuiteError, Exit
from evalsuite.plan.build import make_plan
from evalsuite.report import console
from evalsuite.report.plan import tables
from evalsuite.report.release_page import write_release_page
from evalsuite.store.manifest import cell_folders
from evalsuite.store.samples import read_rows


def with_baseline(overrides: Sequence[str], config_dir: str | None) -> list[str]:
    """The overrides of ``release`` as those of a run: ``model=[BASELINE,CANDIDATE]``, ``baseline=``, and ``gate=``.

    Only the candidate stands in ``model=`` if ``baseline_run=`` brings the baseline. ``gate=`` is added if none is
    given and a gate of the suite's name exists. Raises ``BadInput`` unless ``model=`` is one known candidate that has a
    baseline, by ``baseline=`` or its file.
    """
    given = dict(override.split("=", 1) for override in overrides if "=" in override)
    candidate = given.get("model", "")
    if not candidate or candidate.startswith("["):
        raise BadInput("release decides on one candidate: add model=NAME (its baseline= is another model)")
    models = load_settings([f"model={candidate}"], config_dir, "doctor").models
    if len(models) != 1:
        raise BadInput(f"release decides on one candidate: model={candidate} names {len(models)}")
    candidate = next(iter(models))  # without quotes
    baseline = given.get("baseline") or models[candidate].baseline
    if not baseline:
        raise BadInput(f"{candidate} names no baseline: add baseline=NAME")
    both = candidate if "baseline_run" in given else f"[{baseline},{candidate}]"
    kept = [override for override in overrides if not override.startswith(("model=", "baseline="))]
    suite = given.get("suite", "")
    if "gate" not in given and any((folder / "gate" / f"{suite}.yaml").is_file() for folder in _folders(config_dir)):
        kept.append(f"gate={suite}")
    return [*kept, f"model={both}", f"baseline={baseline}"]


def _folders(config_dir: str | None) -> list[Path]:
    return [*([expanded(config_dir)] if config_dir else []), shipped("conf")]


def release(settings: Run) -> Exit:
    """Run the chain for one candidate: plan (only before the run exists), probe, ask, judge, report, gate; writes
    ``report/release.html`` at a verdict.

    The candidate is the last of ``settings.models``, before it stands its baseline (unless ``baseline_run`` brings it).
    Cells, report and verdict go into the run ``run_id``, else ``release-<candidate>``. Returns ``DONE`` (pass),
    ``FAIL``, ``UNDECIDED``; ``STOPPED`` where a server or the judge cannot be used, with its launch command printed; or
    the code of a run or gate that ended otherwise (for a deadline, budget or outage ``STOPPED``, too). The same call
    then goes on. Raises ``BadInput`` without margins, where the suite lacks a benchmark that the margins require, and
    as ``run``, ``judge``, ``report`` and ``gate`` do.
    """
    output = console.standard_output()
    if settings.gate is None:
        raise BadInput("no margins: add gate=card, release, quant or day0, or your own DIR/gate/NAME.yaml")
    if problem := unmet_margins(settings):
        raise BadInput(f"{problem} Choose the gate of the suite, such as suite=card gate=card")
    candidate = list(settings.models)[-1]
    settings = replace(settings, run_id=settings.run_id or f"release-{candidate}", report=False)
    folder = Path(settings.results_dir) / str(settings.run_id)
    if not folder.is_dir():
        console.show(tables(make_plan(settings))[:1], "release: what it can decide", output)
    asking = replace(settings, gate=None)
    waiting: dict[str, Model] = {}
    for name, model in settings.models.items():
        if name == candidate and not (folder / name).is_dir() and len(settings.models) > 1:
            _probe(settings, {name: model}, output)
        code = run(replace(asking, models={name: model}))
        if code == Exit.ENDPOINT:
            waiting[name] = model
        elif code not in (Exit.DONE, Exit.INCOMPLETE):
            return code
        elif name != candidate:
            _probe(settings, {name: model}, output)
    if waiting:
        return _stopped(waiting, output)
    stored = Report([str(settings.run_id)], settings.results_dir, data=settings.data, config_dir=settings.config_dir)
    if _ungraded(folder):
        try:
            judge(replace(stored, judge=settings.judge, engine=settings.engine))
        except EndpointUnusable:
            return _stopped({"the judge": settings.judge} if settings.judge else {}, output)
    brought = settings.baseline_run is not None
    deciding = replace(stored, gate=settings.gate, baseline=None if brought else settings.baseline)
    deciding.baseline_run = settings.baseline_run
    report(deciding)
    code = gating.gate(deciding)
    if code in (Exit.DONE, Exit.FAIL, Exit.UNDECIDED):
        output.print(f"release: {write_release_page(folder, folder / REPORT_FOLDER)}", soft_wrap=True, markup=False)
    return code


def _probe(settings: Run, models: dict[str, Model], output: Console) -> None:
    """Run ``probe`` at the servers of ``models`` on stored answers of the baseline; its result decides nothing.

    An ``EvalsuiteError`` that prevents it is printed on ``output`` and not raised.
    """
    try:
        probe(replace(settings, models=models, baseline_run=settings.baseline_run or settings.run_id))
    except EvalsuiteError as error:
        output.print(f"no probe of {', '.join(models)}: {error}", soft_wrap=True, markup=False)


def _ungraded(folder: Path) -> bool:
    return any(row["outcome"] == "ungraded" for cell in cell_folders(folder) for row in read_rows(cell, ["outcome"]))


def _stopped(waiting: dict[str, Model], output: Console) -> Exit:
    """Print each server that is waited for (name -> model) with its launch command; returns ``STOPPED``."""
    for name, model in waiting.items():
        command = model.launch.command or f"(no launch command is known for {model.checkpoint})"
        output.print(f"\nnext server: {name}, at {model.base_url}\n{command}", soft_wrap=True, markup=False)
    output.print("\nThen give the same command: it goes on from here.")
    return Exit.STOPPED
