"""Nights of one model against a frozen baseline, in order: a CUSUM chart per benchmark.

A night is a run. One that is unfinished, or that may not be compared, is no point of a chart. An alarm is confirmed or
dismissed by answers asked afresh in the run ``<night>-confirm``; what is not asked yet stays open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from evalsuite.analysis.collect import open_inputs
from evalsuite.analysis.comparison import Comparison
from evalsuite.analysis.pairing import ASSUMED_PHI
from evalsuite.analysis.suite import compare_all
from evalsuite.config.settings import Report
from evalsuite.errors import BadInput, Exit
from evalsuite.records import SCHEMA
from evalsuite.stats import cusum as drift
from evalsuite.stats.power import Design
from evalsuite.store.baseline import unpack
from evalsuite.store.runs import run_ids
from evalsuite.version import __version__

CONFIRM = "-confirm"
"""Ending of a run that confirms or dismisses the alarm of the night before it."""
FRESH_SEED = 1_000_003
"""Added to a run's seed by the confirmation, so that its answers are drawn afresh."""
Answer = Literal["confirmed", "dismissed", "open", ""]
"""What became of an alarm; empty where there was none."""
Place = tuple[str, str]
"""(candidate, task)"""


@dataclass(frozen=True, slots=True)
class Night:
    """One run of the series."""

    run: str
    rows: Mapping[Place, Comparison]
    problem: str
    """Why the night is no whole night; empty for a finished one."""


@dataclass(frozen=True, slots=True)
class Point:
    """One night on a chart; fractions of 1."""

    run: str
    delta: float
    ci95: tuple[float, float] | None
    value: float
    """The chart's sum after this night, in standard errors."""
    alarm: Answer

    def to_json(self) -> dict[str, Any]:
        """As in ``drift.json``."""
        bounds = None if self.ci95 is None else list(self.ci95)
        return {"run": self.run, "delta": self.delta, "ci95": bounds, "cusum": self.value, "alarm": self.alarm or None}


@dataclass(frozen=True, slots=True)
class Chart:
    """One benchmark of one candidate over all nights."""

    candidate: str
    task: str
    baseline: str
    limit: float
    """Of the sum, in standard errors: above it is an alarm."""
    baseline_stderr: float
    """The frozen baseline's own error of its score, a fraction of 1; shared by all nights."""
    points: tuple[Point, ...]
    delays: tuple[drift.Delay, ...]

    @property
    def state(self) -> Answer:
        """What became of the latest alarm."""
        return next((point.alarm for point in reversed(self.points) if point.alarm), "")

    def to_json(self) -> dict[str, Any]:
        """As in ``drift.json``."""
        return {
            "candidate": self.candidate,
            "task": self.task,
            "baseline": self.baseline,
            "limit": self.limit,
            "baseline_stderr": self.baseline_stderr,
            "state": self.state or None,
            "points": [point.to_json() for point in self.points],
            "delays": [
                {"points": one.points, "median": one.median, "week": one.within_week, "month": one.within_month}
                for one in self.delays
            ],
        }


def named(patterns: Sequence[str], results_dir: str) -> list[Path]:
    """The runs that names, folders or patterns (``results/nightly-*``) mean, oldest first, confirmations left out.

    Raises ``BadInput`` if there is none.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        path = Path(pattern)
        home = path.parent if path.parent != Path() else Path(results_dir)
        runs = run_ids(home)
        found |= {name: home / name for name in runs if (home / name).match(path.name)}
    nights = [found[name] for name in sorted(found) if not name.endswith(CONFIRM)]
    if not nights:
        known = ", ".join(run_ids(Path(results_dir))) or "none"
        raise BadInput(f"run={','.join(patterns)} means no run; in {results_dir}: {known}")
    return nights


def night(folder: Path, settings: Report, alpha: float = 0.05) -> Night:
    """One run compared with the frozen baseline (``settings.baseline_run``), or with its own without one."""
    try:
        with open_inputs(replace(settings, run=[str(folder)])) as found:
            overview = compare_all(found.table, found.baseline, alpha=alpha)
    except BadInput as error:
        return Night(folder.name, {}, str(error))
    rows = {(row.candidate.cell.model, row.task): row for row in overview.comparisons}
    problem = "; ".join(row.reason for row in rows.values() if row.reason)
    return Night(folder.name, rows, problem if rows else "nothing to compare")


def charts(nights: Sequence[Night], confirmations: Mapping[str, Night]) -> tuple[Chart, ...]:
    """A chart for every candidate and benchmark, tuned to one false alarm in 200 nights of all charts together.

    ``confirmations``: name of a night -> its confirmation, compared at ``drift.CONFIRM_ALPHA``. Raises ``BadInput``
    where the baseline has too few repeats to be frozen.
    """
    places = list(dict.fromkeys(place for one in nights for place in one.rows))
    return tuple(_chart(place, len(places), nights, confirmations) for place in places)


def _chart(place: Place, together: int, nights: Sequence[Night], confirmations: Mapping[str, Night]) -> Chart:
    rows = [(one.run, row) for one in nights if (row := one.rows.get(place)) and row.paired]
    if not rows:
        raise BadInput(f"{place[0]}, {place[1]}: no night is whole: {nights[-1].problem}")
    first = rows[0][1]
    design = _design(first)
    try:
        chart = drift.tuned(design, drift.NIGHTS * together)
        delays = drift.delays(design)
    except ValueError as error:
        raise BadInput(f"{place[0]}, {place[1]}: {error}. Save a baseline with more repeats") from None
    points: list[Point] = []
    for run, row in rows:
        change = row.paired.change if row.paired else None
        if change is None or not change.stderr:
            continue
        chart = drift.update(chart, change.delta, change.stderr)
        alarm = _answer(confirmations.get(run), place) if chart.alarm else ""
        points.append(Point(run, change.delta, change.ci95, chart.value, alarm))
    scored = first.baseline.scored
    own = scored.stderr if scored and scored.stderr is not None else 0.0
    return Chart(*place, first.baseline.cell.model, chart.limit, own, tuple(points), delays)


def _design(row: Comparison) -> Design:
    """The night's size; the limit depends on nothing but the repeats of both sides, delays also on the score."""
    assert row.paired is not None
    n = row.paired.change.n
    repeats = (row.baseline.repeats, row.candidate.repeats)
    score = min(max(row.paired.baseline_score, 1 / (2 * n)), 1 - 1 / (2 * n))
    return Design(n, n, score, ASSUMED_PHI, 0.0, *repeats)


