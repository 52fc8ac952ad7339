"""From two servers to a signed page: with both at hand, and with one port that serves one model after the other."""

import json
from pathlib import Path

import pytest

from evalsuite.demo.process import serving
from figures.one_port import free_port
from tests.support.command import evalsuite

SUITE = ("release", "model=demo_nvfp4_v2", "suite=demo", "limit=40")
WIDE = "gate.margins.word_problems.points=25"


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("release")
    done = evalsuite(home, *SUITE, WIDE)
    assert done.returncode == 0, done.stderr
    return home


@pytest.mark.slow
def test_a_candidate_gets_a_verdict_and_a_page(decided: Path) -> None:
    report = decided / "results" / "release-demo_nvfp4_v2" / "report"
    page = (report / "release.html").read_text()
    for words in ("release: PASS", "Not decided", "Is the run sound?", "externally unverified", "answers sha256"):
        assert words in page
    assert "Probe of demo_nvfp4_v2" in page
    assert json.loads((report / "verdict.json").read_text())["verdict"] == "pass"


@pytest.mark.slow
def test_the_verdict_is_written_in_the_shape_of_the_public_day0_gate(decided: Path) -> None:
    words = ("gate", "run=release-demo_nvfp4_v2", "gate=demo", "format=day0")
    report = decided / "results" / "release-demo_nvfp4_v2" / "report"
    for margin, code, decision in ((WIDE, 0, "ACCEPT"), ("gate.margins.word_problems.points=0.01", None, None)):
        done = evalsuite(decided, *words, margin)
        written = json.loads((report / "day0.json").read_text())
        assert set(written) == {"pass", "decision", "failure_class", "detail", "per_task"}
        assert written["pass"] is (done.returncode == 0)
        if code is not None:
            assert (done.returncode, written["decision"]) == (code, decision)
        task = written["per_task"]["word_problems"]
        assert task["drop"] == pytest.approx(task["baseline"] - task["candidate"])
        assert task["within_threshold"] is written["pass"]


@pytest.mark.slow
def test_one_port_serves_one_model_after_the_other(tmp_path: Path) -> None:
    port = free_port()
    places = [f"models.{name}.base_url=http://127.0.0.1:{port}/v1" for name in ("demo_bf16", "demo_nvfp4_v2")]
    words = (*SUITE, WIDE, *places, "engine.retries=0", "engine.outage_seconds=1")
    nothing = evalsuite(tmp_path, *words)
    assert nothing.returncode == 75, nothing.stderr
    assert "next server: demo_bf16" in nothing.stdout
    assert "evalsuite demo model=demo_bf16 port=8123" in nothing.stdout  # its launch command
    with serving(["demo_bf16"], [port]):
        baseline = evalsuite(tmp_path, *words)
    assert baseline.returncode == 75, baseline.stderr
    assert "next server: demo_nvfp4_v2" in baseline.stdout
    assert "next server: demo_bf16" not in baseline.stdout
    with serving(["demo_nvfp4_v2"], [port]):
        decided = evalsuite(tmp_path, *words)
    assert decided.returncode == 0, decided.stdout + decided.stderr
    assert "release.html" in decided.stdout


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("release",), "add model=NAME"),
        (("release", "model=[demo_fp8,demo_nvfp4]"), "one candidate"),
        (("release", "model='demo_bf16'", "suite=demo"), "demo_bf16 names no baseline"),
        (("release", "model=demo_fp8", "task=word_problems"), "no margins"),
        (("release", "model=demo_fp8", "suite=demo", "gate=release"), "suite=card gate=card"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_asked(tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    done = evalsuite(tmp_path, *words)
    assert done.returncode == 64, done.stderr
    assert named in done.stderr
    assert not (tmp_path / "results").exists()
