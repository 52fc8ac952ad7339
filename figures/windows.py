"""Windows: a run in eight pieces, each with new ports and servers, compared with the same run in one piece.

The pieces end by a deadline, by SIGTERM and by SIGKILL in turn; the last one is left to finish.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalsuite.cli.run import run
from evalsuite.config.settings import Engine, Task
from evalsuite.engine.conversation import request_seed
from evalsuite.records import Item, Request
from evalsuite.store.samples import COLUMNS, read_cuts, read_samples
from figures.line import Line
from tests.support.toy import Dialogue, settings

MODELS = ("bf16", "nvfp4")
TASKS = {"additions": "tests.support.toy:Additions", "talk": "figures.windows:Talk"}
REPEATS = 2
SEED = 42
WINDOWS = 8
ENDS = ("deadline", "SIGTERM", "SIGKILL")
UNEQUAL = ("seconds", "attempts", "rerolled")
"""Columns that the history of a run may change: ``rerolled`` says that a request was sent whose reply is lost, which is
so after a kill, and is held against the servers' own count instead."""
CONCURRENCY = 8


@dataclass(frozen=True)
class Talk(Dialogue):
    """Two turns, whose first question is none of the additions'."""

    def prompt(self, item: Item, repeat: int) -> Request:
        return Request(({"role": "user", "content": f"{item.inputs['a']} + 1 = ? Let us talk."},))


@dataclass(frozen=True, slots=True)
class Windows:
    """Compare a run in pieces with the same run in one."""

    samples: int
    codes: tuple[int, ...]
    """Exit code of every window."""
    cut: int
    """Answers that were cut by a deadline or SIGTERM."""
    asked_again: int
    """Requests that the servers saw more often than in the run in one piece."""
    equal_rows: bool
    """Every column but ``UNEQUAL``."""
    equal_comparison: bool
    """The whole of ``comparison.json``."""
    unmarked: int
    """Samples of which a request was asked again and that are not ``rerolled``."""
    marked: int
    """Samples that are ``rerolled``: also those whose request was noted but never left before a kill."""
    flagged: int
    """Cells in which more than 1 % of the answers were cut."""


