"""One asynchronous call of an OpenAI-compatible server.

The ``openai`` package sends the request on its aiohttp transport; the bytes of the answer are read by ``sse.py``,
because the package's event objects cost 55 to 110 microseconds each and a long answer has 64,000 of them.
"""

import asyncio
import os
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from openai._response import AsyncAPIResponse

from evalsuite.config.settings import Engine, Model
from evalsuite.endpoint.faults import (
    Down,
    Malformed,
    TooSlow,
    Transient,
    causes,
    connection_fault,
    event_fault,
    page,
    safe,
    status_fault,
)
from evalsuite.endpoint.reply import ErrorEvent
from evalsuite.endpoint.sse import DONE, SSEReader
from evalsuite.endpoint.stream import PartialReply, ReplyStream, largest
from evalsuite.endpoint.thinking import switch_fields, tags_of
from evalsuite.errors import BadInput, EndpointUnusable
from evalsuite.records import Reply, Request

UNSTREAMED_SECONDS = 8 * 3600.0
OPENAI_FIELDS = frozenset({"temperature", "top_p", "max_tokens", "presence_penalty", "seed"})
PAGE_BYTES = 2048
"""So much of a proxy's page is looked at."""
DATED = re.compile(r"-\d{4}")


@dataclass(frozen=True, slots=True)
class Client:
    """A model server and how to speak to it. Made by ``connect``."""

    model: Model
    engine: Engine
    served_name: str
    api: openai.AsyncOpenAI

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON that is sent for ``request``: pure, and the same for every precision but for ``model``."""
        server = self.model.server
        known = OPENAI_FIELDS.union(server.extra_sampling)
        sampling = {name: value for name, value in request.sampling.items() if name in known}
        if "max_tokens" in sampling and not request.raw:
            sampling[server.max_tokens_field] = sampling.pop("max_tokens")
        body: dict[str, Any] = {"model": self.served_name}
        if request.raw:
            body["prompt"] = request.messages[0]["content"]
        else:
            body["messages"] = list(request.messages)
            body.update(switch_fields(self.model))
        body.update(sampling)
        if request.tools:
            body["tools"] = list(request.tools)
        if request.stop:
            body["stop"] = list(request.stop)
        if self.streams(request):
            body.update(stream=True, stream_options={"include_usage": True})
        return body

    def streams(self, request: Request) -> bool:
        """Whether the reply is streamed: not with tools, whose streaming parsers are the buggier half of servers."""
        return self.model.server.stream and not request.tools

    async def send(
        self, request: Request, *, longest: float | None = None, progress: PartialReply | None = None
    ) -> Reply:
        """Ask once; ``longest`` (seconds) and ``engine.total_seconds`` bound the whole request. ``progress`` shows the
        reply while it arrives.

        Raises ``Transient``, ``TooSlow``, ``Rejected``, ``ContextOverflow`` or ``EndpointUnusable``. What had come of
        an answer by then is never returned: it is thrown away with the connection, which makes the server stop, too.
        """
        start = time.monotonic()
        limits = [limit for limit in (longest, self.engine.total_seconds) if limit is not None]
        draft = ReplyStream(largest(request))
        if progress is not None:
            progress.reply = draft.assembler
        try:
            async with asyncio.timeout(min(limits, default=None)) as timer, self._open(request) as response:
                await self._read(response, request, draft)
        except openai.APIStatusError as error:
            raise status_fault(error, self.model, request) from None
        except openai.APIConnectionError as error:
            if isinstance(error, openai.APITimeoutError) and not _connecting(error):
                raise Transient(_silence(start, draft)) from None
            raise connection_fault(error, self.model) from None
        except (TimeoutError, httpx2.TimeoutException):
            if timer.expired():
                raise TooSlow(f"no end after {time.monotonic() - start:.0f} s{draft.lost}") from None
            raise Transient(_silence(start, draft)) from None
        except (httpx2.HTTPError, OSError) as error:
            after = time.monotonic() - start
            raise Down(f"the connection broke after {after:.1f} s: {error!r}{draft.lost}") from None
        self._check_name(draft.assembler.model)
        thinking = self.model.thinking and not request.raw
        return draft.reply(request, start, thinking=thinking, tags=tags_of(self.model))

    def _check_name(self, name: str) -> None:
        """Another model's name in the answer is the commonest disaster: the wrong checkpoint on the port."""
        known = (self.served_name, self.model.checkpoint, str(self.model.expect.get("model", "")))
        if not name or any(_same_model(name, one) for one in known if one):
            return
        raise EndpointUnusable(
            f"{self.model.base_url} answers as {name[:200]!r}, but {self.served_name!r} was asked. If this is another "
            f"name of the same model, declare it: +models.NAME.expect.model={name[:200]}"
        )

    @asynccontextmanager
    async def _open(self, request: Request) -> AsyncIterator[AsyncAPIResponse[Any]]:
        body = self.body(request)
        path = self.api.completions if request.raw else self.api.chat.completions
        # Everything goes as ``extra_body``, which replaces the empty question: the package looks at each part of what
        # it is given as messages, and would find that it is to be sent as it is (a fifth of a request's whole cost).
        typed = {name: body.pop(name) for name in ("model", "stream") if name in body}
        empty: dict[str, Any] = {"prompt": ""} if request.raw else {"messages": []}
        create: Any = path.with_streaming_response.create
        async with create(**empty, **typed, extra_body=body) as response:
            yield response

    async def _read(self, response: AsyncAPIResponse[Any], request: Request, draft: ReplyStream) -> None:
        """Fill ``draft`` with the reply's bytes."""
        kind = response.headers.get("content-type", "")
        if "html" in kind:
            words = safe(page((await _beginning(response)).decode("utf-8", "replace")), self.model, request)
            raise Down(f"the answer is no model server's but a proxy's: {words}", gateway=True)
        try:
            if not self.streams(request) or "application/json" in kind:
                chunks = []
                async for chunk in response.iter_bytes():
                    draft.count(chunk)
                    chunks.append(chunk)
                draft.add_whole(b"".join(chunks))
            else:
                await self._read_events(response, draft)
        except ErrorEvent as error:
            raise event_fault(error.event, self.model, request) from None
        except Malformed as error:
            raise Malformed(safe(str(error), self.model, request)) from None

    async def _read_events(self, response: AsyncAPIResponse[Any], draft: ReplyStream) -> None:
        reader = SSEReader()
        loop = asyncio.get_running_loop()
        touched, began = loop.time(), False
        often = min(1.0, self.engine.idle_seconds / 4)  # moving the timer for every chunk would cost more than it
        async with asyncio.timeout_at(touched + self.engine.first_token_seconds) as timer:
            async for chunk in response.iter_bytes():
                draft.count(chunk)
                now = loop.time()
                if not began or now - touched > often:
                    timer.reschedule(now + self.engine.idle_seconds)
                    touched, began = now, True
                for payload in reader.feed(chunk):
                    if payload == DONE:
                        draft.done = True
                    else:
                        draft.add(payload)
        if not (draft.done or draft.assembler.finished):
            raise Transient(f"the stream ended without a finish reason{draft.lost}")


