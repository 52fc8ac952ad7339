"""The ``demo`` command: serves one embedded model in the foreground until Ctrl-C."""

import signal
import socket
import threading
from types import FrameType

from evalsuite.config.settings import Run
from evalsuite.demo.process import serving
from evalsuite.errors import BadInput, Exit
from evalsuite.report.console import lines_output

EXAMPLE = (
    "curl {url}/chat/completions -H 'Content-Type: application/json' -d '"
    '{{"messages": [{{"role": "user", "content": "What is 63 times 9?"}}], "max_tokens": 200, "temperature": 0}}'
    "'"
)


def demo(settings: Run) -> Exit:
    """Serve the first of ``settings.models``, a demo model, at ``settings.port`` of 127.0.0.1 (0: a free one) and print
    its address.

    Blocks until SIGINT or SIGTERM, then returns ``DONE``; must be called in the main thread. Raises ``BadInput`` when
    the port cannot be used, ``EndpointUnusable`` when the server does not start.
    """
    _check_free(settings.port)
    name = next(iter(settings.models))
    stop = threading.Event()

    def on_signal(signum: int, frame: FrameType | None) -> None:
        stop.set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    console = lines_output()
    try:
        with serving([name], [settings.port], settings.noise) as urls:
            url = urls[name]
            console.print(f"{name} answers at {url} until Ctrl-C. Try it:\n", markup=False)
            console.print(EXAMPLE.format(url=url), markup=False)
            console.print(
                f"\nevalsuite run model={name} task=word_problems sampling=greedy limit=100", markup=False, end=""
            )
            console.print(f" models.{name}.base_url={url}", markup=False)
            stop.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return Exit.DONE


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BadInput(f"port={port} cannot be used ({error.strerror}): choose another one, or port=0") from None
