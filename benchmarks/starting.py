"""CPU from the start of ``evalsuite run`` to its first question."""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.mock_server import MockAnswers, Shape, listen
from benchmarks.processes import ROOT, evalsuite_words


def start_cost(rounds: int = 5) -> tuple[float, float]:
    """CPU seconds until the first question arrives: (a made task, the shipped ``word_problems`` with every probe).

    Of modules that are compiled, as ``pip install`` leaves them: a round that is not counted compiles those of this
    checkout.
    """
    made, shipped = [], []
    with tempfile.TemporaryDirectory(prefix="evalsuite-bench-") as home:
        compiled = Path(home) / "compiled"
        for number in range(rounds + 1):
            made.append(_until_asked(partial(_made, Path(home) / f"made-{number}"), compiled))
            shipped.append(_until_asked(partial(_shipped, Path(home) / f"own-{number}"), compiled))
    return statistics.median(made[1:]), statistics.median(shipped[1:])


def _made(results: Path, url: str) -> list[str]:
    return evalsuite_words(url, results, 4, 1)


def _shipped(results: Path, url: str) -> list[str]:
    words = ["run", "model=fp8", "task=word_problems", "limit=1", f"models.fp8.base_url={url}", "run_id=r"]
    return [sys.executable, "-m", "evalsuite", *words, f"results_dir={results}"]


def _until_asked(command: Callable[[str], list[str]], compiled: Path) -> float:
    """CPU seconds of a process, killed the moment its first question is here; compiled modules are in ``compiled``."""
    answers = MockAnswers(Shape(latency=60.0))
    loop = asyncio.new_event_loop()
    ready, asked = threading.Event(), threading.Event()
    answers.first = asked.set
    ports: list[int] = []

    def serve() -> None:
        asyncio.set_event_loop(loop)
        server, port = loop.run_until_complete(listen(answers))
        ports.append(port)
        ready.set()
        loop.run_forever()
        server.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ready.wait()
    call = command(f"http://127.0.0.1:{ports[0]}/v1")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": "1", "PYTHONPYCACHEPREFIX": str(compiled)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    while not asked.wait(0.01):
        if process.poll() is not None:
            raise RuntimeError(f"it ended before it asked: {process.stderr.read()!r}")  # type: ignore[union-attr]
    os.kill(process.pid, signal.SIGKILL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    return used.ru_utime + used.ru_stime
