"""Shows the drift of nightly runs: a table, ``drift.json`` and a plot."""

from pathlib import Path

from evalsuite.analysis.drift import Chart, Series, confirm_command
from evalsuite.errors import StorageFailed
from evalsuite.report import console, formats
from evalsuite.report.console import Column, Table
from evalsuite.stats.cusum import ASSUMED_NIGHT, NIGHT_CORRELATION, NIGHTS
from evalsuite.store.manifest import write_json
from evalsuite.tasks.datasets import benchmark_title

FILE, PLOT = "drift.json", "trend"


def write(series: Series, out: Path, *, svg: bool) -> None:
    """Write ``drift.json`` and, when a chart has points, the plot ``plots/trend.png`` (with ``svg`` also ``.svg``) into
    the folder ``out``, which is created.

    Raises ``StorageFailed`` when that fails.
    """
    from evalsuite.report.plots.drift import save_trend

    try:
        out.mkdir(parents=True, exist_ok=True)
        save_trend(series.charts, out / "plots" / PLOT, svg=svg)
    except OSError as error:
        raise StorageFailed(f"cannot write to {out}: {error.strerror or error}") from None
    write_json(out / FILE, series.to_json())


def show(series: Series) -> None:
    """Print the table of the charts, the commands that measure open alarms again, and why the last night is incomplete,
    if it is.
    """
    output = console.standard_output()
    console.show([table(series)], "", output)
    for chart in series.waiting:
        subject = f"{chart.candidate}, {benchmark_title(chart.task)}"
        output.print(f"{subject}: alarm. Measure again with this command, then repeat the gate:", soft_wrap=True)
        output.print(f"  {confirm_command(series, chart)}", soft_wrap=True, markup=False)
    if series.unfinished:
        output.print(f"the last night, {series.nights[-1].run}, is incomplete: {series.unfinished}", soft_wrap=True)


def table(series: Series) -> Table:
    """Build the table of the charts after the last night, one row per candidate and benchmark."""
    columns = (
        Column("benchmark", number=False),
        Column("model", number=False),
        Column("nights"),
        Column("last delta pt [95 %]"),
        Column("cusum"),
        Column("alarm above"),
        Column("latest alarm", number=False),
        Column("-1 / -2 / -3 pt seen after (median nights)", essential=False),
    )
    rows = [_row(chart) for chart in series.charts]
    note = (
        f"One false alarm is expected in {NIGHTS} nights of all charts together, the baseline's own error and night "
        f"effects included (at least {ASSUMED_NIGHT:g} standard errors, correlation {NIGHT_CORRELATION:g})."
    )
    references = ", ".join(
        f"{benchmark_title(chart.task)} {formats.points(chart.offset.delta)} pt from {chart.offset.baseline}"
        for chart in series.charts
        if chart.offset.stderr
    )
    errors = ", ".join(
        f"{benchmark_title(chart.task)} {formats.points(chart.baseline_stderr)} pt" for chart in series.charts
    )
    notes = [note, f"Baseline's own error: {errors}."]
    notes += [f"Charted against the offset that the release accepted: {references}."] if references else []
    return Table("Drift against the frozen baseline", columns, tuple(rows), tuple(notes))


def _row(chart: Chart) -> tuple[str, ...]:
    delays = " / ".join("never" if delay.median is None else str(delay.median) for delay in chart.delays[1:])
    benchmark = benchmark_title(chart.task)
    if not chart.points:
        return benchmark, chart.candidate, "0", formats.UNKNOWN, "0.00", f"{chart.limit:.2f}", "", delays
    last = chart.points[-1]
    delta, count = formats.change(last.delta, last.ci95), str(len(chart.points))
    return benchmark, chart.candidate, count, delta, f"{last.value:.2f}", f"{chart.limit:.2f}", chart.state, delays
