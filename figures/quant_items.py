"""Made items of LiveCodeBench and requests with tools, for whole runs on scripted servers."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from evalsuite.engine.conversation import request_seed
from evalsuite.records import Item
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.tool_calls.adapter import ToolCalls
from figures.three_servers import Place, Play
from tests.support.livecodebench_problems import SUM, row
from tests.support.questions import write
from tests.support.scripted_endpoint import Answer

SEED = 42
COUNT = 6
PROGRAM = "```python\nprint(sum(map(int, input().split())))\n```"
WRONG_PROGRAM = "```python\nprint(0)\n```"


def livecodebench(root: Path) -> None:
    """Six problems that ``PROGRAM`` solves."""
    rows = [row(f"sum {number}", SUM, "2025-01-05", "easy", "atcoder") for number in range(COUNT)]
    write(root / "livecodebench" / "test.jsonl", rows)


def tool_calls(
    root: Path, cast: Callable[[str, Sequence[Item], Play], list[Place]], play: Play
) -> dict[Place, tuple[Answer, Answer]]:
    """The first six shipped requests that need one call; a wrong answer calls nothing."""
    chosen = [item for item in ToolCalls().items() if len(item.target) == 1 and len(item.target[0]) == 1][:COUNT]
    rows = [
        {
            "id": item.id,
            "tools": item.inputs["tools"],
            "turns": [{**item.inputs["turns"][0], "calls": item.target[0]}],
            "groups": dict(item.groups),
        }
        for item in chosen
    ]
    write(root / "tool_calls" / "test.jsonl", rows)
    items = list(ToolCalls(source=Source("local", str(root))).items())
    answers = {}
    for place, item in zip(cast("tool_calls", items, play), items, strict=True):
        play.by_seed[request_seed(SEED, item.id, 0)] = place
        (call,) = item.target[0]
        made = {"id": "call_1", "name": call["name"], "arguments": json.dumps(call["arguments"])}
        answers[place] = (Answer(tool_calls=[made]), Answer("I would rather not."))
    return answers
