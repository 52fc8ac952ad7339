"""Nightly drift: the verdict of ``evalsuite gate gate=drift`` over a series of runs.

Pass: no alarm, or the latest one was dismissed by fresh answers. Fail: the latest alarm of a chart was confirmed.
Undecided: an alarm waits for its confirmation, or the last night is unfinished.
"""

from pathlib import Path
from xml.etree import ElementTree as ET

from evalsuite import console, nights
from evalsuite.errors import Exit, StorageFailed
from evalsuite.nights import Series, confirm_command
from evalsuite.report import trend
from evalsuite.settings import Report

JUNIT = "junit.xml"


def drift(settings: Report) -> Exit:
    """The command: charts, ``drift.json``, ``junit.xml``, a trend plot, and the verdict as exit code."""
    found = nights.series(settings)
    folders = nights.named(settings.run, settings.results_dir)
    out = Path(settings.out) if settings.out else folders[-1] / "report"
    trend.write(found, out)
    try:
        (out / JUNIT).write_text(junit(found), encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"cannot write to {out}: {error.strerror or error}") from None
    trend.show(found)
    word = {Exit.DONE: "PASS", Exit.FAIL: "FAIL", Exit.UNDECIDED: "UNDECIDED"}[found.verdict]
    console.standard_output().print(f"{word}: {out / trend.FILE}", soft_wrap=True, markup=False)
    return found.verdict


def junit(found: Series) -> str:
    """One test case per chart, and one for the last night; what waits is skipped with its reason."""
    suite = ET.Element("testsuite", name="evalsuite drift", tests=str(len(found.charts) + 1))
    for chart in found.charts:
        case = ET.SubElement(suite, "testcase", classname=f"drift of {chart.candidate}", name=chart.task)
        if chart.state == "confirmed":
            ET.SubElement(case, "failure", message="an alarm was confirmed by fresh answers", type="drift")
        elif chart.state == "open":
            ET.SubElement(case, "skipped", message=f"alarm, to be confirmed: {confirm_command(found, chart)}")
    case = ET.SubElement(suite, "testcase", classname="night", name=found.nights[-1].run)
    if found.unfinished:
        ET.SubElement(case, "skipped", message=found.unfinished)
    for tag, name in (("failure", "failures"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("errors", "0")
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"
