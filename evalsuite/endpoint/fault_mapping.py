"""From HTTP statuses, error events and broken connections to the classes of ``faults``.

Messages quote at most 300 characters of a server's error, without keys and without the prompt, because they are stored
with the results, and the items of some benchmarks may not be.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import aiohttp
import orjson

from evalsuite.config.settings import Model
from evalsuite.endpoint.faults import Busy, Down, Malformed, Rejected, Transient, retry_after
from evalsuite.endpoint.transport import Response
from evalsuite.errors import ContextOverflow, EndpointUnusable
from evalsuite.records import Request

BUSY_STATUS = frozenset({429, 529})
DOWN_STATUS = frozenset({502, 503, 504, 520, 521, 522, 523, 524})
"""The server is unavailable for now. 520 to 524 are Cloudflare's codes for 502 and 504."""
RETRIED_STATUS = frozenset({408, 409, 425})
REFUSED_STATUS = frozenset({401, 403, 404})
"""The endpoint refuses every request like this, so the run stops at once."""
SENT = (
    *("chat_template_kwargs", "stream_options", "response_format", "presence_penalty", "repetition_penalty"),
    *("temperature", "max_completion_tokens", "max_tokens", "top_p", "top_k", "min_p", "seed", "stop"),
)
"""Fields of requests that servers are known to refuse, as they name them."""
SERVER_ERROR_RETRIES = 3
"""A repeated 500 is often caused by the prompt, so it is retried less often than other faults."""
OVERFLOW = re.compile(r"context (length|size|window)|longer than the model|maximum.{0,20}input", re.IGNORECASE)
"""Errors of SGLang, vLLM and llama.cpp for a prompt that does not fit the context."""
LONGEST_WORDS = 300
QUOTED = 24
"""Length from which a part of the prompt in an error counts as a quotation."""
LONGEST_READ = 4000
"""Characters of an error that are read."""


def status_fault(response: Response, model: Model, request: Request | None = None) -> Exception:
    """The exception (not raised here) for an HTTP status that is no success, with the server's message (of a redirect
    its target), without secrets.

    ``EndpointUnusable`` for redirects, 401, 403 and 404; ``Busy`` for 429 and 529; ``Down`` for 502 to 504 and 520 to
    524; ``Transient`` for 408, 409, 425 and other 5xx; else ``ContextOverflow`` if the message states that the prompt
    is too long, or ``Rejected``. ``request``: the one that was sent, quotations of whose prompt are removed from the
    server's message (see ``safe``); None: none are.
    """
    headers = response.headers
    if "html" in headers.get("Content-Type", ""):
        body: Any = page(response.body.decode("utf-8", "replace"))
    else:
        try:
            body = orjson.loads(response.body)
        except orjson.JSONDecodeError:
            body = response.body[: 4 * LONGEST_READ].decode("utf-8", "replace")
    words = safe(_error_message(body), model, request)
    if 300 <= response.status < 400:
        return EndpointUnusable(
            f"{model.base_url} redirects to {safe(_target(headers.get('Location', '')), model)} (HTTP "
            f"{response.status}): not followed, because the key and the questions would go there. Set base_url to "
            "where the server really is"
        )
    return _from_error_code(response.status, words, model, retry_after(headers))


def _target(location: str) -> str:
    """The host, with port, user and password if it has them, else the path, of a Location header; ``nowhere`` if it
    is empty or cannot be read."""
    try:
        target = urlsplit(location)
    except ValueError:
        return "nowhere"
    return target.netloc or target.path or "nowhere"


def _from_error_code(status: int, words: str, model: Model, wait: float | None = None) -> Exception:
    """The exception (not raised here) for an error status (400 and above), whether it came as one or inside a stream;
    classes as in ``status_fault``.

    ``words``: the server's message; ``wait``: seconds of its Retry-After, None without one.
    """
    message = f"HTTP {status} {words}".rstrip()
    if status in REFUSED_STATUS:
        what = {401: "needs a valid key", 403: "refuses this key", 404: "does not know this model or path"}[status]
        key = f" (key from ${model.api_key_env})" if status != 404 else f" (checkpoint {model.checkpoint})"
        own = " (where the key has a header of its own: models.NAME.headers)" if status == 401 else ""
        return EndpointUnusable(f"{model.base_url} {what}{key}: {message}{own}")
    if status in BUSY_STATUS:
        return Busy(message, wait)
    if status in DOWN_STATUS:
        return Down(message, wait, gateway=True)
    if status in RETRIED_STATUS:
        return Transient(message, wait)
    if status >= 500:
        return Transient(message, wait, retries=SERVER_ERROR_RETRIES)
    if OVERFLOW.search(words):
        return ContextOverflow(message)
    return Rejected(message + _remedy(words))


def _remedy(words: str) -> str:
    """The settings, for the end of a message, that leave out the request fields of ``SENT`` named in ``words``; only
    the one that renames ``max_tokens`` if that and ``max_completion_tokens`` are named; empty if no field is."""
    named = [name for name in SENT if re.search(rf"\b{name}\b", words)]
    if {"max_tokens", "max_completion_tokens"} <= set(named):
        return " (to rename it: models.NAME.server.max_tokens_field=max_completion_tokens)"
    lines = " ".join(f"+models.NAME.server.body.{name}=null" for name in named)
    return f" (to leave it out: {lines})" if named else ""


