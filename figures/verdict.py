"""Verdicts on real and constructed pairs: the gate's verdicts, and those of a second method on the same pairs."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.store.samples import read_samples
from figures import independent
from figures.line import Line
from figures.replay import MODELS, cut_data
from tests.support.cells import Answer, Made, write
from tests.support.shared import shared_data

ROOT = Path(__file__).parents[1]
TASKS = ("mmlu_pro", "word_problems")
"""Each has a gate of its name with a margin of 1 point, whatever the scores are."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One gate, and the second way to its verdict."""

    exit_code: int
    row: Mapping[str, Any]
    """Of ``verdict.json``."""
    second: independent.Second

    @property
    def agree(self) -> bool:
        """Whether verdict, delta and both bounds are the same."""
        verdict = self.row["verdict"]
        bounds = [(verdict["lower"], self.second.lower), (verdict["upper"], self.second.upper)]
        near = all(abs(one - other) < 1e-6 for one, other in [*bounds, (self.row["delta"], self.second.delta)])
        return bool(near and verdict["call"] == self.second.call)

    @property
    def words(self) -> str:
        """Delta, interval and verdict."""
        low, high = (100 * bound for bound in self.row["ci90"])
        return f"{self.row['verdict']['label']}, delta {100 * self.row['delta']:+.2f}, 90 % [{low:+.2f}, {high:+.2f}]"


def gate_command(folder: Path, task: str, *words: str) -> list[str]:
    """The real command with a margin for one task."""
    (folder / "own" / "gate").mkdir(parents=True, exist_ok=True)
    for name in TASKS:
        margin = f"margins: {{{name}: {{points: 1, owner: figures, reason: none}}}}\n"
        (folder / "own" / "gate" / f"{name}.yaml").write_text(margin)
    return [sys.executable, "-m", "evalsuite", "gate", *words, f"gate={task}", "--config-dir", str(folder / "own")]


