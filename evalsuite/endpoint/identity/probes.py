"""Requests sent before a run: does the server take tools, pictures, and an answer that is cut short?

A tool parser that is not switched on leaves the call as text in the answer; a run would score that as the model's
fault. The streaming parsers of servers are the buggier half: they are tried for the record, and never used. Servers
that take no pictures, or not that many a request, refuse in different ways: llama.cpp with HTTP 500, vLLM and SGLang
with HTTP 400; some drop the pictures silently, which only their token counts show.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from evalsuite.endpoint.client import Client
from evalsuite.endpoint.faults import Transient
from evalsuite.endpoint.identity.persistence import persist, token_limit
from evalsuite.endpoint.stream import ReplyStream, largest
from evalsuite.endpoint.thinking import tags_of
from evalsuite.errors import ContextOverflow, EndpointUnusable, SampleFailed
from evalsuite.records import Reply, Request, call_in_text

TOOL_QUESTION = "What is the weather in Paris right now? Call the tool to find out."
TOOL_TOKENS = 4096
"""A thinking model may think first."""
TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place, now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Name of the city"}},
            "required": ["city"],
        },
    },
}
REMEDY = (
    "start the server with its tool parser (Qwen3.5 on SGLang: --tool-call-parser qwen3_coder; on vLLM also "
    "--enable-auto-tool-choice), or leave the tasks with tools out"
)


def cut_answer_facts(body: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of ``body``, the JSON of an answer that ended at its token cap: which fields hold its text, and its finish
    reason.

    ``probe_cut_finish``: the finish reason; ``probe_cut_text``: the message's fields that hold text, with ``and``
    between them, or ``nowhere``. Empty when the finish reason is ``stop`` or there is no choice.
    """
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {}
    if choice.get("finish_reason") == "stop" or not choice:
        return {}
    places = [name for name in ("reasoning_content", "reasoning", "content") if message.get(name)]
    return {"probe_cut_finish": choice.get("finish_reason"), "probe_cut_text": " and ".join(places) or "nowhere"}


async def probe_tools(client: Client, sampling: Mapping[str, Any], context: int | None = None) -> dict[str, Any]:
    """Have the model call one tool, not streamed and streamed, with the run's own fields ``sampling``.

    ``context``: tokens that the server's context holds, None where it is not known. Returns facts: ``probe_tools``
    (``called``, or ``cut`` when the token cap came before a whole call) and ``probe_tools_streamed`` (``called``,
    ``cut``, ``leaked``, ``broken``, ``none`` or ``refused``). Raises ``EndpointUnusable`` when the call that is not
    streamed is refused, stays text, has broken arguments or does not come, and when the server cannot be reached.
    """
    base = client.model.base_url
    fields = {**sampling, "max_tokens": token_limit(TOOL_TOKENS, sampling, context), "seed": 0}
    request = Request(({"role": "user", "content": TOOL_QUESTION},), (TOOL,), fields)
    try:
        reply = await persist(lambda: client.send(request), client.engine)
    except (SampleFailed, ContextOverflow) as error:
        raise EndpointUnusable(f"{base} does not take tools: {error}; {REMEDY}") from None
    found = _called(reply)
    if found == "leaked":
        raise EndpointUnusable(f"{base} leaves tool calls as text in the answer; {REMEDY}")
    if found == "none":
        raise EndpointUnusable(f"{base} was asked to call a tool and gave no call; {REMEDY}")
    if found == "broken":
        raise EndpointUnusable(f"{base} gives tool calls whose arguments are no JSON object; {REMEDY}")
    return {"probe_tools": found, "probe_tools_streamed": await _streamed(client, request)}


def _called(reply: Reply) -> str:
    if reply.tool_calls:
        try:
            arguments = orjson.loads(reply.tool_calls[0]["arguments"])
        except orjson.JSONDecodeError:
            return "cut" if reply.truncated else "broken"
        return "called" if isinstance(arguments, dict) else "broken"
    if call_in_text(reply.text) or call_in_text(reply.reasoning):
        return "leaked"
    return "cut" if reply.truncated else "none"


