"""The requests of one attempt: a reply is on disk before the adapter sees it, and replayed if it is there already."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalsuite.errors import SampleFailed
from evalsuite.records import Item, Reply, Request, Sample, Score, canonical_sha
from evalsuite.store.attempts import MODEL
from evalsuite.tasks.grading.degenerate import degenerate

if TYPE_CHECKING:
    from evalsuite.store.cell import Cell

Send = Callable[[Request], Awaitable[tuple[Reply, int]]]
"""A request -> (reply, number of requests sent for it)."""


def request_seed(seed: int, item_id: str, repeat: int) -> int:
    """The ``seed`` field (31 bits) of the requests of one attempt: a hash of the cell's ``seed``, item and repeat.

    Equal arguments give equal seeds, so that all precisions of a model share them; others give different ones, but for
    a chance of 1 in 2^31.
    """
    return int(canonical_sha([seed, item_id, repeat])[:8], 16) & 0x7FFFFFFF


@dataclass(slots=True)
class Conversation:
    """One attempt at one item with one model; its adapter calls ``chat``."""

    cell: "Cell"
    item: Item
    repeat: int
    sampling: Mapping[str, Any]
    """Fields of every request, ``seed`` excepted."""
    seed: int
    """The seed of the cell, from which that of the requests is drawn."""
    send: Send | None
    """None: nothing is sent, only replies on disk count."""
    role: str = MODEL
    """The model that answers: the one under test, or the simulated user."""
    turn: int = 0
    """Requests made so far."""
    attempts: int = 0
    """Requests sent for the last reply."""
    first_sha: str = ""
    """Hash of the first request."""
    last: Reply | None = None
    graded: Reply | None = None
    """The last reply as the adapter got it: up to the first stop string."""
    check_may_send: Callable[[], None] | None = None
    """Called before a request is noted as sent; raises ``Stopped`` when none may be sent any more."""

    async def chat(self, request: Request) -> Reply:
        """The reply to a request up to its first stop string, from disk or from the model (see ``tasks.base.Chat``).

        The request's sampling fields are replaced by ``sampling`` and the attempt's seed. A new reply is on disk,
        whole, when it is returned. Raises ``SampleFailed`` after the retries, or where there is no stored reply and
        ``send`` is None; ``Stopped`` where ``check_may_send`` does; ``BadInput`` if the stored reply is to another
        prompt; and what sending and storing raise.
        """
        key, turn = (self.item.id, self.repeat), (self.role, self.turn)
        self.turn += 1
        request = replace(
            request, sampling={**self.sampling, "seed": request_seed(self.seed, self.item.id, self.repeat)}
        )
        sha = request.prompt_sha
        self.first_sha = self.first_sha or sha
        answered = self.cell.stored_reply(key, turn, sha)
        if answered is None:
            self.attempts = 1
            if self.send is None:
                raise SampleFailed(f"no stored reply to prompt {sha}: the run must go on before it is graded again")
            if self.check_may_send is not None:
                self.check_may_send()
            await self.cell.record_request(key, turn)
            try:
                answered = await self.send(request)
            except SampleFailed as error:
                self.attempts = error.attempts
                raise
            await self.cell.record_reply(key, turn, sha, *answered)
        self.last, self.attempts = answered
        self.graded = _cut(self.last, request.stop)
        return self.graded

    def sample(self, score: Score, *, version: str, rerolled: bool, prompt_sha: str) -> Sample:
        """The record of this attempt: its score and last whole reply, and the sign of a degenerate reply if there is
        one and the score is not ``failed``.

        Args:
            score: What grading gave.
            version: Version of the task.
            rerolled: Whether an earlier reply to one of its requests was lost.
            prompt_sha: Hash of the attempt's first request, to whichever model it went.
        """
        identity, item = self.cell.manifest["identity"], self.item
        found = score.stage == "as_text" or score.parts.get("tool_text", 0) > 0  # by the task, in any of the replies
        looked_at = None if score.outcome == "failed" else self.graded
        sign = "" if looked_at is None else degenerate(looked_at, item, call_as_text=found)
        return Sample(
            task=identity["task"],
            version=version,
            variant=identity["variant"],
            model=self.cell.label,
            item_id=item.id,
            repeat=self.repeat,
            score=score,
            cluster=item.cluster,
            weight=item.weight,
            groups=item.groups,
            prompt_sha=prompt_sha,
            reply=self.last,
            attempts=self.attempts,
            rerolled=rerolled,
            degenerate=sign,
        )


def _cut(reply: Reply, stops: tuple[str, ...]) -> Reply:
    """The reply up to the first of the strings ``stops`` in its text, without it; a finish reason ``length`` is then
    ``stop``. Without any of them (empty ones do not count) it is unchanged.

    The thinking is not searched. If there is thinking, white space at the beginning of the text is not searched either:
    many models begin their answer with an empty line.
    """
    start = len(reply.text) - len(reply.text.lstrip()) if reply.reasoning else 0
    places = [place for stop in stops if stop and (place := reply.text.find(stop, start)) >= 0]
    if not places:
        return reply
    finish = "stop" if reply.truncated else reply.finish_reason
    return replace(reply, text=reply.text[: min(places)], finish_reason=finish)
