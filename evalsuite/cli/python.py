"""The commands ``run`` and ``plan`` as functions, for Python and notebooks; they call what the commands call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from evalsuite.cli.run import Executed, execute
from evalsuite.config.compose import load_settings
from evalsuite.config.python_values import override_words
from evalsuite.config.settings import Run
from evalsuite.errors import BadInput, EndpointDown, EndpointUnusable, Exit, Stopped
from evalsuite.report.console import lines_output

if TYPE_CHECKING:
    import pandas as pd

    from evalsuite.analysis.suite import SuiteComparison
    from evalsuite.analysis.table import RunTable
    from evalsuite.plan.build import Plan


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run with its comparisons; scores and changes are fractions of 1."""

    folder: Path
    """The run's folder, below the folder of all runs."""
    suite: "SuiteComparison"
    """Every cell of the run compared with its baseline, where one was found; what the report shows."""
    notes: tuple[str, ...]
    """Why there are no published scores or no verdicts; usually empty."""
    page: Path | None
    """``report.html``; None with ``report=False``."""

    @property
    def run_id(self) -> str:
        """Name of the run: the same call with ``overrides={"run_id": ...}`` goes on with it."""
        return self.folder.name

    @property
    def complete(self) -> bool:
        """Whether every cell, those of the baselines included, has a score: each of its samples has a value, and
        nothing withholds it (such as degenerate answers).
        """
        return self.suite.complete

    @property
    def table(self) -> "RunTable":
        """The samples of the run and of its baselines, as ``load_run`` returns them."""
        return self.suite.table

    @property
    def scores(self) -> "pd.DataFrame":
        """One row for each cell: score, standard error, interval (fractions of 1), outcomes, tokens per sample."""
        return self.frame("scores")

    @property
    def deltas(self) -> "pd.DataFrame":
        """One row for each comparison: change and interval (fractions of 1), p value, lost and gained items, smallest
        detectable change.
        """
        return self.frame("deltas")

    @property
    def groups(self) -> "pd.DataFrame":
        """One row for each comparison and group value, such as each subject: items, change and
        interval (fractions of 1).
        """
        return self.frame("groups")

    def frame(self, name: str) -> "pd.DataFrame":
        """Build one table of the report, with the columns of its ``tables/*.csv``.

        Args:
            name: ``scores``, ``deltas``, ``effects``, ``groups``, ``causes``, ``suite``, ``recipes``, ``lengths`` or
                ``budgets``.

        Returns:
            The table with unrounded numbers; empty when the run has nothing of the kind.

        Raises:
            BadInput: There is no table of this name.
        """
        import pandas as pd

        from evalsuite.errors import unknown_name
        from evalsuite.report.data_files import comparison_content, flat_tables

        tables = flat_tables(comparison_content(self.suite))
        if name not in tables:
            raise unknown_name("table", name, tables)
        return pd.DataFrame(tables[name])


