"""Real ``evalsuite run`` processes against endpoints that answer the same question always the same way.

The endpoints remember every request and when its answer was written; the toy benchmarks note every reply that they
were given, which is what "acknowledged" means: from then on it must never be asked again.
"""

import hashlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.engine.conversation import request_seed
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.store.samples import read_samples
from evalsuite.tasks.base import Tools, graded
from tests.support.scripted_endpoint import Answer, Server, scripted_endpoint
from tests.support.toy import Additions

ROOT = Path(__file__).parents[2]
MODELS = ("toy_a", "toy_b")
TASKS = ("additions", "dialogue")
TURNS = 3
"""Questions of one toy dialogue."""
ACKS = "EVALSUITE_TEST_ACKS"
"""Names the file in which the toy benchmarks note what they were given."""
UNEQUAL = ("seconds", "attempts", "rerolled")
"""What an interruption may change: times, requests sent, and whether an earlier request is lost."""
Asked = tuple[str, str, int]
"""(model, prompt, seed of the request)"""
MODEL = """# @package models.{name}
defaults:
  - /server: sglang
  - _self_
title: {name}
checkpoint: toy/{name}
precision: bf16
baseline: {baseline}
served_name: {name}
base_url: http://localhost:9/v1
concurrency: 8
"""
TASK = """# @package tasks.{name}
adapter: tests.store.proving:{kind}
variant: plain
repeats: {repeats}
options: {{count: {count}}}
"""


