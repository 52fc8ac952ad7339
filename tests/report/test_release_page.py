"""The page to sign states what was not decided."""

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from evalsuite.cli.gate import gate
from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Gate, Margin
from evalsuite.errors import Exit
from evalsuite.report.release_page import write_release_page
from tests.support.cells import Made, answers, write

DECIDED = "Nothing: every benchmark with a margin has a verdict."


def test_what_was_not_decided_is_listed(tmp_path: Path) -> None:
    base, cand = [1] * 60 + [0] * 40, [1] * 57 + [0] * 37 + [1] * 3 + [0] * 3
    run = write(tmp_path / "r", Made("fp8", answers(base), "gsm8k"), Made("v2", answers(cand), "gsm8k", baseline="fp8"))
    with redirect_stdout(StringIO()):
        report(Report(run=[str(run)]))
        for points, code, is_open in ((2, Exit.UNDECIDED, True), (40, Exit.DONE, False)):
            assert gate(Report(run=[str(run)], gate=Gate(margins={"gsm8k": Margin(points, "us", "a test")}))) == code
            page = write_release_page(run, run / "report").read_text()
            assert (DECIDED in page) != is_open
            assert ("would decide, towards" in page) == is_open
