"""Bounds on CPU seconds that mean the same on a slow machine and on a busy one.

Such a bound keeps out what grows with the square of an answer's length: that misses it by a factor of ten and more.
"""

import re
import time
from functools import cache

REFERENCE_SECONDS = 0.05
"""CPU seconds of ``_work`` on the machine on which the bounds were set."""
BUSY = 2.0
"""Neighbours on the same core take caches and execution units, which CPU time does not show."""


def cpu_budget(seconds: float) -> float:
    """``seconds`` of CPU on the machine of the bounds, as CPU seconds of this one with busy neighbours; never less."""
    return seconds * BUSY * _slowness()


@cache
def _slowness() -> float:
    return max(1.0, min(_seconds() for _ in range(3)) / REFERENCE_SECONDS)


def _seconds() -> float:
    began = time.process_time()
    _work()
    return time.process_time() - began


def _work() -> int:
    """What the graders do: patterns over a long text, and a loop in Python."""
    text = "Wait, the answer is 12.5, or (B) after all. " * 20_000
    found = len(re.findall(r"(?i)answer is \(?([A-J])\)?|\d+(?:\.\d+)?", text))
    for word in text.split():
        found += word.isdigit()
    return found
