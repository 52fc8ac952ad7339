"""Compares the nightly runs of one checkpoint with itself, with one CUSUM chart per benchmark.

The reference is the checkpoint's own frozen answers, or a baseline of another checkpoint together with the offset from
it that a release accepted. ``baseline save`` of the accepted candidate records both.

A night is a run. A run that is unfinished or may not be compared adds no point to a chart. An alarm is confirmed or
dismissed by new answers in the run ``<night>-confirm``; while there are none, the alarm is open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from evalsuite.analysis.collect import open_inputs
from evalsuite.analysis.comparison import Comparison
from evalsuite.analysis.pairing import ASSUMED_PHI
from evalsuite.analysis.suite import compare_all
from evalsuite.config.paths import expanded
from evalsuite.config.report_settings import Report
from evalsuite.errors import BadInput, Exit
from evalsuite.records import SCHEMA
from evalsuite.stats import cusum
from evalsuite.stats.design import Design
from evalsuite.store.artefact import Offset, open_artefact, unpack
from evalsuite.store.runs import BASELINE_SUFFIX, TableCell, run_ids
from evalsuite.version import __version__

CONFIRM = "-confirm"
"""Ending of the id of a run that confirms or dismisses the alarm of the night before it."""
FRESH_SEED = 1_000_003
"""Added to the seed of a run by its confirmation, so that new answers are drawn."""
AlarmState = Literal["confirmed", "dismissed", "open", ""]
"""Result of an alarm; empty when there was none."""
ChartKey = tuple[str, str]
"""(candidate, task): the key of a chart."""


@dataclass(frozen=True, slots=True)
class Night:
    """One run of the series."""

    run: str
    """Id of the run."""
    rows: Mapping[ChartKey, Comparison]
    """(candidate, task) -> comparison with the baseline."""
    problem: str
    """Why the night is incomplete; empty for a finished one."""


@dataclass(frozen=True, slots=True)
class Point:
    """One night on a chart; fractions of 1."""

    run: str
    """Id of the run."""
    delta: float
    """Candidate minus baseline."""
    ci95: tuple[float, float] | None
    """95 % interval of the delta."""
    value: float
    """Value of the chart after this night, in standard errors."""
    alarm: AlarmState
    """Result of the alarm of this night; empty when there was none."""

    def to_json(self) -> dict[str, Any]:
        """Return the night's entry in ``points`` of a chart in ``drift.json``: run, delta, ci95, ``cusum`` (the chart's
        value) and alarm (null when there was none).
        """
        bounds = None if self.ci95 is None else list(self.ci95)
        return {"run": self.run, "delta": self.delta, "ci95": bounds, "cusum": self.value, "alarm": self.alarm or None}


@dataclass(frozen=True, slots=True)
class Chart:
    """One benchmark of one candidate over all nights."""

    candidate: str
    """Name of the candidate model."""
    task: str
    """Name of the task."""
    baseline: str
    """Name of the baseline model."""
    limit: float
    """A value above this raises an alarm (standard errors)."""
    baseline_stderr: float
    """Standard error of the frozen baseline's score, a fraction of 1; shared by all nights."""
    points: tuple[Point, ...]
    """The nights, oldest first."""
    delays: tuple[cusum.Delay, ...]
    """Nights until a loss of a given size is detected."""
    offset: Offset
    """What the nights are charted against: 0 for the checkpoint's own frozen answers, else the accepted offset."""
    night: float
    """Standard deviation of night effects, in standard errors of one night: assumed, or estimated and larger."""

    @property
    def state(self) -> AlarmState:
        """Result of the latest alarm: "confirmed", "dismissed" or "open" (not measured again, or without a result);
        empty without alarms.
        """
        return next((point.alarm for point in reversed(self.points) if point.alarm), "")

    def to_json(self) -> dict[str, Any]:
        """Return the chart as an entry of ``drift.json``: names, limit, offset, state, points and detection delays."""
        return {
            "candidate": self.candidate,
            "task": self.task,
            "baseline": self.baseline,
            "limit": self.limit,
            "baseline_stderr": self.baseline_stderr,
            "offset": {"delta": self.offset.delta, "stderr": self.offset.stderr, "baseline": self.offset.baseline},
            "night_effect": self.night,
            "state": self.state or None,
            "points": [point.to_json() for point in self.points],
            "delays": [
                {"points": delay.points, "median": delay.median, "week": delay.within_week, "month": delay.within_month}
                for delay in self.delays
            ],
        }


