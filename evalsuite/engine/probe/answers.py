"""Which stored answers of a baseline are read, and their token ids."""

import asyncio
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from evalsuite.config.settings import Data
from evalsuite.endpoint.body import request_body
from evalsuite.endpoint.client import Client
from evalsuite.endpoint.logprobs import tokenize
from evalsuite.engine.stored.rescore import load
from evalsuite.errors import BadInput, EndpointUnusable
from evalsuite.records import Request, canonical_sha
from evalsuite.store import journal
from evalsuite.store.attempts import checked_reply, scan
from evalsuite.store.runs import TableCell
from evalsuite.store.samples import read_rows
from evalsuite.tasks.base import SingleTurn
from evalsuite.tasks.gating import is_gated

ANSWERS = 200
"""Answers that are read unless ``answers=`` gives another number."""
JOINTS = ("</think>\n\n", "</think>", "\n</think>\n\n", "\n\n</think>\n\n", "\n</think>")
"""What stands between the thinking and the answer before a server's parser takes it out; the text that has the stored
number of tokens is the one that was generated."""
_COLUMNS = ("item_id", "repeat", "outcome", "value", "groups", "text", "reasoning", "finish_reason", "prompt_tokens")


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """One answer of the baseline."""

    task: str
    item: str
    repeat: int
    stratum: str
    """Task, and the value of the item's first group."""
    right: bool
    gated: bool
    """Whether its text must not be shown."""
    request: Request
    texts: tuple[str, ...]
    """What was generated, as one text: every way in which thinking and answer can have been joined."""
    prompt_tokens: int | None
    """As the baseline's server counted them."""
    completion_tokens: int | None
    prompt_ids: tuple[int, ...] = ()
    """Token ids of the prompt, where the run stored them."""
    token_ids: tuple[int, ...] = ()
    """Those of all that was generated, where the run stored them."""

    @property
    def key(self) -> str:
        """Name of the answer in files: ``task/item/repeat``."""
        return f"{self.task}/{self.item}/{self.repeat}"


@dataclass(frozen=True, slots=True)
class TokenizedAnswer:
    """One answer as token ids."""

    stored: StoredAnswer
    prompt: tuple[int, ...]
    answer: tuple[int, ...]


def choose_answers(cells: Iterable[TableCell], data: Data, count: int, seed: int = 20_260_601) -> list[StoredAnswer]:
    """Draw ``count`` answers at random from a baseline's cells, or all if fewer can be drawn; the draw depends on
    ``seed``.

    Every stratum (a task and the value of the item's first group) in turn, its right (score 1) and wrong answers
    alternating until one kind is used up. Only scored answers with text that ended by themselves are drawn, of tasks of
    one request: later prompts of a dialogue hold answers of the model. ``data``: where the questions are loaded from.

    Raises ``BadInput`` where no such answer is stored, where the questions cannot be loaded or are others than the run
    asked, and for a damaged reply in a journal, ``StorageFailed`` or ``OSError`` for a file that cannot be read.
    """
    strata: dict[tuple[str, bool], list[StoredAnswer]] = {}
    cells = list(cells)
    for cell in cells:
        for answer in _stored(cell, data):
            strata.setdefault((answer.stratum, answer.right), []).append(answer)
    if not strata:
        raise BadInput("the baseline holds no whole answer of a task with one request: nothing can be read again")
    rng = random.Random(seed)
    queues = []
    for key in sorted(strata):
        answers = sorted(strata[key], key=lambda answer: answer.key)
        rng.shuffle(answers)
        queues.append(answers)
    chosen: list[StoredAnswer] = []
    while len(chosen) < count and any(queues):
        chosen += [queue.pop() for queue in queues if queue]
    return _with_ids(chosen[:count], cells)


def _with_ids(chosen: Sequence[StoredAnswer], cells: Iterable[TableCell]) -> list[StoredAnswer]:
    """The answers with the token ids that the journals of their cells hold of the last reply; without ids where they
    hold none. Raises ``BadInput`` for a damaged reply."""
    indexes = {cell.task: scan(cell.folder) for cell in cells}
    with journal.reading() as event_at:

        def whole(answer: StoredAnswer) -> StoredAnswer:
            attempt = indexes[answer.task].get((answer.item, answer.repeat))
            if attempt is None or attempt.last is None:
                return answer
            reply = checked_reply(event_at(attempt.last.path, attempt.last.offset), attempt.last)
            return replace(answer, prompt_ids=_ids(reply, "prompt_ids"), token_ids=_ids(reply, "token_ids"))

        return [whole(answer) for answer in chosen]


def _ids(reply: Mapping[str, Any], name: str) -> tuple[int, ...]:
    value = reply.get(name)
    known = isinstance(value, list) and all(type(token) is int and token >= 0 for token in value)
    return tuple(value) if known and value else ()


