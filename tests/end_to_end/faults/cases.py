"""Faults of a server, each with what becomes of the questions that it hits: once, or however often they are asked."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.fault_server import (
    DONE,
    LAST,
    MODEL,
    STREAM,
    Close,
    Endless,
    Reset,
    Send,
    Steps,
    Wait,
    bomb,
    chunk,
    completion,
    ending,
    error,
    event,
    events,
    good,
    head,
    page,
    streamed,
    whole,
)

End = Literal["same", "failed", "69", "truncated", "no_answer", "refused", "wrong"]
"""``same``: the score is that of a server without faults; ``failed``: no score, the items are listed; ``69``: the run
stops with that code; else the outcome of the items that are hit."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to misbehave."""

    steps: Callable[[str], Steps]
    """The right answer's text -> what is sent in its place. It often holds the answer: half of one is never graded."""
    once: End
    always: End
    asked: int = 3
    """Requests of a question that always meets it, with two retries; 0: as many as fit into the time of an outage."""
    words: str = ""
    """In the items' notes, or in what the run says when it stops."""
    stream: bool = True
    affected: tuple[int, ...] = (1, 5, 9)
    """Numbers of the questions that meet it."""


def late(text: str) -> list[bytes]:
    """All of an answer but its end."""
    return [event({"role": "assistant", "content": ""}), *events(text)]


def halved(text: str) -> list[bytes]:
    """An answer whose emoji came as two halves, a chunk each, behind bytes that are no UTF-8."""
    lines = [b'data: {"model":"m","choices":[{"delta":{"reasoning_content":"\\ud83d"}}]}\n\n']
    lines += [b'data: {"model":"m","choices":[{"delta":{"reasoning_content":"\\ude00 \\udc00"}}]}\n\n']
    lines += [b'data: {"model":"m","choices":[{"delta":{"reasoning_content":"\xff"}}]}\n\n']
    return [*lines, *events(text), *ending(len(text) + 2)]


def counted(text: str, tokens: int, finish: str = "stop") -> Steps:
    """A stream whose usage says so many tokens."""
    return streamed([*events(text), *ending(tokens, finish)])


def as_json(**fields: Any) -> Steps:
    """A whole body with these fields."""
    return [Send(whole(json.dumps({"model": MODEL, **fields}).encode()))]


def twice(text: str) -> Steps:
    """Every event sent two times by a proxy; the right answer in it reads otherwise."""
    lines = [line for line in events("so: " * 5 + text) for _ in range(2)]
    return streamed([*lines, *ending(20 + len(text))])


