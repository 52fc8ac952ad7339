"""`python -m evalsuite.demo.server --precision demo_nvfp4 --port 0`: one model, one process.

Prints one line when it is ready, `{"ready": true, "port": 12345, "model": "demo_nvfp4"}`, and ends on SIGTERM, SIGINT,
or with `--exit-with-stdin` when its standard input is closed, that is, at the latest when its parent dies.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence

PRECISIONS: tuple[str, ...] = ("demo_bf16", "demo_fp8", "demo_nvfp4", "demo_nvfp4_v2")
"""What can be served (the keys of `linear.RECIPES`, which cannot be imported before NumPy may be)."""

ONE_THREAD = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
"""Matrices this small gain nothing from a second BLAS thread, and four servers share the machine."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the demo model until SIGTERM, SIGINT or, with `--exit-with-stdin`, the end of standard input; return 0.

    `arguments`: the command line without the program's name, None: that of `sys.argv`. Wrong arguments and `--help`
    raise `SystemExit`. Sets the number of BLAS threads to 1 in the environment.
    """
    parser = argparse.ArgumentParser(description="Serve the demo model at one precision.")
    parser.add_argument("--precision", choices=PRECISIONS, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--noise", type=int, help="seed of random rounding at the norms, as another kernel's")
    parser.add_argument("--exit-with-stdin", action="store_true", help="stop when standard input is closed")
    options = parser.parse_args(arguments)
    os.environ.update(ONE_THREAD)
    asyncio.run(serve(options.precision, options.host, options.port, options.exit_with_stdin, options.noise))
    return 0


async def serve(precision: str, host: str, port: int, exit_with_stdin: bool, noise: int | None = None) -> None:
    """Run the server in this event loop until SIGTERM, SIGINT or, with `exit_with_stdin`, the end of standard input.

    It listens on `host` and prints the ready line with its port (`port` 0: a free one), a JSON object. Raises `OSError`
    when the port is taken. `noise`: seed of random rounding, None: exact. Takes over the handling of both signals, so
    it runs in the main thread.
    """
    # Imported here because BLAS reads its environment once, when NumPy is imported.
    from aiohttp import web

    from evalsuite.demo.app import make_app

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if exit_with_stdin:
        threading.Thread(target=_wait_for_end_of_stdin, args=(loop, stop), daemon=True).start()
    # handler_cancellation: a client that hangs up cancels its handler, which frees the slot.
    runner = web.AppRunner(make_app(precision, noise), handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024)
        await site.start()
        bound = runner.addresses[0][1]
        sys.stdout.write(json.dumps({"ready": True, "port": bound, "model": precision}) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # The bare descriptor: a thread inside sys.stdin would hold its lock while the interpreter shuts down.
    while os.read(0, 4096):
        pass
    if not loop.is_closed():
        loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())
