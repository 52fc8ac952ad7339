"""What ``pip install .`` gives: every benchmark but Tau2, asked and graded in a fresh environment; `card`: all."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.engine.conversation import request_seed
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.registry import build
from figures.everything import SEED, TASKS, prepare
from figures.line import Line
from figures.three_servers import Play, playing
from tests.support import questions as made

ROOT = Path(__file__).parents[1]
ITEMS = 3
LM_EVAL = "evalsuite_gsm8k"
"""The task of lm-eval that is asked beside the eight benchmarks."""
INSTALLATIONS = {"": "pip install .", "card": "pip install '.[card]'"}
"""Extra -> what a user types."""
LIST = "import json, importlib.metadata as m; print(json.dumps(sorted({d.name.lower() for d in m.distributions()})))"
FOREIGN = ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT", "PYTHONPATH", "VIRTUAL_ENV")
"""Variables that could bring something other than what the index has."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A fresh virtual environment with evalsuite in it."""

    python: Path
    minutes: float
    """Wall time of ``pip install``, downloads included."""
    cpu_minutes: float
    megabytes: float
    """On disk, without pip itself."""
    distributions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """One benchmark, asked on scripted servers."""

    code: int
    graded: int
    """Samples with a score."""
    right: int
    said: str
    """Last line of the standard error."""


def fresh(folder: Path, extra: str) -> Environment:
    """Install this checkout with pip into a new environment, with no cache and no configuration of this machine."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    python = folder / "bin" / "python"
    before = _megabytes(folder)
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    wanted = f"{ROOT}[{extra}]" if extra else str(ROOT)
    began, cpu = time.monotonic(), children_seconds()
    command = [str(python), "-m", "pip", "install", "-q", wanted]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    minutes, cpu_minutes = (time.monotonic() - began) / 60, (children_seconds() - cpu) / 60
    listed = subprocess.run([str(python), "-c", LIST], capture_output=True, text=True, check=True)
    return Environment(python, minutes, cpu_minutes, _megabytes(folder) - before, tuple(json.loads(listed.stdout)))


def asked(python: Path, folder: Path, tasks: Mapping[str, str]) -> dict[str, Ran]:
    """Ask made questions with the evalsuite of ``python``, one command a benchmark.

    Args:
        python: The interpreter of the environment whose evalsuite runs; the servers run here.
        folder: For data and results.
        tasks: Benchmarks -> ``""``, or the name of the task of lm-eval.
    """
    root, play = folder / "data", Play(healed=True)
    source = made.lay_out(root)
    options = {
        task: _lm_eval(name, source, play) if name else prepare(task, root, source, play)
        for task, name in tasks.items()
    }
    play.fates = dict.fromkeys(play.fates, "correct")
    with playing(play) as servers:
        places = zip(("models.fp8", "simulator", "judge"), servers, strict=True)
        common = [f"{name}.base_url={server.base_url}" for name, server in places]
        common += ["judge=qwen3_235b_instruct", "simulator=qwen3_235b_instruct", f"limit={ITEMS}", f"seed={SEED}"]
        common += ["data=local", f"data.root={root}", f"results_dir={folder / 'results'}", "engine.retries=0"]
        return {task: _run(python, folder, task, [*common, *words]) for task, words in options.items()}


def _run(python: Path, folder: Path, task: str, words: list[str]) -> Ran:
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    command = [str(python), "-P", "-m", "evalsuite", "run", "model=fp8", f"task={task}", f"run_id={task}", *words]
    command += [f"tasks.{task}.repeats=1", "report=false"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    path = folder / "results" / task / "fp8" / task / "summary.json"
    outcomes: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["outcomes"] if path.is_file() else {}
    unmeasured = outcomes.get("failed", 0) + outcomes.get("ungraded", 0)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    return Ran(done.returncode, sum(outcomes.values()) - unmeasured, outcomes.get("correct", 0), last)


def _lm_eval(name: str, source: Source, play: Play) -> list[str]:
    """A task of lm-eval on the questions of its own benchmark."""
    adapter: Any = build("lm_eval", variant="task", options={"task": name}, source=source, seed=SEED)
    for item in adapter.items():
        (message,) = adapter.prompt(item, 0).messages
        place = ("lm_eval", item.id)
        play.by_prompt[message["content"], request_seed(SEED, item.id, 0)] = place
        play.fates[place], play.texts[place] = "correct", (f"So it is \\boxed{{{item.target}}}.", "")
    return [f"tasks.lm_eval.options.task={name}"]


def figure(folder: Path) -> list[Line]:
    """Both installations, each asked all eight benchmarks and one task of lm-eval."""
    lines = []
    for extra, command in INSTALLATIONS.items():
        place = folder / (extra or "plain")
        place.mkdir()
        environment = fresh(place / "venv", extra)
        ran = asked(environment.python, place, {**dict.fromkeys(TASKS, ""), "lm_eval": LM_EVAL})
        expected = len(ran) - (not extra)
        passed = [task for task, one in ran.items() if (one.code, one.graded) == (0, ITEMS)]
        others = "; ".join(f"{task}: {_ended(one)}" for task, one in ran.items() if task not in passed)
        torch = "torch" if "torch" in environment.distributions else "no torch"
        lines += [
            Line(
                f"`{command}` in a fresh environment: benchmarks with {ITEMS} made items asked and graded, exit 0",
                "all eight and a task of lm-eval" if extra else "all but Tau2, and a task of lm-eval",
                f"{len(passed)} of {expected}{f' ({others})' if others else ''}",
            ),
            Line(
                f"`{command}`: what it costs, nothing cached",
                "stated; no torch",
                f"{environment.minutes:.1f} minutes ({environment.cpu_minutes:.1f} CPU), {environment.megabytes:.0f} "
                f"MB, {len(environment.distributions)} distributions, {torch}",
            ),
        ]
    return lines


def _ended(ran: Ran) -> str:
    return f"exit {ran.code}, {'which names the extra card' if 'evalsuite[card]' in ran.said else ran.said}"


def children_seconds() -> float:
    """CPU seconds of the processes that this one started and that have ended."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _megabytes(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / 1e6
