"""MMMU-Pro against its authors' verdicts, and its real pictures through the whole pipeline."""

import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from evalsuite.store.samples import read_samples
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.mmmu.images import TAG, png
from evalsuite.tasks.mmmu.pro import MMMUPro
from tests.support.scripted_endpoint import Answer, Server, scripted_endpoint

RECORDED = {"official_standard10": "outputs_gpt-4o_standard10-cot", "official_vision": "outputs_gpt-4o_vision-cot"}
"""Variant -> the authors' own answers and verdicts of GPT-4o."""
ASKED = ("vision", "standard10", "official_vision", "official_standard10")
"""Variants that the real pictures are asked in."""
UNKNOWN = "Answer: Z"
"""What the test server says to a request without the pictures that it expects."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The official parser, held against the authors' verdicts."""

    items: int
    same: int
    """Items with the authors' verdict, of those that they did not decide by chance."""
    by_chance: tuple[str, ...]
    """Items that no stage of the parser reads: there the authors' code draws a letter at random."""
    right: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The real items of one variant, asked over HTTP."""

    items: int
    pictures: int
    """Pictures that arrived."""
    most: int
    """Most pictures of one request."""
    exact: int
    """Requests whose pictures are the files' bytes, in the order of the tags."""
    right: int
    """Samples graded as right; the server answers the key only to exact requests."""


def agreement(data: Path, folder: Path, size: int | None = None) -> dict[str, Agreement]:
    """Variant -> how the recorded answers are graded by the ``import`` command (``size``: the first items only)."""
    return {variant: _agreement(data, folder, variant, size) for variant in RECORDED}


def _agreement(data: Path, folder: Path, variant: str, size: int | None) -> Agreement:
    split = variant.removeprefix("official_")
    home = folder / "data" / "mmmu_pro"
    home.mkdir(parents=True, exist_ok=True)
    (home / "none.png").write_bytes(png(1, 1, "L", b"\0"))  # the pictures play no part in grading
    rows = list(islice(_lines(data / "mmmu_pro" / "items_noimages.jsonl.gz"), size))
    _write(home / f"{split}.jsonl", [row | _placeholders(row, split) for row in rows])
    wanted = {row["id"] for row in rows}
    verdicts = [one for one in _lines(data / "mmmu_pro" / f"{RECORDED[variant]}.jsonl.gz") if one["id"] in wanted]
    _write(folder / f"{variant}.jsonl", verdicts)
    words = [f"file={folder}/{variant}.jsonl", "task=mmmu_pro", f"tasks.mmmu_pro.variant={variant}"]
    _evalsuite("import", folder, *words, f"name={split}", "run_id=recorded", "text_field=output")
    samples = _samples(folder, "recorded", split)
    read = [one for one in verdicts if samples[one["id"]]["answer"] is not None]
    return Agreement(
        items=len(samples),
        same=sum((samples[one["id"]]["value"] == 1) == one["is_correct"] for one in read),
        by_chance=tuple(sorted(one["id"] for one in verdicts if samples[one["id"]]["answer"] is None)),
        right=sum(row["value"] == 1 for row in samples.values()),
    )


def over_http(data: Path, folder: Path) -> dict[str, Asked]:
    """Variant -> the eleven real items with their pictures through ``evalsuite run`` to a server that checks them."""
    mini = data / "mmmu_pro" / "mini"
    rows = [json.loads(line) for line in (mini / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    home = folder / "data" / "mmmu_pro"
    home.mkdir(parents=True, exist_ok=True)
    for kind in ("images", "vision"):
        (home / kind).symlink_to(mini / kind)
    _write(home / "standard10.jsonl", rows)
    _write(home / "vision.jsonl", [row | {"image": row["vision_image"], "image_1": None} for row in rows])
    return {variant: _asked(rows, home, folder, variant) for variant in ASKED}


def _asked(rows: list[dict[str, Any]], home: Path, folder: Path, variant: str) -> Asked:
    """The official vision prompt is the same for all items: the server knows them by their pictures."""
    expected = {row["id"]: [(home / name).read_bytes() for name in _files(row, variant)] for row in rows}
    keys = {row["id"]: row["answer"] for row in rows}
    holder: list[Server] = []
    exact: list[str] = []

    def answer(prompt: str) -> Answer:
        shown = _pictures(holder[0].requests[-1].body)
        known = [name for name, pictures in expected.items() if pictures == shown]
        exact.extend(known)
        return Answer(f"Answer: {keys[known[0]]}" if known else UNKNOWN)

    with scripted_endpoint(answer) as server:
        holder.append(server)
        words = ["model=bf16", "task=mmmu_pro", f"tasks.mmmu_pro.variant={variant}", f"run_id={variant}"]
        _evalsuite("run", folder, *words, "engine.probe=false", f"models.bf16.base_url={server.base_url}")
        arrived = [_pictures(one.body) for one in server.requests]
    samples = _samples(folder, variant, "bf16")
    return Asked(
        items=len(samples),
        pictures=sum(len(one) for one in arrived),
        most=max(len(one) for one in arrived),
        exact=len(set(exact)) if len(exact) == len(arrived) else 0,
        right=sum(row["value"] == 1 for row in samples.values()),
    )


def unlike_prompts(data: Path, folder: Path) -> int:
    """Distinct ``prompt_sha`` of the eleven items in the vision setting, after ``over_http``."""
    adapter = MMMUPro("vision", source=Source("local", str(folder / "data")))
    return len({adapter.prompt(item, 0).prompt_sha for item in adapter.items()})


def _files(row: Mapping[str, Any], variant: str) -> list[str]:
    """File names in the order in which a request must show them."""
    if variant.endswith("vision"):
        return [row["vision_image"]]
    return [row[f"image_{number}"] for number in TAG.findall(row["question"] + row["options"])]


def _pictures(body: Mapping[str, Any]) -> list[bytes]:
    """The decoded pictures of a request in their order."""
    parts = [part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url"]
    return [base64.b64decode(url.removeprefix("data:image/png;base64,"), validate=True) for url in parts]


def _placeholders(row: Mapping[str, Any], split: str) -> dict[str, str]:
    if split == "vision":
        return {"image": "none.png"}
    return {f"image_{number}": "none.png" for number in TAG.findall(row["question"] + row["options"])}


def _samples(folder: Path, run: str, model: str) -> dict[str, dict[str, Any]]:
    rows = read_samples(folder / "results" / run / model / "mmmu_pro", ["item_id", "value", "answer"]).to_pylist()
    return {row["item_id"]: row for row in rows}


def _evalsuite(command: str, folder: Path, *words: str) -> None:
    common = ["data=local", f"data.root={folder}/data", f"results_dir={folder}/results"]
    call = [sys.executable, "-m", "evalsuite", command, *words, *common]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _lines(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
