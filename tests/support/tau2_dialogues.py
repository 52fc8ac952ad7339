"""Scripted dialogues: both sides' lines, the servers that say them, and attempts on a real cell over HTTP."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.client import Client, connect
from evalsuite.endpoint.faults import Empty
from evalsuite.engine.conversation import Conversation, request_seed
from evalsuite.errors import SampleFailed
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.store.attempts import MODEL
from evalsuite.store.cell import Cell, open_cell
from evalsuite.store.writer import JournalWriter
from evalsuite.tasks.base import Chat, Tools
from evalsuite.tasks.tau2_telecom.adapter import Tau2Telecom
from evalsuite.tasks.tau2_telecom.dialogue import Dialogue, Rules
from evalsuite.tasks.tau2_telecom.domain import package_task
from tests.support import journals as making
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.scripted_endpoint import Server as Scripted

SEED = 42
SIMULATOR = "simulator"
SAMPLING = {
    MODEL: {"temperature": 0.6, "max_tokens": 128000},
    SIMULATOR: {"temperature": 0.0, "top_p": 1.0, "max_tokens": 4096},
}
STOP = "Thank you, that is all. ###STOP###"
Line = str | tuple[str, Mapping[str, Any]] | Answer | list[Answer]
"""What one side says: text, one tool call, or whatever the server is to send (of a list, one each time it is asked)."""


@dataclass(frozen=True, slots=True)
class Script:
    """All that both sides say in one dialogue, in order."""

    agent: Sequence[Line]
    user: Sequence[Line]

    def line(self, who: str, number: int) -> Line:
        """What ``who`` says as its ``number``-th message; the last one repeats."""
        lines = self.agent if who == MODEL else self.user
        return lines[min(number, len(lines) - 1)]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a dialogue ended."""

    stage: str
    outcome: str
    value: float | None
    """The official reward; None: not measured."""


@dataclass(frozen=True, slots=True)
class Case:
    """A dialogue that is written to end in one way."""

    item: str
    script: Script
    ended: Ended
    options: Mapping[str, Any] = field(default_factory=dict)


def gold_script(item: Item, first: str = "Please go on.") -> Script:
    """Both sides take the gold actions in order, then the customer ends the dialogue."""
    said: dict[str, list[Line]] = {"assistant": [], "user": []}
    speaker = "user"
    for action in item.target["actions"]:
        side = action.get("requestor") or "assistant"
        if side != speaker:
            said[speaker].append(first)
            speaker = side
        said[speaker].append((action["name"], action["arguments"]))
    if speaker == "assistant":
        said["assistant"].append("It is done.")
    return Script(said["assistant"] or ["Good bye."], [*said["user"], STOP])


TALK = "Hm, let me think about it."
SILENCE = Answer("")
OVERFLOW = Answer(
    status=400, body='{"object": "error", "message": "This model\'s maximum context length is 262144 tokens."}'
)
UNKNOWN: Line = ("open_the_phone", {})
BAD_JSON = Answer(tool_calls=[{"id": "c", "name": "get_customer_by_id", "arguments": '{"customer_id": '}])
NO_OBJECT = Answer(tool_calls=[{"id": "c", "name": "get_customer_by_id", "arguments": '["C1001"]'}])
LEAKED = "<tool_call>\n<function=get_customer_by_id>\n<parameter=customer_id>\nC1001\n</parameter>\n</function>"
ASK: Line = ("get_customer_by_id", {"customer_id": "C1001"})
RIGHT, WRONG = Ended("user_stop", "correct", 1.0), Ended("user_stop", "wrong", 0.0)
FAILED = Ended("", "failed", None)
BROKEN = Ended("agent_error", "wrong", 0.0)


