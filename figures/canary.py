"""Where the words of a gated benchmark's questions, and those of the answers to them, turn up.

Two words are watched: one stands in every question and choice, the other in every answer and its reasoning, as if the
model had quoted what it was asked. The items are made here, in GPQA's columns.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evalsuite.store.samples import read_samples
from figures.everything import evalsuite
from tests.support import questions as made
from tests.support.scripted_endpoint import Answer, scripted_endpoint

ASKED, ANSWERED = "zqquestionword", "zqanswerword"
MODELS = ("bf16", "fp8")


@dataclass(frozen=True, slots=True)
class Seen:
    """Where one word was found."""

    output: tuple[str, ...]
    """Steps with the word in standard output or standard error (line breaks left out)."""
    report: tuple[str, ...]
    """Files of the report."""
    cells: tuple[str, ...]
    """Kinds of files in the cells: ``journal``, ``samples.parquet`` ..."""


@dataclass(frozen=True, slots=True)
class Canary:
    """What ``run``, ``report`` and ``show`` left behind."""

    asked: Seen
    """The word of questions and choices."""
    answered: Seen
    """The word of answers and reasoning."""
    echoed: Seen
    """The word of questions while a server repeated it in its errors, and after."""
    codes: Mapping[str, int]
    """Step -> exit code."""
    reports: tuple[str, ...]
    """Files of the last report."""
    sent: int
    """Requests that held the word of questions."""
    said: str
    """Standard error of all steps."""


def canary(folder: Path) -> Canary:
    """Run, report and show a made GPQA below ``folder``: right, wrong, cut short and failed answers of two models.

    Three runs of one command: one item fails; it fails with an error that repeats the prompt, as some servers do; it
    is answered. The last one compares the two models.
    """
    root, run = folder / "data", folder / "results" / "r"
    made.write(root / "gpqa_diamond" / "train.jsonl", [_row(number) for number in range(4)])
    mood = ["fail"]

    def answer(prompt: str) -> Answer:
        said = f"{ANSWERED} {ANSWERED}.\n\nAnswer: "
        if "2 + 2" in prompt:
            return Answer("4", reasoning=said)
        if "set 3" in prompt and mood[0] != "answer":
            echo = json.dumps({"error": {"message": prompt[-250:]}}) if mood[0] == "echo" else None
            return Answer(status=500, body=echo)
        if "set 2" in prompt:
            return Answer("", reasoning=said, finish_reason="length")
        return Answer(said + ("A" if "set 1" in prompt else "B"), reasoning=said)

    show = ["show", "run=r", "task=gpqa_diamond"]
    said: dict[str, subprocess.CompletedProcess[str]] = {}
    with scripted_endpoint(answer) as one, scripted_endpoint(answer) as other:
        words = ["run", f"model=[{','.join(MODELS)}]", "task=gpqa_diamond", "run_id=r", "tasks.gpqa_diamond.repeats=2"]
        words += ["data=local", f"data.root={root}", "engine.retries=0", "baseline=bf16"]
        pairs = zip(MODELS, (one, other), strict=True)
        words += [f"models.{name}.base_url={server.base_url}" for name, server in pairs]
        said["run, failing"] = evalsuite(folder, *words)
        plain = _seen(run, ASKED, said)
        mood[0] = "echo"
        said["run, echoing"] = evalsuite(folder, *words)
        said["show, echoing"] = evalsuite(folder, *show, f"item={_id(3)}", columns=200)
        mood[0] = "answer"
        said["run"] = evalsuite(folder, *words)
        sent = sum(ASKED in request.prompt for server in (one, other) for request in server.requests)
    said["report"] = evalsuite(folder, "report", "run=r", "baseline=bf16")
    said["show"] = evalsuite(folder, *show, f"item={_id(0)}", columns=200)
    return Canary(
        plain,
        _seen(run, ANSWERED, said),
        _seen(run, ASKED, said),
        {step: done.returncode for step, done in said.items()},
        tuple(path.name for path in _reports(run)),
        sent,
        "".join(done.stderr for done in said.values()),
    )


def _reports(run: Path) -> list[Path]:
    return [path for path in sorted((run / "report").rglob("*")) if path.is_file()]


def _seen(run: Path, word: str, said: Mapping[str, "subprocess.CompletedProcess[str]"]) -> Seen:
    held = set()
    for name in MODELS:
        cell = run / name / "gpqa_diamond"
        for path in (path for path in cell.rglob("*") if path.is_file()):
            kind = "journal" if path.name.startswith("journal-") else path.name
            whole = path.read_bytes() + (_table(cell) if path.suffix == ".parquet" else b"")
            if word.encode() in whole:
                held.add(kind)
    texts = {step: "".join((done.stdout + done.stderr).split()) for step, done in said.items()}
    return Seen(
        tuple(step for step, text in texts.items() if word in text),
        tuple(path.name for path in _reports(run) if word.encode() in path.read_bytes()),
        tuple(sorted(held)),
    )


def _table(cell: Path) -> bytes:
    """The rows as text: a Parquet file is compressed."""
    return json.dumps(read_samples(cell).to_pylist()).encode()


def _id(number: int) -> str:
    return f"recMADE{number}"


def _row(number: int) -> dict[str, str]:
    wrong = {f"Incorrect Answer {n}": f"{ASKED} choice {number}-{n}" for n in (1, 2, 3)}
    return wrong | {
        "Record ID": _id(number),
        "Question": f"Which {ASKED} of set {number} holds?",
        "Correct Answer": f"{ASKED} choice {number}-0",
        "Explanation": f"{ASKED} says so",
        "High-level domain": "Physics",
        "Subdomain": "Made",
    }