def gate(folder: Path, task: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it; results are below ``folder``."""
    command = gate_command(folder, task, *words)
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def environment() -> dict[str, str]:
    """This checkout first, whether it is installed or not."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def values(cell: Path) -> pd.DataFrame:
    """Item means of a cell, by item."""
    rows = read_samples(cell, ["item_id", "value", "groups"]).to_pandas()
    return rows.groupby("item_id").agg(value=("value", "mean"), n=("value", "size"), groups=("groups", "first"))


def judged(folder: Path, run: str, task: str, baseline: str, candidate: str) -> Judged:
    """Gate one candidate of a run and judge its pairs the second way."""
    done = gate(folder, task, f"run={run}", f"baseline={baseline}", f"model={candidate}")
    assert done.returncode in (0, 1, 2), done.stderr
    content = json.loads((folder / "results" / run / "report" / "verdict.json").read_text())
    (row,) = content["candidates"][candidate]["rows"]
    base, cand = (values(folder / "results" / run / model / task) for model in (baseline, candidate))
    cand = cand.loc[base.index]
    single = bool((base["n"] == 1).all() and (cand["n"] == 1).all())
    second = independent.verdict(base["value"].to_numpy(), cand["value"].to_numpy(), 0.01, single=single)
    return Judged(done.returncode, row, second)


@dataclass(frozen=True, slots=True)
class NearTwin:
    """Llama-3-70B against Llama-3.1-70B on MMLU-Pro, from their recorded answers."""

    judged: Judged
    subjects: Mapping[str, tuple[float, float, float]]
    """Subject -> p, BH, Holm, worked out the second way."""
    same_subjects: bool
    """Whether ``comparison.json`` says the same of every subject."""


def near_twin(data: Path, folder: Path, size: int | None = None) -> NearTwin:
    """Import the recorded answers with ``variant=official``, gate at 1 point; ``size``: the first questions only."""
    root = data if size is None else cut_data(data, folder / "cut", size)
    base, cand = MODELS[:2]
    for model in (base, cand):
        words = [f"file={root}/mmlu_pro/outputs_{model}.jsonl.gz", f"name={model}", f"data.root={root}", "data=local"]
        words += ["task=mmlu_pro", "run_id=twin", "tasks.mmlu_pro.variant=official"]
        words += [] if size is None else [f"limit={size - 1}"]  # a part that is declared
        command = [sys.executable, "-m", "evalsuite", "import", *words]
        subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    found = judged(folder, "twin", "mmlu_pro", base, cand)
    old, new = (values(folder / "results" / "twin" / model / "mmlu_pro") for model in (base, cand))
    moved = new.loc[old.index, "value"] - old["value"]
    pairs = {
        json.loads(text)["subject"]: (int((part < 0).sum()), int((part > 0).sum()))
        for text, part in moved.groupby(old["groups"])
    }
    subjects = independent.subjects_lost(pairs)
    return NearTwin(found, subjects, _same_subjects(folder / "results" / "twin", base, subjects))


def _same_subjects(run: Path, baseline: str, subjects: Mapping[str, tuple[float, float, float]]) -> bool:
    from evalsuite.analysis.suite import compare_all
    from evalsuite.analysis.table import load_run

    parts = compare_all(load_run(run), baseline).to_json()["rows"][0]["groups"]["subject"]
    said = {part["value"]: (part["p_value"], part["q_bh"], part["p_holm"]) for part in parts}
    return said.keys() == subjects.keys() and all(
        np.allclose(said[name], subjects[name], rtol=1e-9) for name in subjects
    )


def demo_verdicts(folder: Path, limit: int | None = None) -> dict[str, Judged]:
    """``run suite=demo`` and its gate at 1 point, candidate by candidate; ``limit``: fewer items."""
    words = ["run", "suite=demo", "run_id=demo", *([f"limit={limit}"] if limit else [])]
    command = [sys.executable, "-m", "evalsuite", *words]
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    names = ("demo_fp8", "demo_nvfp4", "demo_nvfp4_v2")
    return {name: judged(folder, "demo", "word_problems", "demo_bf16", name) for name in names}


@dataclass(frozen=True, slots=True)
class Dropped:
    """A constructed arm that lost a tenth of one subject."""

    call: str
    named: tuple[str, ...]
    """Subjects that the verdict names."""


def one_subject_drops(folder: Path, items: int = 2000, subjects: int = 5, flips: float = 0.04) -> dict[str, Dropped]:
    """Subject -> the gate's verdict when it alone loses 10 points and coins flip everywhere."""
    rng = np.random.default_rng(8)
    names = {str(item): f"subject {item % subjects}" for item in range(items)}
    base = rng.random(items) < 0.9
    found: dict[str, Dropped] = {}
    for number, subject in enumerate(sorted(set(names.values()))):
        cand = base.copy()
        for value in (True, False):  # as many up as down
            cand[rng.choice(np.flatnonzero(base == value), int(items * flips / 2), replace=False)] ^= True
        own = [item for item in range(items) if names[str(item)] == subject and cand[item]]
        cand[rng.choice(own, items // subjects // 10, replace=False)] = False
        run = f"drop{number}"
        arms = {"a": base, "b": cand}
        made = [
            Made(name, {str(item): [Answer(float(value))] for item, value in enumerate(arm)}, "word_problems", names)
            for name, arm in arms.items()
        ]
        write(folder / "results" / run, *made)
        assert gate(folder, "word_problems", f"run={run}", "baseline=a").returncode in (0, 1, 2)
        content = json.loads((folder / "results" / run / "report" / "verdict.json").read_text())
        verdict = content["candidates"]["b"]["rows"][0]["verdict"]
        found[subject] = Dropped(verdict["call"], tuple(part["value"] for part in verdict["where"]))
    return found


@dataclass(frozen=True, slots=True)
class Lost:
    """One pair of arms, whole and with a share of one arm's answers lost to server faults."""

    whole: int
    """Exit codes of the gate."""
    lost: int
    bounded: int


def answers_lost(folder: Path, items: int = 12_000, share: float = 0.05) -> dict[str, Lost]:
    """Case -> exit codes for a lossless, a borderline and a lossy candidate."""
    found: dict[str, Lost] = {}
    cases = {"lossless": (0.02, 0.02), "half the margin": (0.0225, 0.0175), "8 points worse": (0.1, 0.02)}
    for number, (case, (lost, gained)) in enumerate(cases.items()):
        rng = np.random.default_rng(number)
        base = (rng.random(items) < 0.85).astype(float)
        draw = rng.random(items)
        cand = np.where(base == 1, draw >= lost / 0.85, draw < gained / 0.15).astype(float)
        gone = rng.random(items) < share
        codes = []
        for kind in ("whole", "lost"):
            arms = {
                "a": [[Answer(value)] for value in base],
                "b": [
                    [Answer(None if kind == "lost" and out else value)] for value, out in zip(cand, gone, strict=True)
                ],
            }
            made = [Made(name, {str(i): row for i, row in enumerate(arm)}) for name, arm in arms.items()]
            write(folder / "results" / f"{kind}{number}", *made)
            codes.append(gate(folder, "mmlu_pro", f"run={kind}{number}", "baseline=a").returncode)
        codes.append(gate(folder, "mmlu_pro", f"run=lost{number}", "baseline=a", "allow_incomplete=0.1").returncode)
        found[case] = Lost(*codes)
    return found


def verdicts(folder: Path) -> list[Line]:
    """Everything above at full size."""

    def room(name: str) -> Path:
        (folder / name).mkdir()
        return folder / name

    lines = _twin_lines(near_twin(shared_data(), room("twin")))
    for name, judged_pair in demo_verdicts(room("demo")).items():
        second = "equal" if judged_pair.agree else "NOT equal"
        measured = f"{judged_pair.words}; {second}"
        lines.append(Line(f"{name} against demo_bf16, margin 1 pt", "as a second script has it", measured))
    drops = one_subject_drops(room("drops"))
    right = sum(drop.call == "fail" and drop.named == (subject,) for subject, drop in drops.items())
    case = "one subject of five loses 10 points (2,000 items, 4 % coin flips)"
    lines.append(Line(case, "fails, that subject named", f"{right} of {len(drops)}"))
    for case, codes in answers_lost(room("lost")).items():
        measured = f"exit {codes.whole} whole; {codes.lost} with 5 % lost; {codes.bounded} with allow_incomplete=0.1"
        asked = "no verdict changes silently (3: none given)"
        lines.append(Line(f"5 % of one arm's answers lost to the server: {case}", asked, measured))
    return lines


def _twin_lines(twin: NearTwin) -> list[Line]:
    counts = [sum(p_values[place] < 0.05 for p_values in twin.subjects.values()) for place in range(3)]
    significant = f"{counts[0]}, {counts[1]}, {counts[2]} of {len(twin.subjects)}"
    equal = "" if twin.same_subjects else "NOT "
    return [
        Line(
            "Llama-3-70B against 3.1-70B, MMLU-Pro, margin 1 pt",
            "pass, delta -0.11, 90 % interval about [-0.73, +0.51]",
            twin.judged.words,
        ),
        Line(
            "its subjects: p < 0.05, BH, Holm",
            "by BH and Holm, as a second script has it",
            f"{significant}; {equal}equal to the second script",
        ),
        Line(
            "its verdict, delta and bounds by a second method", "equal", "equal" if twin.judged.agree else "NOT equal"
        ),
    ]
