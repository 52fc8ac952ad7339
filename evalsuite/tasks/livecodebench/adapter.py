"""LiveCodeBench (Jain et al. 2024, arXiv 2403.07974): problems of programming contests, solved in Python.

The problems are those of release v6 from August 2024 to May 2025 (``test_v6_2408_2505`` of NVIDIA's recipe). An answer
is right when its code passes all public and private tests in the sandbox. Variants: ``nvidia`` (NeMo-Skills'
prompt, the first code block) and ``official`` (LiveCodeBench's prompt for chat models, the last code block).
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from evalsuite.records import Item, Request, Score
from evalsuite.sandbox.client import check_name
from evalsuite.tasks.base import Tools, graded
from evalsuite.tasks.datasets import HUB, Source
from evalsuite.tasks.livecodebench import problems, prompts, running
from evalsuite.tasks.scicode import grading

PROMPTS = {"nvidia": prompts.nvidia_prompt, "official": prompts.official_prompt}
CODES = {"nvidia": prompts.nvidia_code, "official": prompts.official_code}


@dataclass(frozen=True, slots=True)
class LiveCodeBench:
    """Adapter of LiveCodeBench; one attempt is one problem."""

    variant: str = "nvidia"
    """Protocol of prompt and extraction."""
    seed: int = 42
    """Not used: nothing is random."""
    source: Source = HUB
    """Where the problems come from."""
    timeout: int = 6
    """Seconds for each test, as LiveCodeBench."""
    sandbox: str = "auto"
    """As of SciCode."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("nvidia", "official")
    id_field: ClassVar[str] = "question_id"

    def items(self) -> Iterable[Item]:
        """Return the problems from August 2024 to May 2025, loaded as they are iterated over; the target is the hash of
        a problem's tests.

        Groups are difficulty, platform and month. Raises ``BadInput`` at once when ``sandbox`` names no known sandbox,
        and while iterating when the data cannot be loaded.
        """
        check_name(self.sandbox)
        return problems.items(self.source)

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request with the problem and its starter code: a user message, in
        ``official`` after a system message.

        ``repeat`` is not used.
        """
        return Request(PROMPTS[self.variant](item.inputs["question"], item.inputs["starter_code"]))

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the problem once and run the code of its reply on the problem's tests in the sandbox.

        The value is 1 if all pass, else 0 with the kind of failure in the note. Where the variant takes no code from
        the reply, it is 0 and nothing runs; else, without a sandbox, the score is ``ungraded`` with value None. Raises
        what ``tools.chat`` raises (``SampleFailed`` without a whole reply, ``ContextOverflow`` for a prompt that is too
        long), ``SandboxFault`` when the tests could not run, and ``BadInput`` when they cannot be read or ``sandbox``
        names no known sandbox.
        """
        reply = await tools.chat(self.prompt(item, repeat))
        code = CODES[self.variant](reply.text)
        if not code.strip():
            return graded(reply, right=False, answer=None, note="no code block")
        refusal = await asyncio.to_thread(self.cannot_grade)
        if refusal:
            return Score(None, "ungraded", code[:1000], note=refusal)
        pool = grading.sandbox_pool(self.sandbox)
        result = await running.run(pool, partial(problems.tests, self.source, item.id), code, self.timeout)
        found = prompts.FENCE in reply.text or result.ok
        note = "" if result.ok else f"{running.ending(result)} ({result.why[:200]})"
        return graded(reply, right=result.ok, answer=code[:1000] if found else None, stage="tests", note=note)

    def cannot_grade(self) -> str:
        """Return why answers cannot be graded on this machine (no sandbox), empty if they can;
        blocks while the sandbox starts. Raises ``BadInput`` for an unknown name of a sandbox.
        """
        return grading.refusal(self.sandbox)
