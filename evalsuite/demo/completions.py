"""The routes ``/v1/completions`` (of token ids) and ``/tokenize``."""

import asyncio
import json
import time
import uuid
from contextlib import aclosing

from aiohttp import web

from evalsuite.demo.answer import Answer
from evalsuite.demo.engine import Generation
from evalsuite.demo.protocol import ApiError, Json, usage
from evalsuite.demo.sampling import SamplingParameters
from evalsuite.demo.scoring import detokenize, generated_logprobs, parse_completion, prompt_logprobs, tokenize
from evalsuite.demo.service import SERVICE


async def completions(request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/completions` of token ids: generated text and, if asked for, log-probabilities of its tokens
    and of the prompt's.

    Greedy at temperature 0; for any other temperature, or none, sampled at temperature 1 with a fixed seed; never
    streamed. An error body for a bad request, and where the engine fails.
    """
    service = request.app[SERVICE]
    try:
        body = decoded(await request.read())
        wanted = parse_completion(body, service.context, len(service.codec.token_bytes))
        greedy = isinstance(body, dict) and body.get("temperature") == 0
        sampling = SamplingParameters(temperature=0.0 if greedy else 1.0, seed=0, top_logprobs=wanted.logprobs or 0)
        job = Generation(f"cmpl-{uuid.uuid4().hex}", wanted.prompt, wanted.max_tokens, sampling)
        answer = Answer(service.codec, False, ())
        tokens, pieces = [], []
        async with aclosing(service.generate(job, answer)) as generation:
            async for token, piece in generation:
                pieces.append(piece)
                if token.logprobs is not None:
                    tokens.append((token.token, token.logprobs))
        choice: Json = {"index": 0, "text": "".join(piece.content for piece in pieces), "finish_reason": answer.finish}
        choice["logprobs"] = None if wanted.logprobs is None else generated_logprobs(tokens)
        choice["prompt_logprobs"] = None
        if wanted.prompt_logprobs is not None and service.scored is not None:
            arguments = (service.scored, service.codec, wanted.prompt, wanted.prompt_logprobs)
            async with service.scoring:
                choice["prompt_logprobs"] = await asyncio.to_thread(prompt_logprobs, *arguments)
        head: Json = {
            "id": job.id,
            "object": "text_completion",
            "created": int(time.time()),
            "model": service.precision,
        }
        return web.json_response({**head, "choices": [choice], "usage": usage(len(job.prompt), answer)})
    except ApiError as error:
        return web.json_response(error.body, status=error.status)


async def tokenized(request: web.Request) -> web.Response:
    """Handle `POST /tokenize` of a text or of messages: the token ids; an error body for a bad request."""
    service = request.app[SERVICE]
    try:
        return web.json_response(tokenize(decoded(await request.read()), service.codec, service.context))
    except ApiError as error:
        return web.json_response(error.body, status=error.status)


async def detokenized(request: web.Request) -> web.Response:
    """Handle `POST /detokenize` of token ids: their text; an error body for a bad request."""
    try:
        return web.json_response(detokenize(decoded(await request.read()), request.app[SERVICE].codec))
    except ApiError as error:
        return web.json_response(error.body, status=error.status)


def decoded(raw: bytes) -> object:
    """The value of a JSON body. Raises ``ApiError`` (400) where Python's ``json`` cannot read it; ``NaN`` is
    read.
    """
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The request body is not valid JSON: {error}.") from error
