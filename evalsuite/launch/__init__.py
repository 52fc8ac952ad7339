"""A run on more than this process: ``launch=joblib|slurm|ray``. The scheduling is theirs, the work is plain ``run``.

Every job is a command line of ``evalsuite run`` for one model of the run (or one job of a ``-m`` sweep), so that an
endpoint's limit is held by one process wherever it can be. No setting is pickled or written to a job file except the
words of the command line; keys come from the environment of the machine that works.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from evalsuite.errors import BadInput, Exit
from evalsuite.launch import processes, slurm
from evalsuite.settings import Run, Scale

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is launched."""

    jobs: Mapping[str, Words]
    """Name of a job -> the words after ``evalsuite run``."""
    scale: Scale
    results_dir: Path
    run_id: str


def per_model(words: Sequence[str], models: Sequence[str]) -> dict[str, Words]:
    """One command line per model: the same words, but for what is said of the other models."""
    jobs: dict[str, Words] = {}
    for name in models:
        others = tuple(f"models.{other}." for other in models if other != name)
        kept = [word for word in words if not word.lstrip("+~").startswith((*others, "model=", "launch=", "launch."))]
        jobs[name] = (*kept, f"model={name}")
    return jobs


def shares(runs: Mapping[str, Run], jobs_at_once: int) -> dict[str, Words]:
    """What each job must add so that those which run side by side keep an endpoint's limit together."""
    users: dict[str, list[str]] = {}
    for job, run in runs.items():
        for model in run.models.values():
            users.setdefault(str(model.base_url), []).append(job)
    added: dict[str, Words] = {}
    for job, run in runs.items():
        limits = []
        for name, model in run.models.items():
            together = min(len(users[str(model.base_url)]), jobs_at_once)
            if together > 1 and model.base_url != "demo":
                limits.append(f"models.{name}.concurrency={max(1, model.concurrency // together)}")
        added[job] = tuple(limits)
    return added


def secret_words(words: Sequence[str]) -> list[str]:
    """Keys of the words that would put a secret into a job file."""
    keys = [word.partition("=")[0] for word in words]
    return [key for key in keys if ".headers." in key or key.endswith(".headers")]


def launch(plan: Plan, console: Console) -> Exit:
    """Run all jobs of a plan and return the worst of their exit codes.

    Raises ``BadInput`` when the launcher is not installed or cannot start.
    """
    kind = plan.scale.kind
    if kind == "joblib":
        return processes.run(plan.jobs, plan.scale, console)
    secrets = sorted({key for words in plan.jobs.values() for key in secret_words(words)})
    if secrets:
        raise BadInput(
            f"{', '.join(secrets)} would stand in a job file: put it into a configuration as "
            "${oc.env:NAME} and set NAME where the jobs run"
        )
    return slurm.run(plan.jobs, plan.scale, plan.results_dir / slurm.FOLDER / plan.run_id, console)
