"""Runs in processes of their own, on a machine whose wall clock or resolver fails (``machine_fault.c``)."""

import os
import subprocess
import sys
from pathlib import Path

from evalsuite.cli.run import run
from evalsuite.config.settings import Engine
from tests.end_to_end.faults.asking import ENGINE
from tests.store.io_faults import built
from tests.store.proving import ROOT
from tests.support.toy import settings

SOURCE = Path(__file__).with_name("machine_fault.c")
TIMES = {**ENGINE, "first_token_seconds": 4.0, "idle_seconds": 0.6, "deadline": "1h"}


def environment(folder: Path, fault: str, setting: str) -> dict[str, str]:
    """What a process needs to meet ``MACHINE_FAULT_<fault>=setting``."""
    return {**os.environ, f"MACHINE_FAULT_{fault}": setting, "LD_PRELOAD": str(built(folder, SOURCE)), "CI": "1"}


def start(results: Path, url: str, items: int, environment: dict[str, str]) -> "subprocess.Popen[str]":
    """A run of so many questions, two at a time, that may last an hour."""
    call = [sys.executable, "-m", "tests.end_to_end.faults.machine", str(results), url, str(items)]
    return subprocess.Popen(
        call, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def main(results: str, url: str, items: str) -> int:
    """The process."""
    wanted = settings(
        Path(results), ("bf16", url), engine=Engine(**TIMES), limit=int(items), model={"concurrency": 2}, report=False
    )
    wanted.tasks["additions"].options = {"count": int(items)}
    return int(run(wanted))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
