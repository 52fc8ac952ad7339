"""``python3 -m sglang.launch_server`` and ``vllm serve``: a checkpoint on a port until a signal comes.

The answers come from the page's own servers (``PAGE_SERVERS``: checkpoint -> port); this program only makes the port of
its command line lead there, as long as it lives.
"""

import argparse
import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", nargs="?")
    parser.add_argument("--model")
    parser.add_argument("--port", type=int, required=True)
    given, _ = parser.parse_known_args(sys.argv[1:])
    servers = json.loads(Path(os.environ["PAGE_SERVERS"]).read_text(encoding="utf-8"))
    place, target = f"localhost:{given.port}", servers[given.model or given.checkpoint]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def start(hosts: dict[str, int]) -> None:
        if place in hosts:
            sys.exit(f"port {given.port} is taken")
        hosts[place] = target

    _change(start)
    try:
        while True:
            signal.pause()
    finally:
        _change(lambda hosts: hosts.pop(place, None))


def _change(change: Callable[[dict[str, int]], object]) -> None:
    path = Path(os.environ["PAGE_HOSTS"])
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        hosts = json.loads(path.read_text(encoding="utf-8"))
        change(hosts)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(hosts), encoding="utf-8")
        part.replace(path)


if __name__ == "__main__":
    main()
