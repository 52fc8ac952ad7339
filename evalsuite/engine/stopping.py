"""How a run ends: signals, the end of a window, a spent budget, and the exit code that says which."""

import asyncio
import signal
from dataclasses import dataclass, field

from rich.console import Console

from evalsuite.errors import Exit

SIGNALS = {"SIGINT": Exit.SIGINT, "SIGTERM": Exit.SIGTERM}


@dataclass(slots=True)
class Stop:
    """Set by a signal, a deadline or a spent budget: no new requests; running ones may finish."""

    reason: str = ""
    until: float | None = None
    """Loop time at which requests that are still running are cut; None: they may take as long as they need."""
    _event: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def request(self, reason: str, seconds: float | None = None) -> None:
        """Ask every lane to drain for at most ``seconds``. Asked again, the earlier end and a signal's name count."""
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
        """Whether someone asked."""
        return self._event.is_set()

    @property
    def patience(self) -> float | None:
        """Seconds that running requests still have; None: no limit."""
        return None if self.until is None else max(0.0, self.until - asyncio.get_running_loop().time())

    async def wait(self) -> None:
        """Return when someone asks."""
        await self._event.wait()

    async def changed(self) -> None:
        """Return when someone asks again."""
        await self._changed.wait()


def listen(stop: Stop, drain_seconds: float, console: Console) -> None:
    """First Ctrl-C or SIGTERM: drain. Second: end now. A window that closes before the first does not count as one."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def heard(name: str) -> None:
        if stop.reason in SIGNALS:
            if main is not None:
                main.cancel()
            return
        stop.request(name, drain_seconds)
        console.print(f"{name}: running requests may finish, no new ones start (once more: end now)")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard, number.name)


@dataclass(slots=True)
class Budget:
    """Generated tokens of all endpoints of a run together."""

    limit: int | None
    stop: Stop
    spent: int = 0

    def add(self, tokens: int) -> None:
        """Count; a spent budget lets nothing new start."""
        self.spent += tokens
        if self.limit is not None and self.spent >= self.limit:
            self.stop.request(BUDGET)


DEADLINE = "the end of the window"
BUDGET = "the token budget"
"""Why a run stops by itself (``asking.Stop.reason``)."""
