"""Ten common mistakes: each is one message with cause and cure, soon, and costs next to nothing."""

import os
import resource
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from evalsuite.demo.process import serving
from figures.line import Line
from tests.support.renaming_proxy import Proxy, renaming_proxy

MODEL = "demo_fp8"
SAID = ("run run-", "examining the servers", "nothing to report yet")
"""Lines beside the message: the folder of the run, its progress, and that there is no report."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What somebody typed, and what the message must say."""

    what: str
    words: tuple[str, ...]
    """The command line after ``run``; ``URL`` stands for a server that works, ``CLOSED`` for one that is not there."""
    code: int
    cause: str
    cure: str
    key: str = ""
    """The key that the server asks for; the user has none."""


@dataclass(frozen=True, slots=True)
class Met:
    """What came of it."""

    mistake: Mistake
    code: int
    said: str
    """Standard error."""
    seconds: float
    """Wall time from start to exit."""
    cpu_seconds: float
    requests: int
    """Generation requests."""

    @property
    def well(self) -> bool:
        """One message with cause and cure, the asked exit code, and at most one generation request."""
        message = [line for line in self.said.splitlines() if line.strip() and not line.startswith(SAID)]
        clear = self.mistake.cause in self.said and self.mistake.cure in self.said and "Traceback" not in self.said
        return clear and len(message) == 1 and self.code == self.mistake.code and self.requests <= 1


GOOD = (f"model={MODEL}", "task=word_problems", "sampling=greedy", "limit=2", f"models.{MODEL}.base_url=URL")
MISTAKES = (
    Mistake("unknown task", (*GOOD, "task=gsm9k"), 64, "unknown task 'gsm9k'", "did you mean 'gsm8k'?"),
    Mistake(
        "refused connection",
        (*GOOD[:-1], f"models.{MODEL}.base_url=CLOSED"),
        69,
        "no server answers",
        "start the server",
    ),
    Mistake("bad key", GOOD, 69, "refuses the key in $EVALSUITE_API_KEY", "set that variable", key="right"),
    Mistake("unknown model", (*GOOD, "model=demo_fp9"), 64, "unknown model 'demo_fp9'", "did you mean 'demo_fp8'?"),
    Mistake(
        "context too small",
        (*GOOD, "sampling.max_tokens=64000"),
        69,
        "has a context of 256 tokens; word_problems needs 64,000",
        "Serve it with more context",
    ),
    Mistake("typo in an option", (*GOOD, "tasks.word_problems.repeat=3"), 64, "repeat", "repeats"),
    Mistake("wrong type", (*GOOD, "limit=many"), 64, "limit=many", "give a whole number"),
    Mistake("unknown dialect", (*GOOD, f"server@models.{MODEL}.server=sglnag"), 64, "sglnag", "sglang"),
    Mistake("unwritable folder", (*GOOD, "results_dir=/proc/results"), 74, "/proc/results", "results_dir="),
    Mistake("no model", GOOD[1:4], 64, "no model chosen", "add model=NAME"),
)


def met(folder: Path) -> list[Met]:
    """Make all ten, each in a process of its own, against a real server behind a counting proxy."""
    with serving([MODEL]) as urls, renaming_proxy(urls[MODEL]) as proxy:
        return [_make(mistake, proxy, folder) for mistake in MISTAKES]


def lines(folder: Path) -> list[Line]:
    """The figure."""
    found = met(folder)
    slow = max(found, key=lambda one: one.seconds)
    bad = [one.mistake.what for one in found if not one.well]
    requests = sum(one.requests for one in found)
    rows = [
        Line(
            "ten common mistakes: one message with cause and cure, exit 64, 69 or 74, at most one generation request",
            "10 of 10 (peers: 1, 3 and 2)",
            f"{len(found) - len(bad)} of {len(found)}" + (f"; not: {', '.join(bad)}" if bad else "") + f"; {requests} "
            "generation requests in all",
        ),
        Line("the slowest of them", "under 5 s", f"{slow.seconds:.1f} s ({slow.mistake.what})"),
    ]
    return rows + [
        Line(one.mistake.what, f"exit {one.mistake.code}", f"exit {one.code}: {_brief(one.said)}") for one in found
    ]


def _make(mistake: Mistake, proxy: Proxy, folder: Path) -> Met:
    places = {"URL": proxy.base_url, "CLOSED": f"http://127.0.0.1:{_closed_port()}/v1"}
    words = [_placed(word, places) for word in _last_ones(mistake.words)]
    if not any(word.startswith("results_dir=") for word in words):
        words.append(f"results_dir={folder}/results")
    before, proxy.key = len(proxy.prompts), mistake.key
    environment = {name: value for name, value in os.environ.items() if name != "EVALSUITE_API_KEY"}
    used, began = _cpu(), time.monotonic()
    call = [sys.executable, "-m", "evalsuite", "run", *words]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=120, env=environment)
    seconds = time.monotonic() - began
    return Met(mistake, done.returncode, done.stderr, seconds, _cpu() - used, len(proxy.prompts) - before)


def _last_ones(words: tuple[str, ...]) -> list[str]:
    """Of words with one key, the last."""
    return list({word.partition("=")[0]: word for word in words}.values())


def _placed(word: str, places: dict[str, str]) -> str:
    key, equals, value = word.partition("=")
    return key + equals + places.get(value, value)


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _brief(said: str) -> str:
    text = " ".join(line for line in said.split("\n") if not line.startswith(SAID))
    return " ".join(text.split())[:160]
