"""The command line: ``evalsuite COMMAND [KEY=VALUE ...] [--config-dir DIR] [-m]``.

One table says which function does what; it is imported when its command is called, so ``--help`` costs nothing.
"""

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from evalsuite import __version__, cli_help
from evalsuite.errors import BadInput, EvalsuiteError, Exit, unknown_name

if TYPE_CHECKING:
    from evalsuite.settings import Run, Scale

COMMANDS = {
    "run": "evalsuite.run:run",
    "import": "evalsuite.ingest:ingest",
    "plan": "evalsuite.plan.command:plan",
    "report": "evalsuite.report.build:report",
    "gate": "evalsuite.gate:gate",
    "baseline save": "evalsuite.baseline:save",
    "rescore": "evalsuite.rescore:rescore",
    "judge": "evalsuite.judge:judge",
    "show": "evalsuite.show:show",
    "tasks": "evalsuite.catalog:tasks",
    "fetch": "evalsuite.fetch:fetch",
    "demo": "evalsuite.demo.command:demo",
    "doctor": "evalsuite.doctor:doctor",
}
"""Command -> "module:function"; the function takes the composed settings and returns an ``Exit``."""
REPORTING = ("report", "gate", "baseline save", "rescore", "judge", "show")
"""Commands over finished runs: composed from ``report.yaml``; the others from ``run.yaml``."""
OURS = ("run_id", "report", "launch")
"""What the launching process decides for its jobs."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """A command line after the command's name, flags taken out wherever they stood."""

    overrides: tuple[str, ...]
    config_dir: str | None = None
    multirun: bool = False
    help: bool = False


