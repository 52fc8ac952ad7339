"""A run on more than this process: ``launch=joblib|slurm|ray``. The scheduling is theirs, the work is plain ``run``.

Every job is a command line of ``evalsuite run`` for one model of the run (or one job of a ``-m`` sweep), so that an
endpoint's limit is held by one process wherever it can be. No setting is pickled or written to a job file except the
words of the command line; keys come from the environment of the machine that works.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from evalsuite.cli.arguments import Arguments
from evalsuite.cli.launch import processes, slurm
from evalsuite.cli.launch.words import Words, secret_words, shares
from evalsuite.config.scale import Scale
from evalsuite.config.settings import Run
from evalsuite.errors import BadInput, Exit
from evalsuite.report.console import lines_output

OURS = ("run_id", "report", "launch")
"""Settings that the launching process decides for its jobs."""


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What is launched."""

    jobs: Mapping[str, Words]
    """Name of a job -> the words after ``evalsuite run``."""
    scale: Scale
    results_dir: Path
    run_id: str


def launch(plan: LaunchPlan, console: Console) -> Exit:
    """Run all jobs of a plan through joblib or SLURM, wait, and return the highest of their exit codes.

    Raises ``BadInput`` when the launcher is not installed or cannot start, and, for SLURM, if a secret would get into a
    job file.
    """
    if plan.scale.kind == "joblib":
        return processes.run_jobs(plan.jobs, plan.scale, console)
    secrets = sorted({key for words in plan.jobs.values() for key in secret_words(words)})
    if secrets:
        raise BadInput(
            f"{', '.join(secrets)} would stand in a job file: put it into a configuration as "
            "${oc.env:NAME} and set NAME where the jobs run"
        )
    return slurm.submit_jobs(plan.jobs, plan.scale, plan.results_dir / slurm.FOLDER / plan.run_id, console)


def common_run_id(runs: Sequence[Run]) -> str:
    """The id of the run that the cells of all ``runs`` (settings of the jobs) go into, chosen once, as a single ``run``
    chooses without ``run_id=``; results folder and suite are those of the first.

    Loads the questions of all ``runs`` (at least one), but asks no model.
    """
    from evalsuite.engine.manifests import run_spec
    from evalsuite.store.runs import choose_run

    manifests = {name: manifest for run in runs for name, manifest in run_spec(run).manifests.items()}
    return choose_run(Path(runs[0].results_dir), None, runs[0].suite, manifests).run_id


def launch_on_ray(arguments: Arguments, settings: Run) -> Exit:
    """Run the shards of one run on a Ray cluster, write and print the report (with ``report=true``), return the highest
    exit code. Raises as ``run_on_ray`` does.
    """
    from evalsuite.cli.launch.ray_tasks import run_on_ray
    from evalsuite.report.build import report_run

    settings = replace(settings, run_id=settings.run_id or common_run_id([settings]))
    console = lines_output(stderr=True)
    code = run_on_ray(arguments.overrides, arguments.config_dir, settings, console)
    if settings.report:
        folder = Path(settings.results_dir) / str(settings.run_id)
        report_run(folder, settings.baseline, settings.config_dir, gate=settings.gate, svg=settings.svg)
    return code


def launch_jobs(jobs: Mapping[str, Sequence[str]], scale: Scale, config_dir: str | None) -> Exit:
    """Run jobs (name -> words of a command line) of one run as processes here or on SLURM, then write and print one
    report (with ``report=true``).

    All jobs get the same run id, and those at one address a share of its limit each. Returns the highest exit code.
    Raises ``BadInput`` for words that are wrong, and as ``launch``.
    """
    from evalsuite.config.compose import load_settings
    from evalsuite.report.build import report_run

    runs = {name: load_settings(words, config_dir) for name, words in jobs.items()}
    first = next(iter(runs.values()))
    run_id = first.run_id or common_run_id(list(runs.values()))
    limits = shares(runs, scale.jobs if scale.kind == "joblib" else len(runs))
    tail = [f"run_id={run_id}", "launch=here", "report=false", *(["--config-dir", config_dir] if config_dir else [])]
    commands = {
        name: (*(word for word in words if word.partition("=")[0] not in OURS), *limits[name], *tail)
        for name, words in jobs.items()
    }
    plan = LaunchPlan(commands, scale, Path(first.results_dir), run_id)
    code = launch(plan, lines_output(stderr=True))
    if first.report:
        report_run(Path(first.results_dir) / run_id, first.baseline, config_dir, gate=first.gate, svg=first.svg)
    return code
