"""Recorded GSM8K answers through servers that send the same answer in many shapes: the same score, or named faults.

Every reading is also held against that of the stock OpenAI client, wherever that client can read the shape.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from evalsuite.cli.run import run
from evalsuite.config.settings import Data, Engine, Model, Run, Sampling, Server, Task
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.reference import Reading, ReferenceFailed, reference_reading, stock_client
from evalsuite.errors import Exit
from evalsuite.records import Item
from evalsuite.store.samples import read_samples
from evalsuite.tasks.datasets import Source, read_jsonl
from evalsuite.tasks.gsm8k import GSM8K
from figures.line import Line
from tests.endpoint.test_shapes import delta, indented, sse, whole
from tests.support.fault_server import MODEL, Send, Steps, fault_server
from tests.support.fault_server import whole as response
from tests.support.shared import shared_data

ANSWERS = "outputs_openai-175b-verification.jsonl.gz"
PIECE = 24
"""Characters of an event."""
FAULTY = 120
"""In shapes that are faults one question of so many is answered in that shape, the others in a plain one: a server
that sends nothing else is given up."""
COMPARED = 5
"""One answer of so many is also read by the stock client, which takes several milliseconds for each."""
THOUGHT = "Let me see: 7."
USAGE = {"prompt_tokens": 9, "completion_tokens": 50}
MARK = b"\xef\xbb\xbf"
CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class ServerShape:
    """How a server sends a text."""

    send: Callable[[str], bytes]
    stream: bool = True
    """Whether it is asked for a stream."""
    fault: bool = False
    """Whether no answer can be read from it."""


def _pieces(text: str, size: int = PIECE) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _deltas(text: str, size: int = PIECE, first: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The events of a stream, in the shape of SGLang and vLLM."""
    parts = [
        delta(role="assistant", content="", **(first or {})),
        *(delta(content=piece) for piece in _pieces(text, size)),
    ]
    return [*parts, delta("stop"), {"model": MODEL, "choices": [], "usage": USAGE}]


def _stream(text: str) -> bytes:
    return sse(*_deltas(text))


def _whole(content: Any, reasoning_content: str | None = None) -> bytes:
    """A body that is no stream."""
    body = json.loads(whole(content=content, reasoning_content=reasoning_content))
    return json.dumps(body | {"object": "chat.completion", "usage": USAGE}).encode()


def _parts(*parts: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"type": kind, kind: value} for kind, value in parts]


def _empty_reasons(text: str) -> bytes:
    """Finish reasons that are empty texts until the last."""
    return _stream(text).replace(b'"finish_reason": null', b'"finish_reason": ""')


def _second_choice(text: str) -> bytes:
    other = {"index": 1, "delta": {"content": "999"}, "finish_reason": None}
    events = [event | {"choices": [*event["choices"], other]} if event["choices"] else event for event in _deltas(text)]
    return sse(*events)