@contextmanager
def serving(folder: Path, pace: float) -> Iterator[dict[str, str]]:
    """Base URLs of one new server process a model; questions are noted in ``<folder>/<model>.log``."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        urls = {}
        for model in MODELS:
            command = [sys.executable, "-m", "figures.window_server", model, f"{folder / model}.log", str(pace)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.callback(process.communicate)
            assert process.stdout is not None
            urls[model] = process.stdout.readline().strip()
        yield urls


def asked(folder: Path) -> int:
    """Questions that the servers of ``folder`` were asked so far."""
    return sum(len((folder / f"{model}.log").read_text().splitlines()) for model in MODELS)


def seen(folder: Path) -> Counter[tuple[str, int, str]]:
    """(model, seed, question) -> how often the servers of ``folder``, which have ended, were asked it."""
    logs = {model: folder / f"{model}.seen" for model in MODELS}
    return Counter((model, *json.loads(line)) for model, log in logs.items() for line in log.read_text().splitlines())


def start(
    results: Path, urls: Mapping[str, str], items: int, engine: Mapping[str, Any], *, report: bool = True
) -> "subprocess.Popen[str]":
    """The run as a process of its own; always the same but for the addresses, the deadline and the report."""
    words = [json.dumps([str(results), urls, items, engine, report])]
    command = [sys.executable, "-m", "figures.windows", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def windows(folder: Path, items: int, seconds: float, pace: float = 0.05) -> Windows:
    """``items`` questions a task, windows of about ``seconds``."""
    dice = random.Random(0)
    with serving(folder / "whole-servers", pace) as urls:
        process = start(folder / "whole", urls, items, {})
        _, said = process.communicate()
        assert process.returncode == 0, said
    codes = []
    for number in range(WINDOWS - 1):
        end = ENDS[number % len(ENDS)]
        before = asked(folder / "servers") if number else 0
        with serving(folder / "servers", pace) as urls:
            engine = {"deadline": f"{seconds:.0f}s"} if end == "deadline" else {}
            process = start(folder / "pieces", urls, items, engine, report=False)
            if end != "deadline":
                _wait_for_requests(folder / "servers", before + 4 * CONCURRENCY, process)
                time.sleep(dice.uniform(0.0, seconds / 4))
                process.send_signal(signal.Signals[end])
            _, said = process.communicate()
            assert process.returncode in (75, 143, -9, 0), said
            codes.append(process.returncode)
    with serving(folder / "servers", pace) as urls:
        process = start(folder / "pieces", urls, items, {})
        _, said = process.communicate()
        assert process.returncode == 0, said
        codes.append(process.returncode)
    return held_together(folder, tuple(codes))


def _wait_for_requests(folder: Path, count: int, process: "subprocess.Popen[str]") -> None:
    while asked(folder) < count and process.poll() is None:
        time.sleep(0.02)


def held_together(folder: Path, codes: tuple[int, ...]) -> Windows:
    """The two runs, row by row."""
    whole, pieces = (_rows(folder / name) for name in ("whole", "pieces"))
    kept = [column for column in COLUMNS if column not in UNEQUAL]
    again = {key: count - 1 for key, count in seen(folder / "servers").items() if count > 1}
    seeds = {request_seed(SEED, row["item_id"], row["repeat"]): (row["item_id"], row["repeat"]) for row in pieces}
    twice = {(model, _task(prompt), *seeds[seed]) for model, seed, prompt in again}
    marked = {(row["model"], row["task"], row["item_id"], row["repeat"]) for row in pieces if row["rerolled"]}
    summaries = [json.loads(path.read_text()) for path in (folder / "pieces" / "r").glob("*/*/summary.json")]
    return Windows(
        samples=len(pieces),
        codes=codes,
        cut=sum(len(cuts) for cell in _cells(folder / "pieces") for cuts in read_cuts(cell).values()),
        asked_again=sum(again.values()),
        equal_rows=[[row[name] for name in kept] for row in whole] == [[row[name] for name in kept] for row in pieces],
        equal_comparison=_comparison(folder / "whole") == _comparison(folder / "pieces"),
        unmarked=len(twice - marked),
        marked=len(marked),
        flagged=sum(summary["cut"]["flagged"] for summary in summaries),
    )


def _task(prompt: str) -> str:
    return "talk" if "talk" in prompt or "again" in prompt else "additions"


def _cells(results: Path) -> list[Path]:
    return sorted((results / "r" / model / task) for model in MODELS for task in TASKS)


def _rows(results: Path) -> list[dict[str, Any]]:
    return [row for cell in _cells(results) for row in read_samples(cell).to_pylist()]


def _comparison(results: Path) -> Any:
    return json.loads((results / "r" / "report" / "comparison.json").read_text())


def figure(folder: Path) -> list[Line]:
    """Full size."""
    found = windows(folder, 300, 15.0)
    ends = ", ".join(str(code) for code in found.codes)
    return [
        Line("windows, each with new ports and new server processes", "8", f"{len(found.codes)}; exit codes {ends}"),
        Line("samples, two models, dialogues of two turns among them", "stated", f"{found.samples:,}"),
        Line(
            "every column but `seconds`, `attempts` and `rerolled` equals the uninterrupted run's",
            "yes (`rerolled` too, but after a kill it has to say that a reply was lost)",
            "yes" if found.equal_rows else "no",
        ),
        Line("all of `comparison.json` equals it", "yes", "yes" if found.equal_comparison else "no"),
        Line("requests asked again", "only those in flight at an end", f"{found.asked_again}"),
        Line("samples they belong to that are not marked `rerolled`", "0", f"{found.unmarked} ({found.marked} marked)"),
        Line("answers cut while they came, and recorded so", "stated", f"{found.cut}"),
        Line("cells flagged because over 1 % were cut", "stated", f"{found.flagged} of 4"),
    ]


def main(results: str, urls: Mapping[str, str], items: int, engine: Mapping[str, Any], report: bool) -> int:
    """The run: the same settings in every window but for the report."""
    sent = Engine(probe=False, fingerprint=False, drain_seconds=0.5, **engine)
    served = list(urls.items())
    wanted = settings(Path(results), *served, engine=sent, model={"concurrency": CONCURRENCY}, report=report)
    wanted.models["nvfp4"] = replace(wanted.models["nvfp4"], baseline="bf16")
    wanted.sampling.max_tokens = 200
    wanted.tasks = {
        name: Task(adapter, "plain", repeats=REPEATS, options={"count": items}) for name, adapter in TASKS.items()
    }
    return int(run(wanted))


if __name__ == "__main__":
    sys.exit(main(*json.loads(sys.argv[1])))