def select_runs(patterns: Sequence[str], results_dir: str) -> list[Path]:
    """Return the folders of the runs that match any of ``patterns``; each id once, sorted by id, so that dated ids are
    oldest first.

    A pattern is a run id, which may hold wildcards, and stands for runs in ``results_dir``, or in another folder (not
    ``.``) that is written before it, as in ``results/nightly-*``. Runs whose id ends in ``-confirm`` are left out.
    Raises ``BadInput`` when no run is left.
    """
    folders: dict[str, Path] = {}
    for pattern in patterns:
        path = Path(pattern)
        home = path.parent if path.parent != Path() else Path(results_dir)
        runs = run_ids(home)
        folders |= {name: home / name for name in runs if (home / name).match(path.name)}
    selected = [folders[name] for name in sorted(folders) if not name.endswith(CONFIRM)]
    if not selected:
        known = ", ".join(run_ids(Path(results_dir))) or "none"
        raise BadInput(f"run={','.join(patterns)} means no run; in {results_dir}: {known}")
    return selected


def compare_night(folder: Path, settings: Report, alpha: float = 0.05) -> Night:
    """Compare the run in ``folder`` with the frozen baseline ``settings.baseline_run``, or, when that is None, with the
    baseline ``settings.baseline``, or, without either, with those that ``compare_all`` chooses.

    ``alpha`` is the error of each one-sided bound; with ``settings.model`` only that model is kept. A night has a
    ``problem`` and no comparisons where the run is unknown or damaged, the baseline is missing or edited, or there is
    nothing to compare; where single comparisons have no numbers, they stay and ``problem`` has their reasons. No
    ``BadInput`` is raised for these, but ``StorageFailed`` for a file that cannot be read.
    """
    try:
        with open_inputs(replace(settings, run=[str(folder)])) as inputs:
            suite = compare_all(inputs.table, inputs.baseline, alpha=alpha)
    except BadInput as error:
        return Night(folder.name, {}, str(error))
    kept = [row for row in suite.comparisons if settings.model in (None, row.candidate.cell.model)]
    rows = {(row.candidate.cell.model, row.task): row for row in kept}
    problem = "; ".join(row.reason for row in rows.values() if row.reason)
    return Night(folder.name, rows, problem if rows else "nothing to compare")


def build_charts(
    nights: Sequence[Night], confirmations: Mapping[str, Night], offsets: Mapping[str, Offset] | None = None
) -> tuple[Chart, ...]:
    """Build a CUSUM chart for every candidate and benchmark of the nights, given oldest first; empty without
    comparisons.

    The limits are set to one expected false alarm in 200 nights of all charts together. ``confirmations``: id of a
    night -> its confirmation, compared at ``confirm_alpha``. ``offsets``: task -> accepted offset, for a baseline of
    another checkpoint; None for none. Nights without a standard error above 0 add no point. Raises ``BadInput`` when
    no night of a chart has numbers, or the baseline has too few repeats or is of another checkpoint without an accepted
    offset.
    """
    keys = chart_keys(nights)
    return tuple(_chart(key, len(keys), nights, confirmations, (offsets or {}).get(key[1])) for key in keys)


def chart_keys(nights: Sequence[Night]) -> tuple[ChartKey, ...]:
    """Return (candidate, task) of every comparison in these nights, each once, in order of first appearance."""
    return tuple(dict.fromkeys(key for night in nights for key in night.rows))


def confirm_alpha(charts: int) -> float:
    """Return the one-sided error of the test that confirms an alarm: ``cusum.CONFIRM_ALPHA`` divided by the number of
    charts (at least 1).
    """
    return cusum.CONFIRM_ALPHA / max(charts, 1)


