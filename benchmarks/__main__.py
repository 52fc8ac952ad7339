"""``python -m benchmarks [samples] [streams] [start] [memory]``: all of them without a name. See README.md."""

import sys
from collections.abc import Callable, Sequence

from benchmarks.memory import memory_cost
from benchmarks.samples import answer_rates, sample_cost
from benchmarks.starting import start_cost
from benchmarks.streams import answer_cost, event_cost


def samples() -> None:
    """CPU per sample that is not streamed."""
    for concurrency in (64, 256):
        cost = sample_cost(concurrency)
        print(f"CPU per sample, {concurrency} at a time, not streamed:")
        print(f"  evalsuite, all-in               {cost.evalsuite:7.2f} ms")
        print(f"  evalsuite without its report    {cost.unreported:7.2f} ms")
        print(f"  bare aiohttp loop               {cost.aiohttp:7.2f} ms   (evalsuite, all-in: {cost.ratio:.2f} x)")
        print(f"  openai with_raw_response loop   {cost.openai_raw:7.2f} ms")
        print(f"  lm-eval, all-in                 {cost.lm_eval or 0:7.2f} ms")
        print(f"  the mock server itself          {cost.server:7.2f} ms")
    ours, theirs = answer_rates(256)
    print(f"answers a second, 256 at a time, not streamed: evalsuite {ours:,.0f}, lm-eval {theirs:,.0f}")


def streams() -> None:
    """CPU per streamed event."""
    cost = event_cost()
    print("CPU per server-sent event            many to a read     each alone")
    for kind, many in cost.many_to_a_read.items():
        print(f"  {kind:32} {many:10.2f} us {cost.each_alone[kind]:12.2f} us")
    print(f"CPU per streamed answer of 200 events in 16 writes, all-in: {answer_cost()[0]:.2f} ms")


def start() -> None:
    """CPU until the first question."""
    made, shipped = start_cost()
    print(f"CPU from process start to the first request: {made:.2f} s (word_problems, all probes: {shipped:.2f} s)")


def memory() -> None:
    """Peak memory of long answers."""
    cost = memory_cost(20_000)
    print("20,000 answers with 200 KB of reasoning, largest resident memory:")
    print(f"  run, seal and report {cost.run:.0f} MB; once more {cost.again:.0f} MB; report {cost.report:.0f} MB")
    print(f"  on disk {cost.disk_gb:.1f} GB, {cost.cpu:.0f} CPU seconds")


PARTS: dict[str, Callable[[], None]] = {"samples": samples, "streams": streams, "start": start, "memory": memory}


def main(wanted: Sequence[str]) -> int:
    """Run the parts named."""
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"unknown benchmark {', '.join(unknown)}. Known: {', '.join(PARTS)}", file=sys.stderr)
        return 64
    for name in wanted or PARTS:
        PARTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
