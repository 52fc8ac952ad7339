"""A real model at four precisions in llama.cpp: is what the report says about them what the answers say?

SmolLM2-135M-Instruct is so small that both benchmarks stand near their floors: that is a part of the story.
"""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.store.samples import read_samples
from figures.line import Line
from tests.support import smollm2
from tests.support.llama_cpp_server import serving_gguf
from tests.support.shared import shared_data

CAP = 1024
LIMITS = {"gsm8k": 100, "mmlu_pro": 140}
FLOOR = "cannot show a loss"
"""Words of a report about a task whose baseline stands at 0 % or at chance."""


@dataclass(frozen=True, slots=True)
class Told:
    """One task at one precision."""

    kind: str
    task: str
    outcomes: Counter[str]
    tokens: float
    """Mean of an answer."""
    right: dict[str, float]
    """Item -> value."""


def series(folder: Path, limits: dict[str, int], cap: int, kinds: tuple[str, ...] = smollm2.KINDS) -> list[Told]:
    """Ask every task at every precision, each behind a server of its own, and report them."""
    source, told = smollm2.bundled(), []
    urls = dict.fromkeys(kinds, "http://127.0.0.1:9/v1")
    for kind in kinds:
        file = smollm2.write(source, folder / f"{kind}.gguf", kind)
        with serving_gguf(folder, file.name, slots=8, context=cap + 1024) as url:
            conf = smollm2.conf(folder / "conf", {**urls, kind: url})
            for task, limit in limits.items():
                words = [f"model={smollm2.name(kind)}", f"task={task}", f"limit={limit}", "report=false"]
                words += [
                    "sampling=greedy",
                    f"sampling.max_tokens={cap}",
                    "run_id=smol",
                    f"results_dir={folder}/results",
                ]
                words += ["data=local", f"data.root={shared_data()}", "engine.probe_answer=false"]
                _evalsuite("run", *words, "--config-dir", str(conf))
                told.append(_told(folder, kind, task))
        file.unlink()
    _evalsuite("report", "run=smol", f"results_dir={folder}/results", f"out={folder}/report")
    return told


def _evalsuite(*words: str) -> None:
    call = [sys.executable, "-m", "evalsuite", *words]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} ends with {done.returncode}: {done.stderr[-2000:]}")


def _told(folder: Path, kind: str, task: str) -> Told:
    rows = read_samples(folder / "results" / "smol" / f"{smollm2.name(kind)}-nothink" / task).to_pylist()
    tokens = sum(row["completion_tokens"] or 0 for row in rows) / len(rows)
    right = {row["item_id"]: float(row["value"] or 0) for row in rows}
    return Told(kind, task, Counter(row["outcome"] for row in rows), tokens, right)


def untrue(folder: Path, told: list[Told]) -> list[str]:
    """What the report says of scores and flips that a recount of the answers does not find."""
    content: dict[str, Any] = json.loads((folder / "report" / "comparison.json").read_text(encoding="utf-8"))
    base = {one.task: one for one in told if one.kind == "BF16"}
    wrong = []
    for one in told:
        if one.kind == "BF16":
            continue
        (row,) = (
            row
            for row in content["comparisons"]
            if row["task"] == one.task and row["candidate"].startswith(smollm2.name(one.kind))
        )
        before = base[one.task].right
        lost = sum(before[item] > value for item, value in one.right.items())
        gained = sum(before[item] < value for item, value in one.right.items())
        delta = (sum(one.right.values()) - sum(before.values())) / len(before)
        stated = row["lost"], row["gained"], row["delta"]
        if stated[:2] != (lost, gained) or abs(stated[2] - delta) > 1e-9:
            wrong.append(f"{one.kind} {one.task}: {stated} for {(lost, gained, delta)}")
    return wrong


def lines(folder: Path) -> list[Line]:
    """The figures at full size."""
    told = series(folder, LIMITS, CAP)
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    wrong = untrue(folder, told)
    table = [
        Line(
            f"SmolLM2 {one.kind}, {one.task}, {len(one.right)} items, cap {CAP} tokens",
            "stated",
            f"{100 * sum(one.right.values()) / len(one.right):.1f} %; {one.tokens:.0f} tokens; "
            + ", ".join(f"{count} {outcome}" for outcome, count in sorted(one.outcomes.items())),
        )
        for one in told
    ]
    return [
        *table,
        Line(
            "deltas, losses and gains of the report beside a recount", "the story is true", "; ".join(wrong) or "equal"
        ),
        Line("floors", "said", f"{text.count(FLOOR)} times {FLOOR!r} in report.md"),
    ]
