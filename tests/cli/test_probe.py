"""The probe, from a stored baseline to an exit code, on real demo servers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite.cli.probe import _folder, _with_baseline
from evalsuite.config.compose import load_settings
from evalsuite.config.settings import Model, Run
from evalsuite.demo.process import serving
from evalsuite.errors import EndpointUnusable
from tests.support.command import evalsuite

WORDS = ("probe", "baseline_run=r", "answers=30")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the baseline, and its reading."""
    home = tmp_path_factory.mktemp("probe")
    done = evalsuite(home, "run", "suite=demo", "model=[demo_bf16]", "limit=40", "run_id=r", "report=false")
    assert done.returncode == 0, done.stderr
    read = evalsuite(home, *WORDS, "model=demo_bf16")
    assert read.returncode == 0, read.stderr
    assert "the baseline is on record" in read.stdout
    return home


@pytest.fixture(scope="module")
def noisy() -> Iterator[str]:
    with serving(["demo_bf16"], noise=5) as urls:
        yield urls["demo_bf16"]


@pytest.mark.slow
def test_a_candidate_is_held_against_the_baseline_read_before(folder: Path) -> None:
    first = evalsuite(folder, *WORDS, "model=demo_fp8", "run_id=r")
    assert first.returncode == 0, first.stderr
    assert "demo_bf16:" not in first.stderr  # its reading is on disk
    written = json.loads((folder / "results" / "r" / "probe" / "demo_fp8.json").read_text())
    assert written["answers"] == 30
    assert 1e-5 < written["nats"]["value"] < 1e-3
    assert written["nats"]["value"] == pytest.approx(written["alone_nats"])
    assert written["prompts_differ"] == 0
    assert written["alarms"] == []
    assert "nothing about accuracy" in " ".join(first.stdout.split())
    shown = " ".join(first.stdout.split())
    assert "accepted=FILE gives a size" in shown or "no difference" in shown


@pytest.mark.slow
def test_alarms_are_sizes_relative_to_the_accepted_candidate(folder: Path) -> None:
    accepted = folder / "accepted.json"
    evalsuite(folder, *WORDS, "model=demo_fp8", f"to={accepted}")
    content = json.loads(accepted.read_text())
    same = evalsuite(folder, *WORDS, "model=demo_fp8", f"accepted={accepted}", "to=again.json")
    assert same.returncode == 0, same.stdout
    assert "no alarm" in same.stdout
    content["nats"]["value"] /= 11
    accepted.write_text(json.dumps(content))
    worse = evalsuite(folder, *WORDS, "model=demo_fp8", f"accepted={accepted}", "to=again.json")
    assert worse.returncode == 1
    assert "ALARM: divergence 11 x the accepted candidate's" in worse.stdout


def test_the_baseline_behind_another_kernel_is_no_alarm(folder: Path, noisy: str) -> None:
    own = folder / "own" / "model"
    own.mkdir(parents=True, exist_ok=True)
    head = "# @package models.noisy\ndefaults: [/server@server: sglang]\ntitle: Noisy\nbaseline: demo_bf16\n"
    own.joinpath("noisy.yaml").write_text(f"{head}checkpoint: evalsuite/demo_bf16\nprecision: bf16\n")
    words = ("--config-dir", "own", "model=noisy", f"models.noisy.base_url={noisy}", "to=noisy.json")
    done = evalsuite(folder, *WORDS, *words)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "noisy.json").read_text())["nats"]["value"] < 5e-5


@pytest.mark.slow
def test_the_page_shows_the_probe(folder: Path) -> None:
    evalsuite(folder, *WORDS, "model=demo_fp8", "run_id=r")
    assert evalsuite(folder, "report", "run=r").returncode == 0
    page = (folder / "results" / "r" / "report" / "report.html").read_text()
    assert "Fidelity probe" in page
    assert "says nothing about accuracy" in page


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("model=demo_fp8",), 64, "baseline_run= is missing"),
        (("baseline_run=r",), 64, "add model=NAME"),
        (("model=demo_fp8", "baseline_run=nowhere"), 64, "unknown run"),
        (("model=demo_fp8", "baseline_run=r", "accepted=nowhere.json"), 64, "accepted=nowhere.json"),
        (("model=demo_fp8", "baseline_run=r", "answers=1"), 64, "answers=1"),
        (("model=[demo_fp8,demo_nvfp4]", "baseline_run=r", "to=one.json"), 64, "there are 2 candidates"),
    ],
)
def test_what_is_missing_is_named(folder: Path, words: tuple[str, ...], code: int, named: str) -> None:
    done = evalsuite(folder, "probe", *words)
    assert done.returncode == code, done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_token_ids_of_a_run_are_what_the_probe_reads(tmp_path: Path) -> None:
    words = ("suite=demo", "model=[demo_bf16]", "limit=12", "report=false")
    plain = evalsuite(tmp_path, "run", *words, "run_id=plain")
    asked = evalsuite(
        tmp_path, "run", *words, "run_id=ids", "engine.token_ids=true", "server@models.demo_bf16.server=vllm"
    )
    assert plain.returncode == asked.returncode == 0, asked.stderr
    replies = {run: _replies(tmp_path / "results" / run) for run in ("plain", "ids")}
    for item, reply in replies["ids"].items():
        assert len(reply["token_ids"]) == reply["usage"]["completion_tokens"]
        assert len(reply["prompt_ids"]) == reply["usage"]["prompt_tokens"]
        assert reply["text"] == replies["plain"][item]["text"]
    assert not any("token_ids" in reply or "prompt_ids" in reply for reply in replies["plain"].values())
    read = evalsuite(tmp_path, "probe", "baseline_run=ids", "answers=12", "model=demo_bf16")
    assert read.returncode == 0, read.stderr
    (file,) = (tmp_path / "results" / ".probe").iterdir()
    with np.load(file) as arrays:
        lengths = np.cumsum(arrays["answer_lengths"])[:-1]
        for key, ids in zip(arrays["keys"], np.split(arrays["answer"], lengths), strict=True):
            assert ids.tolist() == replies["ids"][str(key).split("/")[1]]["token_ids"]


def test_a_baseline_file_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "fp8.baseline").touch()
    assert _folder(Run(results_dir="here", baseline_run="~/fp8.baseline")) == Path("here")


def test_a_baseline_at_one_address_of_a_replicated_candidate() -> None:
    wanted = {"mine": Model(base_url=["http://a:1/v1", "http://b:1/v1"])}
    known = load_settings(["model=fp8"], None, "doctor").models["fp8"]
    assert list(_with_baseline(Run(), "fp8", wanted)) == ["fp8", "mine"]
    for url in (known.base_url, f"{known.base_url}/"):
        with pytest.raises(EndpointUnusable, match="is the candidate's"):
            _with_baseline(Run(), "fp8", {"mine": Model(base_url=["http://a:1/v1", url])})


def _replies(run: Path) -> dict[str, dict[str, Any]]:
    lines = (line for path in run.glob("*/*/journal-*.jsonl") for line in path.read_text().splitlines())
    events = (json.loads(line) for line in lines)
    return {event["item"]: event["reply"] for event in events if event["event"] == "reply"}
