"""Two checkpoints at two server settings: whether each effect is found, and put down to nothing else.

A real run asks the embedded model's BF16 and NVFP4 on 2,000 items, each directly and through a proxy that states
speculative decoding and spoils a planted part of the answers; its report separates the effects. Its direct answers are
then the population of simulated runs with known effects, which go through ``stats.effects``.
"""

import asyncio
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from aiohttp import web

from evalsuite import load_run
from evalsuite.demo.problems import held_out
from evalsuite.demo.process import serving
from evalsuite.stats.effects import Kind, Place, effect
from evalsuite.stats.intervals import Floats
from figures.line import Line

PLANTED = {"demo_bf16": 0.04, "demo_nvfp4": 0.07}
"""Checkpoint -> share of its questions whose answer the second server spoils: 4 %, and an interaction of 3 %."""
KINDS: tuple[Kind, ...] = ("checkpoint", "server", "interaction")
MODEL = """# @package models.{name}
defaults:
  - /server: sglang
  - _self_
title: {name}
checkpoint: evalsuite/{checkpoint}
precision: {checkpoint}
quantized: {{}}
baseline: {baseline}
base_url: {url}
concurrency: 64
"""


@contextmanager
def planting_proxy(target: str, speculative: str | None, share: float) -> Iterator[str]:
    """A server in front of a demo server; yields its base URL.

    It states ``speculative`` and turns the digits of the answers to this ``share`` of the questions, by their hash.
    """
    ready, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    address: list[str] = []

    async def serve() -> None:
        async with aiohttp.ClientSession() as session:

            async def forward(request: web.Request) -> web.StreamResponse:
                return await _forward(session, target.removesuffix("/v1"), request, speculative, share)

            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", forward)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address.append(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
            ready.set()
            await stop.wait()
            await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


QUESTIONS = {problem.question for problem in held_out()}


async def _forward(
    session: aiohttp.ClientSession, root: str, request: web.Request, speculative: str | None, share: float
) -> web.StreamResponse:
    body = await request.read()
    question = json.loads(body)["messages"][-1]["content"] if request.path.endswith("/chat/completions") else ""
    drawn = int(hashlib.sha256(question.encode()).hexdigest()[:8], 16) / 16**8
    spoiled = question in QUESTIONS and drawn < share
    async with session.request(request.method, root + request.path, data=body) as answer:
        if answer.content_type not in ("application/json", "text/event-stream"):
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)
        if answer.content_type == "application/json":
            whole = await answer.json()
            if request.path == "/server_info":
                whole["speculative_algorithm"] = speculative
            return web.json_response(_turned(whole) if spoiled else whole, status=answer.status)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for line in answer.content:
            if spoiled and line.startswith(b"data: {"):
                line = b"data: " + json.dumps(_turned(json.loads(line[6:]))).encode() + b"\n"
            await response.write(line)
        return response


def _turned(reply: Any) -> Any:
    """A reply or a chunk of one, every digit of its answer turned into the next."""
    for choice in reply.get("choices") or ():
        part = choice.get("message") or choice.get("delta") or {}
        if part.get("content"):
            part["content"] = part["content"].translate(str.maketrans("0123456789", "1234567890"))
    return reply


