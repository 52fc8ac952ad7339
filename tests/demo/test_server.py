"""The demo server over real HTTP: the contract that real servers have, in SGLang's spelling."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractStreamWriter
from aiohttp.test_utils import make_mocked_request

from evalsuite.demo.answer import Answer
from evalsuite.demo.app import _stream
from evalsuite.demo.engine import Generation
from evalsuite.demo.problems import held_out
from evalsuite.demo.process import serving
from evalsuite.demo.protocol import ApiError, parse
from evalsuite.demo.sampling import SamplingParameters
from evalsuite.demo.service import load_service
from evalsuite.errors import BadInput, EndpointUnusable
from tests.support.demo_client import Json, Outcome, chat, events, get, post_all, post_raw
from tests.support.demo_outputs import is_right, stratified
from tests.support.machine_speed import cpu_budget

NAME = "demo_nvfp4"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving([NAME]) as urls:
        yield urls[NAME]


def one(url: str, body: Json) -> Outcome:
    return post_all(url, [body])[0]


def refusal(url: str, body: Json) -> tuple[int, str]:
    status, answer = post_raw(f"{url}/chat/completions", json.dumps(body).encode())
    assert answer["error"]["code"] == status
    return status, answer["error"]["message"]


def check_throughput(items: int) -> dict[str, float]:
    """Streams greedy answers to the first items, 64 at a time; share right, wall seconds, the server's CPU seconds."""
    with subprocess.Popen(
        [sys.executable, "-m", "evalsuite.demo.server", "--precision", NAME], stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        port = json.loads(server.stdout.readline())["port"]
        problems = stratified(items)
        began = time.monotonic()
        outcomes = post_all(f"http://127.0.0.1:{port}/v1", [chat(problem, NAME, STREAM) for problem in problems])
        wall = time.monotonic() - began
        server.terminate()
        _, status, used = os.wait4(server.pid, 0)
        server.returncode = os.waitstatus_to_exitcode(status)
    right = sum(is_right(p, answer.content) for p, answer in zip(problems, outcomes, strict=True))
    return {"accuracy": right / items, "wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime}


def test_throughput() -> None:
    figures = check_throughput(100)
    assert figures["accuracy"] > 0.75
    assert figures["cpu_s"] < cpu_budget(20)


def test_streamed_or_not_alone_or_together(url: str) -> None:
    problems = stratified(40)
    whole = post_all(url, [chat(p, NAME) for p in problems])
    assert whole == post_all(url, [chat(p, NAME, STREAM) for p in problems])
    assert whole[:5] == post_all(url, [chat(p, NAME) for p in problems[:5]], concurrency=1)
    assert all(answer.finish == "stop" and answer.content.startswith("\n\n") for answer in whole)
    assert all("=" in answer.reasoning for p, answer in zip(problems, whole, strict=True) if p.subject != "pick")


def test_usage_adds_up(url: str) -> None:
    answer = one(url, chat(held_out()[0], NAME))
    usage = answer.usage
    assert usage is not None
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    assert 0 < reasoning == usage["reasoning_tokens"] < usage["completion_tokens"]


def test_usage_comes_only_when_asked_for(url: str) -> None:
    assert one(url, chat(held_out()[0], NAME, {"stream": True})).usage is None


@pytest.mark.parametrize("extra", [{}, STREAM])
def test_truncated_thinking_has_no_content(url: str, extra: Json) -> None:
    answer = one(url, chat(held_out()[0], NAME, {**extra, "max_tokens": 4}))
    assert (answer.content, answer.finish) == ("", "length")
    assert answer.reasoning == "8+5+"
    assert answer.usage is not None
    assert (answer.usage["completion_tokens"], answer.usage["reasoning_tokens"]) == (4, 4)
    newer = one(url, chat(held_out()[0], NAME, {**extra, "max_completion_tokens": 2}))
    assert newer.reasoning == "8+"


def test_thinking_off(url: str) -> None:
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    answer, thinking = one(url, chat(held_out()[0], NAME, off)), one(url, chat(held_out()[0], NAME))
    assert answer.reasoning == ""
    assert answer.usage is not None
    assert thinking.usage is not None
    assert answer.usage["reasoning_tokens"] == 0
    assert answer.usage["prompt_tokens"] > thinking.usage["prompt_tokens"]


def test_seeds_decide_and_the_batch_does_not(url: str) -> None:
    hot = [chat(held_out()[at], NAME, {"temperature": 1.5, "top_p": 0.95, "seed": 7}) for at in range(12)]
    together = post_all(url, hot)
    assert together == post_all(url, hot, concurrency=1)
    other = post_all(url, [{**body, "seed": 8} for body in hot])
    assert other != together


def test_top_k_of_one_is_greedy(url: str) -> None:
    bodies = [chat(held_out()[at], NAME, {"temperature": 2, "top_k": 1}) for at in range(5)]
    assert post_all(url, bodies) == post_all(url, [chat(held_out()[at], NAME) for at in range(5)])


def test_stop_strings_end_the_content(url: str) -> None:
    plain = one(url, chat(held_out()[0], NAME))
    digits = plain.content.strip()
    for extra in ({}, STREAM):
        cut = one(url, chat(held_out()[0], NAME, {**extra, "stop": [digits[2:4], "never"]}))
        assert (cut.content, cut.finish) == (f"\n\n{digits[:2]}", "stop")


def test_logprobs(url: str) -> None:
    body = chat(held_out()[0], NAME, {"logprobs": True, "top_logprobs": 3})
    status, answer = post_raw(f"{url}/chat/completions", json.dumps(body).encode())
    assert status == 200
    content = answer["choices"][0]["logprobs"]["content"]
    assert len(content) == answer["usage"]["completion_tokens"]
    for entry in content:
        assert len(entry["top_logprobs"]) == 3
        assert entry["logprob"] == entry["top_logprobs"][0]["logprob"] <= 0  # greedy
        assert entry["token"] == entry["top_logprobs"][0]["token"]


def test_chunks_look_like_a_real_servers(url: str) -> None:
    async def raw() -> str:
        body = chat(held_out()[0], NAME, STREAM)
        async with aiohttp.ClientSession() as session, session.post(f"{url}/chat/completions", json=body) as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            return await response.text()

    chunks = events(asyncio.run(raw()))
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-2]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert chunks[-1]["choices"] == []
    assert len({(c["id"], c["object"], c["model"], c["system_fingerprint"]) for c in chunks}) == 1
    assert chunks[0]["object"] == "chat.completion.chunk"


def test_refusals(url: str) -> None:
    good = chat(held_out()[0], NAME)
    assert refusal(url, {**good, "model": "other"})[0] == 404
    assert refusal(url, {**good, "n": 2})[0] == 400
    assert refusal(url, {**good, "messages": []})[0] == 400
    assert refusal(url, {**good, "temperature": -1})[0] == 400
    assert refusal(url, {**good, "max_tokens": 0})[0] == 400
    assert refusal(url, {**good, "repetition_penalty": 1.2})[0] == 400
    assert refusal(url, {**good, "messages": [{"role": "user", "content": "\ud800"}]})[0] == 400
    for body in (b"{not json", b"[" * 100_000):
        status, answer = post_raw(f"{url}/chat/completions", body)
        assert (status, answer["error"]["type"]) == (400, "BadRequestError")


def test_a_prompt_beyond_the_context_is_refused_and_a_large_max_tokens_is_not(url: str) -> None:
    status, message = refusal(url, chat("1 " * 300, NAME))
    assert status == 400
    assert "is longer than the model's context length (256 tokens)" in message
    assert message.startswith("The input (")
    answer = one(url, chat("1 " * 100, NAME, {"temperature": 2, "max_tokens": 64000, "seed": 1}))
    assert answer.usage is not None
    assert answer.usage["total_tokens"] <= 256


def test_identity(url: str) -> None:
    root = url.removesuffix("/v1")
    assert get(f"{root}/health")[0] == 200
    entry = get(f"{url}/models")[1]["data"][0]
    assert (entry["id"], entry["root"], entry["max_model_len"]) == (NAME, f"evalsuite/{NAME}", 256)
    info, model = get(f"{root}/server_info")[1], get(f"{root}/model_info")[1]
    assert (info["quantization"], info["dtype"], info["context_length"]) == ("nvfp4", "bfloat16", 256)
    assert info["model_path"] == model["model_path"] == entry["root"]
    assert model["reasoning_parser"] == "qwen3"


def test_requests_of_a_failed_engine_get_an_error() -> None:
    async def fail_while_one_waits() -> None:
        service = load_service("demo_bf16", asyncio.get_running_loop())  # its engine is never started
        job = Generation("a", (1, 2, 3), 5, SamplingParameters(temperature=0))

        async def drain() -> list[Any]:
            return [step async for step in service.generate(job, Answer(service.codec, thinking=True))]

        waiting = asyncio.create_task(drain())
        await asyncio.sleep(0)
        service.fail()
        with pytest.raises(ApiError, match="engine has failed"):
            await waiting
        with pytest.raises(ApiError, match="engine has failed"):
            await drain()

    asyncio.run(fail_while_one_waits())


def test_a_failed_engine_and_a_gone_client_end_a_stream_without_an_error() -> None:
    class GoneAfterTheRole(AbstractStreamWriter):
        sent = 0

        async def write(self, chunk: bytes) -> None:  # type: ignore[override]
            self.sent += 1
            if self.sent > 1:
                raise ConnectionResetError

        async def write_eof(self, chunk: bytes = b"") -> None: ...

        async def drain(self) -> None: ...

        def enable_compression(self, *arguments: Any, **options: Any) -> None: ...

        def enable_chunking(self) -> None: ...

        async def write_headers(self, *arguments: Any) -> None: ...

    async def stream() -> int:
        service = load_service("demo_bf16", asyncio.get_running_loop())  # its engine is never started
        service.broken = True
        writer = GoneAfterTheRole()
        request = make_mocked_request("POST", "/v1/chat/completions", writer=writer)
        chat = parse({"messages": [{"role": "user", "content": "Hi"}], "stream": True}, "demo_bf16")
        job = Generation("a", (1, 2, 3), 5, SamplingParameters(temperature=0))
        await _stream(request, service, chat, job, Answer(service.codec, thinking=True), {"id": "a"})
        return writer.sent

    assert asyncio.run(stream()) == 2


@pytest.fixture(scope="module")
def process() -> Iterator[tuple[int, str]]:
    """(process, base URL) of a server of its own."""
    command = [sys.executable, "-m", "evalsuite.demo.server", "--precision", NAME]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield server.pid, f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}/v1"
        server.terminate()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to tell the time of another process")
