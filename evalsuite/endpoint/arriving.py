"""How much of a reply has arrived, for whoever has to end the request: a cut answer is recorded with its length.

The task that asks puts a ``Watch`` into its context, and the client hangs the reply that it is collecting onto it, so
nothing between the two has to pass it on.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from evalsuite.endpoint.replies import Assembler


@dataclass(slots=True)
class Watch:
    """The reply of one request as far as it has come."""

    reply: Assembler | None = None
    """None: not sent yet."""

    @property
    def characters(self) -> int:
        """Characters of text and reasoning that have come."""
        return 0 if self.reply is None else self.reply.characters


_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)


def watched() -> Watch:
    """A watch on the next request of this task."""
    watch = Watch()
    _WATCH.set(watch)
    return watch


def show(reply: Assembler) -> Assembler:
    """Let whoever watches this task's request see ``reply`` grow; returns it."""
    watch = _WATCH.get()
    if watch is not None:
        watch.reply = reply
    return reply
