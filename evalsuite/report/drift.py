"""The trend over nights: a table, ``drift.json`` and the plot."""

from pathlib import Path

from evalsuite.analysis.drift import Chart, Series, confirm_command
from evalsuite.errors import StorageFailed
from evalsuite.report import console, formats
from evalsuite.report.console import Column, Table
from evalsuite.stats.cusum import NIGHTS
from evalsuite.store.manifest import write_json
from evalsuite.tasks.datasets import benchmark_title

FILE, PLOT = "drift.json", "trend"


def write(found: Series, out: Path) -> None:
    """``drift.json`` and the trend plot into ``out``."""
    from evalsuite.report.plots.drift import save_trend

    try:
        out.mkdir(parents=True, exist_ok=True)
        save_trend(found.charts, out / "plots" / PLOT)
    except OSError as error:
        raise StorageFailed(f"cannot write to {out}: {error.strerror or error}") from None
    write_json(out / FILE, found.to_json())


def show(found: Series) -> None:
    """Print the table, and what is open."""
    output = console.standard_output()
    console.show([table(found)], "", output)
    for chart in found.waiting:
        output.print(
            f"{chart.candidate}, {benchmark_title(chart.task)}: alarm. Ask afresh, then run this again:", soft_wrap=True
        )
        output.print(f"  {confirm_command(found, chart)}", soft_wrap=True, markup=False)
    if found.unfinished:
        output.print(f"the last night, {found.nights[-1].run}, is no whole night: {found.unfinished}", soft_wrap=True)


def table(found: Series) -> Table:
    """The charts as they stand after the last night."""
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
    rows = [_row(chart) for chart in found.charts]
    note = f"One false alarm is expected in {NIGHTS} nights of all charts together, the baseline's own error included."
    errors = ", ".join(
        f"{benchmark_title(chart.task)} {formats.points(chart.baseline_stderr)} pt" for chart in found.charts
    )
    return Table("Drift against the frozen baseline", columns, tuple(rows), (note, f"Baseline's own error: {errors}."))


def _row(chart: Chart) -> tuple[str, ...]:
    seen = " / ".join("never" if one.median is None else str(one.median) for one in chart.delays[1:])
    benchmark = benchmark_title(chart.task)
    if not chart.points:
        return benchmark, chart.candidate, "0", formats.UNKNOWN, "0.00", f"{chart.limit:.2f}", "", seen
    last = chart.points[-1]
    delta, count = formats.change(last.delta, last.ci95), str(len(chart.points))
    return benchmark, chart.candidate, count, delta, f"{last.value:.2f}", f"{chart.limit:.2f}", chart.state, seen
