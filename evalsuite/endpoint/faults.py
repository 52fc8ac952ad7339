"""What a server's refusal means: HTTP statuses, error events and broken connections as classes, and which are retried.

    SampleFailed
    ├── Transient    asked again, as often as engine.retries says
    │   ├── Busy         429: waiting costs no attempt; the concurrency falls
    │   ├── Down         refused, reset, 502, 503, 504, a proxy's page: costs no attempt while the endpoint is down
    │   ├── Malformed    what came is no chat completion
    │   └── Empty        a finished reply of no tokens at all
    ├── TooSlow      longer than the token cap can need: never asked again, that would select short answers
    └── Rejected     the server refuses this very request

Only causes that do not depend on the generated text are retried: otherwise the faults would choose the answers. A
server's own words go into messages, at most 300 characters of them, without keys and without the prompt: messages end
up in results, and items of some benchmarks may not.
"""

import math
import os
import random
import re
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import openai

from evalsuite.config.settings import Engine, Model
from evalsuite.errors import ContextOverflow, EndpointUnusable, SampleFailed
from evalsuite.records import Reply, Request

OVERFLOW = re.compile(r"context (length|size|window)|longer than the model|maximum.{0,20}input", re.IGNORECASE)
"""What SGLang, vLLM and llama.cpp say when a prompt does not fit."""
LONGEST_WORDS = 300
QUOTED = 24
"""So many characters of a prompt in a server's words are a quotation of it."""
LONGEST_READ = 4000
"""Characters of a server's words that are looked at."""


def status_fault(error: openai.APIStatusError, model: Model, request: Request | None = None) -> Exception:
    """The class of failure that an HTTP status stands for, with the server's own words."""
    headers = {name.lower(): value for name, value in error.response.headers.items()}
    body: Any = error.body if error.body is not None else error.message
    if "html" in headers.get("content-type", ""):
        body = page(str(body))
    words = safe(spoken(body), model, request)
    if 300 <= error.status_code < 400:
        host = urlsplit(headers.get("location", "")).netloc or headers.get("location", "nowhere")
        return EndpointUnusable(
            f"{model.base_url} redirects to {safe(host, model)} (HTTP {error.status_code}): not followed, because the "
            "key and the questions would go there. Set base_url to where the server really is"
        )
    return _from_error_code(error.status_code, words, model, retry_after(headers))


def _from_error_code(status: int, words: str, model: Model, wait: float | None = None) -> Exception:
    """The class of failure of a status, whether it came as one or inside a stream."""
    said = f"HTTP {status} {words}".rstrip()
    if status in REFUSED_STATUS:
        what = {401: "needs a valid key", 403: "refuses this key", 404: "does not know this model or path"}[status]
        key = f" (key from ${model.api_key_env})" if status != 404 else f" (checkpoint {model.checkpoint})"
        return EndpointUnusable(f"{model.base_url} {what}{key}: {said}")
    if status in BUSY_STATUS:
        return Busy(said, wait)
    if status in DOWN_STATUS:
        return Down(said, wait, gateway=True)
    if status in RETRIED_STATUS:
        return Transient(said, wait)
    if status >= 500:
        return Transient(said, wait, retries=SERVER_ERROR_RETRIES)
    if OVERFLOW.search(words):
        return ContextOverflow(said)
    return Rejected(said)


def event_fault(event: Any, model: Model, request: Request) -> Exception:
    """An error inside a reply that began with HTTP 200: SGLang and vLLM put the status into ``code``."""
    words = safe(spoken(event), model, request)
    code = event.get("code") if isinstance(event, Mapping) else None
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    if isinstance(code, int) and 400 <= code < 600:
        fault = _from_error_code(code, words, model)
        if not isinstance(fault, EndpointUnusable) or isinstance(fault, ContextOverflow):
            return fault
    return Transient(f"the server reported an error inside the reply: {words}")


def connection_fault(error: openai.APIConnectionError, model: Model) -> Exception:
    """What went wrong on the way to the server; a certificate that nobody vouches for will not get better."""
    chain = list(causes(error))
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in chain):
        return EndpointUnusable(
            f"{model.base_url}: certificate verify failed; give the authority that signed it with models.NAME.ca_file="
        )
    what = next((str(one) for one in chain[1:] if str(one)), str(error))
    return Down(f"connection to {model.base_url} failed: {safe(what, model)}")