def connect(model: Model, engine: Engine, served_name: str, limit: int) -> Client:
    """A client with at most ``limit`` connections. Close it with ``await client.api.close()``.

    Raises ``BadInput`` for an unreadable CA file and for a password in the URL.
    """
    if "@" in urlsplit(model.base_url).netloc:
        raise BadInput(f"base_url must not hold a user or password: put a key into ${model.api_key_env}")
    try:
        verify: Any = ssl.create_default_context(cafile=model.ca_file) if model.ca_file else True
    except OSError as error:
        raise BadInput(f"ca_file={model.ca_file} cannot be read: {error}") from None
    read = engine.first_token_seconds if model.server.stream else (engine.total_seconds or UNSTREAMED_SECONDS)
    api = openai.AsyncOpenAI(
        base_url=model.base_url,
        api_key=os.environ.get(model.api_key_env) or "none",
        default_headers={"Accept-Encoding": "identity", **model.headers},
        max_retries=0,
        timeout=openai.Timeout(engine.total_seconds, connect=engine.connect_seconds, read=read, pool=None),
        http_client=openai.DefaultAioHttpClient(
            limits=httpx2.Limits(max_connections=limit, max_keepalive_connections=limit, keepalive_expiry=4.0),
            verify=verify,
            proxy=model.proxy,
            follow_redirects=False,  # the key and the questions would go along
        ),
    )
    return Client(model, engine, served_name, api)


async def _beginning(response: AsyncAPIResponse[Any]) -> bytes:
    """The first bytes of a body that is only quoted."""
    async for chunk in response.iter_bytes():
        return chunk[:PAGE_BYTES]
    return b""


def _silence(start: float, draft: ReplyStream) -> str:
    return f"silence for too long, {time.monotonic() - start:.0f} s after the request{draft.lost}"


def _connecting(error: BaseException) -> bool:
    """Whether a time-out befell the connection itself, not the answer."""
    return any(isinstance(one, httpx2.ConnectTimeout) for one in causes(error))


def _same_model(name: str, asked: str) -> bool:
    """Equal names, a revision aside (``transformers serve`` answers as ``m@main``); a path and its last part; an alias
    and its dated release (``m`` and ``m-2026-01-31``)."""
    name = name.partition("@")[0]
    if name == asked or name.rstrip("/").rpartition("/")[2] == asked.rstrip("/").rpartition("/")[2]:
        return True
    return name.startswith(asked + "-") and DATED.match(name[len(asked) :]) is not None
