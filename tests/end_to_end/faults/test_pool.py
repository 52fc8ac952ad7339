"""Outages, replicas and the limit of what is in flight."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from evalsuite.endpoint.client import Client
from evalsuite.endpoint.concurrency import ConcurrencyLimit
from evalsuite.endpoint.environment import base_urls
from evalsuite.endpoint.faults import Down
from evalsuite.endpoint.pool import Pool
from evalsuite.endpoint.timeouts import RequestTimeout
from evalsuite.errors import EndpointDown, EndpointUnusable, SampleFailed
from evalsuite.records import Reply, Usage
from tests.end_to_end.faults.asking import answer, ask, ask_all, model, opened, question, texts, using
from tests.support.fault_server import Crash, Reset, Send, Steps, Wait, error, events, fault_server, good, streamed

PROMPTS = [f"question {number}" for number in range(24)]


async def eventually(condition: Callable[[], bool]) -> None:
    """Return when it holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a server's thread, too
            await asyncio.sleep(0.01)


def test_one_url_and_several_are_the_same_kind_of_thing() -> None:
    assert base_urls(model("http://a/v1")) == ("http://a/v1",)
    assert base_urls(model("http://a/v1", "http://b/v1")) == ("http://a/v1", "http://b/v1")


def test_replicas_share_the_work_and_the_limit_is_the_users_word_for_all_of_them() -> None:
    def slowly(prompt: str, number: int) -> Steps:
        return [Wait(0.03), *good(answer(prompt))]

    with fault_server(answer, slowly) as one, fault_server(answer, slowly) as two:
        found = ask_all(model(one.base_url, two.base_url, concurrency=6), PROMPTS, at_once=24)
        assert texts(found) == [answer(prompt) for prompt in PROMPTS]
        assert (len(one.prompts), len(two.prompts)) == (12, 12)
        assert (one.peak, two.peak) == (3, 3)


def test_a_crash_costs_no_attempt_and_loses_no_answer() -> None:
    """The server dies with six answers half sent, and is back after a while."""

    def script(prompt: str, number: int) -> Steps | None:
        if server.crashes == 0 and len(server.prompts) >= 6:
            return streamed(events("answer to"), done=False, then=[Crash(0.3)])
        return None if server.crashes else streamed(events("answer"), done=False, then=[Wait()])

    with fault_server(answer, script) as server:
        found = ask_all(model(server.base_url), PROMPTS, at_once=6, retries=0)
        assert texts(found) == [answer(prompt) for prompt in PROMPTS]  # with no retries: the outage cost none
        assert sum(attempts for _, attempts in found) == len(server.prompts)
        assert server.crashes == 1


def test_one_replica_down_and_the_other_carries_on_with_its_own_share() -> None:
    def slowly(prompt: str, number: int) -> Steps:
        return [Wait(0.01), *good(answer(prompt))]

    with fault_server(answer, lambda *_: [Crash()]) as dead, fault_server(answer, slowly) as alive:
        found = ask_all(model(dead.base_url, alive.base_url, concurrency=8), PROMPTS, at_once=8, retries=0)
        assert texts(found) == [answer(prompt) for prompt in PROMPTS]
        assert alive.peak <= 4
        assert len(dead.prompts) <= 4  # what was under way; nothing was sent to it afterwards


def test_a_replica_that_is_back_is_used_again() -> None:
    async def work(asked: Pool) -> int:
        await asyncio.gather(*(ask(asked, prompt) for prompt in PROMPTS))
        await eventually(lambda: asked.replicas[0].free > 0)
        before = len(lame.prompts)
        await asyncio.gather(*(ask(asked, prompt) for prompt in PROMPTS))
        return len(lame.prompts) - before

    def script(prompt: str, number: int) -> Steps | None:
        return None if lame.crashes else [Crash(0.2)]

    with fault_server(answer, script) as lame, fault_server(answer) as other:
        assert using(model(lame.base_url, other.base_url, concurrency=8), work) > 0


def test_an_outage_ends_the_endpoint_when_its_time_is_up() -> None:
    with fault_server(answer, lambda *_: [Crash()]) as server:
        found = ask_all(model(server.base_url), PROMPTS, outage_seconds=0.3)
    assert {type(one) for one in found} == {EndpointDown}
    assert "has been down for" in str(found[0])
    assert len(server.prompts) <= 8  # nothing was sent to nobody


def test_a_gateway_is_waited_for_without_an_attempt() -> None:
    """502, 503 and 504 while the model server behind it starts; the gateway itself lists the model all the time."""

    def script(prompt: str, number: int) -> Steps | None:
        return error((502, 503, 504)[len(server.prompts) % 3]) if len(server.prompts) <= 2 * len(PROMPTS) else None

    with fault_server(answer, script) as server:
        found = ask_all(model(server.base_url), PROMPTS, retries=0)
        assert texts(found) == [answer(prompt) for prompt in PROMPTS]


