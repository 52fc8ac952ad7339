"""The stock OpenAI client as the reference for our reading of replies.

The ``openai`` package is not on the request path. ``doctor`` sends one request through it and through our own client,
streamed and not, and compares what both read. Only its public interface is used, and it is imported only here, when it
is needed: the import takes longer than the start of a run.
"""

import asyncio
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from evalsuite.endpoint.client import Client
from evalsuite.endpoint.environment import key_of, proxy_of, tls_context
from evalsuite.endpoint.fault_mapping import safe, status_fault
from evalsuite.endpoint.fields import storable
from evalsuite.endpoint.identity.identify import PROBE, PROBE_TOKENS
from evalsuite.endpoint.identity.persistence import persist, token_limit
from evalsuite.endpoint.identity.probes import TOOL, TOOL_QUESTION, TOOL_TOKENS
from evalsuite.endpoint.stream import ReplyStream, largest
from evalsuite.endpoint.thinking import split_thinking, tags_of
from evalsuite.errors import EndpointUnusable, EvalsuiteError, SampleFailed
from evalsuite.records import Request, Usage

RETRIES = 1
REPEATS = 2
"""So often our client asks: only what is the same each time is compared with the reference's reply."""
SHOWN = 60
"""Characters of a differing value that a message shows."""
UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the stock client raises, beside its own errors, for a reply of a shape that it does not expect."""


class ReferenceFailed(EvalsuiteError):
    """The stock client could not read a reply, or could not send the request."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a client has read of one reply."""

    text: str
    reasoning: str
    tool_calls: tuple[tuple[str, str, str], ...]
    """(id, name, arguments) of each call."""
    finish_reason: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class ReferenceCheck:
    """Whether both clients read the same reply."""

    same: bool
    finding: str
    """One line: that they do, what differs, or which one could not read it."""


async def compare_with_reference(client: Client, request: Request, *, streamed: bool) -> ReferenceCheck:
    """Send one request through our client (twice, unless the first fails) and the stock OpenAI client (once), each with
    at most one retry, and compare what they read: whether it is the same, with one line on it.

    ``streamed``: whether a stream is requested. No fault of the server is raised: where a client cannot read the reply,
    ``same`` is False and the line states so. Raises ``BadInput`` as ``stock_client``.
    """
    own: list[Reading] = []
    own_error = reference_error = ""
    try:
        for _ in range(REPEATS):  # one after the other: alternating servers behind one address show as unequal repeats
            own.append(await own_reading(client, request, streamed=streamed))
    except (SampleFailed, EndpointUnusable) as error:
        own_error = _safe(str(error), client, request)
    try:
        reference = await reference_reading(client, request, streamed=streamed)
    except ReferenceFailed as error:
        reference_error = str(error)
    if own_error and reference_error:
        return ReferenceCheck(
            False, f"no client can read the reply: evalsuite: {own_error}; OpenAI's: {reference_error}"
        )
    if own_error:
        return ReferenceCheck(False, f"the stock OpenAI client reads the reply, evalsuite does not: {own_error}")
    if reference_error:
        return ReferenceCheck(False, f"evalsuite reads the reply, the stock OpenAI client cannot: {reference_error}")
    differing = differences(own, reference)
    if differing:
        shown = [
            f"{name} {_shown(here, client, request)} here, {_shown(there, client, request)} there"
            for name, here, there in differing
        ]
        words = "; ".join(shown)
        return ReferenceCheck(False, f"the stock OpenAI client reads the reply otherwise: {words}")
    note = "" if _contents(own[0]) == _contents(own[-1]) else " (without texts, which differ when asked twice)"
    return ReferenceCheck(True, f"the stock OpenAI client reads the same reply{note}")


def differences(own: Sequence[Reading], reference: Reading) -> list[tuple[str, Any, Any]]:
    """(field, our value, the reference's) where the reference's reading differs from ``own``, our readings (at least
    one) of equal requests; empty if nothing differs.

    Compared are finish reason, prompt tokens, and whether there is reasoning, a tool call and a token count; texts of
    answer and reasoning, tool calls, their ids and counts of generated and reasoning tokens only if these (ids apart)
    are equal in all of ``own``, since a server may generate something else each time. A field on which ``own`` differ
    is left out.
    """
    steady = all(_contents(other) == _contents(own[0]) for other in own)
    views = (_structure, _contents, _identifiers) if steady else (_structure,)
    return [
        (name, value, view(reference)[name])
        for view in views
        for name, value in view(own[0]).items()
        if all(view(other)[name] == value for other in own) and view(reference)[name] != value
    ]


