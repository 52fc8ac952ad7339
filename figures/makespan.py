"""How well the slots of a server are used: two tasks with a heavy tail of long answers, compared with a FIFO loop.

Efficiency is the shortest possible time (the longest answer, or the sum of all over the slots) over the time from the
first question to the last answer, both as the server saw them.
"""

import asyncio
import json
import math
import random
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.cli.run import run
from evalsuite.config.settings import Engine, Task
from evalsuite.records import Item, Request, Score
from evalsuite.tasks.base import Tools
from figures.line import Line
from tests.support.toy import Additions, settings

TASKS = ("first", "second")
CONCURRENCY = 256
SLOTS = 128
MEDIAN = 0.2
"""Seconds."""
SEEDS = (1, 2, 6)
"""Those of the first eight whose longest answer takes about as long as in the peers' measurement (32.5 s). In the order
of the tasks it is question 320, 2,609 and 1,568 of 2,638: a queue that knows nothing is lucky with one of them."""


@dataclass(frozen=True)
class Timed(Additions):
    """Questions that are nothing but names."""

    prefix: str = ""

    def items(self) -> Iterator[Item]:
        for number in range(self.count):
            yield Item(f"q{number:04}", {"name": f"{self.prefix} {number}"}, "1")

    def prompt(self, item: Item, repeat: int) -> Request:
        return Request(({"role": "user", "content": item.inputs["name"]},))

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        reply = await tools.chat(self.prompt(item, repeat))
        return self.score(item, repeat, reply)


@dataclass(frozen=True, slots=True)
class Makespan:
    """Efficiencies (fractions of 1) and what was possible."""

    ideal: float
    """Seconds: max(longest, sum over slots)."""
    longest: float
    fifo: float
    unknown: float
    """Ours, nothing recorded."""
    recorded: float
    """Ours, with the lengths of another model's answers."""


def lengths(items: int, p99: float, seed: int) -> dict[str, float]:
    """Question -> seconds, lognormal."""
    dice, sigma = random.Random(seed), math.log(p99 / MEDIAN) / 2.3263
    return {f"{task} {n}": dice.lognormvariate(math.log(MEDIAN), sigma) for task in TASKS for n in range(items)}


@contextmanager
def serving(folder: Path, seconds: dict[str, float], slots: int) -> Iterator[str]:
    """The URL of a fresh server."""
    (folder / "seconds.json").write_text(json.dumps(seconds))
    command = [sys.executable, "-m", "figures.slot_server", str(slots), str(folder / "seconds.json")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.communicate()


def efficiency(url: str, seconds: dict[str, float], ideal: float) -> float:
    """Ideal over the time that the server saw; every question must have been asked once."""
    with urllib.request.urlopen(f"{url}/stats") as response:
        found: dict[str, Any] = json.load(response)
    assert sorted(found["asked"]) == sorted(seconds)
    return ideal / float(found["last"] - found["first"])


async def fifo(url: str, questions: list[str], concurrency: int) -> None:
    """The plain loop: one queue in the order of the tasks, so many workers, nothing else."""
    import aiohttp

    waiting = iter(questions)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

        async def worker() -> None:
            for question in waiting:
                body = {"model": "slots", "messages": [{"role": "user", "content": question}]}
                async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                    await response.read()

        await asyncio.gather(*(worker() for _ in range(concurrency)))


def ours(results: Path, model: str, url: str, items: int, concurrency: int) -> None:
    """Both tasks with evalsuite, in a process of its own."""
    words = [str(results), model, url, str(items), str(concurrency)]
    done = subprocess.run(
        [sys.executable, "-m", "figures.makespan", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def makespan(
    folder: Path, items: int, seed: int, *, p99: float = 5.0, slots: int = SLOTS, concurrency: int = CONCURRENCY
) -> Makespan:
    """Three runs of the same questions: a FIFO loop, ours knowing nothing, ours knowing another model's lengths."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds = lengths(items, p99, seed)
    longest = max(seconds.values())
    ideal = max(longest, sum(seconds.values()) / slots)
    with serving(folder, seconds, slots) as url:
        asyncio.run(fifo(url, list(seconds), concurrency))
        plain = efficiency(url, seconds, ideal)
    with serving(folder, seconds, slots) as url:
        ours(folder, "earlier", url, items, concurrency)
        unknown = efficiency(url, seconds, ideal)
    with serving(folder, seconds, slots) as url:
        ours(folder, "later", url, items, concurrency)
        recorded = efficiency(url, seconds, ideal)
    return Makespan(ideal, longest, plain, unknown, recorded)


def figure(folder: Path) -> list[Line]:
    """Full size."""
    tailed = [makespan(folder / f"tail{seed}", 1319, seed) for seed in SEEDS]
    packed = makespan(folder / "packed", 1319, SEEDS[0], p99=2.0)
    shape = "2 x 1,319 answers, lognormal, median 0.2 s"

    def row(values: Sequence[float]) -> str:
        return f"{sum(values) / len(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})"

    longest = ", ".join(f"{one.ideal:.1f}" for one in tailed)
    return [
        Line(
            f"one FIFO queue ({shape}, p99 5 s; 128 slots, 256 at a time): mean of three draws",
            "0.88 for the best peer in one draw",
            row([one.fifo for one in tailed]),
        ),
        Line("evalsuite, nothing recorded", "no worse than one FIFO queue", row([one.unknown for one in tailed])),
        Line("evalsuite, lengths recorded by another model", "at least 0.97", row([one.recorded for one in tailed])),
        Line("the shortest possible times (the longest answers)", "stated", f"{longest} s"),
        Line(
            f"the same with p99 2 s ({shape}): FIFO, nothing recorded, recorded",
            "stated",
            f"{packed.fifo:.3f}, {packed.unknown:.3f}, {packed.recorded:.3f} of {packed.ideal:.1f} s",
        ),
    ]


def main(results: str, model: str, url: str, items: str, concurrency: str) -> int:
    """One run of ours."""
    engine = Engine(probe=False, fingerprint=False)
    wanted = settings(Path(results), (model, f"{url}/v1"), engine=engine, model={"concurrency": int(concurrency)})
    wanted.models[model].served_name = "slots"
    wanted.sampling.max_tokens = 64_000
    wanted.tasks = {
        name: Task("figures.makespan:Timed", "plain", options={"count": int(items), "prefix": name}) for name in TASKS
    }
    wanted.report = False
    return int(run(wanted))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
