"""The answer to the test question is read before a run; stop strings never reach a model that thinks."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalsuite.cli.run import run as cli_run
from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.body import request_body
from evalsuite.engine.identity.answer import check_answer
from evalsuite.engine.identity.preflight import connect_model
from evalsuite.errors import EndpointUnusable, Exit
from evalsuite.records import Reply, Request
from evalsuite.store.samples import read_rows
from evalsuite.tasks.loading import load_tasks
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.toy import right, settings

MODEL = Model("A", "org/a", None, "bf16", base_url="http://127.0.0.1:9/v1", server=Server(dialect="sglang"))
DEMO = Model("D", "evalsuite/demo_bf16", None, "bf16", base_url="http://127.0.0.1:9/v1")


@pytest.mark.parametrize("text", ["4", "**4**", "2 + 2 = 4.", "Four", "\uff14", r"\boxed{4}", "4\n\nWhat is 3 + 3?"])
def test_a_right_answer_is_accepted(text: str) -> None:
    assert check_answer(MODEL, Reply(text, "two and two", "stop")) == ""


@pytest.mark.parametrize(
    ("reply", "seen"),
    [
        (Reply("", "two and two is 4", "stop"), "16 characters of thinking and no text after them"),
        (Reply("", "", "stop"), "an empty answer"),
        (Reply("!" * 512, "", "length"), "one cycle repeated"),
        (Reply("", "hm " * 600, "length"), "one cycle repeated"),
        (Reply("20", "", "stop"), "with '20'"),
        (Reply("14 or 45", "", "stop"), "with '14 or 45'"),
        (Reply("\ufffd\ufffd x 4", "", "stop"), "garbled"),
    ],
)
def test_a_sick_answer_is_refused_with_what_was_seen(reply: Reply, seen: str) -> None:
    with pytest.raises(EndpointUnusable, match=r"engine\.probe_answer=false") as error:
        check_answer(MODEL, reply)
    assert seen in str(error.value)


def test_an_answer_that_was_cut_in_its_thinking_is_a_note() -> None:
    thought = "The question asks for the sum of two and two, which a number line shows: " + str(list(range(90)))
    assert "cut inside the thinking" in check_answer(MODEL, Reply("", thought, "length"))


def test_of_an_embedded_model_only_the_signs_count() -> None:
    assert check_answer(DEMO, Reply("\n\n20", "2*2+0=0", "stop")) == ""
    with pytest.raises(EndpointUnusable, match="thinking"):
        check_answer(DEMO, Reply("", "2*2+0=0", "stop"))


def test_a_cut_thought_is_asked_again_with_more_room(tmp_path: Path) -> None:
    def script(_: str) -> Answer:
        cut = server.requests[-1].body["max_tokens"] <= 512
        return Answer("", "Let me see.", "length") if cut else Answer("4", "So.")

    with scripted_endpoint(script) as server:
        run = settings(tmp_path, ("a", server.base_url), task={"options": {"count": 1}})
        run.sampling.max_tokens = 9000
        _, entry = _connected(run, Engine(fingerprint=False))
        assert [request.body["max_tokens"] for request in server.requests] == [512, 4096]
        assert not [note for note in entry["notes"] if "test question" in note]


@pytest.fixture
def swallowed() -> Iterator[Any]:
    """A server whose parser files every answer as thinking."""
    with scripted_endpoint(lambda _: Answer("", reasoning="two and two is 4")) as server:
        yield server


def test_a_sick_server_is_refused_before_a_run_unless_it_is_waived(tmp_path: Path, swallowed: Any) -> None:
    run = settings(tmp_path, ("a", swallowed.base_url), engine=Engine(fingerprint=False))
    assert cli_run(run) == Exit.ENDPOINT
    assert len(swallowed.requests) == 1
    with pytest.raises(EndpointUnusable, match="no text after them"):
        _connected(run, Engine(fingerprint=False))
    _connected(run, Engine(fingerprint=False, probe_answer=False))


def _connected(run: Any, engine: Engine) -> Any:
    async def connect() -> Any:
        clients, entry = await connect_model(next(iter(run.models.values())), list(load_tasks(run).values()), engine)
        for client in clients:
            await client.close()
        return clients, entry

    return asyncio.run(connect())


@pytest.mark.parametrize(("thinking", "raw", "sent"), [(True, False, False), (False, False, True), (True, True, True)])
def test_stop_strings_are_sent_only_where_nothing_is_thought(thinking: bool, raw: bool, sent: bool) -> None:
    model = Model("A", "org/a", None, "bf16", base_url="x", server=Server(dialect="vllm"), thinking=thinking)
    request = Request(({"role": "user", "content": "Q:"},), stop=("\n\n",), raw=raw)
    assert ("stop" in request_body(model, "a", request)) == sent


def test_the_text_after_the_thinking_is_cut_at_the_stop_string(tmp_path: Path) -> None:
    def script(prompt: str) -> Answer:
        return Answer(f"\n\n{right(prompt)}\n\nWhat is next?", reasoning="One.\n\nTwo.", finish_reason="length")

    with scripted_endpoint(script) as server:
        run = settings(tmp_path, ("a", server.base_url), task={"options": {"count": 4}})
        for chosen in run.tasks.values():
            chosen.adapter = "tests.support.toy:Stopped"
        assert cli_run(run) == Exit.DONE
        assert not any("stop" in request.body for request in server.requests)
    rows = read_rows(tmp_path / "r" / "a" / "additions", ["outcome", "text"])
    assert {row["outcome"] for row in rows} == {"correct"}
    assert all(row["text"].endswith("What is next?") for row in rows)  # what was generated is kept
