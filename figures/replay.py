"""Real recorded answers graded here, against the counts that were worked out with the authors' own scripts.

Every function takes a size (None: everything) and returns what it measured; tests call them small or, where that is
quick, full.
"""

import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from evalsuite.store.samples import read_samples
from evalsuite.tasks.grading import extract
from figures.measure import measured

MODELS = ("Meta-Llama-3-70B", "Meta-Llama-3_1-70B", "Meta-Llama-3_1-70B-Instruct", "Qwen1.5-72B-Chat")
SOLVERS = ("openai-6b-finetuning", "openai-175b-verification")


@dataclass(frozen=True, slots=True)
class Imported:
    """Four models' MMLU-Pro answers, imported one by one with the command."""

    items: int
    right: Mapping[str, int]
    """Model -> right answers."""
    unparsed: Mapping[str, int]
    subjects: Mapping[str, Mapping[str, tuple[int, int]]]
    """Model -> subject -> (right, asked)."""
    lost: int
    """Items that the first model has right and the second has not."""
    gained: int
    seconds: float
    """Wall time of the four commands together."""
    peak_mb: float
    """Largest resident memory of any of them."""


def mmlu_pro_imports(data: Path, folder: Path, size: int | None = None) -> Imported:
    """Import the shipped answers with ``variant=official`` into ``folder``; ``size`` takes the first questions only."""
    root = data if size is None else cut_data(data, folder / "cut", size)
    began, peak = time.perf_counter(), 0.0
    for model in MODELS:
        answers = root / "mmlu_pro" / f"outputs_{model}.jsonl.gz"
        words = [f"file={answers}", f"name={model}", f"data.root={root}", f"results_dir={folder / 'results'}"]
        words += ["task=mmlu_pro", "run_id=replay", "tasks.mmlu_pro.variant=official", "data=local"]
        peak = max(peak, _command("import", *words))
    seconds = time.perf_counter() - began
    tables = {model: _rows(folder / "results" / "replay" / model / "mmlu_pro") for model in MODELS}
    right = {model: {row["item_id"] for row in rows if row["value"] == 1} for model, rows in tables.items()}
    first, second = right[MODELS[0]], right[MODELS[1]]
    return Imported(
        items=len(tables[MODELS[0]]),
        right={model: len(ids) for model, ids in right.items()},
        unparsed={model: sum(row["outcome"] == "no_answer" for row in rows) for model, rows in tables.items()},
        subjects={model: _by_subject(rows) for model, rows in tables.items()},
        lost=len(first - second),
        gained=len(second - first),
        seconds=seconds,
        peak_mb=peak,
    )


def gsm8k_agreement(data: Path, size: int | None = None) -> dict[str, tuple[int, int]]:
    """Model -> (items on which ``flexible`` agrees with the authors' ``is_correct``, items)."""
    keys = {row["idx"]: extract.gsm8k_key(row["answer"]) for row in _lines(data / "gsm8k" / "test.jsonl.gz")}
    agreed = {}
    for model in SOLVERS:
        rows = list(islice(_lines(data / "gsm8k" / f"outputs_{model}.jsonl.gz"), size))
        same = [
            (extract.flexible_number(row["output"]).answer == keys[row["idx"]]) == row["is_correct"] for row in rows
        ]
        agreed[model] = (sum(same), len(same))
    return agreed


def looping_answers(length: int = 300_000) -> dict[str, tuple[float, str]]:
    """Extractor -> (CPU seconds on its slowest looping answer of ``length`` characters, what that answer repeats)."""
    slowest: dict[str, tuple[float, str]] = {}
    for shape, text in _looping(length).items():
        for name, extractor in _EXTRACTORS.items():
            began = time.process_time()
            extractor(text)
            spent = time.process_time() - began
            slowest[name] = max(slowest.get(name, (0.0, "")), (spent, shape))
    return slowest


