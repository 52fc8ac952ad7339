"""Ways to a server: a company's own certificate authority, a proxy, headers; and what refuses to be reached."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import trustme
import uvloop
from aiohttp import web

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.faults import Transient
from evalsuite.endpoint.identity.identify import identify
from evalsuite.endpoint.stream import PartialReply
from evalsuite.errors import BadInput, EndpointUnusable
from evalsuite.records import Reply, Request

REQUEST = Request(({"role": "user", "content": "hello"},), sampling={"max_tokens": 9})


@asynccontextmanager
async def serving(handler: web.RequestHandler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that gives every request to ``handler``; yields its port."""
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def hello(request: web.BaseRequest) -> web.Response:
    choice = {"message": {"content": f"via {request.headers.get('X-Via', 'nobody')}"}, "finish_reason": "stop"}
    return web.json_response({"model": "m", "choices": [choice]})


def model(url: str, **changes: object) -> Model:
    server = Server("openai", thinking_via=None, stream=False)
    return Model("M", "org/m", None, "bf16", base_url=url, server=server, served_name="m", **changes)  # type: ignore[arg-type]


def streamed_model(url: str, **changes: object) -> Model:
    return replace(model(url, **changes), server=Server("openai", thinking_via=None, stream=True))


async def ask(one: Model) -> Reply:
    client = connect(one, Engine(connect_seconds=5), "m", 4)
    try:
        return await client.send(REQUEST)
    finally:
        await client.close()


def test_a_certificate_is_trusted_by_its_ca_file_only(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def go() -> None:
        async with serving(hello, context) as port:
            url = f"https://localhost:{port}/v1"
            assert (await ask(model(url, ca_file=str(tmp_path / "ca.pem")))).text == "via nobody"
            with pytest.raises(EndpointUnusable, match="certificate verify failed; give the authority"):
                await ask(model(url))

    asyncio.run(go())


def test_an_unreadable_ca_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"ca_file=.*nowhere.pem cannot be read"):
        connect(model("https://localhost/v1", ca_file=str(tmp_path / "nowhere.pem")), Engine(), "m", 1)


def test_requests_go_through_the_proxy() -> None:
    async def forward(request: web.BaseRequest) -> web.Response:
        async with (
            aiohttp.ClientSession() as session,
            session.post(str(request.url), data=await request.read(), headers={"X-Via": "proxy"}) as answer,
        ):
            return web.json_response(await answer.json())

    async def go() -> str:
        async with serving(hello) as port, serving(forward) as proxy:
            return (await ask(model(f"http://127.0.0.1:{port}/v1", proxy=f"http://127.0.0.1:{proxy}"))).text

    assert asyncio.run(go()) == "via proxy"


def test_headers_are_sent() -> None:
    async def go() -> str:
        async with serving(hello) as port:
            return (await ask(model(f"http://127.0.0.1:{port}/v1", headers={"X-Via": "me"}))).text

    assert asyncio.run(go()) == "via me"


def test_the_query_of_the_address_goes_behind_every_path() -> None:
    paths: list[str] = []
    queries: list[dict[str, str]] = []

    async def note(request: web.BaseRequest) -> web.Response:
        paths.append(request.rel_url.path)
        queries.append(dict(request.rel_url.query))
        return await hello(request)

    async def go() -> None:
        async with serving(note) as port:
            one = model(f"http://127.0.0.1:{port}/deployments/m/v1/?api-version=1&code=a%2Fb%2B")
            client = connect(one, Engine(), "m", 1)
            try:
                await client.send(REQUEST)
                await client.get("/models")
                await client.get("/server_info", root=True)
            finally:
                await client.close()
            assert client.model.base_url == f"http://127.0.0.1:{port}/deployments/m/v1/"

    asyncio.run(go())
    root = "/deployments/m"
    assert paths == [f"{root}/v1/chat/completions", f"{root}/v1/models", f"{root}/server_info"]
    assert queries == [{"api-version": "1", "code": "a/b+"}] * 3


def test_the_headers_of_a_request_are_these_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALSUITE_API_KEY", "  a-key\n")
    sent: list[tuple[str, str]] = []

    async def note(request: web.BaseRequest) -> web.Response:
        sent.extend((name.decode(), value.decode()) for name, value in request.raw_headers)
        return await hello(request)

    async def go() -> None:
        async with serving(note) as port:
            await ask(model(f"http://127.0.0.1:{port}/v1", headers={"X-Via": "me", "user-agent": "mine"}))

    asyncio.run(go())
    given = dict(sent)
    assert len(given) == len(sent)
    assert set(given) - {"Host", "Content-Length"} == {
        *("Authorization", "Accept", "Accept-Encoding", "Connection", "Content-Type", "user-agent", "X-Via")
    }
    assert given["Authorization"] == "Bearer a-key"
    assert (given["Accept-Encoding"], given["Content-Type"]) == ("identity", "application/json")
    assert (given["user-agent"], given["X-Via"]) == ("mine", "me")


