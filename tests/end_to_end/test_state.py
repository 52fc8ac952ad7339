"""What a cell is, over its life: parts that a report shows, parts that a gate takes, cells that are forgotten."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evalsuite.cli.run import run
from evalsuite.errors import Exit
from evalsuite.store.manifest import read_manifest
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.provenance import data_facts
from tests.support.command import Finished, evalsuite
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.toy import right, settings

MARGINS = "margins:\n  additions: {points: 60, owner: us, reason: because, tier: critical}\n"


def asked(results: Path, limit: int | None, **changes: Any) -> None:
    """A baseline and a candidate that is wrong on every fourth question."""
    with scripted_endpoint(right) as base, scripted_endpoint(_worse) as cand:
        wanted = settings(results, ("bf16", base.base_url), ("fp8", cand.base_url), limit=limit, **changes)
        wanted.models["fp8"].baseline = "bf16"
        assert run(wanted) == Exit.DONE


def _worse(prompt: str) -> Answer:
    text = right(prompt)
    return Answer("0" if int(text) % 4 == 3 and "2 + 2" not in prompt else text)


def command(folder: Path, *words: str) -> Finished:
    own = folder / "own" / "gate"
    own.mkdir(parents=True, exist_ok=True)
    (own / "ours.yaml").write_text(MARGINS)
    return evalsuite(folder, *words, "results_dir=results", "--config-dir", "own")


def shown(folder: Path) -> tuple[int, float]:
    """Items and delta of the last report's row."""
    (row,) = json.loads((folder / "results" / "r" / "report" / "comparison.json").read_text())["rows"]
    return row["items"], row["delta"]


@pytest.mark.slow
def test_reports_show_any_nested_part_and_gates_only_what_was_asked_for_in_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(tmp_path / "results", 10)
    assert command(tmp_path, "report", "run=r").returncode == 0
    first = shown(tmp_path)
    asked(tmp_path / "results", 20)
    manifest = tmp_path / "results" / "r" / "fp8" / "additions" / "manifest.json"
    before = manifest.read_bytes()
    for limit, items in ((None, 20), (10, 10), (7, 7), (20, 20)):
        words = [] if limit is None else [f"limit={limit}"]
        assert command(tmp_path, "report", "run=r", *words).returncode == 0
        assert shown(tmp_path)[0] == items
        gated = command(tmp_path, "gate", "run=r", "gate=ours", *words)
        assert (gated.returncode in (0, 1, 2)) == (limit != 7), gated
        if limit == 10:
            assert shown(tmp_path) == first
        if limit == 7:
            assert gated.returncode == 64
            assert "Asked for in time: limit=10, limit=20" in gated.stderr
    refused = command(tmp_path, "report", "run=r", "limit=30")
    assert (refused.returncode, "was asked for at most 20 items" in refused.stderr) == (64, True)
    assert manifest.read_bytes() == before
    capsys.readouterr()
    asked(tmp_path / "results", 15)  # after its answers existed
    assert "fp8/additions: 15 items count now" in capsys.readouterr().err
    refused = command(tmp_path, "gate", "run=r", "gate=ours")
    assert (refused.returncode, "cannot decide a release" in refused.stderr) == (64, True)
    asked(tmp_path / "results", 10)
    assert command(tmp_path, "gate", "run=r", "gate=ours").returncode in (0, 1, 2)


def test_a_forgotten_cell_is_archived_and_reports_show_it(tmp_path: Path) -> None:
    asked(tmp_path / "results", 10)
    words = ("forget", "run=r", "model=fp8", "task=additions")
    assert 'reason="why"' in command(tmp_path, *words).stderr
    assert (
        "did you mean 'fp8'" in command(tmp_path, "forget", "run=r", "model=fp9", "task=additions", "reason=x").stderr
    )
    done = command(tmp_path, *words, "reason=a flag, wrong")
    assert (done.returncode, "is forgotten" in done.stdout) == (0, True)
    (archived,) = (tmp_path / "results" / "r" / "fp8" / "superseded").iterdir()
    assert (archived / "reason.txt").read_text() == "a flag, wrong\n"
    text = command(tmp_path, "report", "run=r").stdout
    assert "forgotten; the answers are kept under superseded/ (reason: a flag, wrong)" in " ".join(text.split())
    assert "superseded" in command(tmp_path, "show", "run=r").stdout
    assert command(tmp_path, *words, "reason=again").returncode == 64
    assert command(tmp_path, "forget", "run=r", "model=bf16", "task=additions", "reason=both").returncode == 0
    assert "superseded" in command(tmp_path, "show").stdout  # nothing else is left of the run
    asked(tmp_path / "results", 10)
    text = " ".join(command(tmp_path, "report", "run=r").stdout.split())
    assert "asked again; the earlier answers are kept under superseded/ (reason: a flag, wrong)" in text


