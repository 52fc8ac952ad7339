"""The HTTP side of the demo server: routes, streams, and the bridge to the engine's thread."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aiohttp import web

from evalsuite.demo.answer import Answer
from evalsuite.demo.completions import completions, decoded, detokenized, tokenized
from evalsuite.demo.engine import SLOTS, Generation
from evalsuite.demo.linear import RECIPES
from evalsuite.demo.protocol import ApiError, ChatRequest, Json, completion, delta, logprob_entry, parse, usage
from evalsuite.demo.service import SERVICE, Service, load_service

QUANTIZATION: dict[str, str | None] = {
    "demo_bf16": None,
    "demo_fp8": "fp8",
    "demo_nvfp4": "nvfp4",
    "demo_nvfp4_v2": "nvfp4_mixed",
}
"""What `/server_info` says; None as real servers say it of an unquantized checkpoint."""


def make_app(precision: str, noise: int | None = None) -> web.Application:
    """The web application that serves `precision`, a key of `RECIPES` (another raises `KeyError` at startup); its
    engine is loaded and started at startup and stopped at cleanup.

    `noise`: seed of random rounding at the norms, None: exact.
    """
    app = web.Application(client_max_size=16 * 2**20)

    async def life(app: web.Application) -> AsyncIterator[None]:
        service = load_service(precision, asyncio.get_running_loop(), noise)
        app[SERVICE] = service
        service.engine.start()
        yield
        await asyncio.to_thread(service.engine.stop)

    app.cleanup_ctx.append(life)
    app.router.add_post("/v1/chat/completions", _chat_completions)
    app.router.add_post("/v1/completions", completions)
    app.router.add_post("/tokenize", tokenized)
    app.router.add_post("/detokenize", detokenized)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/health", health)
    app.router.add_get("/server_info", server_info)
    app.router.add_get("/model_info", model_info)
    return app


async def _chat_completions(request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/chat/completions`, streamed or in one piece; an error body for a bad request, and where the
    engine fails (in a stream: an error event).
    """
    service = request.app[SERVICE]
    try:
        chat = parse(decoded(await request.read()), service.precision)
        job = _job(service, chat)
        head: Json = {
            "id": job.id,
            "created": int(time.time()),
            "model": service.precision,
            "system_fingerprint": service.fingerprint,
        }
        answer = Answer(service.codec, chat.thinking, chat.stop)
        if chat.stream:
            return await _stream(request, service, chat, job, answer, head)
        return web.json_response(await _whole(service, chat, job, answer, head))
    except ApiError as error:
        return web.json_response(error.body, status=error.status)


async def _whole(service: Service, chat: ChatRequest, job: Generation, answer: Answer, head: Json) -> Json:
    """Run the job and return the body of a completion that is sent in one piece.

    `head`: its id, created, model and fingerprint; `answer` is updated. Raises `ApiError` (500) if the engine fails.
    """
    pieces, entries, ids = [], [], []
    async with aclosing(service.generate(job, answer)) as generation:
        async for token, piece in generation:
            pieces.append(piece)
            ids.append(token.token)
            if token.logprobs is not None:
                entries.append(logprob_entry(service.codec, token.token, token.logprobs))
    logprobs = None if chat.sampling.top_logprobs is None else {"content": entries}
    body = completion(head, pieces, answer, logprobs, usage(len(job.prompt), answer))
    if chat.token_ids:
        body["prompt_token_ids"], body["choices"][0]["token_ids"] = list(job.prompt), ids
    return body


def _job(service: Service, chat: ChatRequest) -> Generation:
    """The generation that a request asks for; its answer ends at the latest at `max_tokens` or where the context is
    full.

    Raises `ApiError` (400) for a prompt that leaves no room for an answer: as long as the context or longer.
    """
    prompt = service.codec.encode(service.codec.render(chat.messages, chat.thinking))
    if len(prompt) >= service.context:
        limit = f"the model's context length ({service.context} tokens)"
        raise ApiError(400, f"The input ({len(prompt)} tokens) is longer than {limit}.", param="messages")
    room = service.context - len(prompt)
    return Generation(f"chatcmpl-{uuid.uuid4().hex}", tuple(prompt), min(chat.max_tokens or room, room), chat.sampling)


