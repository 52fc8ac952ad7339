"""What evalsuite's client relies on, asked of real servers that serve the same small checkpoint."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from evalsuite.config.settings import Engine, Model
from evalsuite.demo.problems import held_out
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.identity import identify as identity
from evalsuite.endpoint.pool import pool
from evalsuite.engine.retry import ask_again
from evalsuite.engine.stopping import Stop
from evalsuite.errors import ContextOverflow
from evalsuite.records import Reply, Request
from tests.end_to_end.contract.servers import HERE, SERVERS

pytestmark = pytest.mark.slow

GREEDY = {"temperature": 0.0, "max_tokens": 120, "seed": 1}
PROBLEMS = [problem for place, problem in enumerate(held_out()) if place % 50 == 0]
LONG = "What is 2 plus 2? " * 200


@dataclass(frozen=True)
class Served:
    name: str
    model: Model


@pytest.fixture(scope="module", params=HERE)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("server")
    with SERVERS[request.param](folder) as model:
        yield Served(request.param, model)


def ask(model: Model, *questions: str, sampling: Mapping[str, Any] = GREEDY) -> list[Reply]:
    """The replies to several questions at once, after the server was asked who it is."""

    async def body() -> list[Reply]:
        engine = Engine(first_token_seconds=60, idle_seconds=60, backoff_seconds=0.1)
        client = connect(model, engine, model.served_name, 8)
        if model.served_name == "auto":
            client = identity.with_name(client, await identity.identify(client))
        served = pool(model, engine, [client])
        try:
            requests = [Request(({"role": "user", "content": one},), sampling=dict(sampling)) for one in questions]
            asked = (ask_again(served, one, Stop()) for one in requests)
            return [reply for reply, _ in await asyncio.gather(*asked)]
        finally:
            await served.close()

    return asyncio.run(body())


def test_answers_are_finished_counted_and_apart_from_the_reasoning(served: Served) -> None:
    replies = ask(served.model, *(problem.question for problem in PROBLEMS))
    right = sum(reply.text.strip() == problem.answer for problem, reply in zip(PROBLEMS, replies, strict=True))
    assert right >= 0.8 * len(PROBLEMS)
    assert {reply.finish_reason for reply in replies} == {"stop"}
    assert all(reply.reasoning and "</think>" not in reply.text for reply in replies)
    assert all((reply.usage.prompt_tokens or 0) > 10 and (reply.usage.completion_tokens or 0) > 5 for reply in replies)


def test_streamed_and_whole_replies_are_the_same(served: Served) -> None:
    whole = replace(served.model, server=replace(served.model.server, stream=False))
    question = PROBLEMS[0].question
    streamed, unstreamed = ask(served.model, question)[0], ask(whole, question)[0]
    assert (streamed.text.strip(), streamed.reasoning.strip()) == (
        unstreamed.text.strip(),
        unstreamed.reasoning.strip(),
    )
    assert streamed.finish_reason == unstreamed.finish_reason
    assert streamed.usage.prompt_tokens == unstreamed.usage.prompt_tokens


def test_thinking_off_leaves_no_reasoning(served: Served) -> None:
    reply = ask(replace(served.model, thinking=False), PROBLEMS[0].question)[0]
    assert not reply.reasoning.strip()  # transformers serve: the two newlines of an empty block


def test_an_answer_that_is_cut_while_thinking_is_truncated_and_has_no_text(served: Served) -> None:
    reply = ask(served.model, PROBLEMS[0].question, sampling={**GREEDY, "max_tokens": 6})[0]
    assert (reply.finish_reason, reply.truncated, reply.text) == ("length", True, "")
    assert reply.reasoning


def test_a_prompt_beyond_the_context_is_the_items_outcome(served: Served) -> None:
    if served.name == "transformers":
        pytest.skip("transformers serve has no such error: it answers with an empty text cut at once")
    with pytest.raises(ContextOverflow):
        ask(served.model, LONG)
