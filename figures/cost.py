"""What evalsuite costs in CPU and memory, by the benchmarks of ``benchmarks/``."""

import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.memory import memory_cost
from benchmarks.samples import answer_rates, sample_cost
from benchmarks.starting import start_cost
from benchmarks.streams import answer_cost, event_cost, reading_cost
from figures.line import Line
from figures.unchanged import BEFORE


def samples(
    *, count: int = 6000, rounds: int = 5, lm_eval: bool = True, levels: Sequence[int] = (64, 256)
) -> list[Line]:
    """CPU per sample that is not streamed, at these numbers of requests at a time."""
    lines = []
    for concurrency in levels:
        cost = sample_cost(concurrency, samples=count, rounds=rounds, lm_eval=lm_eval)
        measured = f"{cost.evalsuite:.2f} ms, {cost.ratio:.1f} x bare aiohttp ({cost.aiohttp:.2f} ms); "
        measured += f"with report=false {cost.unreported:.2f} ms; openai loop {cost.openai_raw:.2f} ms"
        measured += f"; lm-eval {cost.lm_eval:.2f} ms" if cost.lm_eval is not None else ""
        measured += " (evalsuite on uvloop, the others on asyncio's loop)"
        what = f"CPU per sample, not streamed, {concurrency} at a time, the whole command, median of {rounds}"
        lines.append(Line(what, "at most 0.7 ms and 3 x bare aiohttp", measured))
    return lines


def rates(*, count: int = 6000, rounds: int = 3) -> list[Line]:
    """Answers a second."""
    ours, theirs = answer_rates(256, samples=count, rounds=rounds)
    return [
        Line(
            f"answers a second while asking, no latency, 256 at a time, median of {rounds}",
            "at least 2,500 and 0.8 x lm-eval",
            f"{ours:,.0f}, {ours / theirs:.2f} x lm-eval ({theirs:,.0f})",
        )
    ]


def streams(
    *, answers: int = 64, length: int = 4000, concurrency: int = 64, seconds: float = 12.0, rounds: int = 3
) -> list[Line]:
    """CPU per server-sent event and per streamed answer, beside those of the checkout that ``BEFORE`` names."""
    named = os.environ.get(BEFORE)
    before = Path(named) if named else None
    cost = event_cost(
        answers=answers, length=length, concurrency=concurrency, seconds=seconds, rounds=rounds, before=before
    )
    asked = {
        "many to a read": "no worse than before; under 3 us (where bare aiohttp costs 2: 1.5 x)",
        "each alone": "no worse than before; under 25 us (where bare aiohttp costs 18: 1.4 x)",
    }
    lines = []
    for what, found in (("many to a read", cost.many_to_a_read), ("each alone", cost.each_alone)):
        others = ", ".join(f"{kind} {found[kind]:.1f}" for kind in found if kind != "evalsuite-client")
        ours = found["evalsuite-client"]
        measured = f"{ours:.1f} us, {ours / found['aiohttp']:.2f} x bare aiohttp ({others})"
        lines.append(Line(f"CPU per streamed event, {what}", asked[what], measured))
    whole = answer_cost(answers=answers * 16, rounds=rounds, before=before)
    shown = f"{whole[0]:.2f} ms" + (f"; before {whole[1]:.2f} ms" if before else f" (before: set {BEFORE})")
    what = "CPU per streamed answer of 200 events in 16 writes, the whole command"
    lines.append(Line(what, "at most 1.2 ms (before: 2.2)", shown))
    recognised, parsed = reading_cost(length)
    what = "CPU of reading an event out of memory, where events differ in their text only; each parsed as a whole"
    return [*lines, Line(what, "less than parsed", f"{recognised:.1f} us; {parsed:.1f} us")]


def start(*, rounds: int = 5) -> list[Line]:
    """CPU from process start to the first request."""
    made, shipped = start_cost(rounds)
    what = "CPU from process start to the first request"
    return [
        Line(what, "at most 0.9 s", f"{made:.2f} s, its modules compiled as pip leaves them"),
        Line(f"{what}, `word_problems` with every probe on", "under 1.5 s", f"{shipped:.2f} s"),
    ]


def memory(folder: Path, *, count: int = 20_000, concurrency: int = 256) -> list[Line]:
    """Peak memory of long answers, and of answers whose every token is an event of its own."""
    cost = memory_cost(count, concurrency=concurrency, where=folder)
    fine = memory_cost(concurrency, event=4, concurrency=concurrency, where=folder)
    long = f"{count:,} samples of 200 KB reasoning, {concurrency} at a time"
    return [
        Line(f"peak memory, {long}: run, seal, report", "under 600 MB", f"{cost.run:.0f} MB"),
        Line("the same command again, nothing left to ask", "under 600 MB", f"{cost.again:.0f} MB"),
        Line("`report` on it", "under 600 MB", f"{cost.report:.0f} MB"),
        Line("its folder on disk", "stated", f"{cost.disk_gb:.1f} GB"),
        Line(f"{concurrency} such answers at once, a token an event", "under 600 MB", f"{fine.run:.0f} MB"),
    ]


def measure(folder: Path) -> list[Line]:
    """Memory at full size."""
    return memory(folder)


def measure_samples(_: Path) -> list[Line]:
    """Samples and answers a second at full size."""
    return [*samples(), *rates()]


def measure_streams(_: Path) -> list[Line]:
    """Events, streamed answers and start-up at full size."""
    return [*streams(), *start()]
