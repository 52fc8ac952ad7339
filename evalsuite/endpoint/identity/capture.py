"""The requests of a server's fingerprint: twenty short answers, read from the raw bodies."""

import asyncio
import math
from collections.abc import Mapping
from typing import Any

import orjson

from evalsuite.endpoint.client import Client
from evalsuite.endpoint.fault_mapping import status_fault
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
from evalsuite.endpoint.identity.persistence import persist, token_limit
from evalsuite.endpoint.transport import Response
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


async def take_fingerprint(client: Client, context: int | None = None) -> tuple[Fingerprint, Mapping[str, Any]]:
    """(fingerprint, the JSON of the first of its answers) of a server: by 20 answers of at most 12 tokens with
    log-probabilities; where the first request for those is refused (by another status than 401, 403 and 404), or one
    answer lacks them for most of its tokens (if the first does, the other 19 are not requested), by 20 texts of at most
    64 tokens.

    ``context``: tokens that the server's context holds, None where it is not known; answers are at most half as long.
    Raises ``ServerUnreachable`` naming the fault when any other request is refused or one is not answered, and
    ``EndpointUnusable`` as ``Client.post``.
    """
    thinking = client.model.thinking
    try:
        bodies = await _bodies(client, token_limit(TOKENS, {}, context), logprobs=True)
        answers = [[_answer(body) for body in repeats] for repeats in bodies] if bodies else []
        if answers and all(_mostly_known(answer) for repeats in answers for answer in repeats):
            counts = [_prompt_tokens(repeats[0]) for repeats in bodies]
            return from_answers(answers, thinking=thinking, prompt_tokens=counts), bodies[0][0]
        bodies = await _bodies(client, token_limit(TEXT_TOKENS, {}, context), logprobs=False)
    except _Refused as error:
        raise ServerUnreachable(f"{client.model.base_url} does not answer: HTTP {error.status}") from None
    except Transient as fault:
        raise ServerUnreachable(str(fault)) from None
    texts = [[_text(body) for body in repeats] for repeats in bodies]
    counts = [_prompt_tokens(repeats[0]) for repeats in bodies]
    return from_texts(texts, thinking=thinking, prompt_tokens=counts), bodies[0][0]


async def _bodies(client: Client, tokens: int, *, logprobs: bool) -> list[list[Mapping[str, Any]]]:
    """Raw bodies of the answers to all prompts, ``[prompt][repeat]``, each of at most ``tokens`` tokens.

    ``logprobs``: whether log-probabilities are requested; the result is empty if the first answer shows that there are
    none, or the first request is refused with a status other than 401, 403 and 404. Raises ``_Refused`` and
    ``Transient`` as ``_ask``.
    """
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
    if logprobs and not _mostly_known(_answer(first)):
        return []
    alone = [first] + [await ask(prompt) for prompt in PROMPTS[1:]]
    together = await asyncio.gather(*(ask(prompt) for prompt in PROMPTS))
    twice = await asyncio.gather(*(ask(prompt) for prompt in PROMPTS * 2))
    return [[*one] for one in zip(alone, together, twice[: len(PROMPTS)], twice[len(PROMPTS) :], strict=True)]


def _answer(body: Mapping[str, Any]) -> Answer:
    """The generated tokens of a raw body, whatever its shape; empty where there are no log-probabilities."""
    logprobs = _choice(body).get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    entries = content if isinstance(content, list) else []
    return tuple(_token(entry) for entry in entries if isinstance(entry, Mapping))


def _token(entry: Mapping[str, Any]) -> TokenLogprobs:
    """One generated token of a body's ``logprobs``, with its alternatives.

    If any of its log-probabilities is null, not finite or no number, the place is unknown: ``top`` is empty.
    """
    listed = entry.get("top_logprobs")
    alternatives = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    top = {_name(one): _number(one.get("logprob")) for one in (entry, *alternatives)}
    known = {name: value for name, value in top.items() if value is not None}
    return TokenLogprobs(_name(entry), known if len(known) == len(top) else {})


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _mostly_known(answer: Answer) -> bool:
    """Whether an answer has log-probabilities for at least half of its tokens; False for one without tokens."""
    return bool(answer) and 2 * sum(bool(token.top) for token in answer) >= len(answer)


def _name(entry: Mapping[str, Any]) -> str:
    """A token's text; where that holds U+FFFD, as for all halves of a character, the hexadecimal form of its ``bytes``
    if they are there."""
    raw, text = entry.get("bytes"), str(entry.get("token"))
    if "\ufffd" in text and isinstance(raw, list) and all(type(byte) is int and 0 <= byte < 256 for byte in raw):
        return bytes(raw).hex()
    return text


def _choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    return first if isinstance(first, Mapping) else {}


def _message(body: Mapping[str, Any]) -> Mapping[str, Any]:
    message = _choice(body).get("message")
    return message if isinstance(message, Mapping) else {}


def _text(body: Mapping[str, Any]) -> str:
    """What was generated in a raw body: thinking and answer, with a line break between them if both are there; empty if
    there is neither."""
    message = _message(body)
    parts = (message.get("reasoning_content") or message.get("reasoning"), message.get("content"))
    return "\n".join(str(part) for part in parts if part)


def _prompt_tokens(body: Mapping[str, Any]) -> int | None:
    usage = body.get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    return count if type(count) is int else None


async def _ask(client: Client, prompt: str, sampling: Mapping[str, Any], extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON of one chat completion, not streamed; an empty object where the response holds no JSON object.
    ``sampling``: fields of the request; ``extra`` joins its body as it is.

    Raises ``_Refused`` for an HTTP error that is not sent again (500, too), ``Transient`` when there was no answer
    after the retries, and ``EndpointUnusable`` as ``Client.post``.
    """
    body = client.body(Request(({"role": "user", "content": prompt},), sampling=sampling))
    for name in ("stream", "stream_options"):
        body.pop(name, None)

    async def send() -> Response:
        response = await client.post({**body, **extra})
        if response.status >= 300:
            fault = status_fault(response, client.model)
            if isinstance(fault, Transient) and response.status != 500:
                raise fault
            raise _Refused(response.status)
        return response

    response = await persist(send, client.engine)
    try:
        found = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