def _stored(cell: TableCell, data: Data) -> Iterable[StoredAnswer]:
    adapter, items = load(cell.folder, dict(cell.manifest), data)
    if not hasattr(adapter, "prompt"):
        return
    single = cast("SingleTurn", adapter)
    gated = is_gated(cell.manifest, cell.task)
    for row in read_rows(cell.folder, [*_COLUMNS, "completion_tokens"]):
        if row["finish_reason"] != "stop" or row["value"] is None or not row["text"]:
            continue
        groups = _groups(row["groups"])
        stratum = ": ".join([cell.task, *list(groups.values())[:1]])
        text, reasoning = str(row["text"]), str(row["reasoning"] or "")
        texts = tuple(f"{reasoning}{joint}{text}" for joint in JOINTS) if reasoning else (text,)
        yield StoredAnswer(
            cell.task,
            str(row["item_id"]),
            int(row["repeat"]),
            stratum,
            float(row["value"]) == 1.0,
            gated,
            single.prompt(items[str(row["item_id"])], int(row["repeat"])),
            texts,
            row["prompt_tokens"],
            row["completion_tokens"],
        )


def _groups(text: str | None) -> Mapping[str, str]:
    groups = json.loads(text) if text else {}
    return groups if isinstance(groups, dict) else {}


async def prompt_ids(client: Client, answer: StoredAnswer) -> list[int]:
    """Token ids of the answer's prompt under the server's own chat template, with the model's thinking switch where
    that is sent as ``chat_template_kwargs`` (as other fields it is left out); of a ``raw`` request those of the bare
    prompt (``/tokenize``). Raises as ``endpoint.logprobs.tokenize``."""
    if answer.request.raw:
        return await tokenize(client, {"prompt": answer.request.messages[0]["content"]})
    body = request_body(client.model, client.served_name, replace(answer.request, stop=()))
    switch = {name: body[name] for name in ("chat_template_kwargs",) if name in body}
    fields: dict[str, Any] = {"messages": list(answer.request.messages), "add_generation_prompt": True, **switch}
    return await tokenize(client, fields)


async def answer_ids(client: Client, answer: StoredAnswer) -> list[int] | None:
    """Token ids of an answer: the stored ones, else those of the first text of it that has the stored number of tokens
    (where no number is stored, of the first text); else None.

    The texts are tokenized by the server. The end marker, which no text shows, may count as one token. Raises as
    ``endpoint.logprobs.tokenize``.
    """
    if answer.token_ids:
        return list(answer.token_ids)
    for text in answer.texts:
        ids = await tokenize(client, {"prompt": text, "add_special_tokens": False})
        if answer.completion_tokens is None or answer.completion_tokens - len(ids) in (0, 1):
            return ids
    return None


def identity_of(answers: Sequence[StoredAnswer], checkpoint: str) -> str:
    """Hash (16 hexadecimal digits) of these answers in their order, with their texts, and of the baseline's
    checkpoint.
    """
    return canonical_sha([checkpoint, [[answer.key, answer.texts] for answer in answers]])[:16]


def _as_stored(stored: StoredAnswer, prompt: Sequence[int]) -> bool:
    """Whether the token ids ``prompt`` are those of the run's prompt; of runs without ids whether their number is
    (unknown: yes)."""
    if stored.prompt_ids:
        return tuple(prompt) == stored.prompt_ids
    return stored.prompt_tokens in (None, len(prompt))


async def tokenized_answers(
    client: Client, chosen: Sequence[StoredAnswer], concurrency: int
) -> tuple[list[TokenizedAnswer], list[str]]:
    """(answers as token ids, in the order of ``chosen``; a list with a note on how many were left out, or empty), by
    the tokenizer of the baseline's server.

    ``concurrency``: most answers at a time. Left out are those whose prompt or answer has other tokens here, or another
    number of them, than the run stored. Raises ``EndpointUnusable`` where over 10 % of the prompts whose token ids or
    number the run stored have others at this server, and where more than half of the answers are left out; and as
    ``endpoint.logprobs.tokenize``.
    """
    slots = asyncio.Semaphore(concurrency)

    async def rendered(stored: StoredAnswer) -> tuple[list[int], list[int] | None]:
        async with slots:
            return await prompt_ids(client, stored), await answer_ids(client, stored)

    pairs = await asyncio.gather(*(rendered(stored) for stored in chosen))
    known = sum(stored.prompt_tokens is not None or bool(stored.prompt_ids) for stored in chosen)
    unequal = sum(not _as_stored(stored, prompt) for stored, (prompt, _) in zip(chosen, pairs, strict=True))
    if 10 * unequal > known:
        raise EndpointUnusable(
            f"{client.model.base_url} renders {unequal} of {known} prompts with other tokens than the baseline's run: "
            "another chat template, tokenizer or thinking switch. Serve the baseline as it was"
        )
    kept = [
        TokenizedAnswer(stored, tuple(prompt), tuple(answer))
        for stored, (prompt, answer) in zip(chosen, pairs, strict=True)
        if answer and _as_stored(stored, prompt)
    ]
    if 2 * len(kept) < len(chosen):
        raise EndpointUnusable(
            f"{client.model.base_url}: only {len(kept)} of {len(chosen)} stored answers have the stored number of "
            "tokens when they are rendered again; the others cannot be read as they were generated"
        )
    left_out = len(chosen) - len(kept)
    return kept, [f"{left_out} answers left out: other token ids than were generated"] if left_out else []