def test_a_bad_question_is_no_outage() -> None:
    """Every request of it is reset, while the server is there: it is given up, and the others are answered."""

    def script(prompt: str, number: int) -> Steps | None:
        return [Reset()] if prompt == "question 3" else None

    with fault_server(answer, script) as server:
        found = ask_all(model(server.base_url), PROMPTS)
        assert server.counts["question 3"] == 3
    assert isinstance(found[3], SampleFailed)
    assert "asked 3 times" in str(found[3])
    assert len(texts(found[:3] + found[4:])) == 23


def test_a_question_that_kills_the_server_is_given_up() -> None:
    def script(prompt: str, number: int) -> Steps | None:
        return [Wait(0.2), Crash(0.02)] if prompt == "question 3" else None  # the others are answered meanwhile

    with fault_server(answer, script) as server:
        found = ask_all(model(server.base_url), PROMPTS, at_once=2)
        assert server.counts["question 3"] <= 5
    assert isinstance(found[3], SampleFailed)
    assert len(texts(found[:3] + found[4:])) == 23


def test_an_engine_that_died_behind_a_living_server_is_an_outage() -> None:
    """HTTP 500 to everything, while /models answers: the questions are kept, not burned one after the other."""

    def script(prompt: str, number: int) -> Steps | None:
        return None if prompt in PROMPTS[:4] else error(500, "EngineCore encountered an issue")

    with fault_server(answer, script) as server:
        found = ask_all(model(server.base_url), PROMPTS, at_once=4, retries=1, outage_seconds=0.3)
        unknown = ask_all(model(server.base_url), PROMPTS[4:], at_once=4, retries=1)
    assert len(texts(found[:4])) == 4
    assert isinstance(found[-1], EndpointDown)
    assert "EngineCore encountered an issue" in str(found[-1])
    assert sum(isinstance(one, SampleFailed) for one in found) <= 8
    assert isinstance(unknown[-1], EndpointUnusable)  # it never worked: that is not waited for
    assert "has not answered a single question" in str(unknown[-1])


def test_who_is_there_is_asked_before_anything_is_sent_after_an_outage() -> None:
    order: list[str] = []

    async def work(asked: Pool, verdict: Exception | None) -> list[Any]:
        async def known(client: Client) -> None:
            order.append(f"who is {client.model.base_url == server.base_url}")
            if verdict is not None:
                raise verdict

        asked.on_reconnect = known
        return await asyncio.gather(*(ask(asked, prompt) for prompt in PROMPTS[:8]), return_exceptions=True)

    def script(prompt: str, number: int) -> Steps | None:
        if server.crashes:
            order.append(prompt)
            return None
        return [Crash(0.1)] if len(server.prompts) == 8 else [Wait()]

    with fault_server(answer, script) as server:
        assert len(texts(using(model(server.base_url), lambda asked: work(asked, None)))) == 8
        assert order[0] == "who is True"
        assert order.count("who is True") == 1
    order.clear()
    with fault_server(answer, script) as server:
        wrong = EndpointUnusable("it is another model now")
        found = using(model(server.base_url), lambda asked: work(asked, wrong))
        assert {str(one) for one in found} == {"it is another model now"}
        assert order == ["who is True"]


def test_concurrency_falls_when_the_server_refuses_and_recovers() -> None:
    def script(prompt: str, number: int) -> Steps:
        if server.running > 4:
            return error(429, Retry_After="0")
        return [Wait(0.02), *good(answer(prompt))]

    async def work(asked: Pool) -> list[int]:
        levels = []
        for _ in range(2):
            await asyncio.gather(*(ask(asked, prompt) for prompt in PROMPTS))
            levels.append(asked.replicas[0].limit.allowed)
        return levels

    with fault_server(answer, script) as server:
        levels = using(model(server.base_url, concurrency=16), work)
        refused = len(server.prompts) - 48
        assert refused < 48  # at a limit of 16 more would be refused than answered
        assert max(levels) < 16

    with fault_server(answer) as server:

        async def recover(asked: Pool) -> int:
            asked.replicas[0].limit.level = 1.0
            for _ in range(6):
                await asyncio.gather(*(ask(asked, prompt) for prompt in PROMPTS))
            return asked.replicas[0].limit.allowed

        assert using(model(server.base_url, concurrency=16), recover, first_token_seconds=60.0) == 16