async def _stream(
    request: web.Request, service: Service, chat: ChatRequest, job: Generation, answer: Answer, head: Json
) -> web.StreamResponse:
    """Run the job and send server-sent events: a chunk with the role, one for each token that adds text (for every
    token if log-probabilities or token ids are asked for), the finish reason, usage if asked for, `[DONE]`.

    `head`: id, created, model and fingerprint of every chunk; `answer` is updated. Where the engine fails, an error
    event and `[DONE]` end the stream; where an event cannot be sent because the client has gone, the stream ends
    and nothing is raised. Returns the response, as far as it was sent.
    """
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    # Every chunk of an answer begins alike; only the delta is encoded token by token.
    opening = "data: " + json.dumps({**head, "object": "chat.completion.chunk"})[:-1]

    def chunk(change: Json, logprobs: Json | None, finish: str | None, ids: str = "", rest: str = "") -> bytes:
        choice = f'{json.dumps(change)}, "logprobs": {json.dumps(logprobs)}, "finish_reason": {json.dumps(finish)}{ids}'
        return f'{opening}, "choices": [{{"index": 0, "delta": {choice}}}]{rest}}}\n\n'.encode()

    try:
        prompt_ids = f', "prompt_token_ids": {json.dumps(job.prompt)}' if chat.token_ids else ""
        await response.write(chunk({"role": "assistant", "content": ""}, None, None, rest=prompt_ids))
        async with aclosing(service.generate(job, answer)) as generation:
            async for token, piece in generation:
                change = delta(piece)
                values = token.logprobs
                entry = None if values is None else {"content": [logprob_entry(service.codec, token.token, values)]}
                ids = f', "token_ids": [{token.token}]' if chat.token_ids else ""
                if change or entry or ids:
                    await response.write(chunk(change, entry, None, ids))
        await response.write(chunk({}, None, answer.finish))
        if chat.include_usage:
            tokens = json.dumps(usage(len(job.prompt), answer))
            await response.write(f'{opening}, "choices": [], "usage": {tokens}}}\n\n'.encode())
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
    except ApiError as error:
        # The status line is long gone: like SGLang, the stream itself says that it failed.
        with suppress(ConnectionResetError):
            await response.write(f"data: {json.dumps(error.body)}\n\ndata: [DONE]\n\n".encode())
    except ConnectionResetError:
        # The client has gone; `generate` has freed the slot and there is nobody left to answer.
        return response
    return response


async def models(request: web.Request) -> web.Response:
    """Handle `GET /v1/models`: the one served model, named by its precision, with its context length."""
    service = request.app[SERVICE]
    entry = {
        "id": service.precision,
        "object": "model",
        "created": service.created,
        "owned_by": "evalsuite",
        "root": _path(service),
        "max_model_len": service.context,
    }
    return web.json_response({"object": "list", "data": [entry]})


async def health(request: web.Request) -> web.Response:
    """Handle `GET /health`: status 200, or 503 once the engine has failed; no body."""
    return web.Response(status=503 if request.app[SERVICE].broken else 200)


async def server_info(request: web.Request) -> web.Response:
    """Handle `GET /server_info` in SGLang's spelling: version, model, quantization, context, running and
    waiting requests, and more.
    """
    service = request.app[SERVICE]
    running, waiting = service.engine.load()
    info: dict[str, Any] = {
        "version": _version(),
        "model_path": _path(service),
        "served_model_name": service.precision,
        "quantization": QUANTIZATION[service.precision],
        "quantized_layers": RECIPES[service.precision],
        "dtype": "bfloat16",
        "kv_cache_dtype": "float32",
        "context_length": service.context,
        "max_running_requests": SLOTS,
        "tp_size": 1,
        "reasoning_parser": "qwen3",
        "tool_call_parser": None,
        "enable_deterministic_inference": True,
        "internal_states": [{"num_running_reqs": running, "num_queue_reqs": waiting}],
    }
    return web.json_response(info)


async def model_info(request: web.Request) -> web.Response:
    """Handle `GET /model_info` in SGLang's spelling: model path, weight version, parsers and architecture."""
    service = request.app[SERVICE]
    info = {
        "model_path": _path(service),
        "tokenizer_path": _path(service),
        "is_generation": True,
        "weight_version": service.fingerprint,
        "reasoning_parser": "qwen3",
        "tool_call_parser": None,
        "has_image_understanding": False,
        "architectures": ["Qwen3ForCausalLM"],
    }
    return web.json_response(info)


def _path(service: Service) -> str:
    """The name of the checkpoint, `evalsuite/PRECISION`: the same on every machine."""
    return f"evalsuite/{service.precision}"


def _version() -> str:
    try:
        return version("evalsuite")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0+source"