def _chart(
    key: ChartKey, count: int, nights: Sequence[Night], confirmations: Mapping[str, Night], offset: Offset | None
) -> Chart:
    rows = [(night.run, row) for night in nights if (row := night.rows.get(key)) and row.paired]
    if not rows:
        raise BadInput(f"{key[0]}, {key[1]}: no night is complete: {nights[-1].problem}")
    first = rows[0][1]
    offset = _reference(first, offset)
    design = _design(first)
    measured = [(run, row.paired.change) for run, row in rows if row.paired and row.paired.change.stderr]
    deltas = np.array([change.delta - offset.delta for _, change in measured])
    errors = np.array([change.stderr for _, change in measured])
    relative = offset.stderr / float(errors[0]) if len(errors) else 0.0
    night = cusum.night_effect(deltas / errors, cusum.baseline_share(design))
    try:
        chart = cusum.tuned(design, cusum.NIGHTS * count, offset=relative)
        estimated = cusum.tuned(design, cusum.NIGHTS * count, night, relative)
        delays = cusum.delays(design)
    except ValueError as error:
        raise BadInput(f"{key[0]}, {key[1]}: {error}. Save a baseline with more repeats") from None
    points: list[Point] = []
    for place, (run, change) in enumerate(measured):
        if place == cusum.FIRST_NIGHTS:
            chart = replace(chart, limit=estimated.limit, night=estimated.night)
        chart = cusum.update(chart, float(deltas[place]), float(np.hypot(errors[place], offset.stderr)))
        shared = float(np.hypot(chart.night * errors[place], offset.stderr))
        alarm = _alarm_state(confirmations.get(run), key, offset.delta, shared, count) if chart.alarm else ""
        points.append(Point(run, change.delta, change.ci95, chart.value, alarm))
    scored = first.baseline.scored
    baseline_stderr = scored.stderr if scored and scored.stderr is not None else 0.0
    return Chart(
        *key, first.baseline.cell.model, chart.limit, baseline_stderr, tuple(points), delays, offset, chart.night
    )


def _reference(row: Comparison, offset: Offset | None) -> Offset:
    """Return what a checkpoint's nights are charted against: an offset of 0 when the baseline is of the same
    checkpoint, else the given one.

    Raises ``BadInput`` for a baseline of another checkpoint without an offset (None): a loss that a release accepted
    would be an alarm every night.
    """
    old, new = row.baseline.cell, row.candidate.cell
    if same_checkpoint(old, new):
        return Offset(0.0, 0.0, old.model)
    if offset is not None:
        return offset
    raise BadInput(
        f"{new.model}, {row.task}: drift asks whether a checkpoint still equals itself, and baseline_run holds "
        f"{old.model}, another checkpoint. Save the accepted one: evalsuite baseline save run=RUN model={new.model} "
        f"to={new.model}.baseline, and use baseline_run={new.model}.baseline; or go on with the offset that its "
        f"release accepted: accepted={new.model}.baseline"
    )


def same_checkpoint(old: TableCell, new: TableCell) -> bool:
    """Return whether two cells are of one checkpoint and revision (an unknown revision equals any). Where a checkpoint
    is unknown, the models' names decide; the ending ``@baseline`` of ``old`` does not count.
    """
    known = [(cell.identity.get("checkpoint"), cell.identity.get("revision")) for cell in (old, new)]
    if any(checkpoint is None for checkpoint, _ in known):
        return old.model.removesuffix(BASELINE_SUFFIX) == new.model
    revisions = {revision for _, revision in known if revision is not None}
    return known[0][0] == known[1][0] and len(revisions) < 2


def _design(row: Comparison) -> Design:
    """Describe one night's measurement (items, repeats of both sides, baseline score kept off 0 and 1, assumed
    variation) as input of the CUSUM functions.

    Of these the chart's limit depends only on the repeats, its delays also on items, score and variation. The
    comparison must have paired numbers.
    """
    assert row.paired is not None
    n = row.paired.change.n
    repeats = (row.baseline.repeats, row.candidate.repeats)
    score = min(max(row.paired.baseline_score, 1 / (2 * n)), 1 - 1 / (2 * n))
    return Design(n, n, score, ASSUMED_PHI, 0.0, *repeats)


def _alarm_state(confirmation: Night | None, key: ChartKey, offset: float, error: float, count: int) -> AlarmState:
    """Return "confirmed" or "dismissed" from the confirmation of a night, "open" when it is missing (None), incomplete
    or without a bound.

    ``key``: (candidate, task). ``offset``: accepted delta, a fraction. ``error``: standard deviation of night effect
    and offset, a fraction. ``count``: number of charts that share the error.
    """
    row = confirmation.rows.get(key) if confirmation else None
    confirmed: bool | None = None
    if row is not None and row.paired is not None:
        confirmed = cusum.confirmed(row.paired.change, offset=offset, error=error, alpha=confirm_alpha(count))
    return "open" if confirmed is None else "confirmed" if confirmed else "dismissed"