def test_an_endpoint_that_is_busy_for_everybody_is_given_up_and_one_question_is_not_everybody() -> None:
    with fault_server(answer, lambda *_: error(429)) as server:
        found = ask_all(model(server.base_url), PROMPTS[:4], outage_seconds=0.3)
    assert {type(one) for one in found} == {EndpointDown}
    assert "is too busy for everything" in str(found[0])
    with fault_server(answer, lambda prompt, _: error(429) if prompt == PROMPTS[0] else None) as server:
        found = ask_all(model(server.base_url), PROMPTS[:4], outage_seconds=0.3)
    assert type(found[0]) is SampleFailed
    assert len(texts(found[1:])) == 3


def reply(first: float, tokens: int = 100, seconds: float | None = None, prompt: int = 50) -> Reply:
    return Reply("x", usage=Usage(prompt, tokens), seconds=seconds or first + 1, first_token_seconds=first)


def test_a_growing_queue_lowers_the_limit_and_long_prompts_do_not() -> None:
    limit = ConcurrencyLimit(64, first_token_seconds=100.0)
    for number in range(50):
        limit.answered(reply(0.2), sent=number, running=64, now=number + 1)
        limit.answered(reply(30.0, prompt=100_000), sent=number, running=64, now=number + 1)  # prefill, not a queue
    assert limit.allowed == 64
    for number in range(50, 60):
        limit.answered(reply(20.0), sent=number, running=64, now=number + 1)
    assert limit.allowed < 40
    for number in range(60, 400):
        limit.answered(reply(0.2), sent=number, running=4, now=number + 1)
    assert limit.allowed == 64


def test_one_round_of_refusals_lowers_the_limit_once_and_never_below_one() -> None:
    limit = ConcurrencyLimit(64, first_token_seconds=100.0)
    for _ in range(30):
        limit.refused(sent=1.0, running=40, now=2.0)
    assert limit.allowed == 20
    for number in range(3, 60):
        limit.refused(sent=float(number), running=1, now=number + 0.5)
    assert limit.allowed == 1


def test_the_longest_request_is_what_the_cap_needs_at_a_quarter_of_the_slowest_rate() -> None:
    pace = RequestTimeout()
    for number in range(64):
        assert number >= 32 or pace.longest(64000, 900.0) is None
        pace.note(reply(2.0, tokens=400 if number % 40 else 200, seconds=12.0))  # 40 tokens/s, one in 40 at 20
    assert pace.longest(64000, 900.0) == pytest.approx(900 + 64000 / 5)
    assert pace.longest(None, 900.0) is None


def test_a_request_beyond_its_time_is_given_up_and_not_asked_until_it_is_short() -> None:
    async def work(asked: Pool) -> tuple[Exception, tuple[str, ...]]:
        asked.pace.slowest = 400.0  # tokens per second: 64 tokens need 0.16 s, so 0.64 s are allowed after the first
        with pytest.raises(SampleFailed) as caught:
            await ask(asked, "long")
        return caught.value, asked.tally.flags()

    def script(prompt: str, number: int) -> Steps:
        return streamed(events("a" * 40), done=False, then=[Send(b"")] + [Wait(0.1), Send(b"1\r\n\n\r\n")] * 99)

    with fault_server(answer, script) as server:
        fault, flags = using(model(server.base_url), work)
        assert server.counts["long"] == 1
    assert "no end after 2 s; 40 characters of an answer were thrown away" in str(fault)
    assert "1 questions took longer than one request may" in flags[0]


def test_a_pool_that_is_closed_in_an_outage_leaves_nothing_behind() -> None:
    async def go() -> None:
        asked = await opened(model(server.base_url))
        waiting = asyncio.create_task(ask(asked, "question"))
        await eventually(lambda: asked.tally.outages > 0)
        waiting.cancel()
        await asked.close()
        await asyncio.gather(waiting, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with fault_server(answer, lambda *_: [Crash()]) as server:
        asyncio.run(go())


def test_a_cancelled_wait_gives_its_turn_to_the_next() -> None:
    async def work(asked: Pool) -> str:
        first = asyncio.create_task(asked.send(question("first")))
        await asyncio.sleep(0)
        second = asyncio.create_task(asked.send(question("second")))
        third = asyncio.create_task(asked.send(question("third")))
        await eventually(lambda: bool(server.prompts))
        await first
        second.cancel()
        return (await third).text

    with fault_server(answer, lambda prompt, _: [Wait(0.05), *good(answer(prompt))]) as server:
        assert using(model(server.base_url, concurrency=1), work) == "answer to third"


def test_a_fault_says_whether_it_came_in_an_outage() -> None:
    async def work(asked: Pool) -> list[bool]:
        found = []
        for _ in range(2):
            with pytest.raises(Down) as caught:
                await asked.send(question("q"))
            found.append(caught.value.outage)
        return found

    def script(prompt: str, number: int) -> Steps:
        return [Reset()] if number == 0 else [Crash()]

    with fault_server(answer, script) as server:
        assert using(model(server.base_url), work) == [False, True]
