"""What the checksum of a journal's lines costs: writing a sample, and reading 240,000 of them."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from evalsuite.store import journal
from evalsuite.store.attempts import score_event
from evalsuite.store.manifest import write_json
from evalsuite.store.samples import read_samples
from figures.line import Line
from tests.support.journals import manifest, reply, sample

SAMPLES = 240_000
WORDS = 300
"""Words of a reply: about 2 kB."""
RUN_SECONDS = 0.0005
"""Less than the CPU of a sample of a run, seconds (topic ``cost``); the share of the checksum is taken of it."""
ROUNDS = 3


def checksum_cost(folder: Path, samples: int = SAMPLES) -> list[Line]:
    """Write and read the same cell with checksums and without, in turns, by CPU time."""
    events = _events(samples // 40)
    plain, checked = _per_sample(_without, events), _per_sample(journal.encode, events)
    for name, encode in (("checked", journal.encode), ("plain", _without)):
        _cell(folder / name / "fp8" / "toy", encode, events, 40)
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name in ("checked", "plain"):
            began = time.process_time()
            rows = len(read_samples(folder / name / "fp8" / "toy", ["item_id", "outcome", "text"]))
            best[name] = min(best.get(name, 1e9), time.process_time() - began)
    added = 1e6 * (checked - plain)
    share = 1 + (checked - plain) / RUN_SECONDS
    return [
        Line(
            "CPU of a sample of a run with checksums, beside without",
            "at most 1.05 x",
            f"{share:.3f} x (+{added:.1f} us of {1e6 * RUN_SECONDS:.0f})",
        ),
        Line(
            f"CPU of reading {rows:,} samples from journals, beside without",
            "at most 1.05 x",
            f"{best['checked'] / best['plain']:.3f} x ({best['checked']:.1f} s, {best['plain']:.1f} s)",
        ),
    ]


def _without(event: dict[str, Any]) -> bytes:
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def _events(count: int) -> list[list[dict[str, Any]]]:
    """The three events of each sample."""
    generator = random.Random(1)
    words = [f"w{generator.getrandbits(20):x}" for _ in range(5000)]
    samples = []
    for number in range(count):
        place = {"item": str(number), "repeat": 0, "who": "model", "turn": 0}
        body = reply(" ".join(generator.choices(words, k=WORDS)))
        answered = {"event": "reply", **place, "span": [1.0, 2.0], "prompt_sha": "p", "attempts": 1, "reply": body}
        samples.append([{"event": "sent", **place}, answered, score_event(sample(str(number)))])
    return samples


def _per_sample(encode: Callable[[dict[str, Any]], bytes], events: list[list[dict[str, Any]]]) -> float:
    """CPU seconds of encoding one sample, the best of some rounds."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for group in events:
            for event in group:
                encode(event)
        seconds.append((time.process_time() - began) / len(events))
    return min(seconds)


def _cell(
    folder: Path, encode: Callable[[dict[str, Any]], bytes], events: list[list[dict[str, Any]]], repeats: int
) -> None:
    """A cell with each sample ``repeats`` times, as its repeats."""
    folder.mkdir(parents=True)
    facts = manifest(items=len(events), repeats=repeats)
    write_json(folder / "manifest.json", facts)
    schema = 1 if encode is _without else journal.SCHEMA
    known = {} if encode is _without else {"cell": journal.cell_hash(facts["identity"])}
    with (folder / "journal-h-1-00000000.jsonl").open("wb") as file:
        file.write(encode({"schema": schema, "number": 1, **known, "event": "open"}))
        for repeat in range(repeats):
            for group in events:
                file.write(b"".join(encode({**event, "repeat": repeat}) for event in group))
