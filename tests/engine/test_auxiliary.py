"""Tasks that talk with a simulated user: journaled by turn, skipped without one, never blamed for its faults."""

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from evalsuite.cli.run import run
from evalsuite.config.settings import AuxiliaryModel, Engine, Run, Sampling, Server
from evalsuite.endpoint.pool import Pool
from evalsuite.engine import auxiliary
from evalsuite.engine.auxiliary import AuxiliaryClient
from evalsuite.errors import BadInput, Exit, SimulatorFailed
from evalsuite.records import Item, Request, Score
from evalsuite.store.samples import read_samples
from evalsuite.tasks.base import Tools, graded
from tests.support.comparing import comparison_rows
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.toy import Additions, right, settings


@dataclass(frozen=True)
class Asked(Additions):
    """A simulated user asks twice; the model's last answer counts."""

    needs: ClassVar[tuple[str, ...]] = ("simulator",)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        assert tools.simulator is not None
        said = item.id
        for _ in range(2):
            question = await tools.simulator(Request(({"role": "user", "content": f"simulate {said}"},)))
            reply = await tools.chat(Request(({"role": "user", "content": f"{item.inputs['a']} + 1 {question.text}"},)))
            said = reply.text
        return graded(reply, right=reply.text == item.target, answer=reply.text)


def asked(results: Path, url: str, simulator: str | None) -> Run:
    wanted = settings(results, ("bf16", url), limit=6)
    wanted.tasks["additions"].adapter = "tests.engine.test_auxiliary:Asked"
    if simulator:
        server = Server("openai", thinking_via=None)
        sampling = Sampling(temperature=0.0, max_tokens=50)
        wanted.simulator = AuxiliaryModel(
            "S", "org/s", None, "bf16", base_url=simulator, server=server, sampling=sampling
        )
    return wanted


def summary(results: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((results / "r/bf16/additions/summary.json").read_text())
    return loaded


def test_both_sides_are_journaled_and_replayed(tmp_path: Path) -> None:
    broken = True

    def model(prompt: str) -> Answer:
        return Answer(status=500) if broken and "again" in prompt else Answer(right(prompt))

    def simulator(prompt: str) -> str:
        return "please" if prompt.startswith("simulate q") else "again"

    with scripted_endpoint(model) as server, scripted_endpoint(simulator, model="s") as user:
        assert run(asked(tmp_path, server.base_url, user.base_url)) == Exit.INCOMPLETE
        broken = False
        assert run(asked(tmp_path, server.base_url, user.base_url)) == Exit.DONE
        assert set(user.counts.values()) == {1}  # what the user said is not asked again
        assert all(
            count == 1 for prompt, count in server.counts.items() if "again" not in prompt and "2 + 2" not in prompt
        )
        assert user.requests[0].body["temperature"] == 0.0
        assert server.requests[0].body["temperature"] == 0.6
    assert summary(tmp_path)["score"] == 1.0
    assert json.loads((tmp_path / "r/bf16/additions/manifest.json").read_text())["simulator"].startswith("org/s")


@pytest.mark.parametrize("fault", [Answer(status=500), Answer(status=401), Answer(status=400)])
def test_a_fault_of_the_simulator_is_no_wrong_answer(tmp_path: Path, fault: Answer) -> None:
    with scripted_endpoint(right) as server, scripted_endpoint(lambda _: fault, model="s") as user:
        assert run(asked(tmp_path, server.base_url, user.base_url)) == Exit.INCOMPLETE
    found = summary(tmp_path)
    assert (found["score"], found["outcomes"]["failed"]) == (None, 6)


@pytest.mark.parametrize("simulator", [None, "http://127.0.0.1:9/v1"])
def test_without_a_simulator_the_cell_is_skipped_and_the_rest_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], simulator: str | None
) -> None:
    with scripted_endpoint(right) as server:
        wanted = asked(tmp_path, server.base_url, simulator)
        plain = settings(tmp_path, ("bf16", server.base_url), tasks=("plain",)).tasks["plain"]
        wanted.tasks["plain"] = plain
        assert run(wanted) == Exit.STOPPED
    assert "additions is skipped: no" in capsys.readouterr().err
    assert not (tmp_path / "r/bf16/additions").exists()
    assert json.loads((tmp_path / "r/bf16/plain/summary.json").read_text())["complete"]


@dataclass(frozen=True)
class Picky(Asked):
    """Cannot go on when the simulator says nothing of use."""

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        assert tools.simulator is not None
        question = await tools.simulator(Request(({"role": "user", "content": f"simulate {item.id}"},)))
        if question.text != "please":
            raise SimulatorFailed(f"the simulated user said {question.text!r}")
        return await super().attempt(item, repeat, tools)


def test_what_the_simulator_spoiled_begins_anew(tmp_path: Path) -> None:
    def answers(word: str) -> Any:
        return lambda prompt: word if prompt == "simulate q003" else "please"

    with scripted_endpoint(right) as server:
        with scripted_endpoint(answers("gibberish"), model="s") as user:
            wanted = asked(tmp_path, server.base_url, user.base_url)
            wanted.limit = None
            wanted.tasks["additions"].adapter = "tests.engine.test_auxiliary:Picky"
            assert run(wanted) == Exit.INCOMPLETE
            assert summary(tmp_path)["outcomes"]["failed"] == 1
        with scripted_endpoint(answers("please"), model="s") as user:
            assert wanted.simulator is not None
            wanted.simulator.base_url = user.base_url
            assert run(wanted) == Exit.DONE
            assert {one.prompt for one in user.requests} == {"simulate q003", "simulate 4"}
    rows = read_samples(tmp_path / "r/bf16/additions").to_pylist()
    assert [row["item_id"] for row in rows if row["rerolled"]] == ["q003"]


def test_precisions_share_the_first_request_although_their_dialogues_differ(tmp_path: Path) -> None:
    def off_by_one(prompt: str) -> str:
        return str(int(right(prompt)) + 1)

    with (
        scripted_endpoint(right, model="a") as one,
        scripted_endpoint(off_by_one, model="b") as two,
        scripted_endpoint(lambda prompt: f"so {prompt}", model="s") as user,
    ):
        first = asked(tmp_path, one.base_url, user.base_url)
        fp8 = replace(first.models["bf16"], base_url=two.base_url, checkpoint="org/fp8", baseline="bf16")
        first.models["fp8"] = fp8
        assert run(first) == Exit.DONE
    (row,) = comparison_rows(tmp_path / "r")
    assert (row["delta"], row["comparable"]["ok"]) == (-1.0, True)


def test_the_judge_is_left_when_the_simulator_is_badly_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    model = AuxiliaryModel("S", "org/s", None, "bf16", base_url="http://127.0.0.1:1/v1")
    closed = []

    class Connected:
        async def close(self) -> None:
            closed.append("judge")

    async def connect(role: AuxiliaryModel, engine: Engine) -> AuxiliaryClient:
        if role.title == "judge":
            return AuxiliaryClient(cast("Pool", Connected()), {}, asyncio.Semaphore(1))
        raise BadInput("no key")

    monkeypatch.setattr(auxiliary, "connect_auxiliary", connect)
    with pytest.raises(BadInput, match="no key"):
        asyncio.run(
            auxiliary.connect_auxiliaries(replace(model, title="judge"), model, ("judge", "simulator"), Engine())
        )
    assert closed == ["judge"]