_EXTRACTORS: dict[str, Callable[[str], extract.Extracted]] = {
    "official_chain": lambda text: extract.official_chain(text, "ABCDEFGHIJ"),
    "boxed_chain": lambda text: extract.boxed_chain(text, "ABCDEFGHIJ"),
    "aa_chain": lambda text: extract.aa_chain(text, "ABCDEFGHIJ"),
    "simple_evals_letter": lambda text: extract.simple_evals_letter(text, "ABCD"),
    "strict_number": extract.strict_number,
    "flexible_number": extract.flexible_number,
    "last_integer": extract.last_integer,
    "boxed_number": extract.boxed_number,
}

_REPEATED = (
    *(
        "answer: ",
        "Answer: ",
        "Answer:",
        "answer: A",
        "Answer: AB",
        "Answer \t:",
        "**Answer** : ",
        "_*",
        "*",
        "Answer:\n",
    ),
    *("answer is (", "answer is A", "A", "a", "A ", "AB ", "A\n", "A)", "A is the ", "I am A. ", "\n", " ", "é", "Ä:"),
    *("\\boxed{", "\\boxed{A", "\\boxed{A}", "\\boxed", "\\boxed{}", "{", "}", "{}", "}{", "\\text{", "\\boxed{1,"),
    *("The final answer is ", "The final answer is\n", "The final answer is A\n", "A is the correct answer"),
    *("1", "1,", "1 ", "-", "- ", "$", ".", "1.2.3 ", "#### ", "#### 1", "####", "= ", "1=", "^2", "0", "٣"),
)


def _looping(length: int) -> dict[str, str]:
    """Name -> one answer: something repeated, and shapes that make naive patterns look back again and again."""
    half = length // 2
    shapes = {repr(piece): (piece * (length // len(piece) + 1))[:length] for piece in _REPEATED}
    return shapes | {
        "a label, then spaces": "answer:" + " " * length,
        "a label, spaces, a small letter": "Answer:" + " " * length + "x",
        "no colon after the spaces": "Answer" + " " * length + "x",
        "a capital, then spaces": "A" + " " * length + "x",
        "a capital, then empty lines": "A" + "\n" * length + "x",
        "A is, then spaces": "A is" + " " * length + "x",
        "an open box of capitals": "\\boxed{" + "A" * length,
        "a box of digits and commas": "\\boxed{" + "1," * half + "}",
        "a box of equations": "\\boxed{" + "1=" * half + "1}",
        "a box of open text": "\\boxed{" + "\\text{" * (length // 6) + "}",
        "nested braces": "\\boxed{" + "{" * half + "}" * half + "}",
        "nested boxes": "\\boxed{" * (length // 8) + "}" * (length // 8),
        "boxes, then closing braces": "\\boxed{" * (length // 14) + "}" * half,
        "a phrase, not on the last line": "The final answer is " * (length // 20) + "\n\nx",
        "no line break at all": ("step by step " * (length // 13)) + "answer: ",
    }


def _command(*words: str) -> float:
    """Run evalsuite and return its peak resident memory in MB; raises when it fails."""
    done, peak = measured([sys.executable, "-m", "evalsuite", *words])
    assert done.returncode == 0, done.stderr
    return peak


def _rows(cell: Path) -> list[dict[str, Any]]:
    table = read_samples(cell, ["item_id", "value", "outcome", "groups"])
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _by_subject(rows: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    asked, right = Counter[str](), Counter[str]()
    for row in rows:
        subject = json.loads(row["groups"])["subject"]
        asked[subject] += 1
        right[subject] += int(row["value"])
    return {subject: (right[subject], asked[subject]) for subject in sorted(asked)}


def _lines(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def cut_data(data: Path, folder: Path, size: int) -> Path:
    """The first ``size`` questions and their answers, as files of their own below ``folder``."""
    (folder / "mmlu_pro").mkdir(parents=True)
    for name in ("test", *(f"outputs_{model}" for model in MODELS)):
        source = data / "mmlu_pro" / f"{name}.jsonl.gz"
        with gzip.open(source, "rb") as lines, gzip.open(folder / "mmlu_pro" / source.name, "wb") as out:
            out.writelines(islice(lines, size))
    return folder