def test_nobody_there_is_said_with_what_to_do() -> None:
    async def go() -> None:
        client = connect(model("http://127.0.0.1:9/v1"), Engine(connect_seconds=2), "m", 1)
        try:
            await identify(client)
        finally:
            await client.close()

    with pytest.raises(
        EndpointUnusable, match=r"no server answers: connection to http://127.0.0.1:9/v1 failed: .*start the server"
    ):
        asyncio.run(go())


EVENTS = 150
"""Of one streamed answer, each written alone."""
EVENT_SECONDS = 0.003


async def event_by_event(request: web.BaseRequest) -> web.StreamResponse:
    """An answer of ``EVENTS`` events, one every ``EVENT_SECONDS``."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(EVENTS):
        event = {"model": "m", "choices": [{"delta": {"content": f"{number} "}}]}
        await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await asyncio.sleep(EVENT_SECONDS)
    end = {"model": "m", "choices": [{"delta": {}, "finish_reason": "stop"}]}
    await response.write(b"data: " + json.dumps(end).encode() + b"\n\ndata: [DONE]\n\n")
    return response


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_events_that_come_alone_are_read_together(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop], tls: bool
) -> None:
    seen = set()

    async def watch(progress: PartialReply) -> None:
        while True:
            seen.add(progress.characters)
            await asyncio.sleep(0)

    async def go() -> Reply:
        authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        async with serving(event_by_event, context if tls else None) as port:
            address = f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"
            client = connect(streamed_model(address, ca_file=str(tmp_path / "ca.pem")), Engine(), "m", 1)
            progress = PartialReply()
            watching = asyncio.create_task(watch(progress))
            try:
                return await client.send(REQUEST, progress=progress)
            finally:
                watching.cancel()
                await client.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        reply = runner.run(go())
    assert reply.text == "".join(f"{number} " for number in range(EVENTS))
    assert len(seen) < 40 + reply.seconds / 0.05  # reads at growing distances up to 0.05 s; on a busy machine all pass


def test_silence_during_a_stream_is_noticed() -> None:
    async def half(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for word in ("one ", "two "):
            event = {"model": "m", "choices": [{"delta": {"content": word}}]}
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            await asyncio.sleep(0.01)
        await given_up.wait()
        return response

    given_up = asyncio.Event()

    async def go() -> None:
        async with serving(half) as port:
            client = connect(streamed_model(f"http://127.0.0.1:{port}/v1"), Engine(idle_seconds=0.3), "m", 1)
            try:
                await client.send(REQUEST)
            finally:
                given_up.set()
                await client.close()

    with pytest.raises(Transient, match=r"silence for too long.*8 characters of an answer were thrown away"):
        asyncio.run(go())


def test_a_proxys_page_is_no_answer() -> None:
    async def page(_: web.BaseRequest) -> web.Response:
        return web.Response(text="<html>The answer is (A)</html>", content_type="text/html")

    async def go() -> None:
        async with serving(page) as port:
            await ask(model(f"http://127.0.0.1:{port}/v1"))

    with pytest.raises(Transient, match="an HTML page"):
        asyncio.run(go())


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"quantization": "modelopt_mixed"}, "quantization is fp8, expected modelopt_mixed"),
        ({"max_model_len_min": 131072}, "max_model_len is 65536, expected at least 131072"),
        ({"quantization": "FP8", "max_model_len_min": 1000, "not_stated": 7}, ""),
    ],
)
def test_expected_facts(expect: dict[str, object], words: str) -> None:
    listed = {"data": [{"id": "m", "max_model_len": 65536, "quantization": "fp8"}]}

    async def models(_: web.BaseRequest) -> web.Response:
        return web.Response(text=json.dumps(listed), content_type="application/json")

    async def go() -> None:
        async with serving(models) as port:
            client = connect(model(f"http://127.0.0.1:{port}/v1", expect=expect), Engine(), "m", 1)
            try:
                assert (await identify(client)).facts["max_model_len"] == 65536
            finally:
                await client.close()

    if words:
        with pytest.raises(EndpointUnusable, match=words):
            asyncio.run(go())
    else:
        asyncio.run(go())
