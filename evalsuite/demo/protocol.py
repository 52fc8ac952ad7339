"""The OpenAI chat-completions dialect of the demo server: request bodies in, JSON bodies out. No I/O here.

Shapes follow SGLang where it goes beyond OpenAI (`reasoning_content`, `chat_template_kwargs`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsuite.demo.answer import Answer, Piece
from evalsuite.demo.sampling import Logprobs, SamplingParameters
from evalsuite.demo.text import TextCodec

MAX_TOP_LOGPROBS = 20

Json = dict[str, Any]


class ApiError(Exception):
    """A request that is answered with an error body."""

    def __init__(self, status: int, message: str, kind: str = "BadRequestError", param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"error": {"message": message, "type": kind, "param": param, "code": status}}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A validated request body."""

    messages: tuple[Mapping[str, str], ...]
    max_tokens: int | None
    """None: to the end of the context."""
    sampling: SamplingParameters
    stop: tuple[str, ...]
    stream: bool
    include_usage: bool
    """Whether a stream ends with a usage chunk."""
    thinking: bool
    token_ids: bool
    """Whether the token ids of prompt and answer are sent (vLLM's ``return_token_ids``)."""


def parse(body: object, served: str) -> ChatRequest:
    """A request from a decoded JSON body; `served` is the name of the model, the default and only one for `model`.

    An answer may go to the end of the context unless the body has `max_completion_tokens` or else `max_tokens`; the
    temperature is 1 unless stated, and thinking is on unless `enable_thinking` in `chat_template_kwargs` is false.
    Unknown fields are ignored. Raises `ApiError` (400, or 404 for another model) that names what is wrong with the
    body.
    """
    if not isinstance(body, dict):
        raise ApiError(400, "The request body must be a JSON object.")
    model = body.get("model", served)
    if model != served:
        message = f"The model `{model}` does not exist. Valid names: {served}."
        raise ApiError(404, message, "NotFoundError", "model")
    _refuse_unsupported(body)
    limit = body.get("max_completion_tokens")
    if limit is None:
        limit = body.get("max_tokens")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise ApiError(400, f"max_tokens must be at least 1, got {limit}.", param="max_tokens")
    options = _mapping(body, "stream_options")
    template = _mapping(body, "chat_template_kwargs")
    stop = body.get("stop") or []
    stops = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, list) else ()
    if (stop and not stops) or not all(isinstance(word, str) and word for word in stops):
        raise ApiError(400, "stop must be a string or a list of non-empty strings.", param="stop")
    return ChatRequest(
        messages=messages_of(body.get("messages")),
        max_tokens=limit,
        sampling=_sampling(body),
        stop=stops,
        stream=body.get("stream") is True,
        include_usage=options.get("include_usage") is True,
        thinking=template.get("enable_thinking") is not False,
        token_ids=body.get("return_token_ids") is True,
    )


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    """Raise `ApiError` (400) if a field that the demo cannot honour has another value than null or its neutral one: 1
    for `n` and `repetition_penalty`, 0 for `presence_penalty` and `frequency_penalty`, `{}` for `logit_bias`, `[]`
    for `tools`. Other keys are ignored.
    """
    for key, neutral in (
        ("n", 1),
        ("presence_penalty", 0),
        ("frequency_penalty", 0),
        ("repetition_penalty", 1),
        ("logit_bias", {}),
        ("tools", []),
    ):
        value = body.get(key)
        if value is not None and value != neutral:
            raise ApiError(400, f"{key}={value!r} is not supported by the demo server.", param=key)