def cases(items: Mapping[str, Item]) -> dict[str, Case]:
    """Every way in which a dialogue can end."""
    short = next(item for item in items.values() if "ACTION" not in item.target["reward_basis"])
    given_up = next(item for item in items.values() if "ACTION" in item.target["reward_basis"])
    gold, handed = gold_script(short), gold_script(given_up)
    pair = Answer(
        "Two at once.",
        tool_calls=[
            {"id": "same", "name": "get_customer_by_id", "arguments": '{"customer_id": "C1001"}'},
            {"id": "", "name": "get_details_by_id", "arguments": '{"id": "L1002"}'},
        ],
    )
    hidden = Answer(STOP, tool_calls=[{"id": "u", "name": "check_status_bar", "arguments": "{}"}])
    steps = hold(short, gold).steps

    def agent(*lines: Line) -> Script:
        return Script([*lines, *gold.agent], [TALK, *gold.user])

    def of(script: Script, ended: Ended, item: Item = short, **options: Any) -> Case:
        return Case(item.id, script, ended, options)

    return {
        "user stop, solved": of(gold, RIGHT),
        "user stop, not solved": of(Script([TALK], [TALK, STOP]), WRONG),
        "transfer, as the task wants": of(Script(handed.agent, [*handed.user[:-1], "###TRANSFER###"]), RIGHT, given_up),
        "transfer without the agent's call": of(Script([TALK], [TALK, "###TRANSFER###"]), WRONG, given_up),
        "out of scope": of(Script([TALK], ["###OUT-OF-SCOPE###"]), WRONG),
        "no stop beside a tool call": of(Script([TALK], [hidden, TALK]), Ended("max_steps", "wrong", 0.0)),
        "agent stop, solved": of(
            Script([*gold.agent, "Good. ###STOP###"], [*gold.user[:-1], TALK]),
            Ended("agent_stop", "correct", 1.0),
            agent_stop=True,
        ),
        "agent stop, not solved": of(
            Script(["###STOP###"], [TALK]), Ended("agent_stop", "wrong", 0.0), agent_stop=True
        ),
        "agent stop, as the package's own agent": of(Script(["###STOP###"], [TALK]), Ended("max_steps", "wrong", 0.0)),
        "agent stop after the work, as the package's own agent": of(
            Script([*gold.agent, "Good. ###STOP###"], [*gold.user[:-1], TALK]), Ended("max_steps", "wrong", 0.0)
        ),
        "max steps": of(Script([TALK], [TALK]), Ended("max_steps", "wrong", 0.0)),
        "a stop in the last step": of(gold, Ended("max_steps", "wrong", 0.0), max_steps=steps),
        "a stop in the step before": of(gold, RIGHT, max_steps=steps + 1),
        "too many errors": of(Script([UNKNOWN], [TALK]), Ended("too_many_errors", "wrong", 0.0)),
        "nearly too many errors": of(agent(*[UNKNOWN] * 9, TALK), RIGHT),
        "invalid tool JSON": of(agent(ASK, BAD_JSON), BROKEN),
        "tool arguments that are no object": of(agent(NO_OBJECT), BROKEN),
        "two calls at once": of(agent(pair, TALK), RIGHT),
        "empty message": of(agent(ASK, SILENCE), Ended("agent_error", "no_answer", 0.0)),
        "empty message, then none": of(agent([*[SILENCE] * 3, Answer(TALK)]), RIGHT),
        "cut while thinking": of(
            agent(ASK, Answer("", reasoning="and", finish_reason="length")), Ended("agent_error", "truncated", 0.0)
        ),
        "refused": of(agent(Answer("", finish_reason="content_filter")), Ended("agent_error", "refused", 0.0)),
        "cut, then solved": of(agent(Answer("So I", finish_reason="length")), RIGHT),
        "context overflow": of(agent(ASK, ASK, OVERFLOW), Ended("context", "truncated", 0.0)),
        "tool call left in the text": of(Script([LEAKED], [TALK, STOP]), WRONG),
        "simulator: empty message": of(Script([TALK], [TALK, SILENCE]), FAILED),
        "simulator: invalid tool JSON": of(Script([TALK], [TALK, BAD_JSON]), FAILED),
        "simulator: context overflow": of(Script([TALK], [TALK, OVERFLOW]), FAILED),
        "simulator: server fault": of(Script([TALK], [TALK, Answer(status=500)]), FAILED),
    }


def answer_of(line: Line, who: str, number: int, again: int = 0) -> Answer:
    """A line as a server sends it when it is asked ``again``."""
    if isinstance(line, list):
        line = line[min(again, len(line) - 1)]
    if isinstance(line, Answer):
        return line
    if isinstance(line, str):
        return Answer(line)
    return Answer(tool_calls=[{"id": f"call_{who}_{number}", "name": line[0], "arguments": json.dumps(dict(line[1]))}])


