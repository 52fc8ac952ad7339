"""Tables of the fidelity probe, for the terminal and for the page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.report.console import Column, Table

FOLDER = "probe"
"""Folder of ``<candidate>.json`` files in a run's folder."""


def read_probes(run: Path) -> list[dict[str, Any]]:
    """Read the probes on record in a run's folder (``probe/*.json``), sorted by file name; files that are unreadable or
    no probe are left out. Empty without that folder.
    """
    probes = []
    for path in sorted((run / FOLDER).glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(content, dict) and "claim" in content and "nats" in content:
            probes.append(content)
    return probes


def probe_tables(probe: Mapping[str, Any]) -> list[Table]:
    """Build the three tables of one probe (the content of ``probe/NAME.json``): sizes, parts of the answers, and the
    most divergent tokens.
    """
    return [_sizes(probe), _strata(probe), _places(probe)]


def verdict_line(probe: Mapping[str, Any]) -> str:
    """State the outcome of a probe (the content of ``probe/NAME.json``) in one sentence, the first that holds: its
    alarms, why it cannot see a difference, that none was found, or the size of the divergence.
    """
    if probe["alarms"]:
        return f"ALARM: {'; '.join(probe['alarms'])}"
    if probe["blind"]:
        return f"cannot see here: {probe['blind']}"
    if not probe["p_floor"] < 0.01:
        return "no difference from the baseline served again was found"
    size = f"{probe['nats']['value']:.3g} nats a token"
    if probe["compared"]:
        return f"no alarm: {size}, within the bounds around the last accepted candidate"
    return (
        f"differs from the baseline by {size}; without accepted=FILE there is no size to compare it with, so no alarm"
    )


def _sizes(probe: Mapping[str, Any]) -> Table:
    columns = (Column("figure", number=False), Column("value"), Column("95 % interval"), Column("baseline again"))
    nats, flips, variation, ratio = (probe[name] for name in ("nats", "flips", "variation", "to_floor"))
    rows = [
        ("divergence, nats a token", f"{nats['value']:.3g}", _bounds(nats, ".3g"), f"{probe['floor_nats']:.3g}"),
        ("one request at a time", f"{probe['alone_nats']:.3g}", "", ""),
        ("total variation a token, %", f"{100 * variation['value']:.3g}", _bounds(variation, ".3g", 100), ""),
        ("another likeliest token, %", f"{100 * flips['value']:.3g}", _bounds(flips, ".3g", 100),
         f"{100 * probe['floor_flips']:.3g}"),
        ("answers with such a token", f"{probe['diverging']:,} of {probe['answers']:,}", "", ""),
    ]  # fmt: skip
    if ratio is not None:
        rows.append(("divergence, times the baseline's own", f"{ratio['value']:.3g}", _bounds(ratio, ".3g"), "1"))
    notes = [
        f"{probe['answers']:,} answers of {probe['baseline']}, {probe['tokens']:,} tokens; errors are by answer. Lower "
        "bounds: tokens that only one of the two lists are one bucket.",
        probe["claim"],
    ]
    if probe["greedy_bounds"] is not None:
        least, most = (formats.points(bound) for bound in probe["greedy_bounds"])
        notes.insert(1, f"Asked again greedily, these answers can change accuracy by {least} to {most} points, if "
                        "reading equals decoding.")  # fmt: skip
    return Table(f"Fidelity probe of {probe['model']}", columns, tuple(rows), tuple(notes))


def _strata(probe: Mapping[str, Any]) -> Table:
    columns = (
        Column("part", number=False),
        Column("answers"),
        Column("nats a token"),
        Column("another likeliest token, %"),
        Column("right in the baseline and diverging"),
        Column("wrong and diverging", essential=False),
    )
    ordered = sorted(probe["strata"], key=lambda part: -part["right_diverging"] / max(1, part["right"]))
    rows = tuple(
        (
            part["name"],
            f"{part['answers']:,}",
            f"{part['nats']:.3g}",
            f"{100 * part['flips']:.3g}",
            f"{part['right_diverging']} of {part['right']}",
            f"{part['wrong_diverging']} of {part['wrong']}",
        )
        for part in ordered
    )
    return Table("Where it diverges", columns, rows)


def _places(probe: Mapping[str, Any]) -> Table:
    columns = (Column("answer", number=False), Column("token"), Column("nats"), Column("text", number=False))
    rows = tuple(
        (place["answer"], f"{place['place']:,}", f"{place['nats']:.3g}", _one_line(place["text"]))
        for place in probe["worst"]
    )
    return Table("Tokens that diverge most", columns, rows)


def _one_line(text: str) -> str:
    return text.encode("unicode_escape").decode() if not text.isprintable() else text


def _bounds(ratio: Mapping[str, float], form: str, scale: float = 1.0) -> str:
    return f"[{scale * ratio['low']:{form}}, {scale * ratio['high']:{form}}]"


def probes_of(suite: SuiteComparison) -> list[tuple[str, list[Table]]]:
    """Return (model and outcome in a sentence, tables) of every probe on record in the runs of a report, for a section
    of the page; empty without any.
    """
    runs = dict.fromkeys(cell.folder.parents[1] for cell in suite.table.cells)
    return [
        (f"{probe['model']}: {verdict_line(probe)}", probe_tables(probe)) for run in runs for probe in read_probes(run)
    ]
