import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalsuite.cli import doctor as doctoring
from evalsuite.cli.run import run
from evalsuite.config.compose import load_settings
from evalsuite.errors import BadInput
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.registry import build
from evalsuite.tasks.scicode import targets
from tests.support import ifbench_texts
from tests.support import scicode_problems as small
from tests.support.command import evalsuite
from tests.support.scripted_endpoint import Answer, scripted_endpoint

CLOSED = "http://127.0.0.1:9/v1"
ROOT = Path(__file__).parents[2]


def test_a_bare_machine_lists_all_that_is_missing_at_once(tmp_path: Path) -> None:
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("HF_", "NLTK", "SCICODE", "HTTP", "ALL_P"))
    }
    env |= {
        "HOME": str(tmp_path),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "EVALSUITE_SIMULATOR_URL": f"{CLOSED}?api-key=MARKER",
    }
    words = [sys.executable, "-m", "evalsuite", "run", "suite=card"]
    done = subprocess.run(words, env=env | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 64
    assert not {"Retry", "Traceback"} & set(done.stderr.replace(":", " ").split())
    owners = [line.split("  ")[0] for line in done.stderr.splitlines() if "the run does not start" in line]
    assert {"the run", "mmmu_pro", "gpqa_diamond", "scicode", "aa_lcr", "ifbench"} <= set(owners)
    for piece in (
        "no model chosen",
        "HF_TOKEN is not set",
        "SciCode's targets",
        "NLTK resource tokenizers/punkt_tab",
        "no judge is chosen",
        f"no server at {CLOSED}",
        "evalsuite fetch 'task=[mmmu_pro,gpqa_diamond,scicode,aa_lcr,ifbench]' to=evalsuite-data",
    ):
        assert piece in done.stderr, piece
    shown = subprocess.run(
        [*words, "model=fp8", "dry_run=true"],
        env=env | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (shown.returncode, shown.stdout) == (64, "")
    assert shown.stderr.count("the run does not start") >= 7  # the same table
    assert "MARKER" not in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()


def test_doctor_looks_at_the_server_though_data_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctoring, "WAITING_SECONDS", 0.05)
    with scripted_endpoint(lambda _: Answer("4", reasoning="2 + 2", delay=0.2)) as server:
        words = ["doctor", "model=fp8", "task=[gsm8k,word_problems]", f"data.root={tmp_path}", "to=doctor.json"]
        done = evalsuite(tmp_path, *words, f"models.fp8.base_url={server.base_url}", "engine.fingerprint=false")
    told = json.loads((tmp_path / "doctor.json").read_text())
    assert done.returncode == 64  # the server is well, but a run would not start
    assert [piece["for"] for piece in told["missing"]] == ["gsm8k"]
    assert {check["what"]: check["state"] for check in told["checks"]}["test question"] == "ok"
    assert f"waiting for fp8 ({server.base_url}): " in done.stderr


def test_a_plan_lists_what_is_missing_here(tmp_path: Path) -> None:
    words = ["plan", "model=fp8", "task=[gsm8k,aa_lcr]", f"data.root={tmp_path}", "to=plan.json"]
    done = evalsuite(tmp_path, *words)
    assert done.returncode == 0
    missing = json.loads((tmp_path / "plan.json").read_text())["missing"]
    assert [(piece["for"], piece["without"]) for piece in missing] == [
        ("gsm8k", "the run does not start"),
        ("aa_lcr", "the run does not start"),
        ("aa_lcr", "its answers wait for a judge"),
    ]


def test_a_folder_that_fetch_filled_holds_targets_and_models_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(targets.VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    ifbench_texts.lay_out(tmp_path)
    source = small.lay_out(tmp_path)
    made = small.targets(tmp_path)
    fetched = tmp_path / "scicode" / "test_data.h5"
    if made != fetched:
        for path in [made, *made.parent.glob("*.txt")]:
            path.replace(fetched.with_name("test_data.h5" if path == made else path.name))
    assert len(list(build("scicode", variant="nvidia", options={}, source=source, seed=1).items())) == 3
    local = Source("local", str(tmp_path))
    assert list(build("ifbench", variant="prompts300", options={}, source=local, seed=1).items())


def test_a_folder_of_questions_makes_them_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings([f"data.root={tmp_path}"], command="doctor").data.kind == "local"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evalsuite-data").mkdir()
    (tmp_path / "evalsuite-data" / "fetched.json").write_text("{}")
    assert load_settings(["data=local"], command="doctor").data.root == "evalsuite-data"


def test_a_dry_run_without_a_model_states_that() -> None:
    with pytest.raises(BadInput, match="no model chosen"):
        run(load_settings(["task=word_problems", "dry_run=true"]))
