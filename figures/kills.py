"""SIGKILL at random moments of real runs; every run that was killed must end as one that was not."""

import random
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from figures.line import Line
from tests.store import proving
from tests.store.io_faults import slow_disk
from tests.store.proving import Asked, Outcome
from tests.support.scripted_endpoint import Server

GRACE_SECONDS = 0.5
"""A reply whose last byte was written longer than this before a kill must never be asked again."""
STARTING, ASKING, ENDING = 0.15, 0.65, 0.2
"""Shares of the kills that come while a process starts, while it asks, and while it seals and reports."""


@dataclass(slots=True)
class Kills:
    """What a series of killed and continued runs did, over all of them."""

    kills: int = 0
    rounds: int = 0
    """Runs that were killed at least once and then came to their end."""
    replies: int = 0
    """Different replies that were generated."""
    late: int = 0
    """Asked again although the reply was written more than ``GRACE_SECONDS`` before a kill."""
    acknowledged: int = 0
    """Asked again although a benchmark had been given the reply."""
    asked_again: int = 0
    """Requests sent again because their reply was still under way."""
    unmarked: int = 0
    """Samples that were asked again and are not marked ``rerolled``."""
    unequal_rows: int = 0
    """Rows that differ from the uninterrupted run's in a column other than the times, or are missing, or too many."""
    unequal_comparisons: int = 0
    """Rounds whose ``comparison.json`` differs from the uninterrupted run's."""
    torn: int = 0
    """Kills after which a journal was given a torn tail, too."""
    killed_in: dict[str, int] = field(default_factory=lambda: {"starting": 0, "asking": 0, "ending": 0})


@dataclass(frozen=True, slots=True)
class KilledRun:
    """The run that is killed and continued."""

    items: int = 30
    """Sums; there are a third as many dialogues."""
    repeats: int = 2
    delay: float = 0.15
    """Seconds that a server takes to answer."""
    sync_seconds: float = 0.0
    """Seconds that the disk takes to sync a journal, as on network file systems; needs a C compiler."""


@dataclass(frozen=True, slots=True)
class _Series:
    """What all rounds of a series share."""

    conf: Path
    servers: Sequence[Server]
    expected: int
    """Different requests of a run that is not killed."""
    disk: Mapping[str, str]
    """Environment variables of a slow disk."""
    rng: random.Random
    found: Kills


def kills(folder: Path, count: int, run: KilledRun | None = None, *, seed: int = 0) -> Kills:
    """Kill ``count`` processes, in as many rounds as it takes; None: a run with the defaults of ``KilledRun``."""
    run = run or KilledRun()
    rng = random.Random(seed)
    conf = proving.configure(folder / "conf", items=run.items, repeats=run.repeats)
    found = Kills()
    disk = slow_disk(folder, run.sync_seconds) if run.sync_seconds else {}
    with proving.endpoints(run.delay) as servers:
        whole = _uninterrupted(folder / "whole", conf, servers)
        series = _Series(conf, servers, len(proving.requests(servers)), disk, rng, found)
        while found.kills < count:
            start = [len(server.requests) for server in servers]
            home = folder / f"round-{found.rounds}"
            home.mkdir()
            most = min(rng.randint(3, 12), count - found.kills)
            moments = _round(series, home, start, most)
            _judge(home, servers, start, moments, whole, found)
            found.rounds += 1
    return found


