"""``report.html``: the whole report in one file, which a browser shows from disk without a network.

Tables are plain HTML made here; plots and the flip browser are drawn from the JSON in the page by the libraries in
``vendor/``, which are part of the page. A content security policy admits exactly these scripts (by hash) and the
files of ``texts/``; everything that a model or a configuration wrote is escaped.
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
from evalsuite.report import flips as browse
from evalsuite.report import formats
from evalsuite.report import sections as facets
from evalsuite.report.console import Table
from evalsuite.report.plots.data import slot_use
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
    overview: SuiteComparison,
    content: Mapping[str, Any],
    tables: Sequence[Table],
    facts: Sequence[str],
    out: Path,
    demo: str,
) -> Path:
    """Write ``report.html`` and ``texts/`` into ``out``; returns the page's path.

    ``content`` is what ``comparison.json`` says, ``tables`` are shown below the page's own, ``facts`` say which cells
    the report is made of, ``demo`` is the label of demo models (empty for real ones).
    """
    found = [browse.browse(overview, task) for task in overview.table.tasks]
    stamp = hashlib.sha256(browse.script_json([content, [one.data for one in found]])).hexdigest()[:12]
    tasks: list[dict[str, Any]] = []
    left: list[str] = []
    for one in found:
        shards, missing = browse.write_texts(one, out / browse.FOLDER, stamp)
        tasks.append({**one.data, "shards": shards})
        left += [f"{benchmark_title(one.data['task'])}: {missing}"] if missing else []
    slots = [asdict(use) for use in slot_use(overview.table.cells)]
    titles = {cell.model: cell.title for cell in overview.table.cells}
    benchmarks = {task: benchmark_title(task) for task in overview.table.tasks}
    data = {"content": content, "titles": titles, "benchmarks": benchmarks, "tasks": tasks, "slots": slots}
    data["stamp"] = stamp
    view = {
        "runs": ", ".join(content["runs"]),
        "demo": demo,
        "facts": facts,
        "verdicts": facets.verdicts(overview, content),
        "strata": facets.strata(overview, content),
        "confounders": facets.confounders(overview),
        "limits": facets.limits(overview, content),
        "tokens": facets.tokens(overview, content),
        "tables": {table.title: table for table in tables},
        "compared": any(row["delta"] is not None for row in content["rows"]),
        "judged": any(row["verdict"] for row in content["rows"]),
        "withheld": left,
        "slots": bool(slots),
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
    return environment.get_template("report.html").render(
        view,
        policy=_policy(scripts),
        scripts=[Markup(script) for script in scripts],
        styles=[Markup(style) for style in styles],
        data=Markup(browse.script_json(data).decode()),
    )


def sort_key(text: str) -> str:
    """What a table cell is sorted by: its first number, spelled out; nothing for words."""
    found = _NUMBER.search(text)
    if found is None:
        return "-1e99" if text == formats.UNKNOWN else text
    return f"{float(found[0].replace(',', '')):.9f}"


def _policy(scripts: Sequence[str]) -> str:
    """Only these scripts, and files beside the page (``file:`` where it is opened from disk)."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    admitted = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {admitted} 'self' file:; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
