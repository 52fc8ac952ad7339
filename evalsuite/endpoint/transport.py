"""HTTP/1.1 connections to one base URL (aiohttp): address, headers, proxy, certificates, number of connections."""

import socket
import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from evalsuite.config.address import shown_url
from evalsuite.config.settings import Engine, Model
from evalsuite.endpoint.environment import key_of, proxy_of, tls_context
from evalsuite.errors import BadInput
from evalsuite.version import __version__

KEEP_ALIVE_SECONDS = 4.0
"""An idle connection is closed after this time; uvicorn, under most model servers, closes it after five seconds."""
PROBE_SECONDS = 60
"""A connection without traffic is probed (TCP keep-alive) after this time, then at this interval: a host that has lost
its power would otherwise leave a request that is not streamed waiting for hours."""
PROBES = 5
BODY_BYTES = 64_000_000
"""Largest body that ``fetch`` reads."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole HTTP response."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes


@dataclass(slots=True)
class Transport:
    """Connections to one server. Opened by the first request, in its event loop; close it in the same loop."""

    parts: SplitResult
    """Of the base URL; the query may hold a key and is never shown."""
    headers: CIMultiDict[str]
    """Sent with every request."""
    limit: int
    """Most open connections."""
    connect_seconds: float
    """Time-out of a new connection, TLS included."""
    certificates: ssl.SSLContext | bool
    proxy: str | None
    _session: aiohttp.ClientSession | None = None
    _urls: dict[tuple[str, bool], URL] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        """The base URL without its query, for messages and results."""
        return shown_url(self.parts.geturl())

    @property
    def address(self) -> str:
        """The configured base URL with its query: for connections only."""
        return self.parts.geturl()

    def url(self, path: str, *, root: bool = False) -> URL:
        """The URL of ``path``, which begins with a slash, below the base URL, with the query of the base URL behind it.
        Raises ``ValueError`` for a port that is no number up to 65535; little else is checked.

        ``root``: below the server's root instead, which is the base URL without a final ``/v1``.
        """
        url = self._urls.get((path, root))
        if url is None:
            base = self.parts.path.rstrip("/")
            whole = (base.removesuffix("/v1") if root else base) + path
            text = urlunsplit((self.parts.scheme, self.parts.netloc, whole, self.parts.query, ""))
            url = self._urls[path, root] = URL(text)
        return url

    def post(
        self, path: str, body: bytes, *, root: bool = False
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A context manager that sends ``body`` (JSON bytes) to ``path`` (``root`` as in ``url``) and yields the
        response, whatever its status; its body is read inside it. Entering raises the errors of aiohttp where no
        response comes.

        Redirects are not followed: the key and the questions would go along.
        """
        return self._opened().post(self.url(path, root=root), data=body, headers=_JSON, allow_redirects=False)

    def get(self, path: str, *, root: bool = False) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A context manager that sends a GET of ``path`` (``root`` as in ``url``) and yields the response; as
        ``post``.
        """
        return self._opened().get(self.url(path, root=root), allow_redirects=False)

    async def close(self) -> None:
        """Close all connections; a later request opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self.limit,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                ssl=self.certificates,
                socket_factory=_probed_socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers=self.headers,
                cookie_jar=aiohttp.DummyCookieJar(),  # every request is the same, whatever was answered before
                proxy=self.proxy,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.connect_seconds),
            )
        return self._session


_JSON = {"Content-Type": "application/json"}


def transport(model: Model, engine: Engine, limit: int) -> Transport:
    """A transport to ``model.base_url`` (one URL) with at most ``limit`` connections; opens none.

    Raises ``BadInput`` for a key, a proxy or certificates that cannot be used, for a user or password in the URL and
    for a port that is none; ``ValueError`` for wrong brackets of an IPv6 address. Else the URL is not checked here.
    """
    parts = urlsplit(model.base_url)
    if "@" in parts.netloc:
        raise BadInput(f"base_url must not hold a user or password: put a key into ${model.api_key_env}")
    certificates = tls_context(model) if parts.scheme == "https" else True
    proxy = proxy_of(model, model.base_url)
    headers = CIMultiDict(
        {
            "Authorization": f"Bearer {key_of(model) or 'none'}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "keep-alive",
            "User-Agent": f"evalsuite/{__version__}",
        }
    )
    headers.update(model.headers)
    made = Transport(parts, headers, limit, engine.connect_seconds, certificates, None if proxy is None else proxy.url)
    try:
        made.url("/models")
    except ValueError as error:
        raise BadInput(f"base_url={made.base_url} is no address: {error}") from None
    return made


async def fetch(response: aiohttp.ClientResponse, most: int = BODY_BYTES) -> Response:
    """The status, the headers and the first ``most`` bytes of the body of a response; what is longer is cut without an
    error. Raises the errors of aiohttp where the connection breaks."""
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size >= most:
            break
    return Response(response.status, response.headers, b"".join(chunks)[:most])


def _probed_socket(address: Any) -> socket.socket:
    """An unconnected socket with TCP keep-alive for ``address``, one of ``getaddrinfo``'s tuples."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", PROBE_SECONDS), ("TCP_KEEPINTVL", PROBE_SECONDS), ("TCP_KEEPCNT", PROBES)):
        if hasattr(socket, option):  # not on every system
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made
