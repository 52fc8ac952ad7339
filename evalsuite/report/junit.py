"""Writes ``junit.xml``: verdicts for CI systems, one test suite per candidate, one test case per benchmark.

Pass is a passed test and fail a failure. **Undecided is skipped, with its reason as the message**: Jenkins, GitLab and
the GitHub reporters list skipped tests with their message apart from failed ones, while ``error`` is drawn and counted
like a failure, which an undecided benchmark is not. The job itself still stops on the gate's exit code 2. An advisory
verdict is skipped too, unless it passes.
"""

from xml.etree import ElementTree as ET

from evalsuite.analysis.comparison import Comparison
from evalsuite.analysis.drift import Series, confirm_command
from evalsuite.analysis.release import ReleaseVerdict
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.analysis.verdict import Verdict
from evalsuite.report import formats
from evalsuite.sandbox import safe_text


def gate_junit(suite: SuiteComparison) -> str:
    """Return the JUnit file of a gate as XML text: one suite per candidate, with a case for each benchmark with a
    verdict, for each required one that was not measured, for the suite mean (if tested) and for the release. Undecided,
    unmeasured and failed advisory ones are skipped cases.
    """
    root = ET.Element("testsuites", name="evalsuite gate")
    for release in suite.releases:
        rows = [row for row in suite.comparisons if _belongs_to(release, row)]
        root.append(_suite(release, rows))
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(test_suite.get(name, "0")) for test_suite in root)))
    ET.indent(root)
    return _document(root)


def _belongs_to(release: ReleaseVerdict, row: Comparison) -> bool:
    return (row.baseline.cell.model, row.candidate.cell.model) == (release.baseline, release.candidate)


def _suite(release: ReleaseVerdict, rows: list[Comparison]) -> ET.Element:
    name = f"{release.candidate} against {release.baseline}"
    test_suite = ET.Element("testsuite", name=name)
    for row in rows:
        if row.verdict is not None:
            _case(test_suite, name, row.task, row.verdict, _numbers(row))
    for task in release.missing:
        if all(row.task != task or row.verdict is None for row in rows):
            case = ET.SubElement(test_suite, "testcase", classname=name, name=task)
            ET.SubElement(case, "skipped", message="not measured")
    if release.suite_mean is not None:
        _case(test_suite, name, "suite mean", release.suite_mean, formats.change(release.delta, None))
    case = ET.SubElement(test_suite, "testcase", classname=name, name="release")
    if release.call == "fail":
        ET.SubElement(case, "failure", message=release.reason, type="fail")
    elif release.call == "undecided":
        ET.SubElement(case, "skipped", message=f"undecided: {release.reason}")
    kinds = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    test_suite.set("tests", str(len(test_suite)))
    for attribute, tag in kinds.items():
        test_suite.set(attribute, str(len(test_suite.findall(f"testcase/{tag}"))))
    return test_suite


def _case(test_suite: ET.Element, classname: str, name: str, verdict: Verdict, numbers: str) -> None:
    case = ET.SubElement(test_suite, "testcase", classname=classname, name=name)
    reason = verdict.decision.reason
    if verdict.call == "fail" and verdict.decision.tier != "advisory":
        ET.SubElement(case, "failure", message=reason, type=verdict.decision.rule)
    elif verdict.call != "pass":
        status = f"{verdict.call} (advisory)" if verdict.decision.tier == "advisory" else verdict.call
        needed = f"; {verdict.needed.text}" if verdict.needed else ""
        ET.SubElement(case, "skipped", message=f"{status}: {reason}{needed}")
    output = ET.SubElement(case, "system-out")
    output.text = f"{verdict.decision.label}: {reason}. {numbers}"


def _numbers(row: Comparison) -> str:
    if row.paired is None:
        return row.reason
    change = formats.change(row.paired.change.delta, row.paired.change.ci95)
    return f"delta {change} pt, {row.paired.change.n:,} items, {row.paired.change.method}"


def _document(root: ET.Element) -> str:
    """Return the whole XML file as text; characters that XML does not allow are replaced, because they would make it
    unreadable.
    """
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + safe_text.xml(ET.tostring(root, encoding="unicode")) + "\n"


def drift_junit(series: Series) -> str:
    """Return the JUnit file of a drift gate as XML text.

    One test case per chart, which fails when its latest alarm is confirmed, and one for the last night; open alarms and
    an unfinished night are skipped with the reason.
    """
    test_suite = ET.Element("testsuite", name="evalsuite drift", tests=str(len(series.charts) + 1))
    for chart in series.charts:
        case = ET.SubElement(test_suite, "testcase", classname=f"drift of {chart.candidate}", name=chart.task)
        if chart.state == "confirmed":
            ET.SubElement(case, "failure", message="an alarm was confirmed by fresh answers", type="drift")
        elif chart.state == "open":
            ET.SubElement(case, "skipped", message=f"alarm, to be confirmed: {confirm_command(series, chart)}")
    case = ET.SubElement(test_suite, "testcase", classname="night", name=series.nights[-1].run)
    if series.unfinished:
        ET.SubElement(case, "skipped", message=series.unfinished)
    for tag, name in (("failure", "failures"), ("skipped", "skipped")):
        test_suite.set(name, str(len(test_suite.findall(f"testcase/{tag}"))))
    test_suite.set("errors", "0")
    ET.indent(test_suite)
    return _document(test_suite)