@pytest.mark.parametrize("stream", [True, False])
def test_a_disconnect_frees_the_slot(process: tuple[int, str], stream: bool) -> None:
    """Requests worth some ten seconds of work hold every slot until their clients hang up."""
    pid, url = process
    hot = chat("1", NAME, {"temperature": 2, "stream": stream})
    info = f"{url.removesuffix('/v1')}/server_info"

    async def hang_up() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def ask() -> None:
                async with session.post(f"{url}/chat/completions", json=hot) as response:
                    await response.read()

            tasks = [asyncio.create_task(ask()) for _ in range(600)]
            waiting = 0
            while waiting < 300:
                async with session.get(info) as response:
                    waiting = (await response.json())["internal_states"][0]["num_queue_reqs"]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(hang_up())
    began = cpu_seconds(pid)
    while get(info)[1]["internal_states"][0] != {"num_running_reqs": 0, "num_queue_reqs": 0}:
        time.sleep(0.02)
    assert cpu_seconds(pid) - began < cpu_budget(1.5)
    assert one(url, chat(held_out()[0], NAME)).finish == "stop"


def test_a_signal_stops_it_even_while_it_answers() -> None:
    command = [sys.executable, "-m", "evalsuite.demo.server", "--precision", "demo_bf16"]
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
            assert server.stdout is not None
            assert server.stderr is not None
            ready = json.loads(server.stdout.readline())
            assert ready == {"ready": True, "port": ready["port"], "model": "demo_bf16"}
            server.send_signal(number)
            assert server.wait(300) == 0
            assert (server.stdout.read(), server.stderr.read()) == (b"", b"")