def real_run(folder: Path, limit: int | None = None) -> tuple[Mapping[str, Any], dict[Place, Floats]]:
    """Ask and report the four arms; ``effects`` of ``comparison.json``, and each arm's values by item."""
    (folder / "conf" / "model").mkdir(parents=True)
    names = {
        (checkpoint, setting): f"{name}_{'off' if not setting else 'on'}"
        for checkpoint, name in enumerate(PLANTED)
        for setting in (0, 1)
    }
    with ExitStack() as stack:
        urls = stack.enter_context(serving(list(PLANTED)))
        for (checkpoint, setting), name in names.items():
            model = list(PLANTED)[checkpoint]
            share, stated = (PLANTED[model], "NEXTN") if setting else (0.0, None)
            url = stack.enter_context(planting_proxy(urls[model], stated, share))
            text = MODEL.format(
                name=name, checkpoint=model, url=url, baseline=names[0, 0] if name != names[0, 0] else "null"
            )
            (folder / "conf" / "model" / f"{name}.yaml").write_text(text)
        words = [f"model=[{','.join(names.values())}]", "task=word_problems", "sampling=greedy", "run_id=two_by_two"]
        words += [] if limit is None else [f"limit={limit}"]
        command = [sys.executable, "-m", "evalsuite", "run", "--config-dir", "conf", *words, "varies=[speculative]"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Checkpoint and server effects" in done.stdout
    run = folder / "results" / "two_by_two"
    (effects,) = json.loads((run / "report" / "comparison.json").read_text("utf-8"))["effects"]
    table = load_run(run)
    rows = {
        place: table.rows(table.cell(name, "word_problems")).sort_values("item_id") for place, name in names.items()
    }
    return effects, {place: part["value"].to_numpy(dtype=np.float64) for place, part in rows.items()}


@dataclass(frozen=True, slots=True)
class Planted:
    """Which effects are planted."""

    what: str
    checkpoint: bool
    server: tuple[float, float]
    """Share of right answers that the second server spoils, of each checkpoint; 0: it moves answers, not their mean."""


CASES = (
    Planted("both effects and an interaction", checkpoint=True, server=(0.04, 0.07)),
    Planted("only a checkpoint effect", checkpoint=True, server=(0.0, 0.0)),
    Planted("only a server effect", checkpoint=False, server=(0.04, 0.04)),
)
MOVED = 0.02
"""Share of right answers that any other arm answers wrong by chance, as it answers as many wrong ones right."""


@dataclass(frozen=True, slots=True)
class PlantedResult:
    """What became of the seeds of one case."""

    covered: Mapping[Kind, int]
    excluded: Mapping[Kind, int]
    """Intervals that exclude 0."""
    misplaced: int
    """Seeds in which the planted effect was not found, and the other one was."""


def simulate(case: Planted, pool: Mapping[Place, Floats], seeds: int, items: int) -> PlantedResult:
    """Runs of ``items`` drawn from the pool, in which each arm has its planted changes."""
    population = {0: pool[0, 0], 1: pool[1, 0] if case.checkpoint else pool[0, 0]}
    means = {checkpoint: float(values.mean()) for checkpoint, values in population.items()}
    truth_at = {(checkpoint, 0): mean for checkpoint, mean in means.items()}
    truth_at |= {(checkpoint, 1): mean * (1 - case.server[checkpoint]) for checkpoint, mean in means.items()}
    truth = {kind: effect({place: np.full(2, mean) for place, mean in truth_at.items()}, kind).delta for kind in KINDS}
    covered, excluded = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    misplaced = 0
    for seed in range(seeds):
        rng = np.random.default_rng([20261126, seed])
        drawn = rng.integers(0, len(population[0]), items)
        arms = {(c, s): _moved(population[c][drawn], means[c], rng) for c in (0, 1) for s in (0, 1)}
        for checkpoint, share in enumerate(case.server):
            arms[checkpoint, 1] = np.where(rng.random(items) < share, 0.0, arms[checkpoint, 1])
        shown = set()
        for kind in KINDS:
            ci95 = effect(arms, kind, single=True).ci95
            assert ci95 is not None
            covered[kind] += ci95[0] <= truth[kind] <= ci95[1]
            excluded[kind] += not ci95[0] <= 0 <= ci95[1]
            shown |= set() if ci95[0] <= 0 <= ci95[1] else {kind}
        planted = {kind for kind in KINDS[:2] if truth[kind] != 0}
        misplaced += bool(shown & set(KINDS[:2]) - planted) and not planted <= shown
    return PlantedResult(covered, excluded, misplaced)


def _moved(values: Floats, mean: float, rng: np.random.Generator) -> Floats:
    """Answers of another attempt: some right ones wrong, as many wrong ones right on average."""
    chance = np.where(values == 1, MOVED, MOVED * mean / (1 - mean))
    return np.where(rng.random(len(values)) < chance, 1 - values, values)


def lines(folder: Path, seeds: int = 200, limit: int | None = None) -> list[Line]:
    """The page's rows."""
    effects, pool = real_run(folder, limit)
    items = effects["items"]
    measured = "; ".join(
        f"{row['effect']} {100 * row['delta']:+.2f} [{100 * row['ci95'][0]:+.2f}, {100 * row['ci95'][1]:+.2f}]"
        for row in effects["effects"]
        if row["at"] is None
    )
    score = [100 * float(pool[checkpoint, 0].mean()) for checkpoint in (0, 1)]
    lost = [score[checkpoint] * share for checkpoint, share in enumerate(PLANTED.values())]
    planted = (
        f"checkpoint {score[1] - score[0] - (lost[1] - lost[0]) / 2:+.2f}; server {-sum(lost) / 2:+.2f}; "
        f"interaction {lost[0] - lost[1]:+.2f}"
    )
    found = [
        Line(
            f"a real run of demo BF16 and NVFP4, directly and through a server that spoils 4 and 7 % ({items:,} items)",
            f"planted: {planted} pt",
            f"{measured} pt",
        )
    ]
    for case in CASES:
        result = simulate(case, pool, seeds, items)
        shares = ", ".join(f"{kind} {100 * count / seeds:.1f}" for kind, count in result.covered.items())
        error = 100 * sqrt(0.95 * 0.05 / seeds)
        found.append(
            Line(
                f"2 x 2, {items:,} items, {seeds} seeds, {case.what}: effects inside their 95 % intervals",
                "95 %",
                f"{shares} % (Monte Carlo error {error:.1f})",
            )
        )
        absent = "server" if case.checkpoint else "checkpoint"
        if not all(case.server) or not case.checkpoint:
            found.append(
                Line(
                    f"2 x 2, {case.what}: the {absent} effect's interval excludes 0; put down to the {absent}",
                    f"at most 5 %; 0 of {seeds}",
                    f"{100 * result.excluded[absent] / seeds:.1f} % (Monte Carlo error {error:.1f}); "
                    f"{result.misplaced} of {seeds}",
                )
            )
    return found
