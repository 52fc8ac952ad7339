"""Checks of settings beyond their types: every problem of a configuration at once, before anything is sent."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from evalsuite.config.deadline import SLURM, duration, point_in_time, unreadable
from evalsuite.config.hints import newest_run
from evalsuite.config.margins import gate_problems
from evalsuite.config.model_checks import (
    MOST,
    auxiliary_problems,
    model_name_problems,
    model_problems,
    name_problems,
    shared_endpoint_problems,
)
from evalsuite.config.paths import expanded
from evalsuite.config.report_settings import Report
from evalsuite.config.scale import KINDS
from evalsuite.config.settings import DEMO, Engine, Run, Sampling, Task
from evalsuite.errors import BadInput, unknown_name

_ONLY = {
    "accepted": ("gate", "report"),
    "model": ("gate", "baseline save", "forget"),
    "to": ("baseline save",),
    "format": ("gate",),
    "baseline_waiver": ("gate", "report"),
    "accept_log_disagreement": ("report", "gate"),
    "limit": ("report", "gate"),
    "reason": ("forget",),
    "accept_degenerate": ("gate", "report"),
}
"""Keys of reports that only some commands understand."""
_JSON = ("show", "tasks", "doctor", "plan", "report", "gate")
"""Commands that take ``output=json``."""
_IMPORTED = (("file", "ANSWERS.jsonl"), ("name", "MODEL"))
"""Settings that ``import`` needs, with a word for their values."""
_REASON = 'accept_degenerate= gives a score to answers of a sick server: say why with accept_degenerate="reason"'


def check_run(run: Run, command: str = "run") -> None:
    """Raise ``BadInput`` with all problems of a composed run, one a line.

    ``command``: ``release`` may have two models at one address, as it asks one at a time.
    """
    problems = [
        *(problem for name, model in run.models.items() for problem in model_problems(f"models.{name}", name, model)),
        *(problem for name, task in run.tasks.items() for problem in _task(f"tasks.{name}", task)),
        *(shared_endpoint_problems(run) if command != "release" else ()),
        *(line for name, model in run.models.items() for line in _sampling(f"models.{name}.sampling", model.sampling)),
        *auxiliary_problems("judge", run.judge),
        *auxiliary_problems("simulator", run.simulator),
        *_sampling("sampling", run.sampling),
        *_engine(run.engine),
        *gate_problems(run.gate),
        *_run(run),
        *_launch(run),
    ]
    if problems:
        raise BadInput("\n".join(problems))


def check_command(command: str, run: Run, models: Sequence[str], tasks: Sequence[str]) -> None:
    """Raise ``BadInput`` with what ``command`` lacks in ``run``, and with settings in it that ``command`` refuses (most
    that are of no use to it pass), one problem a line.

    The command ``run`` with a task but no model passes: what it lacks is listed later. ``models`` and ``tasks`` are the
    names to choose from, for the messages.
    """
    problems = [*_sequential(command, run), *(_probe(run, models) if command == "probe" else ())]
    problems += _output(command, run.output)
    if command in ("run", "plan"):
        if not run.models and not (command == "run" and run.tasks):  # there it is listed with all that is missing
            problems.append(f"no model chosen: add model=NAME. Known: {', '.join(models)}.")
        if not run.tasks:
            problems.append(f"no task chosen: add task=NAME or suite=NAME. Known tasks: {', '.join(tasks)}.")
    if command != "models new" and (run.base_url or run.checkpoint):
        name = next(iter(run.models), "NAME")
        given = {"base_url": run.base_url, "checkpoint": run.checkpoint}
        lines = [f"models.{name}.{key}={value}" for key, value in given.items() if value]
        problems.append(f"base_url= and checkpoint= at the top are for models new; write {' '.join(lines)}")
    if command == "import":
        problems += [f"{key}= is missing: add {key}={word}" for key, word in _IMPORTED if not getattr(run, key)]
        if len(run.tasks) != 1:
            problems.append(f"exactly one task is imported at a time: add task=NAME. Known: {', '.join(tasks)}.")
        if run.models:
            problems.append("model= is for runs: imported answers get their name from name=")
    if command == "fetch":
        if not run.tasks:
            problems.append(f"nothing to fetch: add task=NAME or suite=NAME. Known tasks: {', '.join(tasks)}.")
        if run.data.kind == "local":
            problems.append("data=local is for runs: fetch loads from where each benchmark is published")
    if command == "demo":
        demos = [name for name in models if name.startswith("demo_")]
        if len(run.models) != 1 or any(model.base_url != DEMO for model in run.models.values()):
            problems.append(f"demo serves one embedded model: add model=NAME. Known: {', '.join(demos)}.")
    if problems:
        raise BadInput("\n".join(problems))


def _output(command: str, output: str) -> Iterator[str]:
    if output not in ("text", "json"):
        yield f"output={output}: must be text or json"
    elif output == "json" and command not in _JSON:
        yield f"output=json is for {', '.join(_JSON)}, not for {command}"


def _probe(run: Run, models: Sequence[str]) -> Iterator[str]:
    if not run.models:
        yield f"no candidate chosen: add model=NAME. Known: {', '.join(models)}."
    if run.baseline_run is None:
        yield "baseline_run= is missing: the run, or the artefact, whose stored answers are read again"
    if run.answers is not None and run.answers < 2:
        yield f"answers={run.answers}: must be 2 or more"


def check_report(command: str, report: Report) -> None:
    """Raise ``BadInput`` if the settings of a command over finished runs are wrong: a key of other commands, no run
    (``show`` and a ``report`` of a card need none) or an unknown one (patterns with ``*`` of ``report`` and ``gate``
    are not looked for), values out of range, or ``data=local`` without a folder.

    Only some keys and values are checked; the first problem is raised, or several at once, one a line.
    """
    for key, commands in _ONLY.items():
        if getattr(report, key) is not None and command not in commands:
            raise BadInput(f"{key}= is for {' and '.join(commands)}, not for {command}")
    if report.accept_degenerate is not None and not report.accept_degenerate.strip():
        raise BadInput(_REASON)
    _check_numbers(report)
    if command == "forget":
        _check_forget(report)
    root = Path(report.results_dir)
    known = [path.name for path in sorted(root.glob("[!.]*")) if path.is_dir()]
    alone = command == "show" or (command == "report" and report.card is not None)
    if not report.run and not alone:
        newest = f", such as run={newest_run(root)}" if known else ""
        raise BadInput(f"no run chosen: add run=ID{newest}. In {root}: {', '.join(known) or 'none'}.")
    for run in report.run:
        pattern = "*" in run and command in ("report", "gate")  # is resolved there
        if not pattern and not Path(run).is_dir() and not (root / run).is_dir():
            raise unknown_name("run", run, known, f"Looked in {root}; another folder: results_dir=DIR.")
    problems = [
        *_output(command, report.output),
        *_data(report.data.kind, report.data.root),
        *auxiliary_problems("judge", report.judge),
        *gate_problems(report.gate),
    ]
    if problems:
        raise BadInput("\n".join(problems))


def _check_numbers(report: Report) -> None:
    if report.format not in (None, "day0"):
        raise BadInput(f"format={report.format}: known is day0")
    if report.allow_incomplete is not None and not 0 <= report.allow_incomplete < 1:
        raise BadInput(f"allow_incomplete={report.allow_incomplete:g}: a share of the samples, 0 to below 1")
    if report.limit is not None and report.limit < 1:
        raise BadInput(f"limit={report.limit}: must be 1 or more")


def _check_forget(report: Report) -> None:
    missing = [key for key in ("model", "task", "reason") if not (getattr(report, key) or "").strip()]
    if missing or len(report.run) != 1:
        words = ", ".join([*(f"{key}=" for key in missing), *(["one run="] if len(report.run) != 1 else [])])
        raise BadInput(
            f'forget archives one cell and needs {words}: evalsuite forget run=R model=M task=T reason="why"'
        )


def _run(run: Run) -> Iterator[str]:
    if run.run_id is not None:
        yield from name_problems("run_id", run.run_id)
    if run.name is not None:
        yield from model_name_problems("name", run.name)
    if run.accept_degenerate is not None and not run.accept_degenerate.strip():
        yield _REASON
    if run.limit is not None and run.limit < 1:
        yield f"limit={run.limit}: must be 1 or more"
    if not -(2**63) <= run.seed < 2**63:
        yield "seed: must be a number of 64 bits, as servers take it"
    if not 0 < run.baseline_max_gb < float("inf"):
        yield f"baseline_max_gb={run.baseline_max_gb:g}: must be above 0"
    if run.rate is not None and not 0 < run.rate < float("inf"):
        yield f"rate={run.rate:g}: must be above 0 (generated tokens a second of one endpoint)"
    if run.window is not None and not duration(run.window):
        yield f"window={run.window}: must be a duration above 0, such as 4h, 3h50m or 90m"
    if not 0 <= run.port <= 65535:
        yield f"port={run.port}: must be 0 to 65535"
    if run.redo is not None and run.redo != "failed":
        if run.redo not in run.tasks:
            yield str(unknown_name("task", run.redo, [*run.tasks, "failed"], "(redo= takes a chosen task, or failed)"))
        if not (run.reason or "").strip():
            yield f'redo={run.redo} archives results: say why with reason="..."'
    yield from _data(run.data.kind, run.data.root)


def _data(kind: str, root: str | None) -> Iterator[str]:
    if kind not in ("hub", "local"):
        yield f"data.kind={kind}: must be hub or local"
    if kind == "local" and root is None:
        yield "data=local needs data.root=DIR"
    if kind == "local" and root is not None and not expanded(root).is_dir():
        yield f"data.root={root}: there is no such folder"


def _task(key: str, task: Task) -> Iterator[str]:
    if not 1 <= task.repeats <= MOST:
        yield f"{key}.repeats={task.repeats}: must be 1 to {MOST:,}"
    if task.concurrency is not None and task.concurrency < 1:
        yield f"{key}.concurrency={task.concurrency}: must be 1 or more"
    for group, values in task.select.groups.items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            yield f"{key}.select.groups.{group}={values}: must be a list, such as [law]"
    if task.select.ids is not None and not expanded(task.select.ids).is_file():
        yield f"{key}.select.ids={task.select.ids}: there is no such file"
    yield from _sampling(f"{key}.sampling", task.sampling)


def _sampling(key: str, sampling: Sampling) -> Iterator[str]:
    ranges = {
        "temperature": (0.0, 100.0, "0 or more"),
        "top_p": (1e-9, 1.0, "above 0 and at most 1"),
        "max_tokens": (1, float("inf"), "1 or more"),
        "top_k": (-1, float("inf"), "-1 (off), 0 (off) or more"),
        "min_p": (0.0, 1.0, "0 to 1"),
        "presence_penalty": (-2.0, 2.0, "-2 to 2"),
        "repetition_penalty": (1e-9, 100.0, "above 0"),
    }
    for name, (low, high, words) in ranges.items():
        value = getattr(sampling, name)
        if value is not None and not low <= value <= high:
            yield f"{key}.{name}={value}: must be {words}"


def _engine(engine: Engine) -> Iterator[str]:
    if engine.deadline is not None:
        yield from _deadline(engine.deadline)
    if engine.token_budget is not None and engine.token_budget < 1:
        yield f"engine.token_budget={engine.token_budget}: must be 1 or more"
    if engine.stop not in (None, "sequential"):
        yield f"engine.stop={engine.stop}: must be sequential, or left out"
    if engine.retries < 0:
        yield f"engine.retries={engine.retries}: must be 0 or more"
    positive = ("connect_seconds", "first_token_seconds", "idle_seconds", "backoff_max_seconds", "total_seconds")
    for name in (*positive, "reprobe_seconds"):
        value = getattr(engine, name)
        if value is not None and not value > 0:
            yield f"engine.{name}={value}: must be above 0"
    for name in ("backoff_seconds", "drain_seconds", "outage_seconds"):
        if not getattr(engine, name) >= 0:
            yield f"engine.{name}={getattr(engine, name)}: must be 0 or more"


def _launch(run: Run) -> Iterator[str]:
    if run.launch.kind not in KINDS:
        yield str(unknown_name("launch.kind", run.launch.kind, KINDS))
    if run.launch.jobs < 1:
        yield f"launch.jobs={run.launch.jobs}: must be 1 or more"
    if run.launch.kind == "ray" and run.aa:
        yield "aa=true: the shards of launch=ray keep one arm only; run it with launch=here, joblib or slurm"


def _sequential(command: str, run: Run) -> Iterator[str]:
    if command != "run" or run.engine.stop is None:
        return
    if run.gate is None:
        yield "engine.stop=sequential needs the margins that are to be decided: add gate=release, or gate=NAME"
    if run.launch.kind != "here":
        yield f"engine.stop=sequential needs both arms in one process: launch={run.launch.kind} cannot do that"
    if run.aa:
        yield "engine.stop=sequential: aa=true measures noise on all items, which stops for nothing; choose one of them"


def _deadline(deadline: str) -> Iterator[str]:
    if deadline != SLURM and duration(deadline) is None and point_in_time(deadline) is None:
        yield unreadable(deadline)