def main() -> NoReturn:
    """Entry point: run a command and leave with its exit code."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        code = dispatch(sys.argv[1:])
        sys.stdout.flush()
    except EvalsuiteError as error:
        _complain(str(error))
        code = error.exit_code
    except KeyboardInterrupt:
        code = Exit.SIGINT
    except BrokenPipeError:  # `evalsuite tasks | head`: nobody reads on, and nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _unread()
    except SystemExit as stop:  # a signal, a stopped sweep; and Rich leaves with 1 when nobody reads on
        code = _unread() if stop.code in (None, 0, 1) else Exit(int(stop.code))
    except Exception:  # noqa: BLE001  the last stop: whatever comes here is a bug of ours and leaves with its own code
        _complain(_crash_log())
        code = Exit.BUG
    sys.exit(int(code))


def _unread() -> Exit:
    """Nobody reads on: fine, but not for ``gate``, whose 0 is a verdict that only it returns."""
    return Exit.BUG if sys.argv[1:2] == ["gate"] and not {"-h", "--help"} & set(sys.argv) else Exit.DONE


def _complain(text: str) -> None:
    """Tell standard error; where that is closed, the exit code must do (Python's own would be 1)."""
    try:
        print(f"evalsuite: {text}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def dispatch(argv: Sequence[str]) -> Exit:
    """Run one command; raises ``EvalsuiteError`` for everything that is the user's or the world's."""
    name = argv[0] if argv else "--help"
    if name in ("-h", "--help", "help"):
        print(cli_help.overview())
        return Exit.DONE
    if name in ("-V", "--version"):
        print(f"evalsuite {__version__}")
        return Exit.DONE
    words = 2 if " ".join(argv[:2]) in COMMANDS else 1
    name = " ".join(argv[:words])
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS, "Usage: evalsuite COMMAND [KEY=VALUE ...].")
    arguments = split(argv[words:])
    if arguments.help:
        print(cli_help.page(name))
        return Exit.DONE
    if arguments.multirun and name != "run":
        raise BadInput(f"-m works with run only, not with {name}")
    from evalsuite.memory import importing

    with importing():
        from evalsuite import config  # Hydra costs 0.2 s
        from evalsuite.settings import Run

    if arguments.multirun:
        return _multirun(arguments, _function(name))
    load = config.load_report if name in REPORTING else config.load_run
    settings = load(arguments.overrides, arguments.config_dir, name)
    if isinstance(settings, Run) and name == "run" and settings.launch.kind != "here" and not settings.dry_run:
        from evalsuite.launch import per_model

        if settings.launch.kind == "ray":
            return _on_ray(arguments, settings)
        jobs = per_model(arguments.overrides, list(settings.models))
        return _launched(jobs, settings.launch, arguments.config_dir)
    return _function(name)(settings)


def split(words: Sequence[str]) -> Arguments:
    """Flags and overrides of a command line, in any order."""
    overrides: list[str] = []
    config_dir: str | None = None
    multirun = asked = False
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag in ("--config-dir", "config_dir"):
            config_dir = value if equals else next(rest, "")
            if not config_dir:
                raise BadInput("--config-dir needs a folder: --config-dir DIR")
        elif word in ("-m", "--multirun"):
            multirun = True
        elif word in ("-h", "--help"):
            asked = True
        elif word.startswith("-"):
            raise unknown_name("flag", flag, ["--config-dir", "--multirun", "--help", "-m", "-h"])
        else:
            overrides.append(word)
    return Arguments(tuple(overrides), config_dir, multirun, asked)


def _function(command: str) -> Callable[[Any], Exit]:
    module, _, name = COMMANDS[command].partition(":")
    from evalsuite.memory import importing

    with importing():
        function: Callable[[Any], Exit] = getattr(import_module(module), name)
    return function


def _on_sigterm(signum: int, frame: FrameType | None) -> NoReturn:
    sys.exit(int(Exit.SIGTERM))


def _crash_log() -> str:
    """Keep the traceback of a bug in a file of its own; returns what to tell the user."""
    log = Path(tempfile.gettempdir()) / f"evalsuite-crash-{os.getpid()}.log"
    text = f"evalsuite {__version__}, Python {sys.version}\n{traceback.format_exc()}"
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return f"internal error, please report it:\n{text}"
    return f"internal error ({type(sys.exception()).__name__}), please report it with {log}"


def _run_id(runs: Sequence[Any]) -> str:
    """The one run of a sweep: chosen once, for the cells of all its jobs, as a single ``run`` chooses."""
    from evalsuite import cells, run_folder

    asked = {
        (run_folder.label(name, model.thinking), task.name): cells.manifest(name, model, task, run)
        for run in runs
        for task in (cells.load_task(key, wanted, run) for key, wanted in run.tasks.items())
        for name, model in run.models.items()
    }
    return run_folder.choose(Path(runs[0].results_dir), None, runs[0].suite, asked).run_id


def _on_ray(arguments: Arguments, settings: "Run") -> Exit:
    """Shards of one run on a Ray cluster, and one report at the end."""
    from dataclasses import replace

    from rich.console import Console

    from evalsuite.launch import ray_tasks
    from evalsuite.report.build import report_run

    settings = replace(settings, run_id=settings.run_id or _run_id([settings]))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    code = ray_tasks.run(arguments.overrides, arguments.config_dir, settings, console)
    if settings.report:
        report_run(Path(settings.results_dir) / str(settings.run_id), settings.baseline)
    return code


def _launched(jobs: Mapping[str, Sequence[str]], scale: "Scale", config_dir: str | None) -> Exit:
    """Jobs of one run in processes of their own, here or elsewhere, and one report at the end."""
    from rich.console import Console

    from evalsuite import config, launch
    from evalsuite.report.build import report_run

    runs = {name: config.load_run(words, config_dir) for name, words in jobs.items()}
    first = next(iter(runs.values()))
    run_id = first.run_id or _run_id(list(runs.values()))
    shared = launch.shares(runs, scale.jobs if scale.kind == "joblib" else len(runs))
    tail = [f"run_id={run_id}", "launch=here", "report=false", *(["--config-dir", config_dir] if config_dir else [])]
    commands = {
        name: (*(word for word in words if word.partition("=")[0] not in OURS), *shared[name], *tail)
        for name, words in jobs.items()
    }
    plan = launch.Plan(commands, scale, Path(first.results_dir), run_id)
    code = launch.launch(plan, Console(stderr=True, highlight=False, soft_wrap=True))
    report_run(Path(first.results_dir) / run_id, first.baseline)
    return code


def _multirun(arguments: Arguments, function: Callable[[Any], Exit]) -> Exit:
    """``-m``: all jobs into one run, one after the other; one that fails does not end the others."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    from evalsuite import config

    texts = [word for word in arguments.overrides if config.is_text(word)]
    swept = [word for word in arguments.overrides if word not in texts]
    jobs = config.sweep(swept, arguments.config_dir)
    runs = [config.load_run([*job, *texts], arguments.config_dir) for job in jobs]  # mistakes come first
    if runs[0].run_id is None:
        texts.append(f"run_id={_run_id(runs)}")
    if runs[0].launch.kind == "ray":
        raise BadInput("launch=ray cuts one run into shards by itself: several models are 'model=[A,B]', without -m")
    if runs[0].launch.kind != "here":
        named = {" ".join(job): [*job, *texts] for job in jobs}
        return _launched(named, runs[0].launch, arguments.config_dir)
    codes = [Exit.DONE]

    def job(_: Any) -> None:
        overrides = list(HydraConfig.get().overrides.task)
        GlobalHydra.instance().clear()  # Hydra composes this job itself; ours has the better messages
        run = config.load_run([*overrides, *texts], arguments.config_dir)
        try:
            codes.append(function(run))
        except EvalsuiteError as error:
            print(f"evalsuite: {error}", file=sys.stderr)
            codes.append(error.exit_code)
        if codes[-1] is Exit.STOPPED:
            sys.exit(int(Exit.STOPPED))

    # Hydra's own files repeat every override, secrets too: they go where nothing stays
    with tempfile.TemporaryDirectory(prefix="evalsuite-sweep-") as scratch:
        silent = ["hydra/hydra_logging=none", "hydra/job_logging=none", "hydra.output_subdir=null"]
        sys.argv = ["evalsuite", "-m", *swept, *silent, f"hydra.sweep.dir='{scratch}'"]
        os.environ["HYDRA_FULL_ERROR"] = "1"  # a bug of ours reaches `main`, instead of Hydra's exit 1
        folder = str(config.main_folder(arguments.config_dir))
        hydra.main(version_base="1.3", config_path=folder, config_name="run")(job)()
    return max(codes)
