"""The gate as a CI job meets it: real processes, exit codes, files."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.support import command
from tests.support.cells import Answer, Made, answers, write
from tests.support.command import Finished

ROOT = Path(__file__).parents[2]
MARGINS = """\
margins:
  mmlu_pro: {points: 1, owner: us, reason: because, tier: critical}
  gsm8k: {points: 5, owner: us, reason: because, tier: advisory}
"""
N = 3000


def evalsuite(folder: Path, *words: str) -> Finished:
    """The command in ``folder`` with its own gate."""
    return command.evalsuite(folder, *words, *own_gate(folder))


def process(folder: Path, *words: str, **options: Any) -> int:
    """The exit code of a process of that command."""
    call = [sys.executable, "-m", "evalsuite", *words, *own_gate(folder)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(call, cwd=folder, env=env, check=False, **options).returncode


def own_gate(folder: Path) -> tuple[str, str]:
    (folder / "own" / "gate").mkdir(parents=True, exist_ok=True)
    (folder / "own" / "gate" / "ours.yaml").write_text(MARGINS)
    return "--config-dir", "own"


def flipped(lost: int, gained: int, n: int = N) -> tuple[dict[str, list[Answer]], dict[str, list[Answer]]]:
    same = n - lost - gained
    return answers([1] * lost + [0] * gained + [1] * same), answers([0] * lost + [1] * gained + [1] * same)


def made(folder: Path, lost: int, gained: int, run: str = "r", **of_candidate: Any) -> Path:
    base, cand = flipped(lost, gained)
    cells = (Made("fp8", base, title="FP8"), Made("v2", cand, baseline="fp8", title="V2", **of_candidate))
    return write(folder / "results" / run, *cells)


@pytest.mark.parametrize(
    ("flips", "verdict", "code"), [((20, 20), "pass", 0), ((120, 20), "fail", 1), ((160, 150), "undecided", 2)]
)
def test_three_verdicts(tmp_path: Path, flips: tuple[int, int], verdict: str, code: int) -> None:
    run = made(tmp_path, *flips)
    done = evalsuite(tmp_path, "gate", "run=r", "gate=ours")
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.splitlines()[-1].startswith(f"{verdict.upper()}: ")
    assert "selected among 1 candidate" in done.stdout
    assert len(done.stdout.splitlines()) < 24
    found = json.loads((run / "report" / "verdict.json").read_text())
    assert (found["schema"], found["verdict"], found["exit"]) == (1, verdict, code)
    assert found["gate"]["contents"]["margins"]["mmlu_pro"]["points"] == 1
    assert len(found["gate"]["sha256"]) == 64
    (row,) = found["candidates"]["v2"]["rows"]
    assert row["verdict"]["call"] == verdict
    assert row["limit"] == {"margin": 0.01, "tier": "critical", "owner": "us", "reason": "because"}
    assert (row["verdict"]["wanted"] is not None) == (verdict == "undecided")
    assert [(cell["model"], cell["task"], cell["samples"]) for cell in found["cells"]] == [
        ("fp8", "mmlu_pro", N),
        ("v2", "mmlu_pro", N),
    ]
    assert len({cell["samples_sha256"] for cell in found["cells"]}) == 2
    suites = ET.parse(run / "report" / "junit.xml").getroot()
    assert [case.get("name") for case in suites.iter("testcase")] == ["mmlu_pro", "release"]
    counts = {name: int(suites.get(name) or 0) for name in ("tests", "failures", "skipped", "errors")}
    assert counts == {
        "tests": 2,
        "failures": 2 * (verdict == "fail"),
        "skipped": 2 * (verdict == "undecided"),
        "errors": 0,
    }


def test_the_worst_candidate_decides_unless_one_is_named(tmp_path: Path) -> None:
    base, bad = flipped(120, 20)
    cells = [Made("fp8", base), Made("v1", bad, baseline="fp8"), Made("v2", base, baseline="fp8")]
    write(tmp_path / "results" / "r", *cells)
    assert evalsuite(tmp_path, "gate", "run=r", "gate=ours").returncode == 1
    one = evalsuite(tmp_path, "gate", "run=r", "gate=ours", "model=v2")
    assert one.returncode == 0
    assert "selected among 2 candidates" in one.stdout
    assert evalsuite(tmp_path, "gate", "run=r", "gate=ours", "model=fp8").returncode == 64


def test_an_advisory_benchmark_decides_nothing(tmp_path: Path) -> None:
    run = made(tmp_path, 20, 20)
    base, bad = flipped(900, 0)
    write(run, Made("fp8", base, "gsm8k"), Made("v2", bad, "gsm8k", baseline="fp8"))
    done = evalsuite(tmp_path, "gate", "run=r", "gate=ours")
    assert done.returncode == 0
    assert ET.parse(run / "report" / "junit.xml").getroot().get("skipped") == "1"


NOT_A_VERDICT = {
    "bad flag": (["gate", "run=r", "gate=ours", "--fast"], 64),
    "bad key": (["gate", "run=r", "gate=ours", "margin=1"], 64),
    "bad value": (["gate", "run=r", "gate=ours", "allow_incomplete=2"], 64),
    "unknown gate": (["gate", "run=r", "gate=our"], 64),
    "no gate": (["gate", "run=r"], 64),
    "no run": (["gate", "gate=ours"], 64),
    "missing run": (["gate", "run=absent", "gate=ours"], 64),
    "missing baseline file": (["gate", "run=r", "gate=ours", "baseline_run=absent.baseline"], 64),
    "unknown baseline": (["gate", "run=r", "gate=ours", "baseline=bf16"], 64),
    "unknown candidate": (["gate", "run=r", "gate=ours", "model=v3"], 64),
    "no task with a margin": (["gate", "run=r", "gate=release", "model=other"], 64),
    "typo in the command": (["gaet", "run=r", "gate=ours"], 64),
    "folder that cannot be": (["gate", "run=r", "gate=ours", "out=results/r/fp8/mmlu_pro/manifest.json/x"], 74),
}


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that no case of ``NOT_A_VERDICT`` changes."""
    folder = tmp_path_factory.mktemp("unchanged")
    made(folder, 20, 20)
    return folder


