"""Answers that a SIGKILL loses: written by the server, not on disk yet, and therefore sent again."""

import json
import statistics
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mock_server import Shape
from benchmarks.processes import ROOT, Served, evalsuite_words, serving
from figures.line import Line

ANSWERS, CONCURRENCY, ROUNDS = 600, 64, 20
LATENCY = 0.05
"""Seconds, on average, that the server takes to answer."""
POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class LostAnswers:
    """One run, killed and continued."""

    answered: int
    """Answers that the server had written at the kill."""
    again: int
    """How many of them were sent again."""
    acknowledged: int
    """Answers sent again though they were on disk, and thus given to the benchmark or about to be."""
    later: int
    """Answers written later, until the killed process had ended and its connections were closed."""


def killed(folder: Path, *, stream: bool, answers: int = ANSWERS, latency: float = LATENCY) -> LostAnswers:
    """Kill a run of twice as many questions at ``answers`` answers, and continue it to its end."""
    with serving(Shape(latency=latency)) as served:
        words = [f"models.mock.server.stream={str(stream).lower()}", "report=false"]
        command = evalsuite_words(served.url, folder, 2 * answers, CONCURRENCY, *words)
        when = _kill(command, served, answers)
        written = dict(served.answered())
        before = {question for question, seconds in written.items() if seconds <= when}
        stored = _stored(folder)
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        times = Counter(question for question, _ in served.answered())
    twice = {question for question, count in times.items() if count > 1}
    return LostAnswers(len(before), len(before & twice), len(stored & twice), len(written) - len(before))


def _kill(command: list[str], served: Served, answers: int) -> float:
    """Run a command until the server has written ``answers`` answers, then SIGKILL it and wait for its end; returns
    ``time.monotonic()`` of the SIGKILL."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    while len(served.answered()) < answers:
        if process.poll() is not None:
            raise RuntimeError("the run ended before it could be killed")
        time.sleep(POLL_SECONDS)
    when = time.monotonic()
    process.kill()
    process.wait()
    return when


def _stored(folder: Path) -> set[str]:
    """Numbers of the questions whose reply is a whole line of a journal."""
    lines = (line for path in folder.glob("r/*/*/journal-*.jsonl") for line in path.read_bytes().splitlines(True))
    events = (json.loads(line) for line in lines if line.endswith(b"\n"))
    return {event["item"].removeprefix("q") for event in events if event["event"] == "reply"}


def measure(folder: Path) -> list[Line]:
    """Both ways of sending, and what a server without any latency makes of it."""
    lines = []
    for stream, latency, asked in (
        (False, LATENCY, "median at most 8"),
        (True, LATENCY, "median at most 8"),
        (False, 0.0, "stated"),
    ):
        way = "streamed" if stream else "not streamed"
        rounds = [
            killed(folder / f"{way}-{latency}-{number}", stream=stream, latency=latency) for number in range(ROUNDS)
        ]
        again = [found.again for found in rounds]
        what = f"SIGKILL at {ANSWERS} answers, {CONCURRENCY} at a time, {ROUNDS} times, {way}, latency {latency:g} s"
        later = statistics.median(found.later for found in rounds)
        measured = (
            f"median {statistics.median(again):g}, {min(again)} to {max(again)} (and {later:g} answers that came "
        )
        measured += "while the killed process ended)"
        lines.append(Line(f"{what}: answers sent again", asked, measured))
        lines.append(Line("of which were on disk", "0", str(sum(found.acknowledged for found in rounds))))
    return lines
