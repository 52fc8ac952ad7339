"""What a dialogue is worth: the package's own evaluators on a replay of its tool calls, and pass^k over repeats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalsuite.errors import SampleFailed
from evalsuite.tasks.tau2_telecom.domain import package, world


@dataclass(frozen=True, slots=True)
class Reward:
    """The verdict on a dialogue that came to a regular end."""

    value: float
    """Product of the components that the task names: 0 or 1."""
    assertions: tuple[bool, ...]
    """State of the world after the replay, one for each env assertion."""
    actions: tuple[bool, ...]
    """One for each gold action: whether some call matches it. Decides only where the task's reward names it."""


def reward(task: Any, trajectory: Sequence[Any]) -> Reward:
    """Replay a dialogue's tool calls in a fresh world and hold its end against the task.

    Of the reward's components telecom uses ENV_ASSERTION (all 114 tasks) and ACTION (20 of them). Raises
    ``SampleFailed`` if the replay gives other tool answers than the dialogue had: that would be our fault.
    """
    used = package()
    try:
        env = used.env_evaluator.calculate_reward(world, task, list(trajectory))
    except ValueError as error:
        raise SampleFailed(
            f"the replay of the dialogue differs from it: {' '.join(str(error).split())[:300]}"
        ) from None
    criteria = task.evaluation_criteria
    checks = used.action_evaluator.evaluate_actions(list(trajectory), criteria.actions or [])
    assertions = tuple(bool(check.met) for check in env.env_assertions or ())
    actions = tuple(bool(check.action_match) for check in checks)
    basis = {kind.value for kind in criteria.reward_basis}
    value = float(env.reward) if basis & {"DB", "ENV_ASSERTION"} else 1.0
    if "ACTION" in basis:
        value *= float(all(actions))
    return Reward(value, assertions, actions)
