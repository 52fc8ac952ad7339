"""The command line: ``evalsuite COMMAND [KEY=VALUE ...] [--config-dir DIR] [-m]``.

The module of a command is imported when the command is called, so that ``--help`` costs nothing.
"""

import errno
import io
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from evalsuite.cli import json_output
from evalsuite.cli.arguments import Arguments, split
from evalsuite.errors import BadInput, EvalsuiteError, Exit, unknown_name
from evalsuite.sandbox import safe_text
from evalsuite.version import __version__

if TYPE_CHECKING:
    from evalsuite.config.report_settings import Report
    from evalsuite.config.settings import Run

COMMANDS = {
    "run": "evalsuite.cli.run:run",
    "import": "evalsuite.cli.import_answers:import_answers",
    "plan": "evalsuite.cli.plan:plan",
    "report": "evalsuite.cli.report:report",
    "gate": "evalsuite.cli.gate:gate",
    "baseline save": "evalsuite.cli.baseline:save",
    "rescore": "evalsuite.cli.rescore:rescore",
    "judge": "evalsuite.cli.judge:judge",
    "forget": "evalsuite.cli.forget:forget",
    "show": "evalsuite.cli.show:show",
    "tasks": "evalsuite.cli.tasks:tasks",
    "tasks new": "evalsuite.cli.tasks_new:tasks_new",
    "models new": "evalsuite.cli.models_new:models_new",
    "fetch": "evalsuite.cli.fetch:fetch",
    "demo": "evalsuite.cli.demo:demo",
    "doctor": "evalsuite.cli.doctor:doctor",
    "probe": "evalsuite.cli.probe:probe",
    "release": "evalsuite.cli.release:release",
}
"""Command -> "module:function"; the function takes the composed settings and returns an ``Exit``."""
DRY_RUN = "evalsuite.cli.dry_run:dry_run"
"""What ``run dry_run=true`` calls: it needs neither the engine nor a connection."""
REPORTING = ("report", "gate", "baseline save", "rescore", "judge", "forget", "show")
"""Commands over finished runs: composed from ``report.yaml``; the others from ``run.yaml``."""

_REMEDIES = {
    errno.EMFILE: "allow more open files (ulimit -n) or ask fewer requests at a time (models.NAME.concurrency)",
    errno.ENFILE: "other programs hold all files of this machine: end some, or ask fewer requests at a time",
    errno.ENOSPC: "free some space, or set results_dir=, TMPDIR to another disk",
    errno.EDQUOT: "free some of the quota, or set results_dir=, TMPDIR to another disk",
    errno.EROFS: "set results_dir=, TMPDIR to a folder that can be written",
    errno.EACCES: "set results_dir=, TMPDIR to a folder that can be written",
    errno.ENOMEM: "free some memory, or ask fewer requests at a time (models.NAME.concurrency)",
    errno.EAGAIN: "allow more processes (ulimit -u)",
}
"""Number of an ``OSError`` -> what usually helps."""

DECIDING = ("gate", "release", "probe")
"""Commands whose exit code 0 is a result: a pass, or no alarm."""
LISTING = ("show", "tasks")
"""Commands that list what there is, and use no setting of ``conf/`` for it."""


def main() -> NoReturn:
    """Entry point of ``evalsuite``: run the command of ``sys.argv`` and leave the process with its exit code.

    Every error becomes one message on standard error (with ``output=json`` also a document on standard output) and an
    ``Exit`` code; a bug leaves its traceback in a log file. Ctrl-C (130), SIGTERM (143) and a closed standard output
    (0; for ``gate``, ``release`` and ``probe`` 70) that end the command here add no message on standard error.
    """
    signal.signal(signal.SIGTERM, _on_sigterm)
    _open_closed_streams()
    _replace_unencodable()
    try:
        code = dispatch(sys.argv[1:])
        sys.stdout.flush()
    except EvalsuiteError as error:
        code = _failed(error.exit_code, str(error))
    except KeyboardInterrupt:
        code = _failed(Exit.SIGINT)
    except BrokenPipeError:  # `evalsuite tasks | head` has closed the pipe: nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _output_closed()
    except OSError as error:  # a full table of files, a disk, a library that cannot be loaded: this machine's, not ours
        code = _failed(Exit.STORAGE, _os_error(error))
    except SystemExit as stop:  # a signal, a stopped sweep; Rich leaves with 1 at a closed pipe
        code = _output_closed() if stop.code in (None, 0, 1) else _failed(Exit(int(stop.code)))
    except Exception:  # noqa: BLE001  whatever arrives here is a bug of ours, which has an exit code of its own
        code = _failed(Exit.BUG, _crash_log())
    sys.exit(int(code))


