"""``release.html``: one page on a release decision, from the files of the run's report.

It shows the verdict with its reasons, what was not decided, whether the run itself is sound, the baseline beside its
published value, what else differed between the servers, the settings, and hashes of everything that was compared.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evalsuite.errors import StorageFailed
from evalsuite.report import formats
from evalsuite.report.confounders import Confounder, first_confounders
from evalsuite.report.probe import read_probes, verdict_line
from evalsuite.report.verdict_file import VERDICT
from evalsuite.sandbox import safe_text
from evalsuite.store.manifest import cell_folders, replace_text
from evalsuite.tasks.datasets import benchmark_title

PAGE = "release.html"
_HERE = Path(__file__).parent


def write_release_page(run: Path, report: Path) -> Path:
    """Write ``release.html`` into the folder ``report`` from its ``verdict.json`` and ``comparison.json``; returns the
    page's path.

    ``run`` is the run's folder, for probes and superseded answers. Raises ``StorageFailed`` where the page cannot be
    written or a file cannot be opened, ``ValueError`` where one of the report's files is not JSON.
    """
    try:
        verdict, comparison = (json.loads((report / name).read_text("utf-8")) for name in (VERDICT, "comparison.json"))
        text = _render(verdict, comparison, run)
        replace_text(report / PAGE, text)
    except OSError as error:
        raise StorageFailed(f"cannot write {report / PAGE}: {error.strerror or error}") from None
    return report / PAGE


def _render(verdict: Mapping[str, Any], comparison: Mapping[str, Any], run: Path) -> str:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: safe_text.terminal(value) if type(value) is str else value,
    )
    rows = {(row["candidate"], row["task"]): row for row in comparison["rows"]}
    confounders = [Confounder(**fact) for fact in comparison.get("confounders") or ()]
    return environment.get_template("release.html").render(
        verdict=verdict,
        style=(_HERE / "templates" / "page.css").read_text(encoding="utf-8"),
        candidates=[_candidate(name, release, rows) for name, release in verdict["candidates"].items()],
        validation=[_validation(cell) for cell in comparison["cells"]],
        published=[check for card in comparison["cards"] for check in _published(card)],
        confounders=[fact for fact in confounders if fact.kind != "expected"],
        first_confounders=first_confounders(confounders),
        probes=[f"{probe['model']}: {verdict_line(probe)}" for probe in read_probes(run)],
        settings=[_settings(cell) for cell in verdict["cells"]],
        superseded=_superseded(run),
    )


def _candidate(
    name: str, release: Mapping[str, Any], rows: Mapping[tuple[str, str], Mapping[str, Any]]
) -> dict[str, Any]:
    shown = []
    for row in release["rows"]:
        measured, verdict = rows.get((name, row["task"])), row["verdict"]
        shown.append(
            {
                "benchmark": benchmark_title(row["task"]),
                "call": verdict["label"] if verdict else "not judged",
                "tier": row["limit"]["tier"] if row["limit"] else "",
                "baseline": formats.percent(measured["baseline_score"] if measured else None),
                "candidate": formats.percent(measured["candidate_score"] if measured else None),
                "delta": formats.change(row["delta"], tuple(row["ci95"]) if row["ci95"] else None),
                "margin": formats.points(-row["limit"]["margin"]) if row["limit"] else formats.UNKNOWN,
                "owner": f"{row['limit']['owner']}: {row['limit']['reason']}" if row["limit"] else "",
                "undecided": _undecided(verdict or {}),
                "partial": row["partial"],
                "cautions": row.get("cautions") or [],
                "reason": row["reason"] or (verdict or {}).get("reason", ""),
            }
        )
    missing = [benchmark_title(task) for task in release["missing"]]
    return {"name": name, "release": release, "rows": shown, "missing": missing}


def _undecided(verdict: Mapping[str, Any]) -> str:
    """Return what would decide an undecided verdict (an entry of ``verdict.json``), or else why it is undecided; empty
    for any other verdict.
    """
    if verdict.get("call") != "undecided":
        return ""
    return str((verdict["wanted"] or {}).get("text") or verdict["reason"])


def _validation(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return for one cell of ``comparison.json``, as texts for the page, its names, numbers of planned, scored and
    degenerate samples, outcomes and problems (``none`` without any).
    """
    outcomes = cell["outcomes"]
    scored = cell["samples"] - outcomes["failed"] - outcomes["ungraded"]
    degenerate = sum((cell.get("degenerate") or {}).values())
    problems = []
    if scored < cell["planned"]:
        problems.append(f"{cell['planned'] - scored:,} samples have no score")
    for outcome, share in (("truncated", 0.1), ("no_answer", 0.05)):
        if outcomes[outcome] > share * max(1, cell["planned"]):
            problems.append(f"{formats.percent(outcomes[outcome] / cell['planned'])} % {outcome.replace('_', ' ')}")
    return {
        "model": cell["title"],
        "benchmark": benchmark_title(cell["task"]),
        "expected": f"{cell['planned']:,}",
        "scored": f"{scored:,}",
        "truncated": f"{outcomes['truncated']:,}",
        "no_answer": f"{outcomes['no_answer']:,}",
        "failed": f"{outcomes['failed']:,}",
        "ungraded": f"{outcomes['ungraded']:,}",
        "degenerate": f"{degenerate:,}",
        "problems": "; ".join(problems) or "none",
    }


def _published(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = card.get("rows") or card.get("scores") or []
    return [{"card": card.get("title", ""), **row} for row in rows if isinstance(row, Mapping)]


def _settings(cell: Mapping[str, Any]) -> dict[str, str]:
    identity = cell["identity"]
    switch = "on" if identity.get("thinking") else "off"
    sampling = {name: value for name, value in (identity.get("sampling") or {}).items() if value is not None}
    return {
        "model": cell["model"],
        "benchmark": benchmark_title(cell["task"]),
        "checkpoint": str(identity.get("checkpoint") or formats.UNKNOWN),
        "protocol": f"{cell['version']} {identity.get('variant')}, thinking {switch}",
        "sampling": ", ".join(f"{name}={value}" for name, value in sampling.items()) or "left to the server",
        "identity": cell["identity_sha256"][:16],
        "samples": cell["samples_sha256"][:16],
    }


def _superseded(run: Path) -> list[str]:
    """Return lines with the reasons why earlier answers of the models that have a cell in this run were archived, read
    from ``superseded/*/reason.txt``: a reader of a verdict has to know of earlier answers.
    """
    models = dict.fromkeys(cell.parent for cell in cell_folders(run))
    notes = [note for model in models for note in sorted(model.glob("superseded/*/reason.txt"))]
    return [f"{note.parents[2].name}/{note.parent.name}: {note.read_text('utf-8').strip()}" for note in notes]
