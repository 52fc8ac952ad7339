"""Cells with known content, written to disk as a run leaves them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evalsuite.store.manifest import MANIFEST, write_json
from evalsuite.store.samples import SAMPLES, schema

SAMPLING = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 64000}


@dataclass(frozen=True)
class Answer:
    """One sample: its value, and what differs from a plain answer."""

    value: float | None
    outcome: str = ""
    tokens: int | None = 100
    prompt: str | None = None
    text: str = "The answer is (A)."
    cluster: str = ""
    weight: float = 1.0
    note: str = ""
    rerolled: bool = False
    degenerate: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A cell to write: answers per item and repeat, with its manifest's facts."""

    model: str
    answers: Mapping[str, Sequence[Answer]]
    task: str = "mmlu_pro"
    subjects: Mapping[str, str] = field(default_factory=dict)
    planned: Sequence[str] | None = None
    repeats: int | None = None
    total_items: int | None = None
    baseline: str | None = None
    title: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    version: str = "1.0"
    demo: bool = False
    imported: bool = False
    server: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the server's entry in the manifest."""


def answers(values: Sequence[float | None]) -> dict[str, list[Answer]]:
    """Items ``0``, ``1`` ... with one answer each."""
    return {str(number): [Answer(value)] for number, value in enumerate(values)}


def repeated(values: Sequence[Sequence[float | None]]) -> dict[str, list[Answer]]:
    """Items ``0``, ``1`` ... with several answers each."""
    return {str(number): [Answer(value) for value in row] for number, row in enumerate(values)}


def write(run: Path, *cells: Made) -> Path:
    """Write cells into a run folder and return it."""
    for cell in cells:
        folder = run / cell.model / cell.task
        folder.mkdir(parents=True)
        rows = [_row(cell, item, repeat) for item in cell.answers for repeat in range(len(cell.answers[item]))]
        signs = [
            [item, repeat, answer.degenerate]
            for item, given in cell.answers.items()
            for repeat, answer in enumerate(given)
            if answer.degenerate
        ]
        stated = schema().with_metadata({"degenerate": json.dumps(signs)})
        pq.write_table(pa.Table.from_pylist(rows, schema=stated), folder / SAMPLES)
        write_json(folder / MANIFEST, _manifest(cell))
    return run


def _row(cell: Made, item: str, repeat: int) -> dict[str, Any]:
    answer = cell.answers[item][repeat]
    plain = {None: "failed", 1.0: "correct"}.get(answer.value, "wrong")
    default_prompt = "" if cell.imported else f"sha-{item}"
    return {
        "task": cell.task,
        "version": cell.version,
        "variant": "nvidia",
        "model": cell.model,
        "item_id": item,
        "repeat": repeat,
        "cluster": answer.cluster,
        "weight": answer.weight,
        "groups": json.dumps({"subject": cell.subjects[item]} if cell.subjects else {}),
        "outcome": answer.outcome or plain,
        "value": answer.value,
        "answer": "A",
        "stage": "boxed",
        "parts": json.dumps(dict(answer.parts)),
        "note": answer.note,
        "finish_reason": "length" if answer.outcome == "truncated" else "stop",
        "prompt_tokens": 50 if answer.tokens is not None else None,
        "completion_tokens": answer.tokens,
        "reasoning_tokens": None,
        "text": answer.text,
        "reasoning": "Let me think.",
        "prompt_sha": default_prompt if answer.prompt is None else answer.prompt,
        "seconds": 1.0,
        "attempts": 1,
        "rerolled": answer.rerolled,
    }


def _manifest(cell: Made) -> dict[str, Any]:
    thinking = not cell.model.endswith("-nothink")
    identity: dict[str, Any] = {
        "model": cell.model.removesuffix("-nothink"),
        "checkpoint": f"maker/{cell.model}",
        "revision": None,
        "thinking": thinking,
        "task": cell.task,
        "adapter": cell.task,
        "protocol": cell.version.split(".")[0],
        "variant": "nvidia",
        "options": {},
        "sampling": dict(SAMPLING),
        "seed": 42,
        "data_sha": "d0d0",
    }
    if cell.imported:
        identity |= {"checkpoint": None, "thinking": None, "sampling": None, "seed": None}
    planned = list(cell.answers if cell.planned is None else cell.planned)
    total = len(planned) if cell.total_items is None else cell.total_items
    return {
        "schema": 1,
        "identity": identity | dict(cell.identity),
        "version": cell.version,
        "title": cell.title or cell.model,
        "precision": cell.model,
        "baseline": cell.baseline,
        "quantized": {},
        "sampling_origin": {},
        "items": planned,
        "total_items": total,
        "selection": {"limit": len(planned), "groups": {}, "ids": None} if len(planned) < total else None,
        "repeats": cell.repeats or max((len(row) for row in cell.answers.values()), default=1),
        "imported": {"file": "a.jsonl", "sha256": "00"} if cell.imported else None,
        "demo": cell.demo,
        "server": [] if cell.imported else [{"at": "2026-11-20T19:00:00Z", "facts": {}, **cell.server}],
        "evalsuite": "0.1.0",
    }