def _failed(code: Exit, text: str = "") -> Exit:
    """Report an error on standard error, and with ``output=json`` also as the document on standard
    output; returns ``code``.

    Without a text nothing is printed to standard error: a signal ended the command, or its message is there already.
    Where the document cannot be written, that is reported as well, and ``STORAGE`` returned.
    """
    if text:
        _print_error(text)
    words = sys.argv[1:]
    if json_output.is_requested(words):
        try:
            json_output.print_error(words, code, text or f"ended with exit code {code.value} ({code.name})")
        except EvalsuiteError as error:
            _print_error(str(error))
            return Exit.STORAGE
    return code


def _open_closed_streams() -> None:
    """Open the null device for each of standard input, output and error that the shell has closed (``>&-``).

    Else Python has no object for it, and the next file that is opened gets its number: what a library or a child
    process prints would land in a journal.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)  # the lowest free number, which this one is
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def _replace_unencodable() -> None:
    """Make standard output and standard error write ``?`` for characters that their encoding lacks,
    instead of failing.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it is closed
            stream.reconfigure(errors="replace")


def _os_error(error: OSError) -> str:
    """A message on what the operating system refused, with errno, file and what usually helps."""
    what = f"[Errno {error.errno}] {error.strerror}" if error.errno is not None else str(error) or type(error).__name__
    where = f": {error.filename}" if error.filename is not None else ""
    remedy = _REMEDIES.get(error.errno or 0, "mend that and give the same command again")
    return f"this machine refused something ({what}{where}). {remedy[0].upper()}{remedy[1:]}; what arrived is kept"


def _output_closed() -> Exit:
    """The exit code where the reader of the output has closed it: 0, but 70 (``BUG``) for ``gate``, ``release`` and
    ``probe`` without ``--help``, whose 0 is a result.
    """
    decides = "".join(sys.argv[1:2]) in DECIDING and not {"-h", "--help"} & set(sys.argv)
    return Exit.BUG if decides else Exit.DONE


