"""One asynchronous call of an OpenAI-compatible server.

aiohttp sends the request; ``stream.py`` reads the bytes of the reply. The ``openai`` package is not on this path: it
costs more than everything else together. It is the reference that ``doctor`` and the contract suite compare with.
"""

import asyncio
import math
import re
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from evalsuite.config.settings import Engine, Model
from evalsuite.endpoint.body import encode, request_body, streams, with_token_ids
from evalsuite.endpoint.fault_mapping import (
    broken_fault,
    connection_fault,
    event_fault,
    note_secrets,
    page,
    safe,
    status_fault,
)
from evalsuite.endpoint.faults import Down, NoByte, TooSlow, Transient
from evalsuite.endpoint.reply import ErrorEvent
from evalsuite.endpoint.stream import PartialReply, ReplyStream, largest
from evalsuite.endpoint.thinking import tags_of
from evalsuite.endpoint.timeouts import RequestLimits, unmeasured_seconds
from evalsuite.endpoint.transport import Response, Transport, fetch, transport
from evalsuite.errors import EndpointUnusable, SampleFailed
from evalsuite.records import Reply, Request

PAGE_BYTES = 65_536
"""So much of an error's body, or of a proxy's page, is read."""
GATHER_SECONDS = 0.02, 0.05
"""Least and longest pause between two reads of a stream: servers send every token alone, and a read costs far more than
its bytes. Events that come in between wait in the kernel and are parsed together; nothing but the progress line is
later for it."""
GATHER_SHARE = 8
"""Between them a pause is the request's time so far by this, so that short answers are hardly held up."""
GATHER_BYTES = 16_384
"""After a larger read there is none: the stream is fast, and the kernel holds only so much."""
DATED = re.compile(r"-\d{4}")


