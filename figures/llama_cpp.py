"""The demo model in a real llama.cpp server: answers compared with NumPy's, restarts, other precisions on its port."""

import itertools
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from evalsuite.errors import Exit
from evalsuite.store.samples import read_samples
from figures.line import Line
from tests.demo.test_llama_cpp import llama_cpp
from tests.support.gguf_export import export
from tests.support.llama_cpp_server import serving_gguf


@dataclass(frozen=True, slots=True)
class Beside:
    """Two servers of the same weights."""

    items: int
    numpy: float
    """Fraction right."""
    llama_cpp: float
    equal_texts: float
    """Fraction of items with the same answer and the same reasoning, letter by letter."""


def beside_llama_cpp(folder: Path, limit: int | None = None) -> Beside:
    """``word_problems`` (``limit`` items, None: all 2,000), greedy, asked of both servers."""
    with llama_cpp(folder) as url:
        words = ["server@models.demo_bf16.server=llama_cpp", f"models.demo_bf16.base_url={url}"]
        words += ["models.demo_bf16.concurrency=8"]
        theirs = _answers(folder, "llama", words, limit)
    ours = _answers(folder, "numpy", [], limit)
    assert theirs.keys() == ours.keys()
    count = len(ours)
    equal = sum(ours[item][:2] == theirs[item][:2] for item in ours)
    right = [sum(value for *_, value in answers.values()) / count for answers in (ours, theirs)]
    return Beside(count, right[0], right[1], equal / count)


def _answers(folder: Path, run: str, words: list[str], limit: int | None) -> dict[str, tuple[str, str, float]]:
    call = [sys.executable, "-m", "evalsuite", "run", "model=demo_bf16", "task=word_problems", "sampling=greedy"]
    call += [f"run_id={run}", f"results_dir={folder}/results", *words, *([f"limit={limit}"] if limit else [])]
    done = subprocess.run(call, capture_output=True, text=True, check=False, env={**os.environ, "CI": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    rows = read_samples(folder / "results" / run / "demo_bf16" / "word_problems").to_pylist()
    return {row["item_id"]: (row["text"].strip(), row["reasoning"].strip(), row["value"]) for row in rows}


KINDS = ("F32", "Q8_0", "Q5_0", "Q4_0")
"""Four precisions of the demo model in ggml's own formats: six pairs."""
MODEL = "demo_bf16"


@dataclass(frozen=True, slots=True)
class Restarts:
    """A cell that goes on after every restart of its server."""

    runs: int
    refused: int
    """Commands that were refused although the server is the same."""
    confounders: tuple[str, ...]
    """Facts that the notes of any of them name as changed."""
    items: int
    """Answers of the finished cell."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """A cell of one precision while another one is served."""

    cell: str
    served: str
    code: int
    """Exit code of the command."""
    distance: str
    """As the refusal states it; empty if it was not refused."""


def restarts(folder: Path, runs: int, step: int) -> Restarts:
    """Continue one cell ``runs`` times by ``step`` items, each time with a new server: 8 and 2 slots in turn, under a
    relative path."""
    _export(folder, KINDS[0])
    refused, changed = 0, dict[str, None]()
    for number in range(runs):
        with serving_gguf(folder, f"models/{KINDS[0]}.gguf", slots=2 if number % 2 else 8) as url:
            done = _run(folder, "restarts", url, step * (number + 1))
        refused += done.returncode != 0
        for line in done.stderr.splitlines():
            if "the server has changed since it answered before: " in line:
                changed |= dict.fromkeys(part.partition(":")[0] for part in line.partition("before: ")[2].split("; "))
    return Restarts(runs, refused, tuple(changed), len(read_samples(_cell(folder, "restarts"))))


def strangers(folder: Path, kinds: tuple[str, ...], limit: int) -> list[Stranger]:
    """For every pair of precisions: begin a cell with the first, and continue it while the second is served."""
    for kind in kinds:
        _export(folder, kind)
    for kind in kinds[:-1]:
        with serving_gguf(folder, f"models/{kind}.gguf") as url:
            done = _run(folder, f"pair_{kind}", url, limit, results=f"results_{kind}")
        assert done.returncode == 0, done.stderr[-2000:]
    found = []
    for cell, served in itertools.combinations(kinds, 2):
        with serving_gguf(folder, f"models/{served}.gguf", slots=2) as url:
            done = _run(folder, f"pair_{cell}", url, 2 * limit, results=f"results_{cell}")
        distance = re.search(r"(?:different|same|cannot tell): distance ([0-9.]+)", done.stderr)
        found.append(Stranger(cell, served, done.returncode, distance[1] if distance else ""))
    return found


def lines(folder: Path) -> list[Line]:
    """The figures at full size."""
    same = restarts(folder, 20, 5)
    pairs = strangers(folder, KINDS, 20)
    (folder / "near").mkdir()
    near = strangers(folder / "near", ("F32", "BF16"), 20)[0]
    shown = ", ".join(f"{pair.cell}/{pair.served} {pair.distance or 'not found'}" for pair in pairs)
    outcome = "refused" if near.code else f"goes on, {near.distance} nats noted" if near.distance else "goes on"
    return [
        Line(
            "llama.cpp: 20 restarts, 8 and 2 slots in turn, relative path: commands refused",
            "0",
            f"{same.refused} of {same.runs}; {same.items} answers in the cell",
        ),
        Line("facts noted as changed at those restarts", "the slots only", ", ".join(same.confounders) or "none"),
        Line(
            f"the six pairs of {', '.join(KINDS)}, a cell of the first while the second is served",
            "every stranger found",
            f"{sum(pair.code == Exit.ENDPOINT for pair in pairs)} of {len(pairs)} refused (nats: {shown})",
        ),
        Line("the same weights as F32 and as BF16", "stated (0.018 nats decide)", outcome),
    ]


def _export(folder: Path, kind: str) -> None:
    path = folder / "models" / f"{kind}.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        export(path, kind)


def _run(folder: Path, run: str, url: str, limit: int, results: str = "results") -> "subprocess.CompletedProcess[str]":
    call = [sys.executable, "-m", "evalsuite", "run", f"model={MODEL}", "task=word_problems", "sampling=greedy"]
    call += [f"server@models.{MODEL}.server=llama_cpp", f"models.{MODEL}.base_url={url}", f"limit={limit}"]
    call += [f"models.{MODEL}.concurrency=8", f"run_id={run}", f"results_dir={folder}/{results}", "report=false"]
    return subprocess.run(call, capture_output=True, text=True, check=False, timeout=300)


def _cell(folder: Path, run: str) -> Path:
    return folder / "results" / run / MODEL / "word_problems"