def run(
    models: str | Sequence[str] = (),
    tasks: str | Sequence[str] = (),
    *,
    suite: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    config_dir: str | Path | None = None,
) -> RunResult:
    """Ask models, grade their answers and compare them: ``evalsuite run`` as a function.

    Calling it again continues the newest run of this suite (without one: the newest that has none, whatever its tasks)
    if the asked cells fit into it, as the command does, else it begins a new one; ``overrides={"run_id": ...}`` names
    the run. Results are below the folder of the override ``results_dir`` (default: ``results``), with the report next
    to them (not with ``{"report": False}``). Progress is shown in the cell of a notebook, on a terminal, or as lines on
    standard error.

    Args:
        models: Names of models (``evalsuite tasks`` lists them; a text is one name); may be empty with a suite that
            names its own.
        tasks: Names of benchmarks (a text is one name); may be empty with a suite.
        suite: Name of a suite; None: none. ``models`` and ``tasks`` replace those that it names.
        overrides: Further keys of the command line with Python values, such as ``{"limit": 20, "sampling": "greedy",
            "models.fp8.base_url": "http://localhost:8001/v1"}``.
        config_dir: Folder with configuration files of your own; None: the shipped files alone.

    Returns:
        The run with its comparisons. It may be incomplete: some samples have no value, or a score is withheld.

    Raises:
        BadInput: A name, key or value is wrong, the questions or packages of a task are missing, ``dry_run`` or a
            ``launch`` other than ``here`` is set, or no request fits a whole time window.
        EndpointUnusable: A model was refused or given up; what arrived of the others is in the run's folder.
        EndpointDown: A server was down for too long; the same call goes on.
        Stopped: The deadline (also where nothing fits the rest of its window) or the token budget ended the run, or a
            task was skipped for want of a simulator; the same call goes on.
        CellInUse: Another process writes a cell of the run.
        StorageFailed: The results cannot be written.
        KeyboardInterrupt: Ctrl-C or SIGTERM ended the run; everything that arrived is kept.
    """
    settings = _settings("run", models, tasks, suite, overrides, config_dir)
    if settings.dry_run or settings.launch.kind != "here":
        raise BadInput("evalsuite.run asks and waits here; dry_run= and launch= belong to `evalsuite run`")
    console = lines_output(stderr=True)
    executed = execute(settings, console)
    console.print(executed.ending, end="", markup=False)
    from evalsuite.analysis.collect import REPORT_FOLDER
    from evalsuite.report.build import compare_run, write

    compared = None
    if executed.written:
        compared = compare_run(executed.folder, settings.baseline, settings.config_dir, gate=settings.gate)
    page = None
    if compared is not None and settings.report:
        page = write(compared.suite, executed.folder / REPORT_FOLDER, compared.cards, svg=settings.svg).page
    if compared is None or executed.code not in (Exit.DONE, Exit.INCOMPLETE):
        _raise(executed)
    return RunResult(executed.folder, compared.suite, compared.notes, page)


def make_plan(
    models: str | Sequence[str] = (),
    tasks: str | Sequence[str] = (),
    *,
    suite: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    config_dir: str | Path | None = None,
) -> "Plan":
    """Plan a run without sending anything: ``evalsuite plan`` as a function.

    Args:
        models: Names of models (a text is one name); may be empty with a suite that names its own.
        tasks: Names of benchmarks (a text is one name); may be empty with a suite.
        suite: Name of a suite; None: none. ``models`` and ``tasks`` replace those that it names.
        overrides: Further keys of the command line with Python values, such as ``{"rate": 2500, "window": "4h"}``.
        config_dir: Folder with configuration files of your own; None: the shipped files alone.

    Returns:
        What the run can decide (fractions of 1), what it costs (tokens, seconds, bytes) and where it fits;
        ``evalsuite.plan.document.plan_json`` turns it into the fields of ``docs/reference/plan.md``.

    Raises:
        BadInput: A name, key, machine, gate or baseline file is unknown or wrong, or no task can be planned.
    """
    from evalsuite.plan.build import make_plan as build

    return build(_settings("plan", models, tasks, suite, overrides, config_dir))


def _settings(
    command: str,
    models: str | Sequence[str],
    tasks: str | Sequence[str],
    suite: str | None,
    overrides: Mapping[str, Any] | None,
    config_dir: str | Path | None,
) -> Run:
    chosen = {"model": _names(models), "task": _names(tasks), "suite": suite}
    words = override_words({key: value for key, value in chosen.items() if value} | dict(overrides or {}))
    return load_settings(words, None if config_dir is None else str(config_dir), command)


def _names(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _raise(executed: Executed) -> Never:
    """Raise the error for a run that ended early, by its exit code and the servers' faults.

    ``KeyboardInterrupt`` for signals, ``BadInput`` where nothing fits the window; for the code ``STOPPED``
    ``EndpointDown`` if a server had a fault, else ``Stopped`` (a deadline, a budget, a missing simulator); for all
    others ``EndpointUnusable``.
    """
    faults = "; ".join(f"{name}: {fault}" for name, fault in executed.faults.items())
    kept = f"{executed.folder} keeps what arrived; the same call goes on"
    if executed.code in (Exit.SIGINT, Exit.SIGTERM):
        raise KeyboardInterrupt(f"stopped by {executed.stop.reason}. {kept}")
    if executed.code == Exit.BAD_INPUT:
        raise BadInput(f"nothing was sent: no request fits {executed.stop.reason}. Use a longer one")
    if executed.code == Exit.STOPPED and not faults:
        raise Stopped(f"stopped by {executed.stop.reason or 'a missing simulator'}. {kept}")
    error = EndpointDown if executed.code == Exit.STOPPED else EndpointUnusable
    raise error(f"{faults or 'no answer arrived'}. {kept}")
