"""What earlier versions wrote is resumed, sealed and reported as they did."""

import json
import math
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evalsuite.store.manifest import cells
from evalsuite.store.samples import read_samples, seal
from tests.end_to_end.histories.record import HOME, ITEMS, REPEATS
from tests.store import proving

HISTORIES = sorted(path.name for path in HOME.iterdir() if (path / "finished").is_dir())


def taken_up(name: str, state: str, folder: Path) -> Path:
    """A copy of a recorded run, as ``results/r``."""
    results = folder / "results"
    shutil.copytree(HOME / name / state, results / "r")
    return results


def recorded(table: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(table).to_pylist()
    return rows


def lost(old: Any, new: Any, where: str = "") -> list[str]:
    """Where ``new`` does not say what ``old`` said; what is new in it is no loss, nor is a number's last digit."""
    if isinstance(old, float) and isinstance(new, float) and math.isclose(old, new, rel_tol=1e-12):
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [line for key, value in old.items() for line in lost(value, new.get(key), f"{where}.{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [line for at, value in enumerate(old) for line in lost(value, new[at], f"{where}[{at}]")]
    return [] if old == new else [f"{where}: {old!r} -> {new!r}"]


def test_there_is_a_history_of_every_schema() -> None:
    assert "schema-1" in HISTORIES


@pytest.mark.parametrize("name", HISTORIES)
def test_tables_are_made_again_from_the_journals(tmp_path: Path, name: str) -> None:
    results = taken_up(name, "finished", tmp_path)
    for folder in cells(results / "r"):
        table = folder / "samples.parquet"
        before = recorded(table)
        assert read_samples(folder).to_pylist() == before
        table.unlink()
        assert read_samples(folder).to_pylist() == before
        seal(folder)
        assert recorded(table) == before


@pytest.mark.parametrize("name", HISTORIES)
def test_an_interrupted_run_goes_on_and_ends_as_it_did(tmp_path: Path, name: str) -> None:
    results = taken_up(name, "interrupted", tmp_path)
    conf = proving.configure(tmp_path / "conf", items=ITEMS, repeats=REPEATS)
    known = sum(path.read_bytes().count(b'{"event":"reply"') for path in results.glob("r/*/*/journal-*.jsonl"))
    planned = 2 * REPEATS * (ITEMS + proving.TURNS * (ITEMS // 3))
    with proving.endpoints(0.0) as servers:
        command = proving.command(conf, results, servers)
        environment = proving.environment(tmp_path / "acks")
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        assert 0 < known < planned
        assert sum(len(server.requests) for server in servers) == planned - known
    finished = HOME / name / "finished"
    for folder in cells(results / "r"):
        there = finished / folder.relative_to(results / "r")
        unequal = ("seconds", "attempts")
        new, old = ([{k: v for k, v in row.items() if k not in unequal} for row in rows] for rows in
                    (read_samples(folder).to_pylist(), recorded(there / "samples.parquet")))  # fmt: skip
        assert new == old
        summaries = (json.loads((one / "summary.json").read_text()) for one in (there, folder))
        assert [line for line in lost(*summaries) if "per_second" not in line] == []
    old, new = (json.loads((one / "report" / "comparison.json").read_text()) for one in (finished, results / "r"))
    assert lost(old, new) == []


@pytest.mark.parametrize("name", HISTORIES)
def test_a_finished_run_is_reported_as_it_was(tmp_path: Path, name: str) -> None:
    results = taken_up(name, "finished", tmp_path)
    old = json.loads((results / "r" / "report" / "comparison.json").read_text())
    call = [*proving.command(tmp_path, results, [])[:3], "report", "run=r", f"results_dir={results}"]
    environment = proving.environment(tmp_path / "acks")
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert lost(old, json.loads((results / "r" / "report" / "comparison.json").read_text())) == []
