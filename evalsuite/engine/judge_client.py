"""The judge of one attempt: every verdict is on disk before it counts, and no answer is judged twice by one judge."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evalsuite.engine.conversation import Send
from evalsuite.errors import EndpointUnusable, JudgeFailed, SampleFailed
from evalsuite.records import JudgeVerdict
from evalsuite.store.attempts import AttemptKey
from evalsuite.store.cell import Cell
from evalsuite.tasks.base import Rubric
from evalsuite.tasks.grading import judge_prompt


@dataclass(frozen=True, slots=True)
class JudgeClient:
    """``tasks.base.Judge`` for one attempt."""

    cell: Cell
    key: AttemptKey
    judge: str
    """The judge and its sampling (``tasks.grading.judge_prompt.identity``)."""
    sampling: Mapping[str, Any]
    send: Send | None
    """None: nothing is sent, only verdicts on record count."""

    async def __call__(self, question: str, official: str, candidate: str) -> bool:
        """Whether ``candidate`` is right by the rubric of AA-LCR; ``official`` is the reference answer. Raises as
        ``verdict``."""
        return (await self.verdict(judge_prompt.AA_LCR, question, official, candidate)).right

    async def verdict(self, rubric: Rubric, question: str, official: str, candidate: str) -> JudgeVerdict:
        """The verdict on the answer ``candidate`` by ``rubric``: the one on record of this judge on the same question
        and answers, else what the judge states now, which is recorded before it is returned.

        ``official`` is the reference answer. The judge is asked again while it states no verdict, ``judge_prompt.ASKS``
        (3) times in all. Raises ``JudgeFailed`` if it then has stated none, if it cannot be asked, or if none is on
        record and nothing may be sent (``send`` None); ``StorageFailed`` if the verdict cannot be recorded.
        """
        sha = judge_prompt.answer_sha(rubric, question, official, candidate)
        verdict = self.cell.verdicts(self.key).get((sha, self.judge))
        if verdict is not None:
            return verdict
        if self.send is None:
            raise JudgeFailed(f"no verdict of {self.judge} on this answer is on record")
        text = ""
        for _ in range(judge_prompt.ASKS):
            request = replace(rubric.request(question, official, candidate), sampling=self.sampling)
            try:
                reply, _ = await self.send(request)
            except (SampleFailed, EndpointUnusable) as error:
                raise JudgeFailed(f"the judge cannot be asked: {error}") from None
            text = reply.text
            verdict = rubric.read(text)
            if verdict is not None:
                await self.cell.record_verdict(self.key, sha, self.judge, verdict, text[:1000])
                return verdict
        raise JudgeFailed(f"the judge stated no verdict in {judge_prompt.ASKS} tries: {text[:200]!r}")
