"""What earlier versions wrote is resumed, sealed and reported as they did."""

import json
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evalsuite.store.manifest import cell_folders
from evalsuite.store.samples import read_samples, seal
from tests.end_to_end.histories.record import BASELINE, HOME, ITEMS, REPEATS, VERDICT, gate
from tests.store import proving
from tests.support.command import evalsuite

HISTORIES = sorted(path.name for path in HOME.iterdir() if (path / "finished").is_dir())
NEWEST = max(HISTORIES)
WITH_RUNS = [pytest.param(name, marks=() if name == NEWEST else pytest.mark.slow) for name in HISTORIES]
"""For what takes seconds: older ones belong to the second tier."""


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


INTERVALS = re.compile(
    r"\.(ci9[05]|recovery_ci95)\[\d\]|\.(method|p_value|p_loss):|\.verdict\.|\.(verdict|exit|call|reason|detectable_loss):"
)
"""What version 0.2 computes otherwise from the same answers: intervals of few changed items, and verdicts from them
(CHANGELOG.md, 0.2.0)."""


def lost_answers(old: object, new: object) -> list[str]:
    """What is lost of a report or a verdict, apart from intervals and what follows from them."""
    return [line for line in lost(old, new) if not INTERVALS.search(line.partition(" ")[0])]


def test_there_is_a_history_of_every_schema_and_version() -> None:
    assert {"schema-1", "schema-1-first", "version-0.1.0"} <= set(HISTORIES)


@pytest.mark.parametrize("name", HISTORIES)
def test_tables_are_made_again_from_the_journals(tmp_path: Path, name: str) -> None:
    results = taken_up(name, "finished", tmp_path)
    for folder in cell_folders(results / "r"):
        table = folder / "samples.parquet"
        before = recorded(table)
        assert read_samples(folder).to_pylist() == before
        table.unlink()
        assert read_samples(folder).to_pylist() == before
        seal(folder)
        assert recorded(table) == before


@pytest.mark.parametrize("name", WITH_RUNS)
def test_an_interrupted_run_goes_on_and_ends_as_it_did(tmp_path: Path, name: str) -> None:
    results = taken_up(name, "interrupted", tmp_path)
    conf = proving.configure(tmp_path / "conf", items=ITEMS, repeats=REPEATS)
    known = sum(path.read_bytes().count(b'{"event":"reply"') for path in results.glob("r/*/*/journal-*.jsonl"))
    planned = 2 * REPEATS * (ITEMS + proving.TURNS * (ITEMS // 3))
    with proving.endpoints(0.0) as servers:
        words = proving.words(conf, results, servers)
        done = evalsuite(tmp_path, *words, **{proving.ACKS: str(tmp_path / "acks")})
        assert done.returncode == 0, done
        assert 0 < known < planned
        assert sum(len(server.requests) for server in servers) == planned - known
    finished = HOME / name / "finished"
    for folder in cell_folders(results / "r"):
        there = finished / folder.relative_to(results / "r")
        unequal = ("seconds", "attempts")
        new, old = ([{k: v for k, v in row.items() if k not in unequal} for row in rows] for rows in
                    (read_samples(folder).to_pylist(), recorded(there / "samples.parquet")))  # fmt: skip
        assert new == old
        summaries = (json.loads((one / "summary.json").read_text()) for one in (there, folder))
        assert [line for line in lost(*summaries) if "per_second" not in line] == []
    old, new = (json.loads((one / "report" / "comparison.json").read_text()) for one in (finished, results / "r"))
    assert lost_answers(old, new) == []


@pytest.mark.parametrize("name", WITH_RUNS)
def test_a_finished_run_is_reported_as_it_was(tmp_path: Path, name: str) -> None:
    results = taken_up(name, "finished", tmp_path)
    old = json.loads((results / "r" / "report" / "comparison.json").read_text())
    done = evalsuite(tmp_path, "report", "run=r")
    assert done.returncode == 0, done
    assert lost_answers(old, json.loads((results / "r" / "report" / "comparison.json").read_text())) == []


@pytest.mark.parametrize("name", [name for name in HISTORIES if (HOME / name / BASELINE).exists()])
def test_a_saved_baseline_gates_as_it_did(tmp_path: Path, name: str) -> None:
    results = taken_up(name, "finished", tmp_path)
    shutil.copyfile(HOME / name / BASELINE, tmp_path / BASELINE)
    old = json.loads((HOME / name / VERDICT).read_text())
    code = gate(tmp_path, tmp_path / BASELINE).returncode
    new = json.loads((results / "r" / "report" / VERDICT).read_text())
    assert code == new["exit"] in (0, 1, 2)
    assert [line for line in lost_answers(old, new) if not line.startswith((".at:", ".evalsuite:"))] == []