def reference_request(sampling: Mapping[str, Any], context: int | None, *, tools: bool) -> Request:
    """The request of the comparison: one easy question, or with ``tools`` one that asks for a tool call; greedy, with
    seed 0.

    ``sampling``: fields of the run, whose temperature, seed and ``max_tokens`` are replaced; ``context``: tokens that
    the server's context holds, None where it is not known.
    """
    question, most = (TOOL_QUESTION, TOOL_TOKENS) if tools else (PROBE, PROBE_TOKENS)
    fields = {**sampling, "max_tokens": token_limit(most, sampling, context), "temperature": 0.0, "seed": 0}
    return Request(({"role": "user", "content": question},), (TOOL,) if tools else (), fields)


async def own_reading(client: Client, request: Request, *, streamed: bool) -> Reading:
    """Send a request through our client, with at most one retry, and return what it reads in the reply.

    ``streamed``: whether a stream is requested. Raises ``SampleFailed`` where no whole reply could be read, and
    ``EndpointUnusable`` as ``status_fault`` and ``Client.post``.
    """
    body = _body(client, request, streamed=streamed)

    async def send() -> Reading:
        response = await client.post(body)
        if not 200 <= response.status < 300:
            raise status_fault(response, client.model, request)
        return read_own(response.body, client, request)

    return await persist(send, client.engine, most=RETRIES)


def read_own(data: bytes, client: Client, request: Request) -> Reading:
    """What our client reads in ``data``, the bytes of a whole reply to ``request``; sends nothing. Raises
    ``SampleFailed`` as ``ReplyStream``: for bytes that are no finished reply, and for an answer of no tokens."""
    stream = ReplyStream(largest(request))
    stream.feed(data)
    stream.end()
    reply = stream.reply(request, 0.0, thinking=client.model.thinking, tags=tags_of(client.model))
    calls = tuple((call["id"], call["name"], call["arguments"]) for call in reply.tool_calls)
    return Reading(reply.text, reply.reasoning, calls, reply.finish_reason, reply.usage)


async def reference_reading(client: Client, request: Request, *, streamed: bool, stock: Any = None) -> Reading:
    """Send ``request`` with the stock client, to the address of ``client`` with its key and headers, with at most one
    retry; returns what it reads.

    ``streamed``: whether a stream is requested. ``stock``: an open ``stock_client`` for many requests; None: one is
    made for this request. As in our own reading, thinking that stands in the text is moved to ``reasoning``, and the
    finish reason is ``length`` where the token cap was reached. Raises ``ReferenceFailed``, without secrets in its
    text, where the request fails or the reply cannot be read, and without ``stock`` ``BadInput`` as ``stock_client``.
    """
    import openai

    warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)  # of fields of another type
    try:
        async with asyncio.timeout(_seconds(client)), nullcontext(stock) if stock else stock_client(client) as opened:
            completion = await _completion(opened, _body(client, request, streamed=streamed))
            reading = _read(completion)
    except (openai.OpenAIError, *UNREADABLE) as error:
        words = _safe(str(error), client, request)
        raise ReferenceFailed(f"{type(error).__name__}{': ' if words else ''}{words}") from None
    return _by_our_rules(reading, client, request)


def _seconds(client: Client) -> float:
    return client.engine.total_seconds or client.engine.first_token_seconds


