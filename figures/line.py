"""One row of the page of figures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """What was asked and what was measured."""

    what: str
    asked: str
    measured: str
