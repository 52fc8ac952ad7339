"""What is missing on a bare machine, and the air-gapped page given as it is written where there is no network."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from figures.line import Line

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guide" / "air_gapped.md"
PIECES = {
    "model": "no model chosen", "MMMU-Pro": "MMMU/MMMU_Pro", "GPQA": "Idavidrein/gpqa",
    "its token": "HF_TOKEN is not set", "SciCode": "SciCode1/SciCode",
    "its targets": "SciCode's targets", "AA-LCR": "ArtificialAnalysis/AA-LCR",
    "IFBench": "allenai/IFBench_test", "NLTK": "NLTK resource", "judge": "no judge is chosen",
    "simulator": "no server at http",
}  # fmt: skip
"""What a bare machine lacks for suite=card, and a part of the message."""
NOISE = ("Retry", "Traceback", "thrown while requesting", "%|")
"""What libraries print."""


def bare_machine(folder: Path) -> list[Line]:
    """``run suite=card`` with an empty home."""
    quiet = ("HF_", "NLTK", "SCICODE", "EVALSUITE_", "HTTP", "ALL_P")
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith(quiet)}
    call = [sys.executable, "-m", "evalsuite", "run", "suite=card"]
    used, began = _cpu(), time.monotonic()
    done = subprocess.run(
        call, cwd=folder, env=env | {"HOME": str(folder)}, capture_output=True, text=True, check=False
    )
    wall, cpu = time.monotonic() - began, _cpu() - used
    listed = [name for name, words in PIECES.items() if words in done.stderr]
    absent = sorted(PIECES.keys() - set(listed))
    noise = [line for line in done.stderr.splitlines() if any(word in line for word in NOISE)]
    return [
        Line("bare machine, `run suite=card`: seconds to the whole list", "under 3", f"{cpu:.1f} CPU, {wall:.1f} wall"),
        Line("pieces in it", "all of it", f"{len(listed)} of {len(PIECES)}" + (f"; not: {absent}" if absent else "")),
        Line("exit code, lines of libraries on the screen", "64, 0", f"{done.returncode}, {len(noise)}"),
    ]


def air_gapped(folder: Path) -> list[Line]:
    """The page at full item counts of made data, in a network namespace that has only loopback."""
    script = 'ip link set lo up && exec "$@"'
    enter = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    program = [sys.executable, "-c", "import sys; from figures.missing import give; give(sys.argv[1])", str(folder)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*enter, "sh", "-c", script, "sh", *program], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    bad = [f"{text} ({code})" for text, code, asked in found["commands"] if code != asked]
    count = len(found["commands"])
    complete = [name for name, whole in found["cells"].items() if whole]
    others = sorted(found["cells"].keys() - set(complete))
    rest = f"; incomplete: {', '.join(others)}" if others else ""
    return [
        Line(
            "the air-gapped page as written, no network: commands that end as it states (`pip` aside)",
            f"{count} of {count}",
            f"{count - len(bad)} of {count}" + (f"; not: {'; '.join(bad)}" if bad else ""),
        ),
        Line("network interfaces there", "lo", ", ".join(found["interfaces"])),
        Line(
            "benchmarks asked there, complete and with a score",
            "8 of 8",
            f"{len(complete)} of {len(found['cells'])}{rest}",
        ),
    ]


def give(folder: str) -> None:
    """Give the page's commands here and print what came of them as one line of JSON."""
    from tests.support import page_shell
    from tests.support.pages import steps

    home = Path(folder)
    with page_shell.site(home / "site") as site:
        ended = list(page_shell.execute(steps(PAGE), home / "page", site))
    cells: dict[str, bool] = {}
    for path in sorted((home / "page" / "work").glob("results/*/*/*/summary.json")):
        cells[path.parent.name] = bool(json.loads(path.read_text(encoding="utf-8"))["complete"])
    found: Mapping[str, object] = {
        "commands": [[one.command.text, one.code, one.command.code] for one in ended],
        "cells": cells,
        "interfaces": _interfaces(),
    }
    print(json.dumps(found))


def _interfaces() -> list[str]:
    """Of this network namespace; /sys may still show another's."""
    done = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True)
    return [line.split(":")[1].strip() for line in done.stdout.splitlines()]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
