"""Take a server's fingerprint: twenty short answers, whole and as the server wrote them."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from evalsuite.endpoint.client import Client
from evalsuite.endpoint.faults import Transient
from evalsuite.endpoint.identity.fingerprint import (
    PROMPTS,
    Answer,
    Fingerprint,
    TokenLogprobs,
    from_answers,
    from_texts,
)
from evalsuite.endpoint.identity.identify import ServerUnreachable
from evalsuite.records import Request

TOKENS = 12
"""Generated for each answer with log-probabilities."""
TOP = 4
"""Alternatives at each token."""
TEXT_TOKENS = 64
"""Generated for each answer where there are no log-probabilities: texts need longer to part."""


class _Refused(Exception):
    """The server answered with an HTTP error."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


async def take(client: Client) -> tuple[Fingerprint, Mapping[str, Any]]:
    """(fingerprint, one raw body) of a server: 20 requests of 12 tokens, or of 64 where it gives no log-probabilities.

    Raises ``Unreachable`` naming the fault when it does not answer them.
    """
    thinking = client.model.thinking
    try:
        bodies = await _asked(client, TOKENS, logprobs=True)
        answers = [[_answer(body) for body in repeats] for repeats in bodies] if bodies else []
        if answers and all(answer for repeats in answers for answer in repeats):
            counts = [_prompt_tokens(repeats[0]) for repeats in bodies]
            return from_answers(answers, thinking=thinking, prompt_tokens=counts), bodies[0][0]
        bodies = await _asked(client, TEXT_TOKENS, logprobs=False)
    except _Refused as error:
        raise ServerUnreachable(f"{client.model.base_url} does not answer: HTTP {error.status}") from None
    except Transient as fault:
        raise ServerUnreachable(str(fault)) from None
    texts = [[_text(body) for body in repeats] for repeats in bodies]
    counts = [_prompt_tokens(repeats[0]) for repeats in bodies]
    return from_texts(texts, thinking=thinking, prompt_tokens=counts), bodies[0][0]


async def _asked(client: Client, tokens: int, *, logprobs: bool) -> list[list[Mapping[str, Any]]]:
    """``bodies[prompt][repeat]``; empty if the very first shows that there are no log-probabilities."""
    extra = {"logprobs": True, "top_logprobs": TOP} if logprobs else {}
    sampling = {"temperature": 0.0, "max_tokens": tokens, "seed": 0}

    async def ask(prompt: str) -> Mapping[str, Any]:
        return await _ask(client, prompt, sampling, extra)

    try:
        first = await ask(PROMPTS[0])
    except _Refused as error:
        if logprobs and error.status not in (401, 403, 404):
            return []  # refused with log-probabilities (400, 422, with speculative decoding even 500)
        raise
    if logprobs and not _answer(first):
        return []
    alone = [first] + [await ask(prompt) for prompt in PROMPTS[1:]]
    together = await asyncio.gather(*(ask(prompt) for prompt in PROMPTS))
    twice = await asyncio.gather(*(ask(prompt) for prompt in PROMPTS * 2))
    return [[*one] for one in zip(alone, together, twice[: len(PROMPTS)], twice[len(PROMPTS) :], strict=True)]


def _answer(body: Mapping[str, Any]) -> Answer:
    """The tokens of a raw body; empty where it has no log-probabilities."""
    content = (_choice(body).get("logprobs") or {}).get("content") or ()
    tokens = []
    for entry in content:
        top = {_name(one): float(one["logprob"]) for one in (entry, *(entry.get("top_logprobs") or ()))}
        tokens.append(TokenLogprobs(_name(entry), top))
    return tuple(tokens)


def _name(entry: Mapping[str, Any]) -> str:
    """A token by its bytes where they are given: halves of a character all print alike."""
    raw = entry.get("bytes")
    text = str(entry.get("token"))
    return bytes(raw).hex() if raw and "\ufffd" in text else text


def _choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    return first if isinstance(first, Mapping) else {}


def _text(body: Mapping[str, Any]) -> str:
    """All that was generated, thinking first."""
    message = _choice(body).get("message") or {}
    parts = (message.get("reasoning_content") or message.get("reasoning"), message.get("content"))
    return "\n".join(str(part) for part in parts if part)


def _prompt_tokens(body: Mapping[str, Any]) -> int | None:
    count = (body.get("usage") or {}).get("prompt_tokens")
    return count if isinstance(count, int) else None


async def _ask(client: Client, prompt: str, sampling: Mapping[str, Any], extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON of one chat completion; an empty object where it is none. ``extra`` joins the body as it is.

    Raises ``_Refused`` for an HTTP error, ``Transient`` when there was no answer.
    """
    body = client.body(Request(({"role": "user", "content": prompt},), sampling=sampling))
    for name in ("stream", "stream_options"):
        body.pop(name, None)
    response = await client.post({**body, **extra})
    if response.status >= 300:
        raise _Refused(response.status)
    try:
        found = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
