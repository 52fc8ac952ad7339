"""Installed and run without a network from what ``pip download`` collects, as docs/guide/air_gapped.md shows it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ("pytest", "syrupy")
"""What the scripted servers need beside evalsuite."""
QUIET = ("PIP_", "PYTHON", "HF_", "EVALSUITE_", "UV_", "VIRTUAL_ENV")
"""Beginnings of variables that could lead to something outside the folder."""


@dataclass(frozen=True, slots=True)
class Offline:
    """What was measured; seconds are wall time."""

    packages: int
    megabytes: float
    collected: float
    """Seconds to build evalsuite's wheel and to download all other packages."""
    interfaces: tuple[str, ...]
    """Network interfaces where it was installed and run."""
    installed: float
    ran: float
    samples: dict[str, int]
    """Model -> samples of ``word_problems`` with a score."""
    report: bool
    benchmarks: int
    """Benchmarks of ``suite=all`` that ran there on scripted servers, a few items each; 0: not asked."""


def offline_install(folder: Path, extras: Sequence[str] = (), limit: int = 20, *, everything: bool = False) -> Offline:
    """Download the packages, then install and run ``suite=demo`` where there is only the loopback interface.

    With ``everything`` also ``suite=all`` on small made data, asked of scripted servers there (needs all extras).

    Needs Linux with ``unshare`` and ``ip``, and an index for the first half. Raises ``AssertionError`` with the last
    words of the step that failed.
    """
    began = time.monotonic()
    own, packages = folder / "own", folder / "wheels"
    _pip("wheel", "--no-deps", "-w", str(own), str(ROOT))
    (built,) = own.glob("*.whl")
    asked = f"{built}[{','.join(extras)}]" if extras else str(built)
    tools = TOOLS if everything else ()
    _pip("download", "-d", str(packages), asked, "setuptools", "wheel", *tools)
    collected = time.monotonic() - began
    sizes = [path.stat().st_size for path in packages.iterdir()]
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, capture_output=True)
    began = time.monotonic()
    pip = ["-m", "pip", "install", "-q", "--no-index", "--find-links", str(packages)]
    wanted = f"evalsuite[{','.join(extras)}]" if extras else "evalsuite"
    interfaces = tuple(_without_network(folder, ["python", *pip, wanted, *tools])[0].split()[1:])
    installed = time.monotonic() - began
    began = time.monotonic()
    _without_network(folder, ["evalsuite", "run", "suite=demo", f"limit={limit}", "run_id=offline"])
    ran = time.monotonic() - began
    run = folder / "home" / "results" / "offline"
    found = {path.parts[-3]: json.loads(path.read_text("utf-8")) for path in run.glob("*/word_problems/summary.json")}
    samples = {model: summary["samples"] for model, summary in found.items() if summary["complete"]}
    report = (run / "report" / "report.md").is_file()
    benchmarks = _everything(folder) if everything else 0
    return Offline(len(sizes), sum(sizes) / 1e6, collected, interfaces, installed, ran, samples, report, benchmarks)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def _everything(folder: Path) -> int:
    """Benchmarks that ``figures.everything`` finishes there, with the installed evalsuite."""
    for name in ("figures", "tests"):
        source = ROOT / name
        shutil.copytree(source, folder / "home" / name, ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        "import evalsuite, pathlib; from figures.everything import everything;"
        "assert 'site-packages' in evalsuite.__file__, evalsuite.__file__;"
        "found = everything(pathlib.Path('all').resolve()); assert found.codes == (3, 0), found.said;"
        "print('benchmarks', len(found.cells))"
    )
    lines = _without_network(folder, ["python", "-c", program])
    return int(next(line for line in lines if line.startswith("benchmarks ")).split()[1])


def _without_network(folder: Path, words: Sequence[str]) -> list[str]:
    """Lines that a program of the fresh environment prints in a network namespace of its own; first its interfaces."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(QUIET)}
    env = kept | {"HOME": str(home), "PIP_CONFIG_FILE": os.devnull, "CI": "1"}
    script = 'ip link set lo up && echo "interfaces" $(ip -o link | cut -d: -f2) && exec "$@"'
    enter = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    program = [str(folder / "venv" / "bin" / words[0]), *words[1:]]
    done = subprocess.run(
        [*enter, "sh", "-c", script, "sh", *program], cwd=home, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:] or done.stdout[-2000:]
    assert done.stdout.startswith("interfaces ")
    return done.stdout.splitlines()