@pytest.fixture
def short_copy(tmp_path: Path) -> Path:
    """GSM8K with 12 of its 1,319 questions, and answers to all of them, recorded elsewhere."""
    (tmp_path / "data" / "gsm8k").mkdir(parents=True)
    questions = [{"question": f"What is {n} + 1?", "answer": f"It is.\n#### {n + 1}"} for n in range(12)]
    answers = [{"idx": n, "output": f"\\boxed{{{n + 1}}}"} for n in range(12)]
    for name, rows in (("data/gsm8k/test.jsonl", questions), ("answers.jsonl", answers)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def imported(folder: Path, name: str, *words: str) -> Finished:
    data = ("data=local", "data.root=data", "tasks.gsm8k.variant=boxed", "file=answers.jsonl", "run_id=r")
    return evalsuite(folder, "import", "task=gsm8k", f"name={name}", *data, *words)


def test_a_short_copy_is_a_part_that_no_gate_takes_undeclared(short_copy: Path) -> None:
    done = imported(short_copy, "base")
    assert done.returncode == 0, done
    assert "holds 12 of the 1,319 items that its card states (part)" in done.stdout
    imported(short_copy, "cand")
    manifest = read_manifest(short_copy / "results" / "r" / "base" / "gsm8k")
    assert (len(manifest["items"]), manifest["total_items"], manifest["selection"]) == (12, 1319, None)
    assert manifest["data"] == {"kind": "local", "root": str(short_copy / "data"), "revision": None}
    (short_copy / "own" / "gate").mkdir(parents=True)
    (short_copy / "own" / "gate" / "ours.yaml").write_text(MARGINS.replace("additions", "gsm8k"))
    words = ("run=r", "baseline=base", "--config-dir", "own")
    gated = evalsuite(short_copy, "gate", "gate=ours", *words)
    assert (gated.returncode, "12 of 1,319 items (part)" in gated.stderr) == (64, True), gated
    report = evalsuite(short_copy, "report", *words)
    assert "the data held only this part" in " ".join(report.stdout.split())
    assert "(part)" in (short_copy / "results" / "r" / "report" / "card.md").read_text()
    assert not list(short_copy.rglob("model-index.yaml"))
    for name in ("base", "cand"):
        shutil.rmtree(short_copy / "results" / "r" / name)
        imported(short_copy, name, "limit=8")
    assert evalsuite(short_copy, "gate", "gate=ours", *words).returncode in (0, 1, 2)


def test_rescore_finds_the_questions_again(short_copy: Path) -> None:
    imported(short_copy, "base")
    done = evalsuite(short_copy, "rescore", "run=r")
    assert (done.returncode, "12 graded again" in done.stdout) == (0, True), done
    shutil.move(short_copy / "data", short_copy / "moved")
    done = evalsuite(short_copy, "rescore", "run=r", "data=local", "data.root=moved")
    assert done.returncode == 0


def test_what_was_fetched_is_checked_and_only_then_pinned(short_copy: Path) -> None:
    root, pinned = short_copy / "data", "cc7b047b6e5bb11b4f1af84efc572db110a51b3c"
    table = root / "gsm8k" / "test.jsonl"

    def listed(**changes: Any) -> None:
        entry = {"task": "gsm8k", "file": "gsm8k/test.jsonl", "source": "x", "revision": pinned, "rows": 12}
        entry |= {"sha256": hashlib.sha256(table.read_bytes()).hexdigest(), "bytes": table.stat().st_size} | changes
        (root / "fetched.json").write_text(json.dumps({"schema": 1, "files": [entry], "wheels": None}))

    source = Source("local", str(root))
    assert data_facts("gsm8k", source)["revision"] is None
    listed()
    assert data_facts("gsm8k", source)["revision"] == data_facts("gsm8k", Source())["revision"]
    listed(revision="another")
    assert data_facts("gsm8k", source)["revision"] is None
    listed(sha256="0" * 64)
    done = imported(short_copy, "base")
    assert (done.returncode, "has changed since it was fetched" in done.stderr) == (64, True)