CASES: dict[str, Case] = {
    "429 seconds": Case(
        lambda _: error(429, "slow down", Retry_After="1"), "same", "failed", asked=0, words="HTTP 429", affected=(5,)
    ),
    "429 date": Case(
        lambda _: error(429, "slow", Retry_After="Fri, 20 Nov 2026 10:00:01 GMT", Date="Fri, 20 Nov 2026 10:00:00 GMT"),
        "same",
        "failed",
        asked=0,
        words="HTTP 429",
        affected=(5,),
    ),
    "429 garbage": Case(
        lambda _: error(429, Retry_After="soon"), "same", "failed", asked=0, words="HTTP 429", affected=(5,)
    ),
    "429 bare": Case(lambda _: error(429), "same", "failed", asked=0, words="HTTP 429", affected=(5,)),
    "500": Case(lambda text: error(500, f"cannot read {text}"), "same", "failed", words="HTTP 500"),
    "502": Case(lambda _: page(502), "same", "failed", words="HTTP 502 an HTML page: 502 Bad Gateway"),
    "503": Case(lambda _: error(503, "The request queue is full."), "same", "failed", words="queue is full"),
    "504": Case(lambda _: page(504, "504 Gateway Time-out"), "same", "failed", words="HTTP 504"),
    "reset before headers": Case(lambda _: [Reset()], "same", "failed", words="connection to"),
    "reset in the stream": Case(
        lambda text: streamed(late(text), done=False, then=[Reset()]), "same", "failed", words="connection broke"
    ),
    "end in the stream": Case(
        lambda text: streamed(late(text), done=False, then=[Close()]), "same", "failed", words="connection broke"
    ),
    "half a stream, then silence": Case(
        lambda text: streamed(late(text), done=False, then=[Wait()]), "same", "failed", words="silence for too long"
    ),
    "no finish reason": Case(lambda text: streamed(late(text), done=False), "same", "failed", words="without a finish"),
    "done without finish reason": Case(
        lambda text: streamed(late(text)), "same", "failed", words="finish_reason=None, which is the server's doing"
    ),
    "hung": Case(lambda _: [Wait()], "same", "failed", words="silence for too long", affected=(1, 9)),
    "headers, then silence": Case(
        lambda _: [Send(STREAM), Wait()], "same", "failed", words="silence for too long", affected=(1, 9)
    ),
    "bad JSON": Case(lambda text: streamed([*late(text), b'data: {"torn\n\n']), "same", "failed", words="not JSON"),
    "other JSON": Case(
        lambda text: streamed([b'data: {"choices": [{"delta": {"content": 7}}]}\n\n']),
        "same",
        "failed",
        words="no chat completion",
    ),
    "another protocol": Case(
        lambda text: [Send(whole(json.dumps([text]).encode()))],
        "same",
        "69",
        words="does not speak the protocol",
        stream=False,
        affected=tuple(range(12)),
    ),
    "HTML": Case(lambda _: page(), "same", "failed", words="a proxy's: an HTML page: 502 Bad Gateway"),
    "no choices": Case(lambda _: as_json(choices=[]), "same", "failed", words="finish_reason=None", stream=False),
    "only reasoning": Case(
        lambda text: streamed([event({"content": None, "reasoning_content": text}), *ending(9)]),
        "no_answer",
        "no_answer",
        asked=1,
    ),
    "empty": Case(lambda _: [Send(whole(completion(None, usage={"completion_tokens": 0})))], "same", "no_answer"),
    "unknown finish": Case(lambda text: counted(text, 5, "repetition"), "same", "failed", words="'repetition'"),
    "whole body, no finish": Case(
        lambda text: [Send(whole(completion(text, None)))], "same", "failed", words="finish_reason=None", stream=False
    ),
    "abort": Case(lambda text: counted(text, 5, "abort"), "same", "failed", words="'abort'"),
    "error event": Case(
        lambda text: streamed([*late(text), b'data: {"error": {"message": "The queue is full", "code": 503}}\n\n']),
        "same",
        "failed",
        words="HTTP 503 The queue is full",
    ),
    "length": Case(lambda text: counted("no end", 64, "length"), "truncated", "truncated", asked=1),
    "stop at the cap": Case(lambda text: counted("no end", 64, "stop"), "truncated", "truncated", asked=1),
    "content filter": Case(lambda text: counted("I", 1, "content_filter"), "refused", "refused", asked=1),
    "chunks twice": Case(twice, "same", "failed", words="chunks came twice"),
    "no usage": Case(
        lambda text: streamed([*events(text), event({}, "stop")]), "same", "same", asked=1, words="without token counts"
    ),
    "overflow": Case(
        lambda _: error(400, "This model's maximum context length is 8 tokens"), "truncated", "truncated", asked=1
    ),
    "400 at first": Case(
        lambda _: error(400, "unknown field top_k"),
        "69",
        "69",
        asked=1,
        words="refuses the requests of additions: HTTP 400 unknown field top_k",
        affected=tuple(range(12)),
    ),
    "400 after success": Case(
        lambda _: error(400, "bad request"), "failed", "failed", asked=1, words="HTTP 400 bad request", affected=(9, 10)
    ),
    "400 five in a row": Case(
        lambda _: error(422, "cannot"), "69", "69", asked=1, words="HTTP 422 cannot", affected=tuple(range(2, 12))
    ),
    "401": Case(lambda _: error(401, "no key"), "69", "69", asked=1, words="needs a valid key"),
    "403": Case(lambda _: error(403, "not you"), "69", "69", asked=1, words="refuses this key"),
    "404": Case(lambda _: error(404, "no such model"), "69", "69", asked=1, words="does not know this model"),
    "wrong model": Case(
        lambda text: good(text, model="org/other-FP8"), "69", "69", asked=1, words="answers as 'org/other-FP8'"
    ),
    "looping text": Case(lambda _: counted("ha " * 20, 60), "wrong", "wrong", asked=1),
    "endless stream": Case(
        lambda _: [Send(STREAM), Endless(chunk(event({"content": "a" * 60_000})))],
        "same",
        "failed",
        asked=2,
        words="an endless reply",
        affected=(1,),
    ),
    "endless body": Case(
        lambda _: [Send(head()), Endless(b" " * 60_000)],
        "same",
        "failed",
        asked=2,
        words="an endless reply",
        stream=False,
        affected=(1,),
    ),
    "bomb": Case(
        lambda _: [Send(whole(bomb(20_000_000), Content_Encoding="gzip"))],
        "same",
        "failed",
        asked=2,
        words="an endless reply",
        stream=False,
        affected=(1,),
    ),
    "redirect": Case(
        lambda _: [Send(whole(b"", 307, Location="http://elsewhere.invalid/v1/chat/completions"))],
        "69",
        "69",
        asked=1,
        words="redirects to elsewhere.invalid (HTTP 307): not followed",
    ),
    "surrogates": Case(lambda text: streamed(halved(text)), "same", "same", asked=1),
    "[DONE] without a last chunk": Case(
        lambda text: [Send(STREAM + chunk(b"".join([*events(text), *ending(len(text))])) + DONE), Close()],
        "same",
        "failed",
        words="connection broke",
    ),
    "odd but right": Case(
        lambda text: [
            Send(STREAM + chunk(b": keep-alive\n\nevent: message\nretry: 5\n\n")),
            *[Send(chunk(line)) for line in (b"data:" + event()[6:], *events(text), *ending(len(text)))],
            Send(DONE + LAST),
        ],
        "same",
        "same",
        asked=1,
    ),
}
