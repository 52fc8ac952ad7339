"""Errors that evalsuite raises on purpose, and the exit code with which each one ends a command.

    EvalsuiteError                 70  a bug of evalsuite when none of the following fits
    ├── BadInput                   64  the user's configuration, file or command is wrong
    ├── EndpointUnusable           69  a model server cannot be used for this run
    │   ├── ContextOverflow            one prompt does not fit; an outcome of the item, never an exit
    │   └── EndpointDown           75  it became unreachable; the same command continues when it is back
    ├── CellInUse                  73  another process writes this cell
    ├── StorageFailed              74  the disk is full, read-only or failing
    ├── Stopped                    75  stopped on request or by a deadline; the same command continues
    └── SampleFailed                   one attempt could not be measured; recorded, never an exit by itself
        ├── SimulatorFailed            the recorded dialogue cannot continue; the attempt starts again
        └── JudgeFailed                the answer is stored and waits for a verdict

A message states what was requested, what exists and what to do, in one or two lines.
"""

import difflib
from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command (those of sysexits.h where it has one)."""

    DONE = 0
    FAIL = 1
    """Only of ``gate``, after a verdict was computed, and of ``probe``, for an alarm."""
    UNDECIDED = 2
    """Only of ``gate``, and only after a verdict was computed."""
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
    """Base class of all expected errors; the text is shown to the user unchanged."""

    exit_code: Exit = Exit.BUG
    """Exit code of a command that ends with this error."""


class BadInput(EvalsuiteError):
    """The user's configuration, file, option or name is wrong."""

    exit_code = Exit.BAD_INPUT


class EndpointUnusable(EvalsuiteError):
    """A model server is unreachable, rejects requests, or is not the configured one."""

    exit_code = Exit.ENDPOINT


class ContextOverflow(EndpointUnusable):
    """The server reports that the prompt is longer than its context."""


class EndpointDown(EndpointUnusable):
    """A model server was down for longer than the run waits; the same command continues the run."""

    exit_code = Exit.STOPPED


class CellInUse(EvalsuiteError):
    """Another running process holds the lock of a cell."""

    exit_code = Exit.IN_USE


class StorageFailed(EvalsuiteError):
    """Writing results failed; nothing that was acknowledged is lost."""

    exit_code = Exit.STORAGE


class Stopped(EvalsuiteError):
    """The run was stopped; the same command continues it."""

    exit_code = Exit.STOPPED


class SampleFailed(EvalsuiteError):
    """One attempt at one item ended without an answer that can be graded; the text is the cause."""

    def __init__(self, message: str, attempts: int = 1) -> None:
        super().__init__(message)
        self.attempts = attempts
        """Requests that were sent."""


class SimulatorFailed(SampleFailed):
    """The simulator's messages make the dialogue impossible to continue; replaying them would fail again."""


class JudgeFailed(SampleFailed):
    """The judge gave no verdict on a stored answer."""


def unknown_name(kind: str, requested: str, known: Iterable[str], remedy: str = "") -> BadInput:
    """Return (not raise) the error for a name that does not exist.

    Its message has the requested name, one known name that it may stand for (the most similar one, else, from three
    characters on, the first that, in lower case, contains it with ``_`` for ``-``) if there is such a name, all names
    of ``known``, sorted (``none`` if there are none), and ``remedy``, a sentence at the end. ``kind`` is the kind of
    name, such as ``model``.
    """
    names = sorted(known)
    plain = requested.lower().replace("-", "_")
    similar = difflib.get_close_matches(requested, names, n=1) or difflib.get_close_matches(plain, names, n=1)
    similar = similar or [name for name in names if len(plain) > 2 and plain in name.lower()]
    hint = f"; did you mean '{similar[0]}'?" if similar else "."
    choices = ", ".join(names) if names else "none"
    return BadInput(f"unknown {kind} '{requested}'{hint} Known: {choices}.{' ' + remedy if remedy else ''}")
