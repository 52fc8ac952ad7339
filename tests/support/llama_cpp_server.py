"""llama.cpp's own HTTP server in a process of its own, so that it can be restarted: ``serving_gguf``.

    python -m tests.support.llama_cpp_server FILE SLOTS CONTEXT THREADS

prints the server's address and serves until it is killed. ``FILE`` is taken as it is, so a relative path stays one.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONTEXT = 256
"""Tokens of one slot: what the demo model was trained with."""
ROOT = Path(__file__).parents[2]


@contextmanager
def serving_gguf(folder: Path, file: str, slots: int = 8, context: int = CONTEXT, threads: int = 1) -> Iterator[str]:
    """Base URL of a server that was started in ``folder`` with the path ``file`` and ``context`` tokens a slot."""
    command = [sys.executable, "-m", "tests.support.llama_cpp_server", file]
    command += [str(number) for number in (slots, context, threads)]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with (folder / "llama_cpp.log").open("a") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, (folder / "llama_cpp.log").read_text()[-2000:]
        yield f"{address}/v1"
    finally:
        process.kill()
        process.communicate()


def main(file: str, slots: int, context: int, threads: int) -> None:
    """Serve until the process is killed."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = file
    params.port = 0
    params.n_parallel = slots
    params.n_ctx = slots * context
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = threads
    params.verbosity = 0
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
