"""Log-probabilities of given tokens (teacher forcing), and of freshly generated ones, in the dialects that give them.

vLLM (0.32) scores a prompt of token ids with ``prompt_logprobs`` of ``/v1/completions``; SGLang with
``return_logprob`` of ``/generate``. Both compute them at temperature 1. Other servers ignore or refuse the fields. A
reply of about 1 kB a token is reduced to arrays as soon as it has arrived.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import orjson
from numpy.typing import NDArray

from evalsuite.endpoint.client import Client
from evalsuite.endpoint.fault_mapping import status_fault
from evalsuite.endpoint.faults import Transient
from evalsuite.endpoint.identity.persistence import persist
from evalsuite.endpoint.transport import Response
from evalsuite.errors import EndpointUnusable, EvalsuiteError, Exit

TOP = 20
"""Alternatives asked at each token: the most that vLLM gives unless ``--max-logprobs`` is raised."""
DIALECTS = ("vllm", "sglang")
COUNTING = "One, two, three, four, five, six, seven, eight, nine, ten, eleven,"
"""A text that any model continues with some certainty."""
NOT_HERE = (
    "log-probabilities of given tokens are not possible here: {reason}. vLLM (prompt_logprobs), SGLang (/generate) and "
    "the demo server give them; llama.cpp and transformers serve do not"
)


class NoLogprobs(EvalsuiteError):
    """The server gives no log-probabilities of given tokens; the text names what it answered instead."""

    exit_code = Exit.INCOMPLETE


@dataclass(frozen=True, slots=True)
class TokenScores:
    """The distribution of each of n tokens, as far as the server lists it."""

    tokens: NDArray[np.int64]
    """[n]: the tokens that were scored."""
    logprobs: NDArray[np.float64]
    """[n]: natural-log probabilities of these tokens."""
    top_tokens: NDArray[np.int64]
    """[n, k]: listed tokens, most likely first; -1 where fewer are listed. The scored token is among them."""
    top_logprobs: NDArray[np.float32]
    """[n, k]: their log-probabilities; -inf where fewer are listed."""

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Scorer:
    """A server that gives log-probabilities of given tokens. Made by ``find_scorer``."""

    client: Client
    dialect: str
    """``vllm`` or ``sglang``."""
    top: int
    """Alternatives that it lists at each token."""
    findings: tuple[str, ...]
    """What the first request showed, in words."""


async def score(
    scorer: Scorer, prompt: Sequence[int], answer: Sequence[int], spans: Sequence[tuple[int, int]] = ()
) -> TokenScores:
    """Log-probabilities of the tokens of ``answer`` (at least one) after ``prompt`` (token ids), by one request or
    several to the server.

    ``spans``: (first, end) ranges of places in ``answer``, ascending, ``end`` excluded; only these are returned, one
    after the other. Without any: all tokens. vLLM computes a whole prompt in any case and gets one request; SGLang
    computes what is wanted, one request a span.

    Raises ``NoLogprobs`` for a reply without them and for an HTTP error that is not sent again (500, too),
    ``Transient`` after the retries, and ``EndpointUnusable`` as ``Client.post``.
    """
    wanted = list(spans) or [(0, len(answer))]
    requests = [[span] for span in wanted] if scorer.dialect == "sglang" else [wanted]
    parts = []
    for places in requests:
        start, end = len(prompt) + places[0][0], len(prompt) + places[-1][1]
        body = _score_body(scorer.dialect, scorer.client.served_name, [*prompt, *answer][:end], start, scorer.top)
        reply = await _post(scorer.client, scorer.dialect, body)
        with _malformed():
            if scorer.dialect == "sglang":
                parts.append(_flat(_entries_sglang(reply, end - start)))
            else:
                parts.append(_listed_vllm(reply, [(len(prompt) + at, len(prompt) + to) for at, to in places]))
    lengths, tokens, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return _reduced(_Lists(lengths, tokens, values), [token for first, end in wanted for token in answer[first:end]])


async def generate(scorer: Scorer, prompt: Sequence[int], most: int) -> TokenScores:
    """Generate greedily at most ``most`` tokens after ``prompt`` (token ids), fewer if the model ends its answer;
    returns them with their log-probabilities.

    Raises as ``score``; ``NoLogprobs`` also where no token comes.
    """
    if scorer.dialect == "sglang":
        body = _generate_body(prompt, most, scorer.top, start=-1, temperature=0.0)
        reply = await _post(scorer.client, "sglang", body)
    else:
        body = {"model": scorer.client.served_name, "prompt": list(prompt), "max_tokens": most, "temperature": 0}
        body |= {"logprobs": scorer.top, "return_tokens_as_token_ids": True}
        reply = await _post(scorer.client, "vllm", body)
    with _malformed():
        chosen, listed = (_generated_sglang if scorer.dialect == "sglang" else _generated_vllm)(reply)
        entries = [dict([own, *entry]) for own, entry in zip(chosen, listed, strict=True)]
    if not entries:
        raise NoLogprobs("the server generates without log-probabilities")
    return _reduced(_flat(entries), [token for token, _ in chosen])


async def tokenize(client: Client, fields: Mapping[str, Any]) -> list[int]:
    """Token ids of ``fields`` (``{"prompt": text}`` or ``{"messages": [...]}``, and further fields of the request) by
    the server's own tokenizer (``/tokenize``).

    Raises ``NoLogprobs`` for an HTTP error that is not sent again, such as for a path that it lacks, and for a reply
    without ids, ``Transient`` after the retries, and ``EndpointUnusable`` as ``Client.post``.
    """
    response = await _persisted(client, "/tokenize", {"model": client.served_name, **fields}, root=True)
    tokens = _mapping(_decoded(response)).get("tokens") if response.status < 300 else None
    if not isinstance(tokens, list) or any(type(token) is not int for token in tokens):
        raise NoLogprobs(f"{client.model.base_url} has no /tokenize (HTTP {response.status})")
    return tokens


async def detokenize(client: Client, tokens: Sequence[int]) -> str:
    """Text of token ids (``/detokenize`` of vLLM and SGLang); empty for an HTTP error that is not sent again (404 or
    500, say) and for a reply without text.

    Raises ``Transient`` after the retries, for faults of the connection and statuses such as 429 and 503, and
    ``EndpointUnusable`` as ``Client.post``.
    """
    response = await _persisted(client, "/detokenize", {"model": client.served_name, "tokens": list(tokens)}, root=True)
    reply = _mapping(_decoded(response)) if response.status < 300 else {}
    text = reply.get("prompt", reply.get("text"))
    return text if isinstance(text, str) else ""


async def find_scorer(client: Client) -> Scorer:
    """Find out with a few requests on one short text whether and how a server scores given tokens; returns the working
    scorer.

    The server generates a few tokens and then scores them: their log-probabilities must be finite, and half of them or
    more must be the likeliest at their place (a shift by one shows there); how well the scores repeat is among the
    scorer's ``findings``.

    Raises ``NoLogprobs`` saying what is missing, also where the server does not answer.
    """
    reasons = []
    try:
        prompt = await tokenize(client, {"prompt": COUNTING})
        for dialect in DIALECTS:
            try:
                return await _checked(client, dialect, prompt)
            except (NoLogprobs, Transient, EndpointUnusable) as error:
                reasons.append(f"{dialect}: {error}")
    except (NoLogprobs, Transient, EndpointUnusable) as error:
        reasons.append(str(error))
    raise NoLogprobs(NOT_HERE.format(reason="; ".join(reasons)))


async def _checked(client: Client, dialect: str, prompt: Sequence[int]) -> Scorer:
    scorer = Scorer(client, dialect, TOP, ())
    generated = await generate(scorer, prompt, 8)
    answer = generated.tokens.tolist()
    once, again = [await score(scorer, prompt, answer) for _ in range(2)]
    listed = int((once.top_tokens >= 0).sum(axis=1).min())
    if not np.isfinite(once.logprobs).all():
        raise NoLogprobs("some tokens have no log-probability")
    likely = float(np.mean(once.top_tokens[:, 0] == once.tokens))
    if likely < 0.5:  # greedy tokens are the likeliest of their place, but for near ties
        raise NoLogprobs(f"log-probabilities stand at other tokens ({likely:.0%} of greedy tokens are the likeliest)")
    repeated = float(np.abs(once.logprobs - again.logprobs).max())
    apart = float(np.abs(once.logprobs - generated.logprobs).max())
    findings = (
        f"log-probabilities of given tokens: {dialect}, {listed} alternatives",
        f"repeated: {'equal' if repeated == 0 else f'{repeated:.2g} nats apart'}",
        f"generated and given: at most {apart:.2g} nats apart",
    )
    return Scorer(client, dialect, TOP, findings)


def _score_body(dialect: str, name: str, tokens: Sequence[int], start: int, top: int) -> dict[str, Any]:
    if dialect == "sglang":
        return _generate_body(tokens, 1, top, start=start - 1, temperature=1.0)
    body: dict[str, Any] = {"model": name, "prompt": list(tokens), "max_tokens": 1, "temperature": 1}
    return body | {"prompt_logprobs": top, "cache_salt": uuid4().hex}  # stale values were seen with prefix caching


def _generate_body(tokens: Sequence[int], most: int, top: int, *, start: int, temperature: float) -> dict[str, Any]:
    """Body of SGLang's ``/generate``: at most ``most`` tokens after ``tokens``, with ``top`` alternatives at each
    place.

    SGLang leaves the position ``logprob_start_len`` itself without a value: ``start`` is one earlier than the first
    wanted place; -1: none of the prompt.
    """
    return {
        "input_ids": list(tokens),
        "sampling_params": {"max_new_tokens": most, "temperature": temperature},
        "return_logprob": True,
        "logprob_start_len": start,
        "top_logprobs_num": top,
    }


class _Lists(NamedTuple):
    """The listed tokens of some places, those of one place after those of another."""

    lengths: NDArray[np.intp]
    """How many are listed at each place."""
    tokens: NDArray[np.int64]
    values: NDArray[np.float64]
    """Their log-probabilities."""


def _flat(entries: Sequence[Mapping[int, float]]) -> _Lists:
    return _lists(
        [len(entry) for entry in entries],
        [token for entry in entries for token in entry],
        [value for entry in entries for value in entry.values()],
    )


def _listed_vllm(reply: Mapping[str, Any], spans: Sequence[tuple[int, int]]) -> _Lists:
    """What a reply of vLLM lists at the places of ``spans``, (first, end) in the prompt; the reply holds ``{token:
    {"logprob": value}}`` for each place. Fewer where it lists fewer; another shape raises (see ``_malformed``)."""
    every = _list(_choice(reply).get("prompt_logprobs"))
    places = [place for first, end in spans for place in every[first:end]]
    return _lists(
        [len(place) for place in places],
        [int(token) for place in places for token in place],
        [value["logprob"] for place in places for value in place.values()],
    )


def _lists(lengths: Sequence[int], tokens: Sequence[int], values: Sequence[float]) -> _Lists:
    size = sum(lengths)
    return _Lists(
        np.array(lengths, np.intp),
        np.fromiter(tokens, np.int64, size),
        np.fromiter(values, np.float64, size),
    )


def _entries_sglang(reply: Mapping[str, Any], count: int) -> list[Mapping[int, float]]:
    """Token id -> log-probability at each of the last ``count`` (at least 1) places of the prompt, in a reply of
    SGLang; fewer where it lists fewer.

    Empty if it lists the scored tokens and their alternatives for unequal numbers of these places. Another shape raises
    (see ``_malformed``).
    """
    meta = _mapping(reply.get("meta_info"))
    own = _list(meta.get("input_token_logprobs"))[-count:]
    listed = _list(meta.get("input_top_logprobs"))[-count:]
    if len(own) != len(listed):
        return []
    return [dict([*_triples([entry]), *_triples(places)]) for entry, places in zip(own, listed, strict=True)]


Listed = list[tuple[int, float]]
"""(token id, log-probability) of one place."""


def _generated_vllm(reply: Mapping[str, Any]) -> tuple[Listed, list[Listed]]:
    """(own, listed) of a reply of vLLM: (token id, log-probability) of each generated token, and of its alternatives;
    each empty where the reply has none. A reply of another shape may raise (see ``_malformed``)."""
    logprobs = _mapping(_choice(reply).get("logprobs"))
    names, values = (_list(logprobs.get(name)) for name in ("tokens", "token_logprobs"))
    places = [_mapping(entry).items() for entry in _list(logprobs.get("top_logprobs"))]
    listed = [[(_token_id(name), float(value)) for name, value in place] for place in places]
    return [(_token_id(name), float(value)) for name, value in zip(names, values, strict=True)], listed


def _generated_sglang(reply: Mapping[str, Any]) -> tuple[Listed, list[Listed]]:
    meta = _mapping(reply.get("meta_info"))
    listed = [_triples(place) for place in _list(meta.get("output_top_logprobs"))]
    return _triples(meta.get("output_token_logprobs")), listed


@contextmanager
def _malformed() -> Iterator[None]:
    """A ``with`` block in which ``ValueError``, ``TypeError``, ``KeyError``, ``AttributeError`` and ``OverflowError``,
    which reading a reply of an unforeseen shape raises, become ``NoLogprobs``."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise NoLogprobs(f"its log-probabilities have an unknown shape ({error})") from None


