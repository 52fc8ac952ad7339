"""Completions of given token ids, with the log-probabilities of every prompt token, and ``/tokenize``.

Shapes are vLLM's (``prompt_logprobs``, ``return_tokens_as_token_ids``); sampled text beyond one token is not needed to
score an answer, but shows how decoding differs from reading the same tokens at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalsuite.demo.model import LanguageModel, score
from evalsuite.demo.protocol import MAX_TOP_LOGPROBS, ApiError, Json, encodable, messages_of
from evalsuite.demo.sampling import Logprobs
from evalsuite.demo.text import TextCodec


@dataclass(frozen=True, slots=True)
class Completion:
    """A validated body of ``/v1/completions``."""

    prompt: tuple[int, ...]
    """Token ids, at least one."""
    max_tokens: int
    prompt_logprobs: int | None
    """Alternatives for each token of the prompt; None: none are computed."""
    logprobs: int | None
    """Alternatives for each generated token; None: none are sent."""


def parse_completion(body: Any, context: int, vocabulary: int) -> Completion:
    """Check a decoded body of ``/v1/completions`` for a model of ``context`` tokens and ``vocabulary`` token ids.

    ``max_tokens`` is 16 when it is missing. Raises ``ApiError`` (400) unless ``prompt`` (token ids, at least one),
    ``max_tokens`` (at least 1) and ``logprobs`` and ``prompt_logprobs`` (0 to 20, or none) are valid, and prompt and
    ``max_tokens`` together fit the context.
    """
    if not isinstance(body, dict):
        raise ApiError(400, "The request body must be a JSON object.")
    prompt, most = body.get("prompt"), body.get("max_tokens", 16)
    if not isinstance(prompt, list) or not prompt or any(type(token) is not int for token in prompt):
        raise ApiError(400, "prompt must be a list of token ids: the demo completes nothing else.", param="prompt")
    if any(not 0 <= token < vocabulary for token in prompt):
        raise ApiError(400, f"token ids must be below {vocabulary}.", param="prompt")
    if type(most) is not int or most < 1:
        raise ApiError(400, f"max_tokens must be at least 1, got {most}. (parameter=max_tokens, value={most})")
    if len(prompt) + most > context:
        length = f"{len(prompt)} + {most} tokens"
        raise ApiError(400, f"{length} are more than the model's context length ({context} tokens).", param="prompt")
    counts = []
    for name in ("prompt_logprobs", "logprobs"):
        count = body.get(name)
        if count is not None and (type(count) is not int or not 0 <= count <= MAX_TOP_LOGPROBS):
            raise ApiError(400, f"Requested {name} of {count}, which is greater than max allowed: {MAX_TOP_LOGPROBS}")
        counts.append(count)
    return Completion(tuple(prompt), most, *counts)


def prompt_logprobs(model: LanguageModel, codec: TextCodec, tokens: Sequence[int], top: int) -> list[Any]:
    """The ``prompt_logprobs`` of one choice for the token ids ``tokens`` (at least one), in vLLM's shape; computed
    here, which takes time.

    One element a token: None for the first, then token id (as text) -> ``logprob``, ``rank`` (from 1, the likeliest)
    and ``decoded_token``, for the token itself and the ``top`` likeliest.
    """
    logits = score(model, np.array(tokens, np.intp))[:-1].astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    entries: list[Any] = [None]
    for row, token in zip(logits, tokens[1:], strict=True):
        best = np.argsort(-row, kind="stable")[:top].tolist()
        ranks = {token: int((row > row[token]).sum()) + 1, **{other: place for place, other in enumerate(best, 1)}}
        entries.append({str(other): _entry(codec, other, float(row[other]), rank) for other, rank in ranks.items()})
    return entries


def _entry(codec: TextCodec, token: int, logprob: float, rank: int) -> Json:
    text = codec.token_bytes[token].decode("utf-8", errors="replace")
    return {"logprob": logprob, "rank": rank, "decoded_token": text}


def generated_logprobs(tokens: Sequence[tuple[int, Logprobs]]) -> Json:
    """The ``logprobs`` of one choice from (token id, its log-probabilities) of each generated token.

    ``tokens``, ``token_logprobs`` and ``top_logprobs`` have one element a token, ``text_offset`` is empty. Tokens are
    named ``token_id:N``, as with ``return_tokens_as_token_ids``.
    """
    return {
        "tokens": [_name(token) for token, _ in tokens],
        "token_logprobs": [values.chosen for _, values in tokens],
        "top_logprobs": [{_name(other): logprob for other, logprob in values.top} for _, values in tokens],
        "text_offset": [],
    }


def _name(token: int) -> str:
    return f"token_id:{token}"


def tokenize(body: Any, codec: TextCodec, context: int) -> Json:
    """The reply of ``/tokenize`` to a decoded body with ``messages`` or else a ``prompt`` text: token ids and their
    number.

    ``context`` is reported as ``max_model_len``. Raises ``ApiError`` (400) for any other body.
    """
    if not isinstance(body, Mapping):
        raise ApiError(400, "The request body must be a JSON object.")
    if body.get("messages") is not None:
        template = body.get("chat_template_kwargs") or {}
        if not isinstance(template, Mapping):
            raise ApiError(400, "chat_template_kwargs must be an object.", param="chat_template_kwargs")
        text = codec.render(messages_of(body["messages"]), template.get("enable_thinking") is not False)
    elif isinstance(body.get("prompt"), str):
        text = encodable(body["prompt"])
    else:
        raise ApiError(400, "prompt must be a text, or messages a list.", param="prompt")
    tokens = codec.encode(text)
    return {"count": len(tokens), "max_model_len": context, "tokens": tokens, "token_strs": None}


def detokenize(body: Any, codec: TextCodec) -> Json:
    """The reply of ``/detokenize``, ``{"prompt": text}``, to a decoded body with ``tokens``.

    Raises ``ApiError`` for anything but known token ids.
    """
    tokens = body.get("tokens") if isinstance(body, Mapping) else None
    known = range(len(codec.token_bytes))
    if not isinstance(tokens, list) or not all(type(token) is int and token in known for token in tokens):
        raise ApiError(400, "tokens must be a list of token ids.", param="tokens")
    return {"prompt": b"".join(codec.token_bytes[token] for token in tokens).decode("utf-8", errors="replace")}