@pytest.mark.parametrize("case", NOT_A_VERDICT)
def test_what_is_no_verdict_has_another_code(unchanged: Path, case: str) -> None:
    words, code = NOT_A_VERDICT[case]
    done = evalsuite(unchanged, *words)
    assert done.returncode == code
    assert done.stderr.startswith("evalsuite: ")
    assert "Traceback" not in done.stderr
    assert not list(unchanged.rglob("verdict.json"))


def test_a_lone_model_and_other_questions_are_no_verdict(tmp_path: Path) -> None:
    write(tmp_path / "results" / "alone", Made("v2", answers([1, 0]), baseline="fp8"))
    alone = evalsuite(tmp_path, "gate", "run=alone", "gate=ours")
    assert (alone.returncode, "nothing to compare" in alone.stderr) == (64, True)
    made(tmp_path, 20, 20, "other", identity={"data_sha": "beef"})
    other = evalsuite(tmp_path, "gate", "run=other", "gate=ours")
    assert (other.returncode, "data_sha: d0d0 -> beef" in other.stderr) == (64, True)


def test_permuted_and_edited_items_are_no_verdict(tmp_path: Path) -> None:
    base, cand = flipped(20, 20)
    moved = dict(zip(cand, [*list(cand.values())[1:], cand["0"]], strict=True))
    permuted = {item: [Answer(one.value, prompt=f"sha-{(int(item) + 1) % N}")] for item, (one,) in moved.items()}
    edited = cand | {"7": [Answer(1.0, prompt="sha-edited")]}
    for name, arm in (("permuted", permuted), ("edited", edited)):
        write(tmp_path / "results" / name, Made("fp8", base), Made("v2", arm, baseline="fp8"))
        done = evalsuite(tmp_path, "gate", f"run={name}", "gate=ours")
        assert done.returncode == 64
        assert "prompt: another one in" in done.stderr


def test_an_old_verdict_does_not_outlive_what_it_was_on(tmp_path: Path) -> None:
    run = made(tmp_path, 20, 20)
    files = [run / "report" / name for name in ("verdict.json", "junit.xml", "day0.json")]
    assert evalsuite(tmp_path, "gate", "run=r", "gate=ours", "format=day0").returncode == 0
    assert all(file.exists() for file in files)
    assert evalsuite(tmp_path, "gate", "run=r", "gate=ours", "model=v3").returncode == 64
    assert not any(file.exists() for file in files)


def test_missing_answers_need_an_allowance(tmp_path: Path) -> None:
    base, cand = flipped(20, 20)
    lost = {item: [Answer(None)] if int(item) % 20 == 0 else row for item, row in cand.items()}
    few = {item: [Answer(None)] if int(item) % 1500 == 100 else row for item, row in cand.items()}
    for name, arm in (("lost", lost), ("few", few)):
        write(tmp_path / "results" / name, Made("fp8", base), Made("v2", arm, baseline="fp8"))
    none = evalsuite(tmp_path, "gate", "run=lost", "gate=ours")
    assert none.returncode == 3
    assert "2,850 of 3,000 samples measured (150 failed)" in none.stdout
    assert not (tmp_path / "results" / "lost" / "report" / "verdict.json").exists()
    assert evalsuite(tmp_path, "gate", "run=lost", "gate=ours", "allow_incomplete=0.01").returncode == 3
    wide = evalsuite(tmp_path, "gate", "run=lost", "gate=ours", "allow_incomplete=0.05")
    assert wide.returncode == 2
    assert "150 answers are missing; delta -4.97 (all missing wrong) to +0.03 pt (all right)" in wide.stdout
    assert evalsuite(tmp_path, "gate", "run=few", "gate=ours", "allow_incomplete=0.05").returncode == 0