@dataclass(frozen=True, slots=True)
class Series:
    """All nights with their charts."""

    nights: tuple[Night, ...]
    """The nights, oldest first."""
    charts: tuple[Chart, ...]
    """One chart for each candidate and benchmark."""

    @property
    def unfinished(self) -> str:
        """Why the last night is incomplete, as text; empty when it is complete."""
        return self.nights[-1].problem

    @property
    def waiting(self) -> tuple[Chart, ...]:
        """Charts whose latest alarm is open: without a confirmation, or with one that has no result."""
        return tuple(chart for chart in self.charts if chart.state == "open")

    @property
    def verdict(self) -> Exit:
        """Exit code of the series: FAIL when the latest alarm of any chart is confirmed; else UNDECIDED when the last
        night is unfinished or the latest alarm of any chart is open; else DONE.
        """
        if any(chart.state == "confirmed" for chart in self.charts):
            return Exit.FAIL
        return Exit.UNDECIDED if self.unfinished or self.waiting else Exit.DONE

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``drift.json``: verdict, nights, charts, assumptions, the present time, and for each
        chart of ``waiting`` the command that measures it again.
        """
        word = {Exit.DONE: "pass", Exit.FAIL: "fail"}.get(self.verdict, "undecided")
        return {
            "schema": SCHEMA,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "evalsuite": __version__,
            "verdict": word,
            "nights": [{"run": night.run, "problem": night.problem or None} for night in self.nights],
            "false_alarms": {"expected": 1, "nights": cusum.NIGHTS, "charts": len(self.charts)},
            "assumptions": {
                "night_effect": f"at least {cusum.ASSUMED_NIGHT:g} standard errors of a night; more where the first "
                f"{cusum.FIRST_NIGHTS} nights vary more",
                "night_correlation": cusum.NIGHT_CORRELATION,
                "confirm_alpha": confirm_alpha(len(self.charts)),
                "shared": "all nights and confirmations share the baseline's sampling error, and a night and its "
                "confirmation their night effect",
            },
            "charts": [chart.to_json() for chart in self.charts],
            "confirm": [confirm_command(self, chart) for chart in self.waiting],
        }


def read_series(settings: Report) -> Series:
    """Read and compare all nights that ``settings.run`` matches and their confirmations (folders ``<night>-confirm``),
    and build the charts.

    Baseline files are unpacked into a temporary folder. Raises ``BadInput`` without ``baseline_run``, for run patterns
    that match nothing, a damaged baseline file, an ``accepted`` file that no release accepted, and as ``build_charts``.
    A night that cannot be compared is no error but has a ``problem``, and so has every night where the baseline run is
    unknown; each chart needs one night with numbers.
    """
    if settings.baseline_run is None:
        raise BadInput("drift is measured against a frozen baseline: add baseline_run=FILE (evalsuite baseline save)")
    folders = select_runs(settings.run, settings.results_dir)
    with TemporaryDirectory(prefix="evalsuite-baseline-") as home:
        path = expanded(settings.baseline_run)
        if path.is_file():  # unpacked once for all nights
            own = unpack(path, Path(home), settings.baseline_max_gb)
            settings = replace(settings, baseline_run=str(own.cells[0].folder.parents[1]))
        offsets: Mapping[str, Offset] = {}
        if settings.accepted is not None:
            with open_artefact(expanded(settings.accepted), settings.baseline_max_gb) as accepted:
                offsets = accepted.accepted
            if not offsets:
                raise BadInput(f"{settings.accepted}: no release accepted it: run its gate before `baseline save`")
        nights = [compare_night(folder, settings) for folder in folders]
        alpha = confirm_alpha(len(chart_keys(nights)))
        confirmations = {
            folder.name: compare_night(confirmation, settings, alpha)
            for folder in folders
            if (confirmation := folder.with_name(folder.name + CONFIRM)).is_dir()
        }
    return Series(tuple(nights), build_charts(nights, confirmations, offsets))


def confirm_command(series: Series, chart: Chart) -> str:
    """Return the ``evalsuite run`` command line that asks the suite of the night of the chart's last open alarm again,
    as run ``<night>-confirm``, with a new seed, and the chart's benchmark with as many repeats as the baseline has.

    The chart must have an open alarm. The suite is taken from the night's id: what stands before the last hyphen, or
    the whole id without one.
    """
    run = next(point.run for point in reversed(chart.points) if point.alarm == "open")
    night = next(past_night for past_night in series.nights if past_night.run == run)
    row = night.rows[chart.candidate, chart.task]
    seed = int(row.candidate.cell.identity.get("seed") or 0) + FRESH_SEED
    words = f"model={chart.candidate} suite={run.rsplit('-', 1)[0]} run_id={run}{CONFIRM} seed={seed}"
    return f"evalsuite run {words} tasks.{chart.task}.repeats={row.baseline.repeats}"
