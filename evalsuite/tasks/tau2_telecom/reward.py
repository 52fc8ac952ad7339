"""Computes the reward of a dialogue: the package's own evaluators on a replay of its tool calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalsuite.errors import SampleFailed
from evalsuite.tasks.tau2_telecom.domain import new_environment, package


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of a dialogue that ended regularly."""

    value: float
    """Product of the components that the task names: 0 or 1."""
    assertions: tuple[bool, ...]
    """Whether each environment assertion holds after the replay."""
    actions: tuple[bool, ...]
    """Whether some call matches each expected action; counts only when the task's reward names it."""


def reward(task: Any, trajectory: Sequence[Any]) -> Reward:
    """Grade a finished dialogue: replay its tool calls in a new environment and compare
    the end with the task's criteria.

    ``task`` is the package's ``Task``, ``trajectory`` the package's messages in order. Returns the reward (0 or 1) and
    which assertions and expected actions are met; of the reward's components telecom uses ENV_ASSERTION (all 114 tasks)
    and ACTION (20 of them). Raises ``SampleFailed`` when the replay gives other tool results than the dialogue had.
    """
    tau2 = package()
    try:
        env = tau2.env_evaluator.calculate_reward(new_environment, task, list(trajectory))
    except ValueError as error:
        raise SampleFailed(
            f"the replay of the dialogue differs from it: {' '.join(str(error).split())[:300]}"
        ) from None
    criteria = task.evaluation_criteria
    checks = tau2.action_evaluator.evaluate_actions(list(trajectory), criteria.actions or [])
    assertions = tuple(bool(check.met) for check in env.env_assertions or ())
    actions = tuple(bool(check.action_match) for check in checks)
    basis = {kind.value for kind in criteria.reward_basis}
    value = float(env.reward) if basis & {"DB", "ENV_ASSERTION"} else 1.0
    if "ACTION" in basis:
        value *= float(all(actions))
    return Reward(value, assertions, actions)
