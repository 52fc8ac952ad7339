"""What a thousand questions make of a server that fails now and then, and of one that never answers some of them."""

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from evalsuite.cli.run import run
from evalsuite.config.settings import Engine
from evalsuite.errors import Exit
from evalsuite.records import canonical_sha
from evalsuite.store.samples import read_samples
from figures.line import Line
from tests.support.fault_server import (
    Reset,
    Send,
    Server,
    Steps,
    Wait,
    error,
    event,
    fault_server,
    page,
    streamed,
    whole,
)
from tests.support.toy import settings

GSM8K = 1319
"""Items of GSM8K's test split."""
SEED = 2
MIX = (("500", 0.05), ("429", 0.05), ("reset", 0.02), ("hang", 0.01), ("bad JSON", 0.01))
"""Share of all requests, also of those that are sent again, that each fault hits."""
PATIENCE = 3.0
"""Seconds without a byte, or without the whole of an answer that is not streamed, after which it is given up."""
STEPS: dict[str, Callable[[], Steps]] = {
    "500": lambda: error(500, "CUDA error"),
    "429": lambda: error(429, "too many requests", Retry_After="1"),
    "reset": lambda: [Reset()],
    "hang": lambda: [Wait()],
    "bad JSON": lambda: streamed([event({"content": "The ans"}), b'data: {"choices": [{"delta"\n\n']),
    "502": lambda: page(502),
    "abort": lambda: streamed([event({"content": "The answer is"}), event({}, "abort")]),
}
TORN_BODY: Steps = [Send(whole(b'{"choices": [{"message": {"content": "The ans'))]
"""Bad JSON in the place of an answer that is not streamed."""


def answer(prompt: str) -> str:
    """The right answer to nine questions of ten."""
    if "+ 1" not in prompt:
        return "4"
    number = int(prompt.split(" ")[0])
    return str(number + 1 if drawn("right", number) > 0.1 else 0)


def drawn(what: str, *where: Any) -> float:
    """A number from 0 to 1 that is always the same in one place."""
    return int(canonical_sha([SEED, what, *where])[:12], 16) / 16**12


def mixed(prompt: str, number: int) -> str:
    """The fault that the ``number``-th request of a question meets; empty for most."""
    place = drawn("fault", prompt, number)
    for fault, share in MIX:
        if place < share:
            return fault
        place -= share
    return ""


@dataclass(frozen=True, slots=True)
class FaultRun:
    """One run."""

    code: Exit
    summary: dict[str, Any]
    outcomes: dict[str, str]
    """Item -> outcome."""
    said: str
    seconds: float
    faults: Counter[str]
    """Fault -> requests that met it."""


def measured(
    folder: Path, items: int, script: Callable[[str, int], str], *, retries: int = 5, stream: bool = True
) -> FaultRun:
    """Ask ``items`` questions of a server that meets them with the faults that ``script`` names."""
    met: Counter[str] = Counter()

    def steps(prompt: str, number: int) -> Steps | None:
        fault = script(prompt, number) if "+ 1" in prompt else ""
        if not fault:
            return None
        met[fault] += 1
        return TORN_BODY if fault == "bad JSON" and not stream else STEPS[fault]()

    engine = Engine(retries=retries, backoff_seconds=0.05, first_token_seconds=PATIENCE, idle_seconds=PATIENCE)
    engine = replace(engine, probe=False, total_seconds=None if stream else PATIENCE)
    with fault_server(answer, steps) as server:
        return _run(folder, items, server, met, engine, stream=stream)


def _run(folder: Path, items: int, server: Server, met: Counter[str], engine: Engine, *, stream: bool) -> FaultRun:
    wanted = settings(folder, ("bf16", server.base_url), engine=engine, model={"concurrency": 32}, report=True)
    model = wanted.models["bf16"]
    wanted.models["bf16"] = replace(model, server=replace(model.server, stream=stream))
    wanted.tasks["additions"].options = {"count": items}
    began, said = time.monotonic(), StringIO()
    with redirect_stderr(said):
        code = run(wanted)
    seconds = time.monotonic() - began
    cell = folder / "r" / "bf16" / "additions"
    outcomes = {row["item_id"]: row["outcome"] for row in read_samples(cell, ["item_id", "outcome"]).to_pylist()}
    return FaultRun(code, json.loads((cell / "summary.json").read_text()), outcomes, said.getvalue(), seconds, met)


def expected(items: int) -> float:
    """The score of the server without faults."""
    return sum(answer(f"{number} + 1 = ?") != "0" for number in range(items)) / items


@dataclass(frozen=True, slots=True)
class Lasting:
    """A server that never answers some questions, and one that answers them later."""

    first: FaultRun
    wanted: frozenset[str]
    """The items that meet a fault however often they are asked."""
    later: FaultRun


def lasting(folder: Path, items: int) -> Lasting:
    """Two of a hundred questions fail for ever, in five ways; then the server is mended and the command given again."""
    ways = ("500", "reset", "hang", "bad JSON", "502", "abort")
    hit = {number: ways[number % len(ways)] for number in range(items) if drawn("lasting", number) < 0.02}

    def script(prompt: str, _: int) -> str:
        return hit.get(int(prompt.split(" ")[0]), "")

    first = measured(folder, items, script, retries=2)
    return Lasting(first, frozenset(f"q{number:03}" for number in hit), measured(folder, items, lambda *_: ""))


def mix_line(folder: Path, items: int, *, stream: bool) -> Line:
    """The mix of transient faults."""
    way = "streamed" if stream else "not streamed"
    mix = measured(folder / f"mix {way}", items, mixed, stream=stream)
    met = ", ".join(f"{count} {fault}" for fault, count in mix.faults.most_common())
    return Line(
        f"5 % 500, 5 % 429 with Retry-After, 2 % reset, 1 % hang, 1 % bad JSON, {items:,} questions, {way}",
        "exact score, exit 0",
        f"score {mix.summary['score']:.6f}, without faults {expected(items):.6f}; exit {mix.code.value}; "
        f"{sum(mix.faults.values())} faults met ({met}), {mix.seconds:.0f} s",
    )


def figures(folder: Path, items: int = GSM8K) -> list[Line]:
    """Every asked figure on faults."""
    from tests.end_to_end.faults.rows import ROWS

    bad = lasting(folder / "lasting", items)
    failed = set(bad.first.summary["failed_items"])
    without = {number: row for number, row in ROWS.items() if not row.tests}
    parts = [f"{number}: {row.why_not}" for number, row in ROWS.items() if row.tests and row.why_not]
    return [
        *(mix_line(folder, items, stream=stream) for stream in (True, False)),
        Line(
            f"2 % of {items:,} questions failing for ever",
            "finishes, exit 3, score null or interval, items listed",
            f"exit {bad.first.code.value}, score {json.dumps(bad.first.summary['score'])}, {len(failed)} of "
            f"{len(bad.wanted)} failing items listed, {len(failed - bad.wanted)} others; {bad.first.seconds:.0f} s",
        ),
        Line(
            "the same command when the server is mended",
            "exact score, exit 0",
            f"score {bad.later.summary['score']:.6f}, exit {bad.later.code.value}",
        ),
        Line(
            "rows of the fault table with a test",
            "all that can occur on one machine; list the rest",
            f"{len(ROWS) - len(without)} of {len(ROWS)}; without one: {', '.join(map(str, without)) or 'none'}; "
            f"in part: {'; '.join(parts)}",
        ),
    ]
