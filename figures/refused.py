"""A run is cut at many points, and a run with a larger limit is refused there: nothing may change, no score may go."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from evalsuite.cli.run import run
from evalsuite.config.settings import Engine, Run
from evalsuite.errors import Exit
from figures.line import Line
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.toy import right, settings

LIMIT, LARGER = 20, 30
"""Items of the run that is cut, and of the one that is refused."""


@dataclass(slots=True)
class Refusals:
    """What refused runs did, over all points and ways of being refused."""

    refused: int = 0
    changed: list[str] = field(default_factory=list)
    """Refused runs after which the results folder was another one."""
    scores: list[str] = field(default_factory=list)
    """Points after which the old command reported another score than a run that nothing has cut."""


def measure(folder: Path, points: Sequence[int]) -> Refusals:
    """Cut a run of ``LIMIT`` items after each number of answers in ``points``; refuse one of ``LARGER`` items there."""
    reference = _reference(folder / "whole")
    found = Refusals()
    for point in points:
        results = folder / str(point)
        with scripted_endpoint(_dies_after(point)) as server:
            run(_settings(results, server.base_url, LIMIT))
        for name, way in _WAYS.items():
            before = _state(results)
            code = way(results)
            found.refused += code is Exit.ENDPOINT
            if _state(results) != before or code is not Exit.ENDPOINT:
                found.changed.append(f"{name} after {point} answers (exit {int(code)})")
        with scripted_endpoint(_answer) as server:
            code = run(_settings(results, server.base_url, LIMIT))
        if code is not Exit.DONE or _score(results) != reference:
            found.scores.append(f"after {point} answers")
    return found


def _settings(results: Path, url: str, limit: int, **changes: Any) -> Run:
    engine = Engine(retries=0, backoff_seconds=0.001, outage_seconds=0.02, probe=False, drain_seconds=1.0)
    return settings(results, ("bf16", url), limit=limit, **({"engine": engine, "report": True} | changes))


def _answer(prompt: str) -> Answer:
    """Three of four answers are right."""
    text = right(prompt)
    return Answer("0" if int(text) % 4 == 3 and "2 + 2" not in prompt else text)


def _dies_after(count: int) -> Callable[[str], Answer]:
    """A server that gives so many answers and then closes every connection."""
    guard, given = Lock(), [0]

    def answer(prompt: str) -> Answer:
        with guard:
            given[0] += 1
            dead = given[0] > count
        return Answer(hang_up=True) if dead else _answer(prompt)

    return answer


def _dead_port(results: Path) -> Exit:
    return run(_settings(results, "http://127.0.0.1:9/v1", LARGER))


def _another_checkpoint(results: Path) -> Exit:
    engine = Engine(retries=0, outage_seconds=0.02)
    with scripted_endpoint(_answer, facts={"/model_info": {"model_path": "org/other"}}) as server:
        wanted = _settings(results, server.base_url, LARGER, engine=engine)
        wanted.models["bf16"].server.identity = ["/model_info"]
        return run(wanted)


def _refused_with_redo(results: Path) -> Exit:
    return run(_settings(results, "http://127.0.0.1:9/v1", LARGER, redo="additions", reason="a flag was wrong"))


_WAYS: dict[str, Callable[[Path], Exit]] = {
    "a dead port": _dead_port,
    "another checkpoint": _another_checkpoint,
    "redo= at a dead port": _refused_with_redo,
}


def _reference(results: Path) -> Any:
    with scripted_endpoint(_answer) as server:
        run(_settings(results, server.base_url, LIMIT))
    return _score(results)


def _score(results: Path) -> Any:
    summary = json.loads((results / "r" / "bf16" / "additions" / "summary.json").read_text(encoding="utf-8"))
    return [summary[key] for key in ("score", "items", "samples", "outcomes", "complete")]


def _state(results: Path) -> dict[str, str]:
    """Path -> hash of every file below a folder; folders are listed, too."""
    found = {}
    for place, _, files in os.walk(results):
        found[place] = "folder"
        found |= {f"{place}/{name}": hashlib.sha256(Path(place, name).read_bytes()).hexdigest() for name in files}
    return found


def lines(folder: Path) -> list[Line]:
    """Twenty points of a run, three ways of being refused at each of them."""
    points = [round(number * LIMIT / 19) for number in range(20)]
    found = measure(folder, points)
    what = f"limit={LARGER} refused at 20 points of a run with limit={LIMIT} ({', '.join(_WAYS)})"
    return [
        Line(f"{what}: results folder changed", f"0 of {20 * len(_WAYS)}", f"{len(found.changed)} of {found.refused}"),
        Line("the old command afterwards reports another score", "0 of 20", f"{len(found.scores)} of 20"),
    ]
