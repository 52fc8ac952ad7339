import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.identity.fingerprint import PROMPTS
from evalsuite.engine.identity.monitor import IdentityMonitor, final_checks
from evalsuite.engine.identity.preflight import close_all, connect_model
from evalsuite.engine.stopping import Stop
from evalsuite.errors import EndpointDown, EndpointUnusable
from evalsuite.records import Reply, Request
from evalsuite.store.attempts import MODEL
from evalsuite.store.cell import Cell, open_cell
from evalsuite.store.manifest import read_manifest
from evalsuite.store.writer import JournalWriter
from tests.support.cells import Made, answers, write
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.scripted_endpoint import Server as Scripted

KEYS = [("0", 0), ("1", 0), ("2", 0)]


class World:
    """A server whose weights and settings can be exchanged."""

    def __init__(self) -> None:
        self.drift = 0.0
        self.strays = 0
        """Answers that are still to be another model's."""
        self.down = False
        self.facts: dict[str, Any] = {"/server_info": {"tp_size": 4, "quantization": "fp8"}}

    def answer(self, prompt: str) -> Answer:
        if self.down:
            return Answer(status=503)
        seed, drift = PROMPTS.index(prompt), self.drift + (0.2 if self.strays > 0 else 0.0)
        self.strays -= 1
        entry = {"token": "t", "logprob": -0.11 * seed - drift}
        content = [
            {**entry, "top_logprobs": [{"token": "u", "logprob": -2.0 - 0.1 * at - 0.013 * seed}]} for at in range(12)
        ]
        choice = {"index": 0, "finish_reason": "length", "message": {"content": "t"}, "logprobs": {"content": content}}
        return Answer(body=json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9}}))


async def answered(cell: Cell, key: tuple[str, int]) -> None:
    request = Request(({"role": "user", "content": "?"},))
    await cell.record_reply(key, (MODEL, 0), request.prompt_sha, Reply("4", finish_reason="stop"), 1)


def guarded(tmp_path: Path, act: Callable[[World, Scripted, IdentityMonitor, Cell], Awaitable[None]]) -> Cell:
    """Do something with a guarded model whose cell is open; returns the cell as it was left."""
    world = World()
    folder = write(tmp_path / "r", Made("fp8", answers([1.0]))) / "fp8" / "mmlu_pro"
    (folder / "samples.parquet").unlink()

    async def live(server: Scripted) -> Cell:
        sglang = Server("sglang", identity=["/server_info"])
        model = Model("FP8", "org/fp8", None, "fp8", base_url=server.base_url, server=sglang)
        engine = Engine(first_token_seconds=5.0, backoff_seconds=0.01)
        clients, entry = await connect_model(model, [], engine)
        with JournalWriter() as commits:
            cell = open_cell(folder, read_manifest(folder), commits)
            found = await fingerprinted(clients, entry)
            cell.update({"server": [found]})
            guard = IdentityMonitor("fp8", model, "scripted", engine, [cell], found)
            await act(world, server, guard, cell)
            await cell.flush()
            cell.close()
        await close_all(clients)
        return cell

    with scripted_endpoint(world.answer, facts=world.facts) as server:
        return asyncio.run(live(server))


async def fingerprinted(clients: Any, entry: dict[str, Any]) -> dict[str, Any]:
    from evalsuite.engine.identity.preflight import take_fingerprints

    prints, _, _ = await take_fingerprints(clients)
    return {**entry, "fingerprint": prints[0].to_json()}


def last_probe(cell: Cell) -> dict[str, Any]:
    found: dict[str, Any] = read_manifest(cell.folder)["server"][0]["probes"][-1]
    return found