@dataclass(frozen=True, slots=True)
class Client:
    """A client of one model server. Made by ``connect``; close it with ``close``."""

    model: Model
    """Its ``base_url`` is without the query, as messages and results show it."""
    engine: Engine
    served_name: str
    transport: Transport

    @property
    def address(self) -> str:
        """The configured base URL with its query: for another connection, never for people."""
        return self.transport.address

    async def close(self) -> None:
        """Close all connections to the server."""
        await self.transport.close()

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body for ``request``, a new dict (see ``body.request_body``); with ``engine.token_ids`` ``send``
        adds the fields that ask for token ids."""
        return request_body(self.model, self.served_name, request)

    async def send(
        self, request: Request, *, longest: float | None = None, progress: PartialReply | None = None
    ) -> Reply:
        """Send ``request`` once and return the whole reply; no retry.

        ``longest`` (seconds; None: no such limit) and ``engine.total_seconds`` bound the whole request (one that is not
        streamed without either: ``timeouts.unmeasured_seconds``), ``engine.first_token_seconds`` the silence before a
        stream, ``engine.idle_seconds`` that inside any reply that has begun. ``progress``, if given, shows the reply
        while it arrives.

        Raises ``Transient``, ``TooSlow``, ``Rejected``, ``ContextOverflow`` or ``EndpointUnusable`` (also for a reply
        that names another model). What had come of an answer by then is never returned; where more was to come, the
        connection is closed, which makes the server stop.
        """
        limits = self._limits(request, longest)
        stream = ReplyStream(largest(request))
        if progress is not None:
            progress.reply = stream.assembler
        path, fields = "/completions" if request.raw else "/chat/completions", self.body(request)
        if self.engine.token_ids:
            fields = with_token_ids(self.model, request, fields)
        body = encode(fields)
        answered = False
        try:
            async with asyncio.timeout_at(limits.first) as timer:
                async with self.transport.post(path, body) as response:
                    answered = True
                    await self._read(response, request, stream, limits, timer)
        except TimeoutError as error:
            if isinstance(error, aiohttp.ClientError):  # a new connection took longer than engine.connect_seconds
                raise connection_fault(error, self.model) from None
            whole = timer.expired() and timer.when() == limits.whole
            raise _late(stream, limits.passed(), whole=whole) from None
        except (aiohttp.ClientError, OSError) as error:
            if answered:
                raise broken_fault(error, self.model, limits.passed(), stream.lost) from None
            raise connection_fault(error, self.model) from None
        self._check_name(stream.assembler.model)
        return self._reply(request, stream, limits)

    def _limits(self, request: Request, longest: float | None) -> RequestLimits:
        began, now, engine = time.monotonic(), asyncio.get_running_loop().time(), self.engine
        stated = [seconds for seconds in (longest, engine.total_seconds) if seconds is not None]
        if streams(self.model, request):
            whole = now + min(stated, default=math.inf)
            return RequestLimits(began, min(now + engine.first_token_seconds, whole), engine.idle_seconds, whole)
        if not stated:
            stated = [unmeasured_seconds(request.sampling.get("max_tokens"), engine.first_token_seconds)]
        whole = now + min(stated)
        return RequestLimits(began, whole, engine.idle_seconds, whole)

    def _reply(self, request: Request, stream: ReplyStream, limits: RequestLimits) -> Reply:
        thinking = self.model.thinking and not request.raw
        try:
            return stream.reply(request, limits.began, thinking=thinking, tags=tags_of(self.model))
        except Transient as fault:
            raise self._without_secrets(fault, request) from None

    def _without_secrets(self, fault: Transient, request: Request) -> Transient:
        """``fault`` itself, its message passed through ``safe`` in place: what it quotes of the reply may repeat the
        prompt or the key."""
        fault.args = (safe(str(fault), self.model, request),)
        return fault

    async def get(self, path: str, *, root: bool = False) -> Response:
        """The response to a GET of ``path``, whatever its status; ``root``: below the server's root instead of the base
        URL.

        Takes at most ``engine.connect_seconds``. Raises ``Transient`` when no whole response comes in that time, and
        ``EndpointUnusable`` for a certificate that is not trusted. A body beyond 64 MB is cut.
        """
        return await self._whole(self.transport.get(path, root=root), self.engine.connect_seconds)

    async def post(self, body: Mapping[str, Any], path: str = "/chat/completions", *, root: bool = False) -> Response:
        """The response to a POST of ``body`` as JSON to ``path``, its body read to the end (a stream, too), whatever
        its status.

        Takes at most ``engine.total_seconds``, or ``engine.first_token_seconds`` without that. ``root``, errors and the
        cut as in ``get``.
        """
        seconds = self.engine.total_seconds or self.engine.first_token_seconds
        return await self._whole(self.transport.post(path, encode(body), root=root), seconds)

    async def _whole(self, request: AbstractAsyncContextManager[aiohttp.ClientResponse], seconds: float) -> Response:
        try:
            async with asyncio.timeout(seconds), request as response:
                return await fetch(response)
        except TimeoutError as error:
            if isinstance(error, aiohttp.ClientError):
                raise connection_fault(error, self.model) from None
            raise Down(f"connection to {self.model.base_url} failed: no answer in {seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise connection_fault(error, self.model) from None

    def _check_name(self, name: str) -> None:
        """Raise ``EndpointUnusable`` if ``name``, under which a server replied, is another model's; an empty name
        passes.

        Accepted are the name that was requested, the checkpoint, and ``expect.model``, as ``_same_model`` compares
        them.
        """
        if not name or name == self.served_name:
            return
        known = (self.served_name, self.model.checkpoint, str(self.model.expect.get("model", "")))
        if any(_same_model(name, one) for one in known if one):
            return
        raise EndpointUnusable(
            f"{self.model.base_url} answers as {name[:200]!r}, but {self.served_name!r} was asked. If this is another "
            f"name of the same model, declare it: +models.NAME.expect.model={name[:200]}"
        )

    async def _read(
        self,
        response: aiohttp.ClientResponse,
        request: Request,
        stream: ReplyStream,
        limits: RequestLimits,
        timer: asyncio.Timeout,
    ) -> None:
        """Feed ``stream`` with the reply's bytes to their end; ``timer``, which gives up the request, is moved while
        they arrive.

        Raises the fault of an HTTP status outside 200 to 299, of a proxy's page, of an error event, as
        ``ReplyStream.feed`` and ``ReplyStream.end``, and the errors of aiohttp.
        """
        if not 200 <= response.status < 300:
            raise status_fault(await fetch(response, PAGE_BYTES), self.model, request)
        if "html" in response.headers.get("content-type", ""):
            text = page((await fetch(response, PAGE_BYTES)).body.decode("utf-8", "replace"))
            words = safe(text, self.model, request)
            raise Down(f"the answer is no model server's but a proxy's: {words}", gateway=True)
        loop, moved = asyncio.get_running_loop(), -math.inf
        often = min(1.0, limits.idle / 4)  # moving the timer for every chunk would cost more than reading it
        try:
            async for chunk in response.content.iter_any():
                stream.feed(chunk)
                now = loop.time()
                if now - moved > often and stream.begun and not response.content.is_eof():
                    timer.reschedule(min(now + limits.idle, limits.whole))
                    moved = now
                if stream.first is not None and len(chunk) < GATHER_BYTES and not stream.assembler.finished:
                    least, longest = GATHER_SECONDS
                    pause = min(max(least, limits.passed() / GATHER_SHARE), longest, often)
                    await _pause_reading(response, pause)
            stream.end()
        except ErrorEvent as error:
            raise event_fault(error.event, self.model, request) from None
        except Transient as fault:
            raise self._without_secrets(fault, request) from None


def connect(model: Model, engine: Engine, served_name: str, limit: int) -> Client:
    """A client of ``model`` with at most ``limit`` connections, none of them open yet. Close it with ``await
    client.close()``.

    ``served_name`` is the model's name in requests. Secrets in the addresses are registered with ``note_secrets``.
    Raises ``BadInput`` as ``transport`` does.
    """
    made = transport(model, engine, limit)
    note_secrets(model.base_url, made.proxy)
    return Client(replace(model, base_url=made.base_url), engine, served_name, made)


async def _pause_reading(response: aiohttp.ClientResponse, seconds: float) -> None:
    """Leave what arrives of a response in the kernel for ``seconds``; returns at once where all of it has arrived, or
    its connection is gone."""
    transport = None if response.connection is None else response.connection.transport
    if transport is None or response.content.is_eof():
        return
    transport.pause_reading()
    try:
        await asyncio.sleep(seconds)
    finally:
        if not transport.is_closing():
            transport.resume_reading()


def _late(stream: ReplyStream, seconds: float, *, whole: bool) -> SampleFailed:
    """The fault (not raised here) of a request whose time was up after ``seconds``: ``Transient`` for the limit of
    silence; for that of the ``whole`` request ``NoByte`` if no byte has come, ``TooSlow`` if any has."""
    if not whole:
        return Transient(f"silence for too long, {seconds:.0f} s after the request{stream.lost}")
    if stream.size == 0:
        return NoByte(f"no byte of an answer came in {seconds:.0f} s")
    return TooSlow(f"no end after {seconds:.0f} s{stream.lost}")


def _same_model(name: str, asked: str) -> bool:
    """Whether ``name``, in a reply, may be the model ``asked``.

    It is if it equals ``asked``, or if, without a revision (``m@main``, as ``transformers serve`` replies), it equals
    ``asked``, has the same last part of the path, or begins with ``asked``, ``-`` and four digits, as a dated release
    of an alias does (``m-2026-01-31`` for ``m``).
    """
    if name == asked:
        return True
    name = name.partition("@")[0]
    if name == asked or name.rstrip("/").rpartition("/")[2] == asked.rstrip("/").rpartition("/")[2]:
        return True
    return name.startswith(asked + "-") and DATED.match(name[len(asked) :]) is not None