def event_fault(event: Any, model: Model, request: Request) -> Exception:
    """The exception (not raised here) for an error event inside a reply that began with HTTP 200.

    SGLang and vLLM put the status (400 to 599) into its ``code``, a number or its digits, which is read as in
    ``status_fault``; without such a status, and for 401, 403 and 404, it is ``Transient``.
    """
    words = safe(_error_message(event), model, request)
    code = event.get("code") if isinstance(event, Mapping) else None
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    if isinstance(code, int) and 400 <= code < 600:
        fault = _from_error_code(code, words, model)
        if not isinstance(fault, EndpointUnusable) or isinstance(fault, ContextOverflow):
            return fault
    return Transient(f"the server reported an error inside the reply: {words}")


def connection_fault(error: Exception, model: Model) -> Exception:
    """The exception (not raised here) for what went wrong on the way to the server: ``Down``, ``Malformed`` for what is
    no HTTP, ``EndpointUnusable`` for a certificate that cannot be verified, which will not get better."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return EndpointUnusable(
            f"{model.base_url}: certificate verify failed; give the authority that signed it with models.NAME.ca_file="
        )
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return Down(f"connection to {model.base_url} failed at its proxy: {_exception_text(error, model)}")
    if isinstance(error, aiohttp.ClientResponseError):
        return Malformed(f"{model.base_url} sent what is no HTTP response: {_exception_text(error, model)}")
    return Down(f"connection to {model.base_url} failed: {_exception_text(error, model)}")


def broken_fault(error: Exception, model: Model, seconds: float, lost: str) -> Exception:
    """The exception (not raised here) for a connection that broke while the reply arrived, ``seconds`` after the
    request was sent: ``Down``, or as ``connection_fault`` for what is no HTTP.

    ``lost``: words on how much of the reply is lost, put at the end of the message of ``Down``.
    """
    if isinstance(error, aiohttp.ClientResponseError):
        return connection_fault(error, model)
    return Down(f"the connection broke after {seconds:.1f} s: {_exception_text(error, model)}{lost}")


def _exception_text(error: Exception, model: Model) -> str:
    """An exception's text on one line, shortened and without secrets, without the URL that aiohttp adds: its query may
    hold a key."""
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return safe(" ".join(text.split()) or repr(error), model)


def _error_message(body: Any) -> str:
    """The message in an error body of any shape, at most 4,000 characters; empty if there is none.

    Of a list (FastAPI's of refused fields) the place and the message of each object, without the values of the fields;
    what is no object in it is left out.
    """
    if isinstance(body, Mapping) and body.get("error"):
        body = body["error"]
    if isinstance(body, Mapping):
        body = body.get("message") or body.get("detail") or body.get("type") or dict(body)
    if isinstance(body, list):  # FastAPI's list of what is wrong with the request, which it quotes under "input"
        parts = [one for one in body if isinstance(one, Mapping)]
        body = "; ".join(f"{_place(one.get('loc'))}: {one.get('msg', '')}" for one in parts)
    return str(body).strip()[:LONGEST_READ]


def _place(location: Any) -> str:
    return ".".join(map(str, location)) if isinstance(location, list) else str(location or "")


def page(text: str) -> str:
    """``an HTML page:`` and what stands outside the tags of the page ``text``, on one line. Of a page only the first
    16,000 characters are read; ``script`` and ``style`` elements that end there, written in small letters, are left
    out."""
    text = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", text[: 4 * LONGEST_READ])
    return "an HTML page: " + " ".join(re.sub(r"<[^>]*>", " ", text).split())


_NOTED: set[str] = set()
"""Secrets of addresses, which no ``Model`` of a client holds any more."""


def note_secrets(*addresses: str | None) -> None:
    """Register, for the whole process, user, password and query values of URLs, so that ``safe`` removes those of at
    least 4 characters from messages.

    None among the addresses is ignored.
    """
    for address in addresses:
        parts = urlsplit(address or "")
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        values = [parts.query, parts.username, parts.password, *(value for _, value in pairs)]
        for value in filter(None, values):
            _NOTED.update((value, quote(value, safe=""), unquote(value)))


def safe(words: str, model: Model, request: Request | None = None) -> str:
    """``words`` with secrets as ``***`` and quotations of the prompt as ``[prompt]``, cut to 300 characters.

    Secrets (of at least 4 characters): the API key, the values of the model's headers, what ``note_secrets``
    registered. ``request``: whose prompt is meant; None: none. Quotations are stretches of at least 24 characters.
    """
    secrets = {os.environ.get(model.api_key_env, "").strip(), *model.headers.values(), *_NOTED}
    for secret in sorted(secrets, key=len, reverse=True):  # one may hold another
        if len(secret) >= 4:
            words = words.replace(secret, "***")
    if request is not None:
        words = _unquoted(words, "\n".join(_texts(request)))
    return words if len(words) <= LONGEST_WORDS else words[: LONGEST_WORDS - 3] + "..."


def _unquoted(words: str, prompt: str) -> str:
    """``words`` with ``[prompt]`` for every stretch, taken from left to right and as long as it goes, of at least 24
    characters that occurs in ``prompt``."""
    kept: list[str] = []
    place = 0
    while place < len(words):
        end = place + QUOTED
        if end > len(words) or words[place:end] not in prompt:
            kept.append(words[place])
            place += 1
            continue
        while end < len(words) and words[place : end + 1] in prompt:
            end += 1
        kept.append("[prompt]")
        place = end
    return "".join(kept)


def _texts(request: Request) -> Iterator[str]:
    for message in request.messages:
        content = message.get("content")
        if isinstance(content, str):
            yield content
            yield repr(content)  # an error body that prints the request has its line breaks escaped
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                    yield part["text"]
                    yield repr(part["text"])
