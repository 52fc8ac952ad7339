"""``examples/nightly/nightly.sh`` run for real: quiet nights, a broken one, an unfinished one."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

from figures.line import Line
from tests.support.conf_files import ROOT, write_conf
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.toy import right

PROBES = 8
"""At most so many requests of a night are for the server's identity."""
DATES = ("20261101", "20261102", "20261103", "20261104")
SUITE = """# @package _global_
defaults:
  - override /task: [additions]
suite: nightly
"""


@dataclass(frozen=True, slots=True)
class Gated:
    """One call of the script."""

    night: str
    code: int
    said: str
    junit: dict[str, str]
    """Test case -> ``passed``, ``failure`` or ``skipped``."""
    confirmed_by: int
    """Requests of the confirmation."""


def nights(folder: Path, items: int, dates: Sequence[str] = DATES) -> list[Gated]:
    """A frozen baseline of 8 repeats, two good nights, one on which the server answers half of them wrong, and one that
    cannot finish because its endpoint is away."""
    noise = random.Random(7)
    share = [0.1]

    def answer(prompt: str) -> Answer:
        wrong = "2 + 2" not in prompt and noise.random() < share[0]
        return Answer("no idea" if wrong else right(prompt), reasoning="easy")

    found = []
    with scripted_endpoint(answer) as server:
        conf = write_conf(folder / "conf", ("m1", server.base_url), concurrency=32)
        (conf / "suite").mkdir()
        (conf / "suite" / "nightly.yaml").write_text(SUITE)
        common = [f"--config-dir={conf}", f"tasks.additions.options.count={items}", "engine.fingerprint=false"]
        results = folder / "results"
        asked = ["run", "model=m1", "suite=nightly", "run_id=frozen", f"results_dir={results}"]
        _evalsuite(*asked, "tasks.additions.repeats=8", *common)
        saved = ["baseline", "save", "run=frozen", "model=m1", f"results_dir={results}", f"to={folder / 'm1.baseline'}"]
        _evalsuite(*saved)
        words = [*common, "tasks.additions.repeats=1"]
        for night, wrong, url in (
            ("20261101", 0.1, server.base_url),
            ("20261102", 0.1, server.base_url),
            ("20261103", 0.5, server.base_url),
            ("20261104", 0.1, "http://127.0.0.1:9/v1"),
        ):
            if night not in dates:
                continue
            share[0] = wrong
            before = len(server.requests)
            done = _night(folder, night, [*words, f"models.m1.base_url={url}"])
            found.append(replace(done, confirmed_by=max(0, len(server.requests) - before - items - PROBES)))
    return found


def _night(folder: Path, date: str, words: list[str]) -> Gated:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MODEL": "m1",
        "BASELINE": str(folder / "m1.baseline"),
        "RESULTS": str(folder / "results"),
        "DATE": date,
        "PYTHONPATH": str(ROOT),
    }
    script = [shutil.which("bash") or "bash", str(ROOT / "examples" / "nightly" / "nightly.sh"), *words]
    done = subprocess.run(script, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    junit = folder / "results" / "drift" / "junit.xml"
    cases = ET.parse(junit).getroot().iter("testcase") if junit.exists() else ()
    states = {str(case.get("name")): next((one.tag for one in case), "passed") for case in cases}
    return Gated(date, done.returncode, done.stdout + done.stderr, states, 0)


def _evalsuite(*words: str) -> None:
    command = [sys.executable, "-m", "evalsuite", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def nightly_lines(folder: Path, items: int = 300) -> list[Line]:
    """The figure."""
    asked = ("0", "0", "1, after fresh answers", "the run's own code, 69: no verdict")
    return [
        Line(
            f"night {one.night}: exit code and JUnit of `examples/nightly/nightly.sh`",
            wanted,
            f"{one.code}; {', '.join(f'{name} {state}' for name, state in one.junit.items())}"
            + (f"; {one.confirmed_by} requests asked afresh" if one.confirmed_by else ""),
        )
        for one, wanted in zip(nights(folder, items), asked, strict=True)
    ]