def _uninterrupted(home: Path, conf: Path, servers: Sequence[Server]) -> Outcome:
    home.mkdir()
    call = proving.command(conf, home / "results", servers)
    done = subprocess.run(call, capture_output=True, text=True, env=proving.environment(home / "acks"), check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return proving.outcome(home / "results")


def _round(series: _Series, home: Path, start: Sequence[int], most: int) -> list[float]:
    """Start a run, kill it up to ``most`` times, and let the last one end; returns the times of the kills."""
    call = proving.command(series.conf, home / "results", series.servers)
    environment = {**proving.environment(home / "acks"), **series.disk}
    moments: list[float] = []
    while True:
        with (home / "said").open("ab") as said:
            process = subprocess.Popen(call, stdout=said, stderr=said, env=environment)
        if len(moments) < most:
            killed = _kill(series, process, start)
            if killed is not None:
                moments.append(killed)
                series.found.torn += _tear(home / "results", series.rng)
                continue
        code = process.wait()
        assert code == 0, (home / "said").read_text(errors="replace")[-3000:]
        if moments:
            return moments


def _kill(series: _Series, process: "subprocess.Popen[bytes]", start: Sequence[int]) -> float | None:
    """SIGKILL at a random moment; returns its time, or None if the process had ended by then."""
    servers, rng = series.servers, series.rng
    (phase,) = rng.choices(("starting", "asking", "ending"), (STARTING, ASKING, ENDING))
    sent = sum(len(server.requests) for server in servers)
    if phase == "asking":
        _until(process, lambda: sum(len(server.requests) for server in servers) > sent)
    elif phase == "ending":
        _until(process, lambda: _answered(servers, start) == series.expected)
    wait = rng.uniform(0.0, {"starting": 1.0, "asking": 1.2, "ending": 1.5}[phase])
    try:
        process.wait(wait)
    except subprocess.TimeoutExpired:
        process.kill()
        moment = time.monotonic()
        process.wait()
        series.found.kills += 1
        series.found.killed_in[phase] += 1
        return moment
    return None


def _until(process: "subprocess.Popen[bytes]", happened: "proving.Callable[[], bool]") -> None:
    while process.poll() is None and not happened():
        time.sleep(0.01)


def _answered(servers: Sequence[Server], start: Sequence[int]) -> int:
    """Different requests of this round whose answer was written."""
    log = proving.requests(servers, start)
    return sum(any(written < float("inf") for _, written in times) for times in log.values())


def _tear(results: Path, rng: random.Random) -> int:
    """Sometimes give a journal the torn tail that a dying machine leaves: half a line, or a hole of zeros.

    Only behind the last reply, which is synced before it is acknowledged so that no crash takes it back, and behind the
    last request, which is on record before it goes out.
    """
    journals = sorted(results.glob("r/*/*/journal-*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    if not journals or rng.random() < 0.5:
        return 0
    path = journals[-1]
    data = path.read_bytes()
    last = max(data.rfind(b'{"event":"reply"'), data.rfind(b'{"event":"sent"'))
    keep = max(last, data.find(b"\n", max(last, 0)) + 1)
    cut = rng.randint(keep, len(data))
    hole = bytes(rng.choice((0, 0, 100)))
    path.write_bytes(data[:cut] + hole)
    return 1


def _judge(
    home: Path,
    servers: Sequence[Server],
    start: Sequence[int],
    moments: Sequence[float],
    whole: Outcome,
    found: Kills,
) -> None:
    """Hold a finished round against the uninterrupted run and the endpoints' memory."""
    log = proving.requests(servers, start)
    found.replies += len(log)
    found.late += sum(late(times, moments) for times in log.values())
    found.acknowledged += len(proving.asked_after(log, proving.acknowledged(home / "acks")))
    found.asked_again += sum(len(times) - 1 for times in log.values())
    ended = proving.outcome(home / "results")
    found.unequal_rows += sum(one != other for one, other in zip(ended.rows, whole.rows, strict=False))
    found.unequal_rows += abs(len(ended.rows) - len(whole.rows))
    found.unequal_comparisons += ended.comparison != whole.comparison
    found.unmarked += len(_twice(log, ended) - ended.rerolled)


def late(times: Sequence[tuple[float, float]], moments: Sequence[float]) -> bool:
    """Whether a request came again although its answer was written by the grace before its own process was killed."""
    for number, (asked, written) in enumerate(times[:-1]):
        killed = min((moment for moment in moments if moment > asked), default=float("inf"))
        if written + GRACE_SECONDS < killed < times[number + 1][0]:
            return True
    return False


def _twice(log: Mapping[Asked, Sequence[object]], ended: Outcome) -> set[tuple[str, str, str, int]]:
    """The attempts of which a request was sent more than once."""
    from evalsuite.engine.conversation import request_seed

    seeds = {
        (row["model"], request_seed(42, row["item_id"], row["repeat"]), row["task"] == "dialogue"): (
            row["model"],
            row["task"],
            row["item_id"],
            row["repeat"],
        )
        for row in ended.rows
    }
    return {
        seeds[model, seed, "talk" in prompt or "really" in prompt]
        for (model, prompt, seed), times in log.items()
        if len(times) > 1
    }


def measure(folder: Path) -> list[Line]:
    """The figure at full size: 200 kills, and 20 on a slow disk."""
    (folder / "slow").mkdir()
    found = kills(folder, 200)
    slow = kills(folder / "slow", 20, KilledRun(repeats=1, sync_seconds=1.5), seed=1)
    phases = ", ".join(f"{count} while {phase}" for phase, count in found.killed_in.items())
    return [
        Line("SIGKILLs of a real run at random moments", "200", f"{found.kills} ({phases}) in {found.rounds} runs"),
        Line(f"replies written over {GRACE_SECONDS} s before a kill and asked again", "0", str(found.late)),
        Line("replies that a benchmark had been given and asked again", "0", str(found.acknowledged)),
        Line("requests sent again, of all", "stated", f"{found.asked_again:,} of {found.replies:,}"),
        Line("samples asked again without the mark `rerolled`", "0", str(found.unmarked)),
        Line("rows that differ from the uninterrupted run's", "0", str(found.unequal_rows)),
        Line("`comparison.json` that differ", "0", str(found.unequal_comparisons)),
        Line("journals given a torn tail on top", "stated", str(found.torn)),
        Line(
            f"{slow.kills} more where the disk takes 1.5 s to sync: replies asked again, of those two kinds",
            "0, 0",
            f"{slow.late}, {slow.acknowledged}",
        ),
    ]