def _repeated_message(text: str) -> bytes:
    """A last event that repeats the whole message."""
    end = {"model": MODEL, "choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}
    return sse(*_deltas(text)[:-2], end)


SHAPES: Mapping[str, ServerShape] = {
    "whole": ServerShape(_whole, stream=False),
    "whole, byte order mark": ServerShape(lambda text: MARK + _whole(text), stream=False),
    "whole, text parts": ServerShape(
        lambda text: _whole(_parts(*(("text", piece) for piece in _pieces(text)))), stream=False
    ),
    "whole, thinking part": ServerShape(
        lambda text: _whole(_parts(("thinking", _parts(("text", THOUGHT))), ("text", text))), stream=False
    ),
    "whole, reasoning_content": ServerShape(lambda text: _whole(text, reasoning_content=THOUGHT), stream=False),
    "whole, tags in the text": ServerShape(lambda text: _whole(f"<think>\n{THOUGHT}\n</think>\n{text}"), stream=False),
    "whole, sent as events": ServerShape(_stream, stream=False),
    "stream": ServerShape(_stream),
    "stream, sent as one body": ServerShape(_whole),
    "stream, each character alone": ServerShape(lambda text: sse(*_deltas(text, 1))),
    "stream, CR LF": ServerShape(lambda text: sse(*_deltas(text), end="\r\n")),
    "stream, CR": ServerShape(lambda text: sse(*_deltas(text), end="\r")),
    "stream, several lines an event": ServerShape(lambda text: indented(*_deltas(text))),
    "stream, no empty lines": ServerShape(lambda text: _stream(text).replace(b"\n\n", b"\n")),
    "stream, comments and fields": ServerShape(lambda text: b": ping\n\nevent: message\nid: 1\n" + _stream(text)),
    "stream, byte order mark": ServerShape(lambda text: MARK + _stream(text)),
    "stream, no last line end": ServerShape(lambda text: sse(*_deltas(text)[:-1], done=False).rstrip(b"\n")),
    "stream, empty finish reasons": ServerShape(_empty_reasons),
    "stream, second choice": ServerShape(_second_choice),
    "stream, message repeated": ServerShape(_repeated_message),
    "stream, reasoning under both names": ServerShape(
        lambda text: sse(*_deltas(text, first={"reasoning": THOUGHT, "reasoning_content": THOUGHT}))
    ),
    "text behind the end": ServerShape(lambda text: sse(delta("stop", content=text), delta(content=" 2")), fault=True),
    "end lost": ServerShape(lambda text: sse(*_deltas(text)[:-2]), fault=True),
    "another model inside": ServerShape(
        lambda text: sse(*_deltas(text)[:-1], delta("stop", model="other")), fault=True
    ),
    "part of an unknown kind": ServerShape(lambda text: _whole([{"type": "hologram"}]), stream=False, fault=True),
}


@dataclass(frozen=True, slots=True)
class Shaped:
    """One run against a server of one shape."""

    code: Exit
    right: int
    failed: int
    wanted: int
    """Answers in a shape that is a fault."""
    compared: int
    """Answers that both clients have read."""
    differing: int
    """Of these, read otherwise by the stock client."""


def shaped(folder: Path, data: Path, name: str, items: int | None = None) -> Shaped:
    """Run GSM8K (``items`` questions; None: all) against a server that sends recorded answers in one shape."""
    shape = SHAPES[name]
    adapter = GSM8K("flexible", source=Source("local", str(data)), api="chat")
    texts = {str(row["idx"]): row["output"] for _, row in read_jsonl(data / "gsm8k" / ANSWERS)}
    asked = {str(adapter.prompt(item, 0).messages[0]["content"]): item for item in adapter.items()}
    faulty = {item.id for number, item in enumerate(asked.values()) if shape.fault and number % FAULTY == FAULTY - 1}

    def script(prompt: str, _: int) -> Steps | None:
        item = asked.get(prompt)
        if item is None:
            return None
        plain = SHAPES["stream" if shape.stream else "whole"]
        data = (plain if shape.fault and item.id not in faulty else shape).send(texts[item.id])
        if data.lstrip(MARK).startswith((b"data:", b":")):
            typed = data.replace(b'"model": ', b'"object": "chat.completion.chunk", "model": ')
            return [Send(response(typed, kind="text/event-stream"))]
        return [Send(response(data))]

    with fault_server(lambda _: "4", script) as server:
        wanted = _settings(folder, data, server.base_url, stream=shape.stream, items=items)
        with redirect_stderr(StringIO()):
            code = run(wanted)
        rows = {row["item_id"]: row for row in read_samples(next(folder.glob("r/*/gsm8k"))).to_pylist()}
        readings = asyncio.run(
            _readings(wanted, adapter, [item for item in asked.values() if item.id in rows][::COMPARED], shape.stream)
        )
    read = {name: reading for name, reading in readings.items() if reading and rows[name]["outcome"] != "failed"}
    return Shaped(
        code=code,
        right=sum(row["value"] == 1 for row in rows.values()),
        failed=sum(row["outcome"] == "failed" for row in rows.values()),
        wanted=len(faulty.intersection(rows)),
        compared=len(read),
        differing=sum(_read(rows[name]) != _plain(reading) for name, reading in read.items()),
    )


def _settings(folder: Path, data: Path, url: str, *, stream: bool, items: int | None) -> Run:
    server = Server(dialect="openai", thinking_via=None, stream=stream)
    model = Model("M", "org/m", None, "bf16", base_url=url, server=server, served_name=MODEL, thinking=False)
    model.concurrency = CONCURRENCY
    return Run(
        models={MODEL: model},
        tasks={"gsm8k": Task(adapter="gsm8k", variant="flexible", options={"api": "chat"})},
        sampling=Sampling(temperature=0.0, max_tokens=512),
        data=Data("local", str(data)),
        engine=Engine(retries=1, backoff_seconds=0.001, probe=False, fingerprint=False),
        results_dir=str(folder),
        run_id="r",
        limit=items,
        report=False,
    )


async def _readings(wanted: Run, adapter: GSM8K, items: list[Item], stream: bool) -> dict[str, Reading | None]:
    """Item -> the stock client's reading; None where it cannot read the answer."""
    client = connect(wanted.models[MODEL], wanted.engine, MODEL, 1)
    found: dict[str, Reading | None] = {}
    try:
        async with stock_client(client) as stock:
            for item in items:
                request = adapter.prompt(item, 0)
                try:
                    found[item.id] = await reference_reading(client, request, streamed=stream, stock=stock)
                except ReferenceFailed:
                    found[item.id] = None
    finally:
        await client.close()
    return found


def _read(row: Mapping[str, Any]) -> tuple[Any, ...]:
    counts = (row["prompt_tokens"], row["completion_tokens"], row["reasoning_tokens"])
    return row["text"], row["reasoning"], row["finish_reason"], counts


def _plain(reading: Reading) -> tuple[Any, ...]:
    usage = reading.usage
    counts = (usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens)
    return reading.text, reading.reasoning, reading.finish_reason, counts


def measure(folder: Path) -> list[Line]:
    """All answers in all shapes."""
    data = shared_data()
    found = {name: shaped(folder / str(number), data, name) for number, name in enumerate(SHAPES)}
    return lines(found)


def lines(found: Mapping[str, Shaped]) -> list[Line]:
    """The rows of the page."""
    plain = found["whole"].right
    exact = [name for name, one in found.items() if (one.code, one.right, one.failed) == (Exit.DONE, plain, 0)]
    named = [name for name, one in found.items() if one.code == Exit.INCOMPLETE and one.failed == one.wanted > 0]
    rest = [
        f"{name}: exit {found[name].code.value}, {found[name].right} right, {found[name].failed} failed"
        for name in found
        if name not in (*exact, *named)
    ]
    compared = sum(one.compared for one in found.values())
    differing = {name: one for name, one in found.items() if one.differing}
    unread = [name for name, one in found.items() if one.compared == 0]
    otherwise = "".join(f"; otherwise: {one.differing} of {name}" for name, one in differing.items())
    return [
        Line(
            f"recorded GSM8K answers through {len(found)} shapes of servers",
            "equal score, or `failed` and exit 3",
            f"{len(exact)} with {plain:,} right and exit 0; {len(named)} with exactly the faulty answers failed and "
            f"exit 3 ({', '.join(named)}); otherwise {len(rest)}{': ' if rest else ''}{'; '.join(rest)}",
        ),
        Line(
            f"of these, one of {COMPARED} read by the stock OpenAI client, too",
            "equal wherever it reads",
            f"{compared - sum(one.differing for one in differing.values()):,} of {compared:,} equal{otherwise}; "
            f"shapes that it cannot read: {', '.join(unread) or 'none'}",
        ),
    ]
