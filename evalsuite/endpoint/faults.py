"""What can go wrong with one request, as classes, and how long to wait before it is sent again.

    SampleFailed
    ├── Transient    sent again, as often as engine.retries allows
    │   ├── Busy         429: waiting costs no attempt; the concurrency falls
    │   ├── Down         refused, reset, 502, 503, 504, a proxy's page: costs no attempt while the endpoint is down
    │   ├── Malformed    what arrived is no chat completion
    │   ├── NoByte       nothing arrived in the time of a whole answer: sent once more
    │   └── Empty        a finished reply of no tokens at all
    ├── TooSlow      longer than the token cap can need: never sent again, that would select short answers
    └── Rejected     the server refuses this very request

Only causes that do not depend on the generated text are retried: otherwise the faults would choose the answers. Which
response or broken connection is which class: ``fault_mapping``.
"""

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from evalsuite.config.settings import Engine
from evalsuite.errors import SampleFailed
from evalsuite.records import Reply

LONGEST_RETRY_AFTER = 600.0
"""Seconds; a longer Retry-After is cut to this."""
EMPTY_RETRIES = 2
ENDLESS_RETRIES = 1
NO_BYTE_RETRIES = 1


class Transient(SampleFailed):
    """A fault that does not depend on the answer; the request may be sent again."""

    def __init__(self, message: str, retry_after: float | None = None, *, retries: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds to wait, from the reply's Retry-After."""
        self.retries = retries
        """Most further requests, where that is fewer than ``engine.retries``."""
        self.outage = False
        """Whether the endpoint was down when it happened: then it costs no attempt."""


class Busy(Transient):
    """The server refuses the request for overload (429, 529)."""


class Down(Transient):
    """The server cannot be reached, or a gateway reports that; the pool then checks whether the endpoint is down."""

    def __init__(self, message: str, retry_after: float | None = None, *, gateway: bool = False) -> None:
        super().__init__(message, retry_after)
        self.gateway = gateway
        """Whether a gateway answered in place of the model server."""


class Malformed(Transient):
    """The server sent what is no chat completion."""


class NoByte(Transient):
    """No byte arrived in the time of a whole answer: a request that the server has lost, or a very long answer that is
    not streamed. It is sent once more, no oftener: the second time is as long as the first."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retries=NO_BYTE_RETRIES)


class Empty(Transient):
    """A finished reply without a single token; sent again twice, then it counts as the model's answer."""

    def __init__(self, message: str, reply: Reply) -> None:
        super().__init__(message, retries=EMPTY_RETRIES)
        self.reply = reply


class TooSlow(SampleFailed):
    """The request took longer than its token cap can need at a quarter of the endpoint's slowest rate, or than
    ``engine.total_seconds``."""


class Rejected(SampleFailed):
    """The server refuses this request itself (400, 422); sending it again changes nothing."""


def pause(attempt: int, fault: Transient, engine: Engine) -> float:
    """Seconds to wait after ``fault`` before the request is sent again; ``attempt`` is the number of this wait, from 1.

    Retry-After, but at most ``engine.outage_seconds``; without one, or with one below a second, exponential backoff
    with random jitter, at most ``engine.backoff_max_seconds``.
    """
    if fault.retry_after is not None and fault.retry_after >= 1.0:
        return min(fault.retry_after, engine.outage_seconds)
    doubled = engine.backoff_seconds * 2.0 ** min(attempt - 1, 30)
    return random.uniform(0.5, 1.0) * min(engine.backoff_max_seconds, doubled)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, 0 to 600 (a longer time is cut), that a Retry-After header asks for; None without one, or if it, or a
    Date that it needs, cannot be read.

    It is a number, or an HTTP date, which is taken relative to the reply's own Date, because the clock of this machine
    may be wrong; without a Date, relative to that clock. ``headers``: names in lower case, or in any case where the
    mapping allows it.
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
        except (ValueError, TypeError, OverflowError):
            return None
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)
