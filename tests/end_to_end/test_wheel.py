"""What ``pip install evalsuite`` gives: the wheel, unpacked elsewhere, runs from another folder."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_wheel_carries_configs_tasks_and_weights_and_runs(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("evalsuite-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = set(archive.namelist())
    for name in ("_conf/run.yaml", "_tasks/mmlu_pro/card.yaml", "demo/weights/model.safetensors", "py.typed"):
        assert f"evalsuite/{name}" in names
    assert not any(name.startswith(("tests", "results", "notebooks", "tools")) for name in names)
    (tmp_path / "elsewhere").mkdir()
    code = "import evalsuite; print(evalsuite.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "CI": "1"}
    home = tmp_path / "elsewhere"
    found = subprocess.run([sys.executable, "-c", code], cwd=home, env=environment, capture_output=True, text=True)
    assert str(tmp_path / "site") in found.stdout
    call = [sys.executable, "-m", "evalsuite", "run", "suite=demo", "limit=10", "run_id=wheel"]
    done = subprocess.run(call, cwd=home, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (home / "results" / "wheel" / "report" / "report.md").exists()


@pytest.mark.slow
def test_the_source_archive_carries_what_makes_the_weights(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=ROOT)
    (archive,) = tmp_path.glob("evalsuite-*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"tools/train.py", "tools/calibrate.py", "tests/tools/test_calibrate.py", "pyproject.toml"} <= names
