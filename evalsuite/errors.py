"""Every error that evalsuite raises on purpose, and the exit code that each one ends a command with.

    EvalsuiteError                 70  a bug of ours when nothing below fits
    ├── BadInput                   64  the user's configuration, file or command is wrong
    ├── EndpointUnusable           69  a model server cannot be used for this run
    │   ├── ContextOverflow            one prompt does not fit; the item's outcome, never an exit
    │   └── EndpointDown           75  it was there and has gone; the same command goes on when it is back
    ├── CellInUse                  73  another process writes this cell
    ├── StorageFailed              74  the disk is full, read-only or failing
    ├── Stopped                    75  stopped on request or by a deadline; the same command goes on
    └── SampleFailed                   one attempt could not be measured; recorded, never an exit by itself
        ├── AttemptSpoiled             what is on record leads nowhere: the attempt begins anew when it is made again
        └── JudgeFailed                its answer is stored and waits for a verdict

A message says what was asked, what exists and what to do, in one or two lines.
"""

import difflib
from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command (sysexits.h where it has one)."""

    DONE = 0
    FAIL = 1
    """``gate`` only, and only after a verdict was computed."""
    UNDECIDED = 2
    """``gate`` only, and only after a verdict was computed."""
    INCOMPLETE = 3
    """Finished, but some samples have no score."""
    BAD_INPUT = 64
    ENDPOINT = 69
    BUG = 70
    IN_USE = 73
    STORAGE = 74
    STOPPED = 75
    SIGINT = 130
    SIGTERM = 143


class EvalsuiteError(Exception):
    """Root of all expected errors; its text is shown to the user as it is."""

    exit_code: Exit = Exit.BUG


class BadInput(EvalsuiteError):
    """The request itself is wrong: configuration, file, option or name."""

    exit_code = Exit.BAD_INPUT


class EndpointUnusable(EvalsuiteError):
    """A model server is unreachable, refuses us, or is not what the configuration says."""

    exit_code = Exit.ENDPOINT


class ContextOverflow(EndpointUnusable):
    """The server says that this prompt is longer than its context."""


class EndpointDown(EndpointUnusable):
    """A model server was down for longer than the run waits; it can be continued with the same command."""

    exit_code = Exit.STOPPED


class CellInUse(EvalsuiteError):
    """Another live process holds the lock of a cell."""

    exit_code = Exit.IN_USE


class StorageFailed(EvalsuiteError):
    """Writing results failed; nothing that was acknowledged is lost."""

    exit_code = Exit.STORAGE


class Stopped(EvalsuiteError):
    """The run was stopped and can be continued with the same command."""

    exit_code = Exit.STOPPED


class SampleFailed(EvalsuiteError):
    """One attempt at one item ended without anything to grade (the cause is the text)."""

    def __init__(self, message: str, attempts: int = 1) -> None:
        super().__init__(message)
        self.attempts = attempts
        """Requests that were sent."""


class SimulatorFailed(SampleFailed):
    """The simulator said what a dialogue cannot go on with; replaying its words would fail again."""


class JudgeFailed(SampleFailed):
    """The judge gave no verdict on a stored answer."""


def unknown_name(kind: str, asked: str, known: Iterable[str], remedy: str = "") -> BadInput:
    """The error for a name that does not exist: what was asked, the nearest name, all names, what to do."""
    names = sorted(known)
    near = difflib.get_close_matches(asked, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    choices = ", ".join(names) if names else "none"
    return BadInput(f"unknown {kind} '{asked}'{hint} Known: {choices}.{' ' + remedy if remedy else ''}")