def stock_client(client: Client) -> Any:
    """An ``openai.AsyncOpenAI`` with the address, key, headers, proxy and certificates of ours, to be used in ``async
    with``.

    As ours, it follows no redirects, takes no proxy from the environment by itself and sends no name of an
    organisation. Raises ``BadInput`` for a key, proxy or certificates that cannot be used.
    """
    import openai

    model = client.model
    url = str(model.base_url)
    proxy = proxy_of(model, url)
    headers: Any = {"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit, **model.headers}
    return openai.AsyncOpenAI(
        base_url=url,
        api_key=key_of(model) or "none",
        default_headers=headers,
        default_query=dict(_query(client)),
        max_retries=RETRIES,
        timeout=_seconds(client),
        http_client=openai.DefaultAsyncHttpxClient(
            verify=tls_context(model) if url.startswith("https:") else True,
            proxy=None if proxy is None else proxy.url,
            trust_env=False,
            follow_redirects=False,
        ),
    )


async def _completion(stock: Any, body: Mapping[str, Any]) -> Any:
    """The chat completion of the ``openai`` package to ``body``; a stream is put together by the package's own
    helper."""
    named = {"model": body["model"], "messages": body["messages"]}
    further = {name: value for name, value in body.items() if name not in (*named, "stream", "stream_options")}
    if not body.get("stream"):
        return await stock.chat.completions.create(**named, extra_body=further)
    options = body["stream_options"]
    async with stock.chat.completions.stream(**named, stream_options=options, extra_body=further) as stream:
        await stream.until_done()
        return stream.current_completion_snapshot  # get_final_completion raises where an answer was cut


def _read(completion: Any) -> Reading:
    """The fields of a chat completion of the ``openai`` package.

    The package checks no types: a text field of another type than it documents raises ``TypeError`` here, a missing
    choice ``IndexError`` or ``TypeError``, a missing message ``AttributeError``.
    """
    choice = completion.choices[0]
    message, usage = choice.message, completion.usage
    extra = message.model_extra or {}
    reasoning = extra.get("reasoning_content") or extra.get("reasoning")
    calls = tuple(
        (_text(call.id), _text(call.function.name), _text(call.function.arguments)) for call in message.tool_calls or ()
    )
    counts = Usage()
    if usage is not None:
        details = usage.completion_tokens_details
        thought = None if details is None else details.reasoning_tokens
        if thought is None:
            thought = (usage.model_extra or {}).get("reasoning_tokens")
        counts = Usage(usage.prompt_tokens, usage.completion_tokens, thought)
    finish = None if choice.finish_reason is None else _text(choice.finish_reason)
    return Reading(_text(message.content), _text(reasoning), calls, finish, counts)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"it hands out a {type(value).__name__} where a text belongs")
    return storable(value)


def _by_our_rules(reading: Reading, client: Client, request: Request) -> Reading:
    most, tokens = request.sampling.get("max_tokens"), reading.usage.completion_tokens
    capped = most is not None and isinstance(tokens, int) and tokens >= most
    finish = "length" if capped else reading.finish_reason
    cut = client.model.thinking and finish == "length"
    text, reasoning = split_thinking(reading.text, reading.reasoning, tags=tags_of(client.model), cut=cut)
    return replace(reading, text=text, reasoning=reasoning, finish_reason=finish)


def _body(client: Client, request: Request, *, streamed: bool) -> dict[str, Any]:
    body = {name: value for name, value in client.body(request).items() if name not in ("stream", "stream_options")}
    return body | {"stream": True, "stream_options": {"include_usage": True}} if streamed else body


def _query(client: Client) -> list[tuple[str, str]]:
    """(name, value) pairs of the query of the configured address (Azure: ``api-version``)."""
    return parse_qsl(client.transport.parts.query, keep_blank_values=True)


def _safe(words: str, client: Client, request: Request) -> str:
    """``words`` as ``safe`` returns them, and without the values of the address's query (of at least 4 characters),
    one of which may be a key.
    """
    for _, value in _query(client):
        words = words.replace(value, "***") if len(value) >= 4 else words
    return safe(words, client.model, request)


def _structure(reading: Reading) -> dict[str, Any]:
    """What equal requests have in common whatever text is generated, as field -> value: finish reason, prompt tokens,
    and whether there is reasoning, a tool call, a token count.
    """
    return {
        "finish reason": reading.finish_reason,
        "any reasoning": bool(reading.reasoning.strip()),
        "any tool calls": bool(reading.tool_calls),
        "prompt tokens": reading.usage.prompt_tokens,
        "any token count": reading.usage.completion_tokens is not None,
    }


def _contents(reading: Reading) -> dict[str, Any]:
    return {
        "text": reading.text,
        "reasoning": reading.reasoning,
        "tool calls": [call[1:] for call in reading.tool_calls],  # ids are drawn anew for every reply
        "generated tokens": reading.usage.completion_tokens,
        "reasoning tokens": reading.usage.reasoning_tokens,
    }


def _identifiers(reading: Reading) -> dict[str, Any]:
    return {"ids of tool calls": [call[0] for call in reading.tool_calls]}


def _shown(value: Any, client: Client, request: Request) -> str:
    """A value of a reply for a message, first without secrets and quotations of the prompt (see ``safe``), then cut to
    60 characters; a text stands in quotes."""
    words = _safe(value if isinstance(value, str) else repr(value), client, request)
    words = words if len(words) <= SHOWN else words[: SHOWN - 3] + "..."
    return f"'{words}'" if isinstance(value, str) else words
