"""The BF16 weights in a real llama.cpp server, asked by the same client with the same command as NumPy's server."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from evalsuite.store.samples import read_samples
from tests.demo.test_llama_cpp import llama_cpp


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