def test_what_came_since_the_last_good_look_is_put_aside_and_nothing_else(tmp_path: Path) -> None:
    async def act(world: World, server: Scripted, guard: IdentityMonitor, cell: Cell) -> None:
        await answered(cell, KEYS[0])
        await guard.check()
        await answered(cell, KEYS[1])
        world.drift = 0.2
        with pytest.raises(EndpointUnusable, match="fp8 is no longer the server that it was"):
            await guard.check()
        await answered(cell, KEYS[2])  # was in flight
        found = await final_checks({"fp8": guard}, {"fp8": EndpointUnusable(guard.changed)}, Stop())
        assert "does not count (2 attempts)" in str(found["fp8"])

    cell = guarded(tmp_path, act)
    assert list(cell.reply_counts()) == [KEYS[0]]
    assert [cell.rerolled(key) for key in KEYS] == [False, True, True]
    probe = last_probe(cell)
    assert (probe["verdict"], probe["put_aside"]) == ("changed", 2)


def test_a_server_that_is_down_is_no_other_server(tmp_path: Path) -> None:
    async def act(world: World, server: Scripted, guard: IdentityMonitor, cell: Cell) -> None:
        await answered(cell, KEYS[0])
        world.down = True
        await guard.check()
        assert await final_checks({"fp8": guard}, {"fp8": EndpointDown("gone")}, Stop()) == {}

    cell = guarded(tmp_path, act)
    assert list(cell.reply_counts()) == [KEYS[0]]
    probe = last_probe(cell)
    assert probe["verdict"] == "no fingerprint"


def test_a_stray_moment_is_asked_a_second_time(tmp_path: Path) -> None:
    async def act(world: World, server: Scripted, guard: IdentityMonitor, cell: Cell) -> None:
        asked, world.strays = len(server.requests), 20
        await guard.check()
        assert len(server.requests) == asked + 40

    assert last_probe(guarded(tmp_path, act))["verdict"] == "same"


def test_the_same_weights_with_other_settings_are_written_down(tmp_path: Path) -> None:
    async def act(world: World, server: Scripted, guard: IdentityMonitor, cell: Cell) -> None:
        world.facts["/server_info"] = {"tp_size": 8, "quantization": "fp8"}
        await guard.check()
        await guard.check()

    servers = read_manifest(guarded(tmp_path, act).folder)["server"]
    assert [one["facts"]["tp_size"] for one in servers] == [4, 8]
    assert servers[1]["notes"] == ["restarted with other settings: tensor_parallel: 4 -> 8"]


def test_a_fact_that_changes_with_every_start_and_changes_no_answer_is_learnt(tmp_path: Path) -> None:
    async def act(world: World, server: Scripted, guard: IdentityMonitor, cell: Cell) -> None:
        for nonce in "abc":
            world.facts["/server_info"] = {"tp_size": 4, "quantization": "fp8", "nonce": nonce}
            await guard.check()

    manifest = read_manifest(guarded(tmp_path, act).folder)
    assert manifest["idle"] == ["nonce"]
    assert len(manifest["server"]) == 1


def test_another_model_by_its_own_facts_is_found_though_no_fingerprint_can_be_taken(tmp_path: Path) -> None:
    async def act(world: World, server: Scripted, guard: IdentityMonitor, cell: Cell) -> None:
        world.facts["/server_info"] = {"tp_size": 4, "quantization": "fp8", "model_type": "qwen3"}
        await guard.check()
        world.down = True
        world.facts["/server_info"] = {"tp_size": 4, "quantization": "fp8", "model_type": "llama"}
        with pytest.raises(EndpointUnusable, match=r"it states another model \(model_type: qwen3 -> llama\)"):
            await guard.check()

    guarded(tmp_path, act)


def test_a_run_that_was_told_to_stop_does_not_wait_for_a_look(tmp_path: Path) -> None:
    async def act(world: World, server: Scripted, guard: IdentityMonitor, cell: Cell) -> None:
        stop, asked = Stop(), len(server.requests)
        stop.request("SIGTERM")
        assert await final_checks({"fp8": guard}, {}, stop) == {}
        assert len(server.requests) == asked

    guarded(tmp_path, act)