def test_a_baseline_far_from_its_published_value_blocks(tmp_path: Path) -> None:
    bf16 = {"checkpoint": "Qwen/Qwen3.5-397B-A17B"}  # published: 87.8 %
    base = answers([1] * 2000 + [0] * 1000)
    cells = (Made("bf16", base, identity=bf16, title="BF16"), Made("v2", base, baseline="bf16"))
    write(tmp_path / "results" / "r", *cells)
    blocked = evalsuite(tmp_path, "gate", "run=r", "gate=ours")
    assert blocked.returncode == 64
    assert "BF16, MMLU-Pro: measured 66.7 [65.0, 68.3] %, published 87.8 %" in blocked.stderr
    assert 'baseline_waiver="reason"' in blocked.stderr
    waived = evalsuite(tmp_path, "gate", "run=r", "gate=ours", "baseline_waiver=another harness, see ticket 7")
    assert waived.returncode == 0
    found = json.loads((tmp_path / "results" / "r" / "report" / "verdict.json").read_text())
    assert found["baseline"]["waiver"] == "another harness, see ticket 7"
    assert {doubt["task"] for doubt in found["baseline"]["doubts"]} == {"mmlu_pro"}


def test_candidates_of_an_artefact_are_counted(tmp_path: Path) -> None:
    made(tmp_path, 20, 20, "old")
    saved = evalsuite(tmp_path, "baseline", "save", "run=old", "model=fp8", "to=fp8.baseline")
    assert (saved.returncode, saved.stdout.startswith("fp8.baseline: FP8, mmlu_pro; ")) == (0, True)
    for number in (1, 2):
        _, cand = flipped(20, 20)
        write(tmp_path / "results" / f"try{number}", Made("v2", cand, baseline="fp8"))
        words = ("gate", f"run=try{number}", "gate=ours", "baseline_run=fp8.baseline")
        for _ in range(2):
            done = evalsuite(tmp_path, *words)
            assert done.returncode == 0
            assert f"selected among {number} candidate" in done.stdout
    found = json.loads((tmp_path / "results" / "try2" / "report" / "verdict.json").read_text())
    assert found["selected_among"] == {"candidates": 2, "note": ""}
    assert found["baseline"]["artefact"]["file"] == "fp8.baseline"
    assert saved.stdout.strip().endswith(found["baseline"]["artefact"]["sha256"])
    (tmp_path / "fp8.baseline").write_bytes((tmp_path / "fp8.baseline").read_bytes()[:-100])
    assert evalsuite(tmp_path, *words).returncode == 64


def test_nobody_reading_changes_no_verdict(tmp_path: Path) -> None:
    made(tmp_path, 120, 20)
    read, closed = os.pipe()
    os.close(read)
    assert process(tmp_path, "gate", "run=r", "gate=ours", stdout=closed, stderr=subprocess.DEVNULL) == 1
    assert process(tmp_path, "gate", "run=r", "gate=ours", stdout=closed, stderr=closed) == 1
    assert process(tmp_path, "gate", "run=absent", "gate=ours", stdout=closed, stderr=closed) == 64
    os.close(closed)


def test_a_bug_is_no_verdict(tmp_path: Path) -> None:
    made(tmp_path, 20, 20)
    program = "import evalsuite.cli.main as c; c.COMMANDS['gate'] = 'json:nothing'; c.main()"
    for closed in (False, True):
        done = subprocess.run(
            [sys.executable, "-c", program, "gate", "run=r", "gate=release"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if closed else subprocess.PIPE,
            check=False,
        )
        assert done.returncode == 70


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_no_verdict(tmp_path: Path, number: signal.Signals) -> None:
    """The gate waits for a manifest that comes through a pipe, and is told to stop there."""
    pipe = made(tmp_path, 20, 20) / "v2" / "mmlu_pro" / "manifest.json"
    pipe.unlink()
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "evalsuite", "gate", "run=r", "gate=release"]
    held: int | None = None
    with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        while held is None and process.poll() is None:
            try:
                held = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # it is not opened for reading yet
                    raise
                time.sleep(0.02)
        for _ in range(12):  # one that arrives between Python's look at signals and the read waits for the next
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
                break
    assert process.returncode == 128 + number
    assert held is not None
    os.close(held)
    assert not (tmp_path / "results" / "r" / "report" / "verdict.json").exists()
