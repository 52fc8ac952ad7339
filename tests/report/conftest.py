"""Two reports that several tests read and none changes, made once for each process."""

import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.errors import Exit
from tests.support.made_runs import demo_run, real_run


@dataclass(frozen=True)
class Reported:
    """A report without margins."""

    folder: Path
    content: dict[str, Any]
    """``comparison.json``."""
    page: str
    """``report.html``."""


def _reported(run: Path) -> Reported:
    with redirect_stdout(StringIO()):
        assert report(Report(run=[str(run)])) == Exit.DONE
    folder = run / "report"
    content = json.loads((folder / "comparison.json").read_text())
    return Reported(folder, content, (folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def demo_report(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """Of ``demo_run``."""
    return _reported(demo_run(tmp_path_factory.mktemp("demo")))


@pytest.fixture(scope="session")
def real_report(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """Of ``real_run``."""
    return _reported(real_run(tmp_path_factory.mktemp("real")))
