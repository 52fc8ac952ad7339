"""Starting what is measured, and reading what it cost."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.mock_server import Shape

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process and its children used."""

    cpu: float
    """Seconds, user and system."""
    peak_mb: float
    """Largest resident memory of one of them, MB."""
    output: str


@dataclass(frozen=True, slots=True)
class Served:
    """A running mock server."""

    url: str
    """Root of its API, ending in ``/v1``."""

    def stats(self) -> tuple[int, float, float]:
        """(questions so far, CPU seconds of the server, seconds from the first question to the last answer)."""
        found = self._get("/stats")
        return found["asked"], found["cpu"], found["seconds"]

    def answered(self) -> list[tuple[str, float]]:
        """(id of the question, ``time.monotonic()`` of this machine when its answer was written), in this order."""
        return [(question, seconds) for question, seconds in self._get("/answered")]

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url.removesuffix("/v1") + path, timeout=60) as response:
            return json.load(response)


@contextmanager
def serving(shape: Shape) -> Iterator[Served]:
    """A mock server in a process of its own."""
    words = [f"--{name}={value}" for name, value in asdict(shape).items()]
    call = [sys.executable, "-m", "benchmarks.mock_server", *words]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Served(f"http://127.0.0.1:{int(process.stdout.readline())}/v1")
        finally:
            process.stdin.close()


def run(command: Sequence[str], *, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end. Raises ``RuntimeError`` with its last words if it fails.

    A small interpreter stands between, because Linux counts what a process held before ``exec`` into its peak.
    """
    between = (
        "import json, resource, subprocess, sys; code = subprocess.call(sys.argv[2:]);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "cost = [used.ru_utime + used.ru_stime, used.ru_maxrss / 1024];"
        "open(sys.argv[1], 'w').write(json.dumps(cost)); sys.exit(code)"
    )
    with tempfile.TemporaryDirectory() as home:
        note = Path(home) / "cost"
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", between, str(note), *command],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": path, "CI": "1", **(environment or {})},
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[:6])} ended with {done.returncode}: {done.stderr[-2000:]}")
        cpu, peak = json.loads(note.read_text(encoding="utf-8"))
    return Cost(cpu, peak, done.stdout)


def evalsuite_words(url: str, results: Path, count: int, concurrency: int, *more: str) -> list[str]:
    """A real ``evalsuite run`` of ``count`` made questions against the mock server."""
    words = ["run", "--config-dir", str(ROOT / "benchmarks" / "conf"), "model=mock", "task=echo", "run_id=r"]
    words += [f"models.mock.base_url={url}", f"models.mock.concurrency={concurrency}"]
    words += [f"tasks.echo.options.count={count}", f"results_dir={results}"]
    return [sys.executable, "-m", "evalsuite", *words, "engine.probe=false", "engine.fingerprint=false", *more]