async def _streamed(client: Client, request: Request) -> str:
    """Send ``request`` streamed, with at most one retry, and return what its tool call comes to: ``called``, ``cut``,
    ``leaked``, ``broken`` or ``none``; ``refused`` for any failure."""
    body = {**client.body(request), "stream": True}
    try:
        response = await persist(lambda: client.post(body), client.engine, most=1)
        if response.status >= 300:
            return "refused"
        stream = ReplyStream(largest(request))
        stream.feed(response.body)
        stream.end()
        reply = stream.reply(request, 0.0, thinking=client.model.thinking, tags=tags_of(client.model))
    except (EndpointUnusable, SampleFailed):
        return "refused"
    return _called(reply)


QUESTION = "How many pictures do you see? Answer with the number only."
TOKENS = 16
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAUUlEQVR42u3PMQ0AMAgAMJhMlCAHqVPBQdI6aPZU"
    "XPbiOAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAYF9H/65AfJfQhBOAAAAAElFTkSuQmCC"
)
"""A plain PNG of 64 x 64 pixels: no vision tower needs to enlarge or cut it."""
ABOUT_PICTURES = re.compile(r"image|picture|multi-?modal|vision|mmproj", re.IGNORECASE)
"""Words of a refusal that is about pictures."""
_LIMIT = re.compile(r"at most (\d+) image|image count \d+ exceeds limit (\d+)", re.IGNORECASE)
_REMEDY = (
    "serve the checkpoint with its vision part and room for {count} a request (vLLM: --limit-mm-per-prompt "
    "'{{\"image\":{count}}}', SGLang: --limit-mm-data-per-request '{{\"image\":{count}}}', llama.cpp: --mmproj FILE), "
    "or leave the tasks with pictures out"
)


async def probe_images(client: Client, count: int, sampling: Mapping[str, Any]) -> Mapping[str, Any]:
    """Send ``count`` (at least 1) small pictures in one request with the run's own fields ``sampling``, and the same
    text without them.

    Returns facts: ``probe_images`` (= ``count``) and ``probe_image_tokens`` (prompt tokens that one picture of 64 x 64
    pixels costs; None where the server reports no counts). Raises ``EndpointUnusable`` when it takes no pictures or not
    so many, when its token counts show that it drops them, and when it does not answer.
    """
    base = client.model.base_url
    with_pictures, text_only = await _ask(client, count, count, sampling), await _ask(client, 0, count, sampling)
    with_them, without = with_pictures.usage.prompt_tokens, text_only.usage.prompt_tokens
    if with_them is None or without is None:
        return {"probe_images": count, "probe_image_tokens": None}
    if with_them <= without:
        raise EndpointUnusable(
            f"{base} drops pictures silently: a question has {without} prompt tokens without and {with_them} with "
            f"{_pictures(count)}; {_REMEDY.format(count=count)}"
        )
    return {"probe_images": count, "probe_image_tokens": (with_them - without) // count}


async def _ask(client: Client, shown: int, count: int, sampling: Mapping[str, Any]) -> Reply:
    base = client.model.base_url
    content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": PICTURE}}] * shown
    content.append({"type": "text", "text": QUESTION})
    fields = {**sampling, "max_tokens": token_limit(TOKENS, sampling, None), "seed": 0}
    request = Request(({"role": "user", "content": content},), sampling=fields)
    try:
        return await persist(lambda: client.send(request), client.engine)
    except (SampleFailed, ContextOverflow) as error:
        words = str(error)
        limit = _LIMIT.search(words)
        if limit:
            most = limit.group(1) or limit.group(2)
            what = f"takes at most {_pictures(int(most))} a request, this run needs {count}"
        elif shown and (ABOUT_PICTURES.search(words) or not isinstance(error, Transient)):
            what = f"does not take {_pictures(count)} a request"
        else:
            raise EndpointUnusable(f"{base} does not answer a test question: {words}") from None
        raise EndpointUnusable(f"{base} {what} ({words}); {_REMEDY.format(count=count)}") from None


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"
