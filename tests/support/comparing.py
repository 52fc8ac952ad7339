"""The content of ``comparison.json`` without the rest of a report: pictures and pages take most of its time."""

from pathlib import Path
from typing import Any

from evalsuite.analysis.suite import compare_all
from evalsuite.analysis.table import table_of
from evalsuite.report import data_files
from evalsuite.store.runs import run_cells


def comparison_rows(run: Path) -> list[dict[str, Any]]:
    """``rows[]`` of the comparison of every cell of a run with its declared baseline."""
    rows: list[dict[str, Any]] = data_files.comparison_content(compare_all(table_of(run_cells(run)), None))["rows"]
    return rows
