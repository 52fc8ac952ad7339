"""The judge of one attempt: every verdict is on disk before it counts, and the same answer is never judged twice."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from evalsuite.engine.auxiliary import AuxiliaryClient, aide_ask
from evalsuite.engine.conversation import Ask
from evalsuite.engine.stopping import Stop
from evalsuite.errors import EndpointUnusable, JudgeFailed, SampleFailed
from evalsuite.store.cell import Cell
from evalsuite.tasks.grading import judge_prompt as judge
from evalsuite.tasks.grading.judge_prompt import identity as judge_identity


@dataclass(frozen=True, slots=True)
class JudgeClient:
    """``adapters.base.Judge`` for one attempt."""

    cell: Cell
    key: tuple[str, int]
    judge: str
    """Who judges (``grading.judge.identity``)."""
    sampling: dict[str, Any]
    ask: Ask | None
    """None: only verdicts on record count."""

    async def __call__(self, question: str, official: str, candidate: str) -> bool:
        """See ``adapters.base.Judge``."""
        sha = judge.answer_sha(question, official, candidate)
        known = self.cell.verdicts(self.key).get((sha, self.judge))
        if known is not None:
            return known
        if self.ask is None:
            raise JudgeFailed(f"no verdict of {self.judge} on this answer is on record")
        words = ""
        for _ in range(judge.ASKS):
            request = replace(judge.prompt(question, official, candidate), sampling=self.sampling)
            try:
                reply, _ = await self.ask(request)
            except (SampleFailed, EndpointUnusable) as error:
                raise JudgeFailed(f"the judge cannot be asked: {error}") from None
            words = reply.text
            right = judge.read(words)
            if right is not None:
                await self.cell.judged(self.key, sha, self.judge, right=right, words=words[:1000])
                return right
        raise JudgeFailed(f"the judge said neither CORRECT nor INCORRECT in {judge.ASKS} tries: {words[:200]!r}")


def judging(
    aide: AuxiliaryClient,
    cell: Cell,
    key: tuple[str, int],
    stop: Stop,
    counted: Callable[[Ask], Ask] = lambda ask: ask,
) -> JudgeClient:
    """The judge of one attempt."""
    name = judge_identity(aide.client.model.checkpoint, aide.sampling)
    return JudgeClient(cell, key, name, dict(aide.sampling), counted(aide_ask(aide, "judge", stop)))
