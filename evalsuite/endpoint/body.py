"""The JSON body of a request: pure functions of the model's settings and the request, without a connection."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from evalsuite.config.settings import Model
from evalsuite.endpoint.thinking import switch_fields
from evalsuite.records import Request, has_other_float

OPENAI_FIELDS = frozenset({"temperature", "top_p", "max_tokens", "presence_penalty", "seed"})


def request_body(model: Model, served_name: str, request: Request) -> dict[str, Any]:
    """The JSON body of ``request``, a new dict, with ``served_name`` as ``model``.

    Holds the sampling fields that the server takes (others are left out; ``max_tokens`` under the server's name for it,
    unless ``raw``), the messages with the thinking switch (or, of a ``raw`` request, the bare prompt), tools, JSON
    schema, ``stream`` with ``stream_options`` where it is streamed, and at last the ``body`` of the server's settings,
    which replaces fields (null removes one). Stop strings are not sent to a model that thinks, unless ``raw``:
    ``Conversation`` cuts the text after the thinking.
    """
    server = model.server
    known = OPENAI_FIELDS.union(server.extra_sampling)
    sampling = {name: value for name, value in request.sampling.items() if name in known}
    if "max_tokens" in sampling and not request.raw:
        sampling[server.max_tokens_field] = sampling.pop("max_tokens")
    body: dict[str, Any] = {"model": served_name}
    if streams(model, request):
        body["stream"] = True
    if request.raw:
        body["prompt"] = request.messages[0]["content"]
    else:
        body["messages"] = list(request.messages)
        body.update(switch_fields(model))
    body.update(sampling)
    if request.tools:
        body["tools"] = list(request.tools)
    if request.json_schema is not None:
        schema = {"name": "reply", "schema": dict(request.json_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.stop and (request.raw or not model.thinking):  # inside the thinking it would end the answer
        body["stop"] = list(request.stop)
    if streams(model, request):
        body["stream_options"] = {"include_usage": True}
    for name, value in server.body.items():
        if value is None:
            body.pop(name, None)
        else:
            body[name] = value
    return body


def with_token_ids(model: Model, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``body`` that also requests the ids of prompt and generated tokens, where the server's dialect supports
    that for ``request``; else an equal copy.

    vLLM takes ``return_token_ids``; SGLang (sgl-project/sglang#30917) has another field for those of the prompt, and
    refuses both for a chat that is streamed: there they are not requested of any streamed reply.
    """
    dialect = model.server.dialect
    if dialect == "vllm":
        return {**body, "return_token_ids": True}
    if dialect == "sglang" and not streams(model, request):
        return {**body, "return_token_ids": True, "return_prompt_token_ids": True}
    return dict(body)


def streams(model: Model, request: Request) -> bool:
    """Whether the reply to ``request`` is streamed: as ``server.stream`` is set, but never with tools, whose streaming
    parsers are the buggier half of servers."""
    return model.server.stream and not request.tools


def encode(body: Mapping[str, Any]) -> bytes:
    """A request's body as bytes: byte for byte what the standard library writes, compact and in UTF-8.

    With a lone surrogate, which UTF-8 cannot hold, all characters beyond ASCII are written as escapes. ``body`` holds
    JSON types only, no NaN and no infinity.
    """
    with suppress(TypeError):  # a surrogate, or an integer beyond 64 bits
        if not has_other_float(body):
            return orjson.dumps(body)
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
