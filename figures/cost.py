"""What evalsuite costs in CPU and memory, by the benchmarks of ``benchmarks/``."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.memory import memory_cost
from benchmarks.samples import sample_cost
from benchmarks.starting import start_cost
from benchmarks.streams import event_cost
from figures.line import Line


def samples(
    *, count: int = 6000, rounds: int = 5, lm_eval: bool = True, levels: Sequence[int] = (64, 256)
) -> list[Line]:
    """CPU per sample that is not streamed, at these numbers of requests at a time."""
    lines = []
    for concurrency in levels:
        cost = sample_cost(concurrency, samples=count, rounds=rounds, lm_eval=lm_eval)
        beside = f"{cost.evalsuite:.2f} ms; bare loop {cost.openai_raw:.2f} ms, bare aiohttp {cost.aiohttp:.2f} ms"
        beside += f", lm-eval {cost.lm_eval:.2f} ms" if cost.lm_eval is not None else ""
        lines.append(
            Line(
                f"CPU per sample, not streamed, {concurrency} at a time, median of {rounds}",
                "at most 1.6 x a bare `with_raw_response` loop",
                f"{cost.ratio:.2f} x: {beside}",
            )
        )
    return lines


def streams(
    *, answers: int = 64, length: int = 4000, concurrency: int = 64, seconds: float = 12.0, rounds: int = 3
) -> list[Line]:
    """CPU per server-sent event."""
    cost = event_cost(answers=answers, length=length, concurrency=concurrency, seconds=seconds, rounds=rounds)
    asked = {
        "many to a read": "under 3 us (where bare aiohttp costs 2: 1.5 x)",
        "each alone": "under 25 us (where bare aiohttp costs 18: 1.4 x)",
    }
    lines = []
    for what, found in (("many to a read", cost.many_to_a_read), ("each alone", cost.each_alone)):
        others = ", ".join(f"{kind} {found[kind]:.1f}" for kind in found if kind != "evalsuite-client")
        ours = found["evalsuite-client"]
        measured = f"{ours:.1f} us, {ours / found['aiohttp']:.2f} x bare aiohttp ({others})"
        lines.append(Line(f"CPU per streamed event, {what}", asked[what], measured))
    return lines


def start(*, rounds: int = 5) -> list[Line]:
    """CPU from process start to the first request."""
    made, shipped = start_cost(rounds)
    what = "CPU from process start to the first request"
    return [
        Line(what, "under 1.5 s", f"{made:.2f} s"),
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
    """Samples and memory at full size."""
    return [*samples(), *memory(folder)]


def measure_streams(_: Path) -> list[Line]:
    """Events and start-up at full size."""
    return [*streams(), *start()]