def _mapping(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    if value is not None and not isinstance(value, dict):
        raise ApiError(400, f"{key} must be an object.", param=key)
    return value or {}


def messages_of(raw: object) -> tuple[Mapping[str, str], ...]:
    """The field `messages` of a request (`raw`, decoded JSON), checked: `role` (system, user or assistant) and
    `content`, one text each.

    Lists of text parts are joined, other fields of a message dropped. Raises ``ApiError`` for other roles or contents,
    for what is no list of messages, and for an empty list.
    """
    if not isinstance(raw, list) or not raw:
        raise ApiError(400, "messages must be a list of at least one message.", param="messages")
    messages = []
    for message in raw:
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("system", "user", "assistant"):
            raise ApiError(400, "Every message needs a role: system, user or assistant.", param="messages")
        messages.append({"role": role, "content": encodable(_text(message.get("content")))})
    return tuple(messages)


def _text(content: object) -> str:
    """A message's text: a string as it is, or the joined texts of OpenAI's list of text parts.

    Raises ``ApiError`` for other content.
    """
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise ApiError(400, "The demo model reads text only: content must be text.", param="messages")
    return "".join(text for text in texts if text)


def encodable(text: str) -> str:
    """`text` unchanged. Raises ``ApiError`` for a lone surrogate (from JSON escapes), which no tokenizer can read."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ApiError(400, f"content is not valid Unicode: {error}.", param="messages") from error
    return text


def _sampling(body: Mapping[str, Any]) -> SamplingParameters:
    seed, top_k = body.get("seed"), body.get("top_k")
    for key, value in (("seed", seed), ("top_k", top_k)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise ApiError(400, f"{key} must be an integer.", param=key)
    top = body.get("top_logprobs") or 0
    if not isinstance(top, int) or not 0 <= top <= MAX_TOP_LOGPROBS:
        raise ApiError(400, f"top_logprobs must be between 0 and {MAX_TOP_LOGPROBS}.", param="top_logprobs")
    return SamplingParameters(
        temperature=_number(body, "temperature", 1.0, 2.0),
        top_p=_number(body, "top_p", 1.0, 1.0),
        top_k=max(top_k or 0, 0),  # -1 is off for SGLang and vLLM
        min_p=_number(body, "min_p", 0.0, 1.0),
        seed=None if seed is None else seed % 2**64,
        top_logprobs=top if body.get("logprobs") is True else None,
    )


def _number(body: Mapping[str, Any], key: str, default: float, largest: float) -> float:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= largest:
        raise ApiError(400, f"{key} must be between 0 and {largest:g}, got {value!r}.", param=key)
    return float(value)


def usage(prompt_tokens: int, answer: Answer) -> Json:
    """The `usage` object of a reply: numbers of tokens of the prompt, of the answer so far (reasoning included) and of
    both, and the reasoning tokens in SGLang's and in OpenAI's place.
    """
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + answer.completion_tokens,
        "completion_tokens": answer.completion_tokens,
        "prompt_tokens_details": None,
        "reasoning_tokens": answer.reasoning_tokens,
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
    }


def completion(head: Json, pieces: Sequence[Piece], answer: Answer, logprobs: Json | None, tokens: Json) -> Json:
    """The body of a whole chat completion from the pieces of its text.

    `head` holds id, created, model and fingerprint; `logprobs` is that of the choice (None: null); `tokens` the usage.
    `answer` gives the finish reason alone. `reasoning_content` is null where there is none.
    """
    reasoning = "".join(piece.reasoning for piece in pieces)
    message = {
        "role": "assistant",
        "content": "".join(piece.content for piece in pieces),
        "reasoning_content": reasoning or None,
        "tool_calls": None,
    }
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": answer.finish}
    return {**head, "object": "chat.completion", "choices": [choice], "usage": tokens}


def delta(piece: Piece) -> Json:
    """The `delta` object of a streamed piece, with the texts that are not empty; `{}` when it adds no text."""
    fields: Json = {}
    if piece.reasoning:
        fields["reasoning_content"] = piece.reasoning
    if piece.content:
        fields["content"] = piece.content
    return fields


def logprob_entry(codec: TextCodec, token: int, values: Logprobs) -> Json:
    """One element of `logprobs.content`: text, bytes and log-probability (`values`) of the token id `token`, and the
    same of the likeliest tokens at its place as `top_logprobs`.
    """
    return {
        **_token_entry(codec, token, values.chosen),
        "top_logprobs": [_token_entry(codec, other, logprob) for other, logprob in values.top],
    }


def _token_entry(codec: TextCodec, token: int, logprob: float) -> Json:
    raw = codec.token_bytes[token]
    return {"token": raw.decode("utf-8", errors="replace"), "logprob": logprob, "bytes": list(raw)}
