"""How a run stops before its work is done: signals, the end of its time window, a spent token budget."""

import asyncio
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console

from evalsuite.config.deadline import Window
from evalsuite.errors import Exit

SIGNALS = {"SIGINT": Exit.SIGINT, "SIGTERM": Exit.SIGTERM}
"""Signals that stop a run -> the exit code of a run that one of them stopped."""
DEADLINE = "the end of the window"
"""``Stop.reason`` when the window closes, and when nothing that is left fits into it."""
BUDGET = "the token budget"
"""``Stop.reason`` when the token budget is spent."""


@dataclass(slots=True)
class Stop:
    """Set once by a signal, a deadline or a spent budget: no request starts any more; running ones may finish."""

    reason: str = ""
    until: float | None = None
    """Loop time at which requests that are still running are cut; None: they may take as long as they need."""
    on_signal: Callable[[str], object] | None = None
    """Handles a signal of this name, from any thread; None before there is anything to stop."""
    _event: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def request(self, reason: str, seconds: float | None = None) -> None:
        """Let running requests finish for at most ``seconds`` (None: no limit) and start no others.

        A further call can only shorten the time that is left; its reason replaces the first only if it is a signal's
        name. With ``seconds`` an event loop must be running.
        """
        if not self.reason or reason.startswith("SIG"):
            self.reason = reason
        if seconds is not None:
            until = asyncio.get_running_loop().time() + seconds
            self.until = until if self.until is None else min(self.until, until)
        self._event.set()
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self._event.is_set()

    @property
    def seconds_left(self) -> float | None:
        """Seconds until running requests are cut, at least 0; None: no limit, or no stop was requested. Read it within
        the event loop."""
        return None if self.until is None else max(0.0, self.until - asyncio.get_running_loop().time())

    async def wait(self) -> None:
        """Return once a stop has been requested."""
        await self._event.wait()

    async def changed(self) -> None:
        """Wait for the next call of ``request``, which may shorten the time that is left."""
        await self._changed.wait()


@dataclass(slots=True)
class TokenBudget:
    """Generated tokens of all endpoints of a run together."""

    limit: int | None
    """None: no limit."""
    stop: Stop
    spent: int = 0

    def add(self, tokens: int) -> None:
        """Count generated tokens; once the limit is reached, the run's stop is requested, without a limit for running
        requests.
        """
        self.spent += tokens
        if self.limit is not None and self.spent >= self.limit:
            self.stop.request(BUDGET)


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What can end a run before its work is done."""

    stop: Stop
    budget: TokenBudget
    window: Window | None = None
    """None: no deadline was given."""
    rate: float | None = None
    """Generated tokens per second of one whole endpoint, where the user states it; used to see what fits the window."""


def stop_on_signals(stop: Stop, drain_seconds: float, console: Console) -> None:
    """Handle Ctrl-C and SIGTERM: the first signal requests the stop, a second one of either cancels the calling task.

    Requests that run may finish within ``drain_seconds``; the first signal is printed to ``console``. A stop for
    another reason (the end of the window, a spent budget) does not count as the first signal. In another thread than
    the first, to which Python delivers signals, nothing is handled by itself: ``stop.on_signal`` is to be called with
    the signal's name.
    """
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def on_signal(name: str) -> None:
        if stop.reason in SIGNALS:
            if main is not None:
                main.cancel()
            return
        stop.request(name, drain_seconds)
        console.print(f"{name}: running requests may finish, no new ones start (once more: end now)")

    stop.on_signal = lambda name: loop.call_soon_threadsafe(on_signal, name)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal, number.name)