def test_servers_die_with_their_parent() -> None:
    code = (
        "import os, sys\n"
        "from evalsuite.demo.process import serving\n"
        "with serving(['demo_bf16']) as urls:\n"
        "    print(urls['demo_bf16'], flush=True)\n"
        "    os._exit(9)\n"
    )
    died = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    assert died.returncode == 9
    orphan = died.stdout.decode().strip()
    gone = False
    while not gone:
        try:
            get(f"{orphan}/models")
        except aiohttp.ClientConnectionError:
            gone = True


def test_four_servers_start_side_by_side_and_stop() -> None:
    names = ["demo_bf16", "demo_fp8", "demo_nvfp4", "demo_nvfp4_v2"]
    with serving(names) as urls:
        ids = {name: get(f"{address}/models")[1]["data"][0]["id"] for name, address in urls.items()}
        assert ids == {name: name for name in names}
    for address in urls.values():
        with pytest.raises(aiohttp.ClientConnectionError):
            get(f"{address}/models")


@pytest.mark.slow
def test_an_unknown_model_and_a_taken_port_are_one_line(url: str) -> None:
    with pytest.raises(BadInput, match="demo_nvfp4"), serving(["demo_nvfp5"]):
        pass
    port = int(url.removesuffix("/v1").rsplit(":", 1)[1])
    with (
        pytest.raises(EndpointUnusable, match="demo server demo_bf16 ended before it was ready"),
        serving(["demo_bf16"], ports=[port]),
    ):
        pass
