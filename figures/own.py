"""docs/start/own_server.md as written, in a fresh clone with a fresh environment and 200 questions."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from figures.install import FOREIGN, children_seconds
from figures.line import Line
from tests.support.pages import commands
from tests.support.scripted_endpoint import Answer, scripted_endpoint

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "start" / "own_server.md"
ITEMS = 200
ADDRESS = "http://localhost:8000/v1"
"""The server of the page; the scripted one has another port."""


@dataclass(frozen=True, slots=True)
class Own:
    """What came of the page."""

    commands: int
    """Those of the page and ``git clone``."""
    codes: tuple[int, ...]
    minutes: float
    """Wall time, the clone included."""
    cpu_minutes: float
    correct: int
    asked: int
    said: str
    """Standard error of the first command that failed."""


def answer(prompt: str) -> Answer:
    """The sum of the two numbers of a question; a wrong one for every tenth."""
    if "2 + 2" in prompt:
        return Answer("4", reasoning="2 + 2")
    numbers = [int(word.strip("?")) for word in prompt.split() if word.strip("?").isdigit()][:2]
    if "How many are" not in prompt:  # asked to tell checkpoints apart
        return Answer(f"I have read {len(prompt)} characters.", reasoning="so")
    return Answer(f"The answer is {sum(numbers) + (numbers[0] % 10 == 0)}", reasoning="so")


def own(folder: Path, items: int = ITEMS, *, install: bool = True) -> Own:
    """Give the commands of the page in a clone; without ``install`` with the evalsuite that runs here."""
    began, cpu = time.monotonic(), children_seconds()
    clone = folder / "evalsuite"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    _write_questions(clone / "questions.jsonl", items)
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    if install:
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    programs = folder / "venv" / "bin" if install else _programs(folder / "bin")
    environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
    environment |= {"HF_HUB_OFFLINE": "1"}  # the scripted model is on no hub
    page = commands(PAGE)
    codes, said = [], ""
    with scripted_endpoint(answer, model="me/mine") as server:
        for command in page:
            words = command.text.replace(ADDRESS, server.base_url)
            done = subprocess.run(
                ["bash", "-c", words], cwd=clone, env=environment, capture_output=True, text=True, check=False
            )
            codes.append(done.returncode)
            if done.returncode and not said:
                said = done.stderr.strip()[-300:]
    (path, *_) = [*(clone / "results").glob("first/mine/ours/summary.json"), None]
    outcomes = json.loads(path.read_text(encoding="utf-8"))["outcomes"] if path else {}
    minutes, cpu_minutes = (time.monotonic() - began) / 60, (children_seconds() - cpu) / 60
    return Own(
        len(page) + 1, tuple(codes), minutes, cpu_minutes, outcomes.get("correct", 0), sum(outcomes.values()), said
    )


def _programs(folder: Path) -> Path:
    """``evalsuite`` of this interpreter, and a ``pip`` that does nothing."""
    folder.mkdir()
    for name, line in {"evalsuite": f'exec "{sys.executable}" -P -m evalsuite "$@"', "pip": "exit 0"}.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\nexport PYTHONPATH='{ROOT}'\n{line}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def _write_questions(path: Path, items: int) -> None:
    numbers = [(17 + number, 25 + number * 3) for number in range(items)]
    rows = [
        {"question": f"How many are {first} and {second}?", "answer": str(first + second), "subject": "add"}
        for first, second in numbers
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def lines(folder: Path) -> list[Line]:
    """The figure."""
    found = own(folder)
    failed = f"; failed: {found.said}" if any(found.codes) else ""
    spent = f"{found.minutes:.1f} minutes ({found.cpu_minutes:.1f} CPU)"
    return [
        Line(
            "own server and own 200 questions from a fresh clone, by docs/start/own_server.md alone",
            "at most 6 commands, 10 minutes",
            f"{found.commands} commands, {spent}; {found.correct} of {found.asked} right{failed}",
        )
    ]
