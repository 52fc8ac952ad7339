"""Name resolution of a page's programs: the hosts of ``PAGE_HOSTS`` (JSON, "host:port" -> port here) and no network."""

import ipaddress
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

_resolve = socket.getaddrinfo


def _resolved(host: Any, port: Any, *words: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    hosts = json.loads(Path(os.environ["PAGE_HOSTS"]).read_text(encoding="utf-8"))
    if f"{name}:{port}" in hosts:
        return _resolve("127.0.0.1", hosts[f"{name}:{port}"], *words, **options)
    if name in (None, "localhost", socket.gethostname()) or _is_here(name):
        return _resolve(host, port, *words, **options)
    raise socket.gaierror(socket.EAI_NONAME, f"this page has no host {name}:{port}")


def _is_here(name: str) -> bool:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified or address.is_private  # Ray's nodes find each other by them


if "PAGE_HOSTS" in os.environ:
    socket.getaddrinfo = _resolved
    sys.modules["uvloop"] = None  # type: ignore[assignment]  # it resolves names in C: asyncio's loop is taken instead
