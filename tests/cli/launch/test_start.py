import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalsuite.cli.launch.words import per_model, secret_words, shares
from evalsuite.config.settings import Model, Run
from evalsuite.store.samples import read_samples
from tests.support.conf_files import ROOT, slow, write_conf
from tests.support.scripted_endpoint import Server, scripted_endpoint

ENGINE = ["engine.probe=false", "engine.fingerprint=false", "models.m1.served_name=scripted"]


def evalsuite(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "evalsuite", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def summary(results: Path, model: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((results / "r" / model / "additions" / "summary.json").read_text())
    return found


def answers(server: Server) -> int:
    """Requests for items, without the one that proves the thinking switch."""
    return sum("2 + 2" not in one.prompt for one in server.requests)


def test_one_command_line_per_model_without_what_is_said_of_others() -> None:
    words = ["model=[a,b]", "suite=card", "models.a.base_url=X", "+models.b.headers.H=1", "launch=slurm", "limit=20"]
    words.append("server@models.b.server=vllm")
    assert per_model(words, ["a", "b"]) == {
        "a": ("suite=card", "models.a.base_url=X", "limit=20", "model=a"),
        "b": ("suite=card", "+models.b.headers.H=1", "limit=20", "server@models.b.server=vllm", "model=b"),
    }
    secret = ["+models.b.headers.H=1", "models.b.base_url='http://x/v1?code=1'", "models.b.proxy=http://me:pw@x:1"]
    assert secret_words([*secret, "limit=20", "models.a.base_url=http://x/v1"]) == [
        word.partition("=")[0] for word in secret
    ]


def test_jobs_on_one_endpoint_share_its_limit() -> None:
    def run(name: str, url: str) -> Run:
        return Run(models={name: Model("T", "org/c", None, "bf16", base_url=url, concurrency=32)})

    runs = {"1": run("a", "http://x/v1"), "2": run("b", "http://x/v1"), "3": run("c", "http://y/v1")}
    assert shares(runs, 3) == {"1": ("models.a.concurrency=16",), "2": ("models.b.concurrency=16",), "3": ()}
    assert shares(runs, 1) == {"1": (), "2": (), "3": ()}


@pytest.mark.slow
def test_joblib_runs_every_model_into_one_run_with_one_report(tmp_path: Path) -> None:
    with scripted_endpoint(slow) as one, scripted_endpoint(slow) as two:
        conf = write_conf(tmp_path / "conf", ("m1", one.base_url), ("m2", two.base_url))
        words = ["run", "model=[m1,m2]", "task=additions", "run_id=r", f"results_dir={tmp_path}/results"]
        done = evalsuite(*words, "launch=joblib", "launch.jobs=2", "engine.fingerprint=false", f"--config-dir={conf}")
        assert done.returncode == 0, done.stderr
        assert (answers(one), answers(two)) == (80, 80)
    assert {summary(tmp_path / "results", name)["score"] for name in ("m1", "m2")} == {1.0}
    rows = json.loads((tmp_path / "results" / "r" / "report" / "comparison.json").read_text())["rows"]
    assert [(row["baseline"], row["candidate"], row["delta"]) for row in rows] == [("m1", "m2", 0.0)]
    assert "m1: run r" in done.stderr


@pytest.mark.slow
def test_one_failing_job_does_not_end_the_others(tmp_path: Path) -> None:
    with scripted_endpoint(slow) as one:
        conf = write_conf(tmp_path / "conf", ("m1", "http://127.0.0.1:9/v1"), ("m2", one.base_url))
        words = ["run", "model=[m1,m2]", "task=additions", "run_id=r", f"results_dir={tmp_path}/results"]
        words += ["launch=joblib", "engine.fingerprint=false", "report=false", f"--config-dir={conf}"]
        assert evalsuite(*words).returncode == 69
    assert summary(tmp_path / "results", "m2")["complete"] is True
    assert not (tmp_path / "results" / "r" / "report").exists()


@pytest.mark.slow
def test_slurm_jobs_drain_on_the_signal_and_go_on_in_the_next_window(tmp_path: Path) -> None:
    """Through submitit's local executor, which sends the same signal to the same handler as SLURM."""
    pytest.importorskip("submitit")
    with scripted_endpoint(slow) as server:
        conf = write_conf(tmp_path / "conf", ("m1", server.base_url), concurrency=2)
        results = tmp_path / "results"
        words = ["run", "model=m1", "task=additions", "run_id=r", f"results_dir={results}", *ENGINE]
        launch = ["launch=slurm", "launch.cluster=local", "launch.timeout_min=0.25", "launch.signal_delay_s=8"]
        done = evalsuite(*words, *launch, "engine.drain_seconds=2", f"--config-dir={conf}")
        assert done.returncode == 0, done.stderr + done.stdout
        logs = "".join(path.read_text() for path in (results / ".slurm" / "r").glob("*_log.err"))
        assert "Caught signal SIGUSR2" in logs, logs  # 80 answers of 0.2 s by two take 8 s, a window has 7
        assert answers(server) <= 80 + 2 * logs.count("Caught signal SIGUSR2")
    found = summary(results, "m1")
    assert (found["score"], found["complete"], found["samples"]) == (1.0, True, 80)
    rows = read_samples(results / "r" / "m1" / "additions", ["item_id", "repeat"]).to_pylist()
    assert len({(row["item_id"], row["repeat"]) for row in rows}) == len(rows) == 80


def test_a_secret_never_goes_into_a_job_file(tmp_path: Path) -> None:
    conf = write_conf(tmp_path / "conf", ("m1", "http://127.0.0.1:9/v1"))
    words = ["run", "model=m1", "task=additions", "+models.m1.headers.Key=canary", f"results_dir={tmp_path}/results"]
    done = evalsuite(*words, "launch=slurm", f"--config-dir={conf}")
    assert done.returncode == 64
    assert "models.m1.headers.Key would stand in a job file" in done.stderr
    assert "canary" not in done.stderr


def test_a_machine_without_slurm_is_told_so(tmp_path: Path) -> None:
    conf = write_conf(tmp_path / "conf", ("m1", "http://127.0.0.1:9/v1"))
    words = ["run", "model=m1", "task=additions", "launch=slurm", f"results_dir={tmp_path}/results"]
    done = evalsuite(*words, f"--config-dir={conf}")
    assert done.returncode == 64
    assert done.stderr.count("\n") == 1
    assert "launch=slurm cannot submit" in done.stderr