def spoken(body: Any) -> str:
    """What a server said, out of an error body of any shape; a refused field is named, its value is not."""
    if isinstance(body, Mapping) and body.get("error"):
        body = body["error"]
    if isinstance(body, Mapping):
        body = body.get("message") or body.get("detail") or body.get("type") or dict(body)
    if isinstance(body, list):  # FastAPI's list of what is wrong with the request, which it quotes under "input"
        parts = [one for one in body if isinstance(one, Mapping)]
        body = "; ".join(f"{'.'.join(map(str, one.get('loc') or ()))}: {one.get('msg', '')}" for one in parts)
    return str(body).strip()[:LONGEST_READ]


def page(text: str) -> str:
    """An HTML page as one line of text."""
    text = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", text[: 4 * LONGEST_READ])
    return "an HTML page: " + " ".join(re.sub(r"<[^>]*>", " ", text).split())


def safe(words: str, model: Model, request: Request | None = None) -> str:
    """At most 300 characters of ``words`` without the key, the headers' values and quotations of the prompt."""
    secrets = [os.environ.get(model.api_key_env, ""), *model.headers.values()]
    for secret in secrets:
        if len(secret) >= 4:
            words = words.replace(secret, "***")
    if request is not None:
        words = _unquoted(words, "\n".join(_texts(request)))
    return words if len(words) <= LONGEST_WORDS else words[: LONGEST_WORDS - 3] + "..."


def _unquoted(words: str, prompt: str) -> str:
    """``words`` with every stretch of at least ``QUOTED`` characters of the prompt replaced."""
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


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came of, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


BUSY_STATUS = frozenset({429, 529})
DOWN_STATUS = frozenset({502, 503, 504, 520, 521, 522, 523, 524})
"""Gateways and servers that say: not now. 520 to 524 are Cloudflare's words for 502 and 504."""
RETRIED_STATUS = frozenset({408, 409, 425})
REFUSED_STATUS = frozenset({401, 403, 404})
"""The endpoint will answer every request like this: stop at once."""
LONGEST_RETRY_AFTER = 600.0
"""Seconds; a longer Retry-After is cut to this."""
SERVER_ERROR_RETRIES = 3
"""A 500 that stays is often the prompt's: fewer further requests than for other faults."""
EMPTY_RETRIES = 2
ENDLESS_RETRIES = 1


class Transient(SampleFailed):
    """A fault that says nothing about the answer; the request may be sent again."""

    def __init__(self, message: str, retry_after: float | None = None, *, retries: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the server asked to wait."""
        self.retries = retries
        """Most further requests, where that is fewer than ``engine.retries``."""
        self.outage = False
        """Whether the endpoint was down when it happened: then it costs no attempt."""


class Busy(Transient):
    """The server has too much to do (429)."""


class Down(Transient):
    """Nobody is there, or a gateway says so; whether the endpoint is down is then looked into."""

    def __init__(self, message: str, retry_after: float | None = None, *, gateway: bool = False) -> None:
        super().__init__(message, retry_after)
        self.gateway = gateway
        """Whether somebody answered for the model server."""


class Malformed(Transient):
    """The server sent what is no chat completion."""


class Empty(Transient):
    """A finished reply without a single token; asked again twice, then it is what the model said."""

    def __init__(self, message: str, reply: Reply) -> None:
        super().__init__(message, retries=EMPTY_RETRIES)
        self.reply = reply


class TooSlow(SampleFailed):
    """The request took longer than its token cap can need at a quarter of the endpoint's slowest rate."""


class Rejected(SampleFailed):
    """The server refuses this request itself (400, 422); sending it again changes nothing."""


def pause(attempt: int, fault: Transient, engine: Engine) -> float:
    """Seconds to wait before request number ``attempt + 1`` (``attempt`` counts from 1): Retry-After, else
    exponential backoff with jitter; a Retry-After below a second is no wait at all and counts as none."""
    if fault.retry_after is not None and fault.retry_after >= 1.0:
        return fault.retry_after
    doubled = engine.backoff_seconds * 2.0 ** min(attempt - 1, 30)
    return random.uniform(0.5, 1.0) * min(engine.backoff_max_seconds, doubled)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header asks for (number or HTTP date against the reply's own Date); None without.

    The reply's Date counts because the clock of this machine may be wrong.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            until = parsedate_to_datetime(value)
            now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
            seconds = (until - now).total_seconds()
        except (ValueError, TypeError):
            return None
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)