def _print_error(text: str) -> None:
    """Print ``evalsuite: text`` to standard error, with control characters made harmless.

    Where standard error is closed it is replaced by the null device, so that the exit code stays as it is.
    """
    try:
        print(f"evalsuite: {safe_text.terminal(text)}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def dispatch(argv: Sequence[str]) -> Exit:
    """Run the command line ``argv`` (without the program's name) and return its exit code; prints help (also for no
    words) and version, too.

    ``run`` with ``-m`` is handed to the sweep; with a ``launch=`` other than ``here`` to the launcher, except where
    ``dry_run=true`` is set or no model is chosen. Raises ``EvalsuiteError`` for every expected error, ``BadInput`` for
    an unknown command; ``SystemExit`` with the exit code where a job of a sweep was stopped.
    """
    name = argv[0] if argv else "--help"
    if name in ("-h", "--help", "help"):
        from evalsuite.cli.help import overview

        print(overview())
        return Exit.DONE
    if name in ("-V", "--version"):
        print(f"evalsuite {__version__}")
        return Exit.DONE
    words = 2 if " ".join(argv[:2]) in COMMANDS else 1
    name = " ".join(argv[:words])
    if name not in COMMANDS:
        from evalsuite.config.hints import command_hint

        line = command_hint(argv, list(COMMANDS))
        usage = f"Write {line}" if line else "Usage: evalsuite COMMAND [KEY=VALUE ...]."
        raise unknown_name("command", name, COMMANDS, usage)
    arguments = split(argv[words:])
    if arguments.help:
        from evalsuite.cli.help import command_help

        print(command_help(name))
        return Exit.DONE
    if arguments.multirun and name != "run":
        raise BadInput(f"-m works with run only, not with {name}")
    if arguments.multirun:
        from evalsuite.cli.sweep import run_sweep

        return run_sweep(arguments, _function(COMMANDS[name]))
    if name in LISTING and set(arguments.overrides) <= {json_output.WORD}:
        return _run_command(name, _defaults(name, arguments))
    from evalsuite.config.settings import Run

    if name in (*REPORTING, "plan"):  # numpy's threads take 0.1 s of CPU to start, for a few small products of matrices
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    settings = _load(name, arguments)
    if isinstance(settings, Run) and name == "run" and not settings.models:
        return _function(COMMANDS[name])(settings)  # lists this beside all else that is missing
    if isinstance(settings, Run) and name == "run" and settings.dry_run:
        return _function(DRY_RUN)(settings)
    if isinstance(settings, Run) and name == "run" and settings.launch.kind != "here":
        from evalsuite.cli.launch.start import launch_jobs, launch_on_ray
        from evalsuite.cli.launch.words import per_model

        if settings.launch.kind == "ray":
            return launch_on_ray(arguments, settings)
        jobs = per_model(arguments.overrides, list(settings.models))
        return launch_jobs(jobs, settings.launch, arguments.config_dir)
    return _run_command(name, settings)


def _run_command(name: str, settings: "Run | Report") -> Exit:
    if settings.output != "json":
        return _function(COMMANDS[name])(settings)
    content: Callable[[Any], json_output.Content] = _attribute(json_output.COMMANDS[name])
    return json_output.print_result(name, lambda: content(settings))


def _overrides(command: str, arguments: Arguments) -> Sequence[str]:
    """The ``KEY=VALUE`` words of a command line in the form that the configuration takes.

    For ``tasks new`` and ``models new`` each bare word becomes ``name=WORD``. For ``release`` they are those that
    ``release.with_baseline`` returns, with its ``BadInput``. For other commands they are unchanged.
    """
    if command in ("tasks new", "models new"):  # the name stands by itself
        return [f"name={word}" if "=" not in word else word for word in arguments.overrides]
    if command != "release":
        return arguments.overrides
    from evalsuite.cli.release import with_baseline

    return with_baseline(arguments.overrides, arguments.config_dir)


def _load(command: str, arguments: Arguments) -> "Run | Report":
    """The settings of a command, composed from files and the command line: ``Report`` for commands over finished runs,
    else ``Run``. With ``urls=`` the servers are asked what they serve. Raises ``BadInput``, and ``EndpointUnusable``
    for one of these servers that does not answer or refuses the key.
    """
    from evalsuite.cli.startup import importing

    with importing():
        from evalsuite.config import compose  # Hydra costs 0.2 s

        overrides, folder = _overrides(command, arguments), arguments.config_dir
        if command in REPORTING:
            return compose.load_report(overrides, folder, command)
        if any(word.startswith("urls=") for word in overrides):
            return _at_urls(command, overrides, folder)
        return compose.load_settings(overrides, folder, command)


def _at_urls(command: str, overrides: Sequence[str], config_dir: str | None) -> "Run":
    """The settings of a run of the models at ``urls=[A,B]``.

    Asks the servers what they serve, and prints one line for each model to standard error. Raises as ``models_at`` and
    ``load_settings``.
    """
    from evalsuite.cli.urls import models_at, print_models
    from evalsuite.config.compose import load_settings

    others, models = models_at(command, overrides, config_dir)
    settings = load_settings(others, config_dir, command, models)
    print_models(settings)
    return settings


def _defaults(command: str, arguments: Arguments) -> "Run | Report":
    """The default settings of ``show`` or ``tasks`` without composing files (Hydra would take half a second).

    Any override means ``output=json``. Raises ``BadInput`` for a configuration folder that does not exist or holds a
    ``run.yaml`` or ``report.yaml``.
    """
    from evalsuite.config.files import config_source
    from evalsuite.config.report_settings import Report
    from evalsuite.config.settings import Run

    schema, folder = Report if command in REPORTING else Run, arguments.config_dir
    config_source("report" if schema is Report else "run", schema, (), folder)  # refuses a folder that is not there
    return schema(config_dir=folder, output="json" if arguments.overrides else "text")


def _function(path: str) -> Callable[[Any], Exit]:
    function: Callable[[Any], Exit] = _attribute(path)
    return function


def _attribute(path: str) -> Any:
    """Import the module of ``path``, which is ``module:name``, and return its attribute ``name``."""
    module, _, name = path.partition(":")
    from evalsuite.cli.startup import importing

    with importing():
        return getattr(import_module(module), name)


def _on_sigterm(signum: int, frame: FrameType | None) -> NoReturn:
    sys.exit(int(Exit.SIGTERM))


def _crash_log() -> str:
    """Write the traceback of the current exception to ``evalsuite-crash-PID.log`` in the temporary folder.

    Returns the message for the user, which names the file, or holds the traceback where it cannot be written.
    """
    log = Path(tempfile.gettempdir()) / f"evalsuite-crash-{os.getpid()}.log"
    text = f"evalsuite {__version__}, Python {sys.version}\n{traceback.format_exc()}"
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return f"internal error, please report it:\n{text}"
    return f"internal error ({type(sys.exception()).__name__}), please report it with {log}"
