"""The same commands in this checkout and in an earlier one: is ``comparison.json`` the same in every field?

``EVALSUITE_BEFORE`` names the earlier checkout. Both run with this environment's packages, each with its own sources.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures.line import Line
from figures.replay import MODELS, cut_data
from tests.support.shared import shared_data

ROOT = Path(__file__).parents[1]
BEFORE = "EVALSUITE_BEFORE"
EXCEPTED = ("at", "evalsuite", "seconds", "tokens_per_second")
"""Fields of version and time."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two ``comparison.json`` of the same commands, field by field."""

    fields: int
    """Values of the earlier file, those of lists and of nested objects each for itself."""
    differing: tuple[str, ...]
    """Paths with another value, or without one on either side."""
    largest: float
    """The largest relative difference of two numbers; infinite where anything else differs."""


def unchanged(folder: Path) -> list[Line]:
    """The demo, and four models' recorded MMLU-Pro answers, by this checkout and by ``EVALSUITE_BEFORE``."""
    before = os.environ.get(BEFORE)
    if not before:
        return [
            Line("`comparison.json` before and after", "equal", f"not measured: set {BEFORE} to the other checkout")
        ]
    return [
        _line("the demo", before_and_after(Path(before), folder / "demo", demo)),
        _line("four models' MMLU-Pro answers, imported", before_and_after(Path(before), folder / "import", imports)),
    ]


def before_and_after(before: Path, folder: Path, commands: Callable[[Path, Path], Path]) -> Compared:
    """Run ``commands(checkout, folder)`` in both checkouts and compare the ``comparison.json`` that they return."""
    found = []
    for name, checkout in (("before", before), ("after", ROOT)):
        (folder / name).mkdir(parents=True)
        found.append(json.loads(commands(checkout, folder / name).read_text(encoding="utf-8")))
    return compared(*found)


def compared(before: Any, after: Any) -> Compared:
    """Two documents, field by field; version and time do not count."""
    old, new = dict(_fields(before)), dict(_fields(after))
    differing = tuple(path for path in {**old, **new} if old.get(path, ...) != new.get(path, ...))
    largest = max((_relative(old.get(path), new.get(path)) for path in differing), default=0.0)
    return Compared(len(old), differing, largest)


def _relative(one: Any, other: Any) -> float:
    """The difference of two fractional numbers in parts of the larger; infinite for anything else."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) / max(abs(one), abs(other))
    return float("inf")


def demo(checkout: Path, folder: Path, *words: str) -> Path:
    """``suite=demo``; the path of its ``comparison.json``."""
    _evalsuite(checkout, folder, "run", "suite=demo", "run_id=demo", *words)
    return folder / "results" / "demo" / "report" / "comparison.json"


def imports(checkout: Path, folder: Path, size: int | None = None) -> Path:
    """The imports and one report of them; ``size`` takes the first questions only."""
    data = shared_data() if size is None else cut_data(shared_data(), folder / "cut", size)
    for model in MODELS:
        words = [f"file={data}/mmlu_pro/outputs_{model}.jsonl.gz", f"name={model}", "data=local", f"data.root={data}"]
        words += ["task=mmlu_pro", "run_id=replay", "tasks.mmlu_pro.variant=official"]
        _evalsuite(checkout, folder, "import", *words)
    _evalsuite(checkout, folder, "report", "run=replay", f"baseline={MODELS[0]}")
    return folder / "results" / "replay" / "report" / "comparison.json"


def _evalsuite(checkout: Path, folder: Path, *words: str) -> None:
    """Run the command of ``checkout`` in ``folder``; raises with what it wrote to standard error when it fails."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "CI": "1"}
    call = [sys.executable, "-m", "evalsuite", *words]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{checkout}: evalsuite {' '.join(words)} ended with {done.returncode}: {done.stderr}")


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its path; objects and lists without content stand for themselves."""
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            if name not in EXCEPTED:
                yield from _fields(part, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for place, part in enumerate(value):
            yield from _fields(part, f"{path}[{place}]")
    else:
        yield path.removeprefix("."), value


def _line(what: str, found: Compared) -> Line:
    shown = ", ".join(found.differing[:5]) + (" ..." if len(found.differing) > 5 else "")
    by = f"by at most {found.largest:.1e} of their value" if found.largest < float("inf") else "not only in digits"
    differing = f"{len(found.differing):,} of {found.fields:,} differ, {by}: {shown}"
    measured = differing if found.differing else f"all {found.fields:,} equal"
    return Line(f"{what}: fields of `comparison.json`, before and after", "equal but for version and time", measured)