def speaking(script: Script, who: str) -> Chat:
    """A side of a dialogue without a server."""
    number = 0

    async def chat(request: Request) -> Reply:
        nonlocal number
        answer = answer_of(script.line(who, number), who, number)
        number += 1
        return Reply(answer.text, finish_reason=answer.finish_reason, tool_calls=tuple(answer.tool_calls))

    return chat


def hold(item: Item, script: Script, rules: Rules | None = None) -> Dialogue:
    """A dialogue without servers."""
    tools = Tools(speaking(script, MODEL), speaking(script, SIMULATOR))
    held = Dialogue(package_task(item), rules or Rules(), tools)
    asyncio.run(held.run())
    return held


@contextmanager
def endpoints(scripts: Mapping[str, Script], delay: float = 0.0) -> Iterator[tuple[Scripted, Scripted]]:
    """Two servers, the model's and the simulator's; the request's seed tells which dialogue it belongs to."""
    by_seed = {request_seed(SEED, name, 0): script for name, script in scripts.items()}
    with _serving(MODEL, by_seed, delay) as model, _serving(SIMULATOR, by_seed, delay) as simulator:
        yield model, simulator


@contextmanager
def _serving(who: str, by_seed: Mapping[int, Script], delay: float) -> Iterator[Scripted]:
    holder: list[Scripted] = []
    asked: Counter[tuple[int, int]] = Counter()

    def answer(_: str) -> Answer:
        body = holder[0].requests[-1].body
        number = own_number(who, body)
        again = asked[body["seed"], number]
        asked[body["seed"], number] += 1
        answer = answer_of(by_seed[body["seed"]].line(who, number), who, number, again)
        return replace(answer, delay=delay)

    with scripted_endpoint(answer, model=who) as server:
        holder.append(server)
        yield server


def own_number(who: str, body: Mapping[str, Any]) -> int:
    """Which message of its own a side is asked for: the greeting of the agent is none."""
    return sum(int(message["role"] == "assistant") for message in body["messages"]) - (who == MODEL)


async def attempts(
    folder: Path, names: Sequence[str], urls: Mapping[str, str], rules: Mapping[str, Any]
) -> list[Score]:
    """Attempts at some items on a cell in ``folder``, over HTTP; what the engine does for an adapter with two chats."""
    adapter = Tau2Telecom(**rules)
    items = {item.id: item for item in adapter.items()}
    sglang = Server(dialect="sglang", stream=True)
    clients = {
        who: connect(Model(who, who, None, "bf16", base_url=url, server=sglang, thinking=False), Engine(), who, 32)
        for who, url in urls.items()
    }
    with JournalWriter() as commits:
        cell = open_cell(folder, making.manifest(task="tau2_telecom", adapter="tau2_telecom", seed=SEED), commits)
        try:
            jobs = (_attempt(adapter, cell, items[name], clients) for name in names)
            scores = await asyncio.gather(*jobs)
            await cell.flush()
        finally:
            cell.close()
            for client in clients.values():
                await client.close()
    return scores


async def _attempt(adapter: Tau2Telecom, cell: Cell, item: Item, clients: Mapping[str, Client]) -> Score:
    async def ask(who: str, request: Request) -> tuple[Reply, int]:
        try:
            return await clients[who].send(request), 1
        except Empty as fault:  # asking such a server again is the engine's policy; here the dialogue's is tested
            return fault.reply, 1

    async def ask_model(request: Request) -> tuple[Reply, int]:
        return await ask(MODEL, request)

    async def ask_simulator(request: Request) -> tuple[Reply, int]:
        return await ask(SIMULATOR, request)

    model = Conversation(cell, item, 0, SAMPLING[MODEL], SEED, ask_model)
    simulator = Conversation(cell, item, 0, SAMPLING[SIMULATOR], SEED, ask_simulator, role=SIMULATOR)
    try:
        score = await adapter.attempt(item, 0, Tools(model.chat, simulator.chat))
    except SampleFailed as error:
        score = Score(None, "failed", note=str(error))
    cell.record_score(model.sample(score, version=adapter.version, rerolled=False, prompt_sha=""))
    return score


def in_process(folder: Path, item: Item, script: Script, **rules: Any) -> Score:
    """One dialogue over HTTP on a real cell."""
    with endpoints({item.id: script}) as (model, simulator):
        urls = {MODEL: model.base_url, SIMULATOR: simulator.base_url}
        return asyncio.run(attempts(folder, [item.id], urls, rules))[0]