def _triples(entries: Any) -> Listed:
    """(token id, log-probability) of SGLang's ``entries``, each ``[log-probability, token id, text]``, without those
    whose log-probability is null; empty for what is no list."""
    return [(int(token), float(value)) for value, token, *_ in _list(entries) if value is not None]


def _reduced(lists: _Lists, tokens: Sequence[int]) -> TokenScores:
    """The places of ``lists`` as arrays, alternatives sorted by probability, the highest first; ``tokens`` are those
    scored at each place.

    Raises ``NoLogprobs`` if one of them is not listed at its place, or there are more or fewer tokens than places.
    """
    scored = np.array(tokens, np.int64)
    shape = (len(lists.lengths), int(lists.lengths.max(initial=1)))
    listed, values = np.full(shape, -1, np.int64), np.full(shape, -np.inf)
    filled = np.arange(shape[1]) < lists.lengths[:, None]
    listed[filled], values[filled] = lists.tokens, lists.values
    own = listed == scored[:, None] if len(scored) == shape[0] else np.zeros((1, 1), bool)
    if not own.any(axis=1).all():
        raise NoLogprobs("the reply holds no log-probability for some of the tokens")
    order = np.argsort(-values, axis=1, kind="stable")
    return TokenScores(
        scored,
        np.take_along_axis(values, own.argmax(axis=1)[:, None], 1)[:, 0],
        np.take_along_axis(listed, order, 1),
        np.take_along_axis(values, order, 1).astype(np.float32),
    )


async def _post(client: Client, dialect: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    response = await _persisted(client, *(("/generate", body, True) if dialect == "sglang" else ("/completions", body)))
    if response.status >= 300:
        raise NoLogprobs(f"HTTP {response.status}")
    return _mapping(_decoded(response))


async def _persisted(client: Client, path: str, body: Mapping[str, Any], root: bool = False) -> Response:
    async def send() -> Response:
        response = await client.post(body, path, root=root)
        fault = status_fault(response, client.model) if response.status >= 300 else None
        if isinstance(fault, Transient) and response.status != 500:
            raise fault
        return response

    return await persist(send, client.engine)


def _decoded(response: Response) -> Any:
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return None


def _choice(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = _list(reply.get("choices"))
    return _mapping(choices[0]) if choices else {}


def _token_id(name: str) -> int:
    return int(str(name).removeprefix("token_id:"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}  # quicker than to ask for a Mapping


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
