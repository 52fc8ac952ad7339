"""Starts and stops demo servers: `with serving(["demo_bf16", "demo_nvfp4"]) as urls: ...`."""

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from evalsuite.demo.server import PRECISIONS
from evalsuite.errors import EndpointUnusable, unknown_name

READY_SECONDS = 60.0
"""A server is ready within 2 s on a quiet machine; a loaded one gets time."""

STOP_SECONDS = 5.0


@contextmanager
def serving(
    precisions: Sequence[str], ports: Sequence[int] | None = None, noise: int | None = None
) -> Iterator[dict[str, str]]:
    """Context manager: yields precision -> base URL (`http://127.0.0.1:12345/v1`) of one server process each, all
    ready; `precisions` has no name twice.

    Free ports are taken where `ports` is None or empty; else it names one for each of `precisions`, in their order
    (`ValueError` for another number). `noise` is the seed of random rounding (None: exact). The servers end with the
    block, and also when this process dies. Before the block, raises `BadInput` for an unknown precision, and
    `EndpointUnusable` where a server ends or not all are ready within 60 s.
    """
    for precision in precisions:
        if precision not in PRECISIONS:
            raise unknown_name("demo model", precision, PRECISIONS)
    with ExitStack() as stack:
        servers = []
        for precision, port in zip(precisions, ports or [0] * len(precisions), strict=True):
            log = stack.enter_context(TemporaryFile())
            server = _start(precision, port, log, noise)
            stack.callback(_stop, server)
            servers.append((precision, server, log))
        deadline = time.monotonic() + READY_SECONDS
        yield {name: f"http://127.0.0.1:{_ready_port(name, server, log, deadline)}/v1" for name, server, log in servers}


def _start(precision: str, port: int, log: IO[bytes], noise: int | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "evalsuite.demo.server", "--precision", precision, "--port", str(port)]
    command += [] if noise is None else ["--noise", str(noise)]
    # From the folder above the package, so that a source tree works without being installed.
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [*command, "--exit-with-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=root,
        # Ctrl-C in a terminal goes to the whole process group; the servers must outlive it while a run drains.
        start_new_session=True,
    )


def _ready_port(precision: str, server: subprocess.Popen[bytes], log: IO[bytes], deadline: float) -> int:
    """Wait for the server's ready line and return its port; `log` is its standard error.

    Raises `EndpointUnusable` if it ends before, or is not ready at `deadline` (`time.monotonic`).
    """
    if server.stdout is None:
        raise EndpointUnusable(f"demo server {precision} was started without a pipe for its output")
    with selectors.DefaultSelector() as selector:
        selector.register(server.stdout, selectors.EVENT_READ)
        waited = selector.select(max(0.0, deadline - time.monotonic()))
    line = server.stdout.readline() if waited else b""
    if not line:
        log.seek(0)
        said = log.read()[-2000:].decode(errors="replace").strip()
        why = f"did not answer within {READY_SECONDS:.0f} s" if not waited else "ended before it was ready"
        raise EndpointUnusable(f"demo server {precision} {why}{': ' + said if said else ''}")
    port: int = json.loads(line)["port"]
    return port


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    for pipe in (server.stdin, server.stdout):
        if pipe is not None:
            pipe.close()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
