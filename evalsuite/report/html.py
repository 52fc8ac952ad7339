"""Writes ``report.html``: the whole report in one file, which a browser shows from disk without a network.

Tables are plain HTML rendered here. Plots and the flip browser are drawn from the JSON in the page by the libraries in
``vendor/``, which are part of the page. A content security policy admits exactly these scripts (by hash) and the files
of ``texts/``; all text of models and configurations is escaped.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import flips, formats, sections
from evalsuite.report.confounders import confounders, first_confounders
from evalsuite.report.console import Table
from evalsuite.report.plots.data import slot_use
from evalsuite.report.probe import probes_of
from evalsuite.report.strata import strata
from evalsuite.report.warnings import warnings
from evalsuite.sandbox import safe_text
from evalsuite.store.manifest import replace_text
from evalsuite.tasks.datasets import benchmark_title

PAGE = "report.html"
_HERE = Path(__file__).parent
_SCRIPTS = (
    *("vendor/d3.min.js", "vendor/plot.umd.min.js", "vendor/tablesort.min.js", "vendor/tablesort.number.min.js"),
    *("vendor/tabulator.min.js", "templates/core.js", "templates/plots.js", "templates/items.js"),
)
_STYLES = ("vendor/tabulator.min.css", "templates/page.css")
_NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*")


def write_page(
    suite: SuiteComparison,
    content: Mapping[str, Any],
    tables: Sequence[Table],
    facts: Sequence[str],
    out: Path,
    demo: str,
) -> Path:
    """Write ``report.html`` and the files of answers in ``texts/`` into ``out``, which must exist; returns the page's
    path. Older files of answers of the same tasks are deleted.

    ``content`` is the content of ``comparison.json``; ``tables`` are those of the report without its changes by group,
    which the page computes from ``content``; ``facts`` are lines about the cells of the report; ``demo`` is the label
    of demo models (empty for real ones).
    """
    tasks_flips = [flips.flips_of_task(suite, task) for task in suite.table.tasks]
    stamp = hashlib.sha256(flips.script_json([content, [task_flips.data for task_flips in tasks_flips]])).hexdigest()[
        :12
    ]
    tasks: list[dict[str, Any]] = []
    withheld: list[str] = []
    for task_flips in tasks_flips:
        shards, missing = flips.write_texts(task_flips, out / flips.FOLDER, stamp)
        tasks.append({**task_flips.data, "shards": shards})
        withheld += [f"{benchmark_title(task_flips.data['task'])}: {missing}"] if missing else []
    slots = [asdict(use) for use in slot_use(suite.table.cells)]
    titles = {cell.model: cell.title for cell in suite.table.cells}
    benchmarks = {task: benchmark_title(task) for task in suite.table.tasks}
    data = {"content": content, "titles": titles, "benchmarks": benchmarks, "tasks": tasks, "slots": slots}
    data["stamp"] = stamp
    differing = confounders(suite)
    view = {
        "runs": ", ".join(content["runs"]),
        "demo": demo,
        "facts": facts,
        "verdicts": sections.verdicts(suite, content),
        "warnings": warnings(suite),
        "strata": strata(suite, content),
        "confounders": differing,
        "first_confounders": first_confounders(differing),
        "limits": sections.limits(suite, content),
        "tokens": sections.tokens(suite, content),
        "tables": {table.title: table for table in tables},
        "all_tables": tables,
        "compared": any(row["delta"] is not None for row in content["rows"]),
        "without_verdict": sections.without_verdict(suite),
        "withheld": withheld,
        "probes": probes_of(suite),
        "slots": bool(slots),
        "series": any(series[kind] for series in content["series"].values() for kind in ("lengths", "budgets")),
    }
    page = out / PAGE
    replace_text(page, _render(view, data))
    return page


def _render(view: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sort_key": sort_key, "points": formats.points, "percent": formats.percent}
    scripts = [(_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS]
    styles = [(_HERE / name).read_text(encoding="utf-8") for name in _STYLES]
    environment.finalize = _shown
    return environment.get_template("report.html").render(
        view,
        policy=_policy(scripts),
        scripts=[Markup(script) for script in scripts],
        styles=[Markup(style) for style in styles],
        data=Markup(flips.script_json(data).decode()),
    )


def _shown(value: Any) -> Any:
    """Return a value for the page: in plain strings, control characters and marks that reverse or hide text become
    visible signs; anything else (our own scripts) is returned as it is.
    """
    return safe_text.terminal(value) if type(value) is str else value


def sort_key(text: str) -> str:
    """Return the key by which a table cell is sorted: its first number with nine decimals (``1,043`` is one number);
    without a number the text itself, or a very low number for a dash.
    """
    number = _NUMBER.search(text)
    if number is None:
        return "-1e99" if text == formats.UNKNOWN else text
    return f"{float(number[0].replace(',', '')):.9f}"


def _policy(scripts: Sequence[str]) -> str:
    """Return a content security policy that admits only these scripts (their texts, by SHA-256), script files on disk
    (``file:``) or of the page's own origin, inline styles and ``data:`` pictures.
    """
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    admitted = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {admitted} 'self' file:; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
