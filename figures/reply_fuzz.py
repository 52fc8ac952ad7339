"""Damaged replies through the gate of replies, the journal and the table: nothing but ``SampleFailed`` may be raised.

Each reply is a valid completion, whole or streamed, in which values of the JSON are replaced by others of any type, and
whose bytes may be cut, changed or framed in another way.
"""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evalsuite.endpoint.stream import UNREADABLE, ReplyStream
from evalsuite.errors import SampleFailed
from evalsuite.records import Reply, Request
from evalsuite.store import journal
from evalsuite.store.samples import sample_row, schema
from figures.line import Line

REPLIES, SEEDS = 200_000, 5
REPLACED = 0.06
"""Share of the values of a reply that are replaced."""
DAMAGED = 0.15
"""Share of the replies whose bytes are changed, too."""
BATCH = 1000
"""Rows of a table."""
CASES = "EVALSUITE_HOSTILE_CASES"
"""Names a folder with ``run_all.py``, which runs evalsuite against servers of many odd modes."""
REQUEST = Request(({"role": "user", "content": "q"},), sampling={"max_tokens": 64})
SCALARS = (
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, 1e308, -0.0),
    *("", "stop", "length", "tool_calls", "error", "0", "4", "\ud800", "\x00", "</think>", "<think>x", "a" * 300),
)
ENDS = ("\n\n", "\r\n\r\n", "\r\r", "\n")
EVENT = {"item": "i", "repeat": 0, "version": "1.0", "cluster": "", "weight": 1.0, "groups": {}, "parts": {}}
EVENT |= {"outcome": "wrong", "value": 0.0, "answer": None, "stage": "", "note": "", "prompt_sha": ""}
EVENT |= {"attempts": 1, "rerolled": False}


@dataclass(slots=True)
class Fuzzed:
    """What a series of replies came to."""

    whole: int = 0
    """Read as an answer."""
    failed: int = 0
    """Refused with ``SampleFailed``."""
    errors: Counter[str] = field(default_factory=Counter)
    """Anything else that was raised, with the first bytes of a reply that caused it -> times."""


def fuzz(count: int, seed: int) -> Fuzzed:
    """Read ``count`` damaged replies, and store those that are read as answers."""
    rng, found, rows = random.Random(seed), Fuzzed(), list[dict[str, Any]]()
    for _ in range(count):
        data = damaged_reply(rng)
        try:
            rows.append(_stored(_read(data, rng)))
            found.whole += 1
            if len(rows) == BATCH:
                full, rows = rows, []
                _table(full)
        except SampleFailed:
            found.failed += 1
        except UNREADABLE as error:  # anything beyond these ends the series
            found.errors[f"{type(error).__name__}: {str(error)[:60]}"] += 1
    _table(rows)
    return found


def damaged_reply(rng: random.Random) -> bytes:
    """The bytes of a body or a stream."""
    if rng.random() < 0.4:
        data = _encoded(_damaged(_completion(rng), rng))
    else:
        events = [*_events(rng)]
        end = rng.choice(ENDS)
        lines = [b"data: " + _encoded(_damaged(event, rng)) + end.encode() for event in events]
        data = b"".join([*lines, b"data: [DONE]\n\n"] if rng.random() < 0.8 else lines)
    if rng.random() < 0.05:
        data = b"\xef\xbb\xbf" + data
    return _changed(data, rng) if rng.random() < DAMAGED else data


def _completion(rng: random.Random) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": rng.choice(["4", None, [{"type": "text", "text": "4"}]])}
    message |= rng.choice([{}, {"reasoning_content": "2 + 2"}, {"tool_calls": [_call(0), _call(1)]}])
    choice = {"index": 0, "message": message, "finish_reason": rng.choice(["stop", "length", "tool_calls"])}
    return _envelope([choice]) | {"usage": _usage()}