def _answer(confirmation: Night | None, place: Place) -> Answer:
    row = confirmation.rows.get(place) if confirmation else None
    if row is None or row.paired is None:
        return "open"
    said = drift.confirmed(row.paired.change)
    return "open" if said is None else "confirmed" if said else "dismissed"


@dataclass(frozen=True, slots=True)
class Series:
    """All nights with their charts."""

    nights: tuple[Night, ...]
    charts: tuple[Chart, ...]

    @property
    def unfinished(self) -> str:
        """Why the last night is not whole; empty if it is."""
        return self.nights[-1].problem

    @property
    def waiting(self) -> tuple[Chart, ...]:
        """Charts whose latest alarm has no confirmation yet."""
        return tuple(chart for chart in self.charts if chart.state == "open")

    @property
    def verdict(self) -> Exit:
        """Confirmed loss before everything else; then what is still open."""
        if any(chart.state == "confirmed" for chart in self.charts):
            return Exit.FAIL
        return Exit.UNDECIDED if self.unfinished or self.waiting else Exit.DONE

    def to_json(self) -> dict[str, Any]:
        """``drift.json``."""
        word = {Exit.DONE: "pass", Exit.FAIL: "fail"}.get(self.verdict, "undecided")
        return {
            "schema": SCHEMA,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "evalsuite": __version__,
            "verdict": word,
            "nights": [{"run": one.run, "problem": one.problem or None} for one in self.nights],
            "false_alarms": {"expected": 1, "nights": drift.NIGHTS, "charts": len(self.charts)},
            "charts": [chart.to_json() for chart in self.charts],
            "confirm": [confirm_command(self, chart) for chart in self.waiting],
        }


def series(settings: Report) -> Series:
    """Read all nights and their confirmations. Raises ``BadInput`` for unknown runs and unusable baselines."""
    if settings.baseline_run is None:
        raise BadInput("drift is measured against a frozen baseline: add baseline_run=FILE (evalsuite baseline save)")
    folders = named(settings.run, settings.results_dir)
    with TemporaryDirectory(prefix="evalsuite-baseline-") as home:
        path = Path(settings.baseline_run).expanduser()
        if path.is_file():  # unpacked once for all nights
            settings = replace(settings, baseline_run=str(unpack(path, Path(home)).cells[0].folder.parents[1]))
        found = [night(folder, settings) for folder in folders]
        confirmations = {
            folder.name: night(again, settings, drift.CONFIRM_ALPHA)
            for folder in folders
            if (again := folder.with_name(folder.name + CONFIRM)).is_dir()
        }
    return Series(tuple(found), charts(found, confirmations))


def confirm_command(found: Series, chart: Chart) -> str:
    """What asks the last alarm's benchmark afresh, with the repeats that the baseline has room for."""
    run = next(point.run for point in reversed(chart.points) if point.alarm == "open")
    night = next(one for one in found.nights if one.run == run)
    row = night.rows[chart.candidate, chart.task]
    seed = int(row.candidate.cell.identity.get("seed") or 0) + FRESH_SEED
    suite = run.rsplit("-", 1)[0]
    return (
        f"evalsuite run model={chart.candidate} suite={suite} run_id={run}{CONFIRM} seed={seed} "
        f"tasks.{chart.task}.repeats={row.baseline.repeats}"
    )
