"""What servers say to pictures that they do not take, and the one line that comes of it."""

import asyncio
import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.identity.probes import PICTURE, QUESTION, probe_images
from evalsuite.errors import EndpointUnusable
from tests.demo.test_llama_cpp import llama_cpp
from tests.support.scripted_endpoint import Answer, Script, scripted_endpoint

SAMPLING = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 64000, "top_k": 20}
LLAMA_CPP = {
    "error": {
        "code": 500,
        "message": "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
        "type": "server_error",
    }
}
VLLM = {
    "error": {
        "message": "At most 4 image(s) may be provided in one prompt.",
        "type": "BadRequestError",
        "param": None,
        "code": 400,
    }
}
VLLM_OLD = {"object": "error", "message": "At most 1 image(s) may be provided in one prompt.", "code": 400}
VLLM_BLIND = {"error": {"message": "Qwen/Qwen3-4B is not a multimodal model", "type": "BadRequestError", "code": 400}}
SGLANG = {"object": "error", "message": "Image count 7 exceeds limit 6 per request.", "type": "BadRequest", "code": 400}
LOADING = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}


def reply(prompt_tokens: int | None) -> Answer:
    """A whole reply that counts ``prompt_tokens``."""
    usage = {} if prompt_tokens is None else {"usage": {"prompt_tokens": prompt_tokens, "completion_tokens": 1}}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "7"}}
    return Answer(body=json.dumps({"object": "chat.completion", "model": "m", "choices": [choice], **usage}))


def fault(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status=status, body=json.dumps(body))


QUICK = Engine(backoff_seconds=0.01, backoff_max_seconds=0.02)


def prove(script: Script, count: int = 7) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """(facts, request bodies) of a probe against a server that answers so."""

    async def body(url: str) -> Mapping[str, Any]:
        server = Server(dialect="sglang", extra_sampling=["top_k"], stream=False)
        client = connect(Model("M", "org/m", None, "bf16", base_url=url, server=server), QUICK, "m", 2)
        try:
            return await probe_images(client, count, SAMPLING)
        finally:
            await client.close()

    with scripted_endpoint(script) as server:
        facts = asyncio.run(body(server.base_url))
        return facts, [one.body for one in server.requests]


def test_a_server_that_sees_is_asked_with_and_without() -> None:
    facts, bodies = prove(lambda prompt: [reply(20 + 7 * 66), reply(20)])
    assert facts == {"probe_images": 7, "probe_image_tokens": 66}
    assert [[part["type"] for part in one["messages"][0]["content"]] for one in bodies] == [
        ["image_url"] * 7 + ["text"],
        ["text"],
    ]
    assert bodies[0]["messages"][0]["content"][-1]["text"] == QUESTION
    assert (bodies[0]["temperature"], bodies[0]["top_k"], bodies[0]["max_tokens"]) == (0.6, 20, 16)
    assert bodies[0]["chat_template_kwargs"] == {"enable_thinking": True}


def test_a_server_that_counts_no_tokens_is_believed() -> None:
    facts, _ = prove(lambda prompt: reply(None), count=1)
    assert facts == {"probe_images": 1, "probe_image_tokens": None}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (fault(500, LLAMA_CPP), r"does not take 7 pictures a request \(HTTP 500 image input is not supported"),
        (fault(400, VLLM), r"takes at most 4 pictures a request, this run needs 7 \(HTTP 400 At most 4 image"),
        (fault(400, VLLM_OLD), r"takes at most 1 picture a request, this run needs 7"),
        (fault(400, VLLM_BLIND), r"does not take 7 pictures a request \(HTTP 400 Qwen/Qwen3-4B is not a multimodal"),
        (fault(400, SGLANG), r"takes at most 6 pictures a request, this run needs 7 \(HTTP 400 Image count 7"),
        (fault(413, {"error": {"message": "too large"}}), r"does not take 7 pictures a request \(HTTP 413"),
        (reply(20), r"drops pictures silently: a question has 20 prompt tokens without and 20 with 7 pictures"),
        (fault(503, LOADING), r"does not answer a test question: HTTP 503 Loading model"),
        (fault(401, {}), r"needs a valid key"),
    ],
)
def test_each_refusal_is_one_clear_line(answer: Answer, message: str) -> None:
    with pytest.raises(EndpointUnusable, match=message) as caught:
        prove(lambda prompt: answer)
    text = str(caught.value)
    assert text.startswith("http://127.0.0.1:")
    assert ("--limit-mm-per-prompt '{\"image\":7}'" in text) == ("picture" in text)


def test_a_fault_without_pictures_is_not_blamed_on_them() -> None:
    with pytest.raises(EndpointUnusable, match="does not answer a test question: HTTP 400 vision"):
        prove(lambda prompt: [reply(20), fault(400, {"error": {"message": "vision of a bad request"}})])


def test_the_picture_is_one() -> None:
    image = pytest.importorskip("PIL.Image")
    raw = base64.b64decode(PICTURE.removeprefix("data:image/png;base64,"), validate=True)
    with image.open(io.BytesIO(raw)) as picture:
        picture.load()
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (64, 64))


@pytest.mark.slow
def test_a_real_text_only_server_is_told_from_one_that_sees(tmp_path: Path) -> None:
    async def probe(url: str) -> None:
        server = Server(dialect="llama_cpp")
        client = connect(Model("M", "org/m", None, "bf16", base_url=url, server=server), QUICK, "m", 2)
        try:
            await probe_images(client, 1, {"temperature": 0.0, "top_p": 1.0})
        finally:
            await client.close()

    with (
        llama_cpp(tmp_path) as url,
        pytest.raises(EndpointUnusable, match=r"does not take 1 picture a request \(HTTP 500 image input is not"),
    ):
        asyncio.run(probe(url))