def _events(rng: random.Random) -> Iterator[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    parts += [{rng.choice(["content", "reasoning"]): "4 "} for _ in range(rng.randrange(3))]
    parts += [{"tool_calls": [_call(index)]} for index in range(rng.choice([0, 0, 0, 1, 2]))]
    for part in parts:
        yield _envelope([{"index": 0, "delta": part, "finish_reason": None}])
    yield _envelope([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    yield _envelope([]) | {"usage": _usage()}


def _envelope(choices: list[Any]) -> dict[str, Any]:
    return {"id": "x", "object": "chat.completion", "model": "m", "system_fingerprint": "f", "choices": choices}


def _call(index: int) -> dict[str, Any]:
    function = {"name": "get", "arguments": '{"a": 1}'}
    return {"index": index, "id": f"c{index}", "type": "function", "function": function}


def _usage() -> dict[str, Any]:
    return {"prompt_tokens": 3, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 2}}


def _damaged(value: Any, rng: random.Random) -> Any:
    """The value with some of what it holds replaced, left out or doubled."""
    if rng.random() < REPLACED:
        return _junk(rng, 0)
    if isinstance(value, dict):
        return {name: _damaged(inner, rng) for name, inner in value.items() if rng.random() > REPLACED / 2}
    if isinstance(value, list):
        doubled = value * 2 if rng.random() < REPLACED / 2 else value
        return [_damaged(inner, rng) for inner in doubled]
    return value


def _junk(rng: random.Random, depth: int) -> Any:
    kind = rng.random()
    if depth < 3 and kind < 0.15:
        return [_junk(rng, depth + 1) for _ in range(rng.randrange(3))]
    if depth < 3 and kind < 0.3:
        names = rng.sample(["text", "type", "content", "index", "a"], rng.randrange(3))
        return {name: _junk(rng, depth + 1) for name in names}
    return rng.choice(SCALARS)


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _changed(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return rng.choice(
        [data[:place], data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :], data + data[:place]]
    )


def _read(data: bytes, rng: random.Random) -> Reply:
    stream = ReplyStream(10**7)
    cut = rng.randrange(len(data) + 1)
    for chunk in (data[:cut], data[cut:]):
        stream.feed(chunk)
    stream.end()
    return stream.reply(REQUEST, 0.0, thinking=rng.random() < 0.5)


def _stored(reply: Reply) -> dict[str, Any]:
    """The row of a reply that went through the journal. Raises ``TypeError`` for a field of a wrong type."""
    event = journal.decode(journal.encode({"event": "reply", "reply": asdict(reply)}))
    texts = [reply.text, reply.reasoning, reply.model, reply.fingerprint, reply.finish_reason]
    texts += [value for call in reply.tool_calls for value in call.values()]
    usage = reply.usage
    counts = (usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text is none")
    if not all(count is None or (type(count) is int and count >= 0) for count in counts):
        raise TypeError("a count is none")
    return sample_row("t", "v", "m", EVENT, event["reply"])


def _table(rows: list[Mapping[str, Any]]) -> None:
    import pyarrow as pa

    pa.Table.from_pylist(rows, schema=schema())


def measure(_: Path) -> list[Line]:
    """Full size, and the odd servers of ``CASES``."""
    series = [fuzz(REPLIES, seed) for seed in range(1, SEEDS + 1)]
    errors = sum((found.errors for found in series), Counter[str]())
    shown = "".join(f"; {count} x {error}" for error, count in errors.most_common(3))
    whole, failed = sum(found.whole for found in series), sum(found.failed for found in series)
    return [
        Line(
            f"{REPLIES:,} damaged replies with {SEEDS} seeds each: what is raised and is no `SampleFailed`",
            "0",
            f"{errors.total()}{shown} ({whole:,} read as answers, {failed:,} refused)",
        ),
        _odd_servers(),
    ]


def _odd_servers() -> Line:
    what, asked = "a run against each of the odd servers of `run_all.py`", "all modes inside EXPECTED"
    folder = os.environ.get(CASES)
    if not folder:
        return Line(what, asked, f"not measured: set {CASES} to the folder with `run_all.py`")
    command = [sys.executable, str(Path(folder) / "run_all.py"), str(Path(sys.executable).with_name("evalsuite"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Line(what, asked, "; ".join(done.stdout.strip().splitlines()[::-1]) or f"exit {done.returncode}")
