"""The calls of one attempt: each reply is on disk before the adapter sees it, and replayed when it is there already."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evalsuite.errors import SampleFailed
from evalsuite.records import Item, Reply, Request, Sample, Score, canonical_sha
from evalsuite.store.attempts import MODEL
from evalsuite.store.cell import Cell

Ask = Callable[[Request], Awaitable[tuple[Reply, int]]]
"""A request -> (reply, requests sent for it)."""


def request_seed(seed: int, item_id: str, repeat: int) -> int:
    """The ``seed`` field of a request: a pure function, equal for every precision, different for every repeat."""
    return int(canonical_sha([seed, item_id, repeat])[:8], 16) & 0x7FFFFFFF


@dataclass(slots=True)
class Conversation:
    """One attempt at one item: ``chat`` is what its adapter calls."""

    cell: Cell
    item: Item
    repeat: int
    sampling: Mapping[str, Any]
    seed: int
    ask: Ask | None
    """None: only what is on disk counts."""
    who: str = MODEL
    """Whose turns these are: the model under test, or the simulator that it talks with."""
    turn: int = 0
    attempts: int = 0
    """Requests sent for the last reply."""
    first_sha: str = ""
    last: Reply | None = None
    may_ask: Callable[[], None] | None = None
    """Called before a request is noted as sent; raises ``Stopped`` when none may start any more."""

    async def chat(self, request: Request) -> Reply:
        """See ``adapters.base.Chat``."""
        key, turn = (self.item.id, self.repeat), (self.who, self.turn)
        self.turn += 1
        request = replace(
            request, sampling={**self.sampling, "seed": request_seed(self.seed, self.item.id, self.repeat)}
        )
        sha = request.prompt_sha
        self.first_sha = self.first_sha or sha
        known = self.cell.recorded(key, turn, sha)
        if known is None:
            self.attempts = 1
            if self.ask is None:
                raise SampleFailed(f"no stored reply to prompt {sha}: the run must go on before it is graded again")
            if self.may_ask is not None:
                self.may_ask()
            await self.cell.sent(key, turn)
            try:
                known = await self.ask(request)
            except SampleFailed as error:
                self.attempts = error.attempts
                raise
            await self.cell.reply(key, turn, sha, *known)
        self.last, self.attempts = known
        return self.last

    def sample(self, score: Score, *, version: str, rerolled: bool, prompt_sha: str) -> Sample:
        """The attempt with its verdict; ``prompt_sha`` is that of its first request, whoever it went to."""
        identity, item = self.cell.manifest["identity"], self.item
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
        )