class _Noted:
    """``tools.chat`` that writes down every reply which it returns, and where in the dialogue."""

    def __init__(self, tools: Tools, seed: int) -> None:
        self.tools, self.seed = tools, seed

    async def __call__(self, request: Request) -> Reply:
        reply = await self.tools.chat(request)
        line = json.dumps([reply.model, request.messages[-1]["content"], self.seed, time.monotonic()])
        handle = os.open(os.environ[ACKS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, line.encode() + b"\n")
        os.close(handle)
        return reply


class Sums(Additions):
    """One question each."""

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        chat = _Noted(tools, request_seed(self.seed, item.id, repeat))
        return self.score(item, repeat, await chat(self.prompt(item, repeat)))


class Talks(Additions):
    """Three questions each; the second and third quote the answer before them."""

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        chat = _Noted(tools, request_seed(self.seed, item.id, repeat))
        reply = await chat(Request(({"role": "user", "content": f"{item.inputs['a']} + 1 = ? (talk)"},)))
        for turn in range(1, TURNS):
            reply = await chat(Request(({"role": "user", "content": f"{turn}: really {reply.text!r}?"},)))
        return graded(reply, right=len(reply.text) % 2 == 0, answer=reply.text or None)


def configure(folder: Path, *, items: int, repeats: int) -> Path:
    """A ``--config-dir`` with both toy models and both toy benchmarks (a third as many dialogues as sums)."""
    for group in ("model", "task"):
        (folder / group).mkdir(parents=True)
    for name, baseline in zip(MODELS, ("null", MODELS[0]), strict=True):
        (folder / "model" / f"{name}.yaml").write_text(MODEL.format(name=name, baseline=baseline))
    for name, kind, count in zip(TASKS, ("Sums", "Talks"), (items, max(1, items // 3)), strict=True):
        text = TASK.format(name=name, kind=kind, repeats=repeats, count=count)
        (folder / "task" / f"{name}.yaml").write_text(text)
    return folder


@contextmanager
def endpoints(delay: float) -> Iterator[list[Server]]:
    """One server for each toy model; ``delay`` is the mean of the seconds that an answer takes."""
    servers: list[Server] = []

    def script(number: int) -> Callable[[str], Answer]:
        def answer(prompt: str) -> Answer:
            seed = int(servers[number].requests[-1].body["seed"])
            return drawn(MODELS[number], prompt, seed, delay)

        return answer

    with ExitStack() as stack:
        for number, name in enumerate(MODELS):
            servers.append(stack.enter_context(scripted_endpoint(script(number), model=name)))
        yield servers


def drawn(model: str, prompt: str, seed: int, delay: float) -> Answer:
    """The answer of ``model``: drawn by the request's seed, as at temperature 0.6, and always the same for it."""
    digest = hashlib.sha256(f"{model} {prompt} {seed}".encode()).digest()
    first = prompt.split(" ")[0]
    text = str(int(first) + 1) if first.isdigit() and digest[0] < 200 else f"perhaps {digest[1]}"
    finish = "length" if digest[2] < 12 else "stop"
    text = "" if digest[3] < 8 else text
    thought = f"{digest.hex()} \u00e9 " * (1 + digest[4] % 40)
    return Answer(text, reasoning=thought, finish_reason=finish, delay=delay * digest[5] / 128)


def words(conf: Path, results: Path, servers: Sequence[Server], *more: str, one: bool = False) -> list[str]:
    """What ``evalsuite`` is given for one run of everything, or of ``one`` model on one task."""
    models, tasks = (MODELS[:1], TASKS[:1]) if one else (MODELS, TASKS)
    urls = [f"models.{name}.base_url={server.base_url}" for name, server in zip(models, servers, strict=False)]
    quick = ["engine.probe=false", "engine.fingerprint=false", "engine.backoff_seconds=0.01"]
    quick += ["report=false"] if one else []  # nothing to compare
    quick += ["accept_degenerate=made"]  # some made answers are empty or loop, and two are a whole cell
    asked = ["run", "--config-dir", str(conf), f"model=[{','.join(models)}]", f"task=[{','.join(tasks)}]"]
    return [*asked, "run_id=r", f"results_dir={results}", *urls, *quick, *more]


def command(conf: Path, results: Path, servers: Sequence[Server], *more: str, one: bool = False) -> list[str]:
    """The command line of a process with these ``words``."""
    return [sys.executable, "-m", "evalsuite", *words(conf, results, servers, *more, one=one)]


def environment(acks: Path) -> dict[str, str]:
    """What such a process needs to find the toy benchmarks and where they write."""
    return {**os.environ, ACKS: str(acks), "PYTHONPATH": str(ROOT), "CI": "1"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left: the rows of all cells and ``comparison.json``."""

    rows: tuple[Mapping[str, Any], ...]
    """Without the columns that an interruption may change."""
    comparison: str
    rerolled: frozenset[tuple[str, str, str, int]]
    """(model, task, item, repeat) of the rows marked ``rerolled``."""


def outcome(results: Path) -> Outcome:
    """Read what stands on disk after a run."""
    rows, marked = [], set()
    for model in MODELS:
        for task in TASKS:
            for row in read_samples(results / "r" / model / task).to_pylist():
                if row["rerolled"]:
                    marked.add((model, task, row["item_id"], row["repeat"]))
                rows.append({name: value for name, value in row.items() if name not in UNEQUAL})
    text = (results / "r" / "report" / "comparison.json").read_text(encoding="utf-8")
    return Outcome(tuple(rows), text, frozenset(marked))


def requests(servers: Sequence[Server], start: Sequence[int] = (0, 0)) -> dict[Asked, list[tuple[float, float]]]:
    """Request -> (arrival, last byte of its answer written, ``inf`` if it was not), in order of arrival."""
    found: dict[Asked, list[tuple[float, float]]] = defaultdict(list)
    for model, server, begin in zip(MODELS, servers, start, strict=True):
        for number, one in enumerate(server.requests[begin:], begin):
            written = server.written.get(number, float("inf"))
            found[model, one.prompt, int(one.body["seed"])].append((one.at, written))
    return dict(found)


def acknowledged(acks: Path) -> dict[Asked, float]:
    """Reply -> when a benchmark was first given it."""
    found: dict[Asked, float] = {}
    for line in acks.read_bytes().splitlines() if acks.exists() else ():
        try:
            model, prompt, seed, at = json.loads(line)
        except json.JSONDecodeError:  # the note itself was cut short by a kill
            continue
        found.setdefault((model, prompt, seed), at)
    return found


def asked_after(requested: Mapping[Asked, Sequence[tuple[float, float]]], acked: Mapping[Asked, float]) -> list[Asked]:
    """Requests that went out although their reply had been acknowledged: there must be none."""
    return [asked for asked, at in acked.items() if any(arrival > at for arrival, _ in requested.get(asked, ()))]
