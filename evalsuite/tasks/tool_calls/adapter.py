"""Tool calls: 469 generated requests with tools, in one or a few turns, without simulator or judge.

Does the model call when it should, does it leave it when it should not, does the call fit its schema, are name and
arguments the expected ones? The questions are evalsuite's own (``tools/make_tool_calls.py``, seed 20261126) and come
with the package; ``data=local`` reads ``tool_calls/test.jsonl[.gz]`` in evalsuite's form, BFCL's or evalscope's
(``readers.py``). The verdict on one reply is ``verify.py``.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from evalsuite.config.paths import shipped
from evalsuite.errors import BadInput
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded
from evalsuite.tasks.datasets import HUB, Source, local_path, read_jsonl
from evalsuite.tasks.tool_calls import readers, verify

QUESTIONS = "questions.jsonl"
"""The shipped questions, beside the task's card."""


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """One attempt is one request with tools; a dialogue of several turns is right if every turn is."""

    variant: str = "plain"
    seed: int = 42
    """Not used: nothing is drawn."""
    source: Source = HUB
    """With kind ``local``: the user's own file instead of the shipped questions."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("plain",)
    id_field: ClassVar[str] = "id"
    uses_tools: ClassVar[bool] = True

    def items(self) -> Iterable[Item]:
        """Load and yield all items in the order of the file: the shipped questions, or of a local
        source ``tool_calls/test.jsonl`` (or with ``.gz``).

        Inputs are tools and turns of messages, the target is a list of expected calls for each turn. Raises, on
        iterating, ``BadInput`` when the file is missing or damaged, for a row that ``readers.item`` refuses, and in a
        local file for tools in which ``verify.tools_fault`` finds a fault, such as parameters that are no JSON schema.
        """
        local = self.source.kind == "local"
        path = local_path(Path(str(self.source.root)), "tool_calls", "test") if local else _shipped_questions()
        for place, (_, row) in enumerate(read_jsonl(path)):
            item = readers.item(row, place)
            if local and (fault := verify.tools_fault(item.inputs["tools"])):
                raise BadInput(f"tool_calls row {place} cannot be read: {fault}")
            yield item

    def turn_request(self, item: Item, history: Sequence[Mapping[str, Any]]) -> Request:
        """Build the request of one turn: the messages ``history`` with the item's tools,
        which are the same in every turn.
        """
        return Request(tuple(history), tuple(item.inputs["tools"]))

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Send the turns to the model, one request each, until one is wrong; value 1 when all turns are right, else 0.

        After a right turn the scripted results of its calls are added to the messages. ``parts`` has ``turns``, the
        fraction of right turns, and ``as_text``, 1 if the last reply had a call in its text and no real one, else 0.
        Raises what ``tools.chat`` raises, such as ``SampleFailed`` without a whole reply and ``ContextOverflow`` for a
        prompt that is too long.
        """
        history: list[Mapping[str, Any]] = []
        turns, right = item.inputs["turns"], 0
        for turn, calls in zip(turns, item.target, strict=True):
            history += turn["messages"]
            reply = await tools.chat(self.turn_request(item, history))
            verdict = verify.verdict(reply, [verify.ExpectedCall(**call) for call in calls], item.inputs["tools"])
            if not verdict.right:
                break
            right += 1
            history += _with_results(reply, turn["results"])
        parts = {"turns": right / len(turns), "as_text": float(verdict.as_text)}
        score = graded(reply, right=right == len(turns), answer=verdict.answer, stage=verdict.stage, note=verdict.note)
        return Score(score.value, score.outcome, score.answer, score.stage, parts, score.note)


def _shipped_questions() -> Path:
    path = shipped("tasks") / "tool_calls" / QUESTIONS
    if not path.is_file():
        raise BadInput(f"{path} is missing: install evalsuite again")
    return path


def _with_results(reply: Reply, results: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Return the messages that a right reply adds to a dialogue: the reply itself, then one tool message for each call
    that has a result.

    ``results`` are the scripted results (JSON values) in the order of the reply's calls.
    """
    if not reply.tool_calls:
        return [{"role": "assistant", "content": reply.text}]
    calls = [
        {"id": call["id"] or f"call_{place}", "type": "function", "function": _function(call)}
        for place, call in enumerate(reply.tool_calls)
    ]
    spoken: Mapping[str, Any] = {"role": "assistant", "content": reply.text or None, "tool_calls": calls}
    answers: list[Mapping[str, Any]] = [
        {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result, ensure_ascii=False)}
        for call, result in zip(calls, results, strict=False)
    ]
    return [spoken, *answers]


def _function(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": call["name"], "arguments": call["arguments"] or "{}"}
