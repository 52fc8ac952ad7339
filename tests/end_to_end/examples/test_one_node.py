"""The SLURM script run for real, with a demo server; only ``scontrol``, which is SLURM's, is written here."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalsuite.store.manifest import read_manifest
from evalsuite.store.samples import read_samples

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "examples" / "slurm" / "one_node.sbatch"
MODEL = "demo_fp8"


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def surroundings(folder: Path, **more: str) -> dict[str, str]:
    """A job's environment, with our commands and a ``scontrol`` that notes how it is called."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    executable(tools / "evalsuite", f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m evalsuite "$@"\n')
    executable(tools / "scontrol", f'#!/bin/sh\necho "$@" >> {folder}/scontrol.log\n')
    known = {
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MODEL": MODEL,
        "SERVE": f"evalsuite demo model={MODEL} port=$PORT",
        "HOST": "127.0.0.1",
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_START_TIME": f"{time.time():.0f}",
        "SLURM_JOB_END_TIME": f"{time.time() + 4 * 3600:.0f}",
    }
    return {**os.environ, "CI": "1", **known, **more}


def window(folder: Path, number: int, *words: str, **more: str) -> "subprocess.Popen[str]":
    """One window of the job."""
    command = ["bash", str(SCRIPT), "task=word_problems", "sampling=greedy", "limit=60", "run_id=r", *words]
    env = surroundings(folder, SLURM_RESTART_COUNT=str(number), **more)
    command.append(f"results_dir={folder}/results")
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def requeued(folder: Path) -> list[str]:
    log = folder / "scontrol.log"
    return log.read_text().splitlines() if log.exists() else []


def test_the_job_requeues_itself_until_the_run_is_whole(tmp_path: Path) -> None:
    codes: list[int] = []
    while not codes or codes[-1] == 75:
        process = window(tmp_path, len(codes), "engine.token_budget=300", f"models.{MODEL}.concurrency=8")
        said, _ = process.communicate(timeout=300)
        codes.append(process.returncode)
        assert codes[-1] in (0, 75), said
        assert len(codes) < 10
    assert codes == [75] * (len(codes) - 1) + [0]
    assert len(codes) > 1
    assert requeued(tmp_path) == ["requeue 4711"] * (len(codes) - 1)
    cell = tmp_path / "results" / "r" / MODEL / "word_problems"
    rows = read_samples(cell, ["item_id", "outcome", "rerolled"]).to_pylist()
    assert len(rows) == 60
    assert not any(row["rerolled"] or row["outcome"] == "failed" for row in rows)
    assert len(read_manifest(cell)["server"]) == len(codes)  # a new server in every window
    events = [json.loads(line) for path in cell.glob("journal-*") for line in path.read_text().splitlines()]
    assert sum(event["event"] == "reply" for event in events) == 60


def test_a_preempted_job_drains_and_keeps_what_arrived(tmp_path: Path) -> None:
    process = window(tmp_path, 0, "limit=4000")
    journal = tmp_path / "results" / "r" / MODEL / "word_problems"
    until = time.monotonic() + 120
    while not any(path.stat().st_size > 20_000 for path in journal.glob("journal-*")):
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 143, said
    assert "The same command goes on" in " ".join(said.split())
    assert not requeued(tmp_path)


def test_a_server_that_dies_ends_the_job_with_its_own_code(tmp_path: Path) -> None:
    process = window(tmp_path, 0, SERVE="false")
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 69
    assert "the server ended before it was healthy" in said
    assert not requeued(tmp_path)
