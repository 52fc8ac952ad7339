"""Servers that are sick in known ways: what a run makes of each of them, before its first question or at its end."""

import gzip
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from evalsuite.cli.run import run
from evalsuite.config.settings import Engine
from evalsuite.records import Reply
from evalsuite.tasks.grading.degenerate import degenerate
from figures.line import Line
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.shared import shared_data
from tests.support.toy import right, settings

ITEMS = 100
LOOP = Answer("Wait, let me check that again. " * 40, finish_reason="length")
SWALLOWED = Answer("", reasoning="The sum of these numbers is 7.")
NOISE = Answer("! " * 256, finish_reason="length")
THOUGHT = "First the units.\n\nThen the tens."


@dataclass(frozen=True, slots=True)
class SickRun:
    """How a run of a sick server ended."""

    exit: int
    score: float | None
    degenerate: int
    stated: bool
    """Whether the cell's summary states it."""
    refused: bool
    """Whether the server was refused before the first question."""

    @property
    def text(self) -> str:
        """The run's end in a few words."""
        if self.refused:
            return f"refused before the run, exit {self.exit}"
        score = "no score" if self.score is None else f"score {self.score:.2f}"
        return f"{score}, exit {self.exit}, {self.degenerate} degenerate, {'flagged' if self.stated else 'unflagged'}"

    @property
    def silent(self) -> bool:
        """Whether degenerate answers moved the score and nothing was stated from 2 % of the cell."""
        return not self.refused and not self.stated and self.degenerate >= 0.02 * ITEMS


def sick_run(folder: Path, answer: Callable[[str, bool], Answer], *, read: bool = True, adapter: str = "") -> SickRun:
    """Run the additions with a server whose answers are ``answer(prompt, whether stop strings were sent)``.

    ``read``: whether the answer to the test question is read before the run.
    """

    def script(prompt: str) -> Answer:
        return answer(prompt, "stop" in server.requests[-1].body)

    folder.mkdir()
    with scripted_endpoint(script, model="sick") as server, redirect_stderr(StringIO()):
        engine = Engine(probe=True, probe_answer=read, fingerprint=False, backoff_seconds=0.01)
        wanted = settings(folder, ("sick", server.base_url), engine=engine, task={"options": {"count": ITEMS}})
        for task in wanted.tasks.values():
            task.adapter = adapter or task.adapter
        wanted.models["sick"].server.thinking_via = None
        code = int(run(wanted))
        asked = sum("+ 1 =" in request.prompt for request in server.requests)
    summary = folder / "r" / "sick" / "additions" / "summary.json"
    found = json.loads(summary.read_text(encoding="utf-8")) if asked else {"score": None, "degenerate": {}}
    stated = bool(found.get("warnings"))
    return SickRun(code, found["score"], sum(found["degenerate"].values()), stated, refused=not asked)


def lines(folder: Path) -> list[Line]:
    """The rows of the page of figures."""
    rows = [
        ("a checkpoint that loops on 1 % of its answers", "scored and unflagged", looping(1), True),
        ("a checkpoint that loops on 5 %", "scored and flagged", looping(5), True),
        ("a checkpoint that loops on 60 %", "no score, exit 3", looping(60), True),
        ("a parser that files every answer as thinking", "found before the run", lambda _, __: SWALLOWED, True),
        ("the same, engine.probe_answer=false", "no score, exit 3", lambda _, __: SWALLOWED, False),
        ("NaN text: one token to the cap", "found before the run", lambda _, __: NOISE, True),
        ("the same, engine.probe_answer=false", "no score, exit 3", lambda _, __: NOISE, False),
    ]
    found = [
        (what, asked, sick_run(folder / str(number), answer, read=read))
        for number, (what, asked, answer, read) in enumerate(rows)
    ]
    stopped = sick_run(folder / "stops", stop_in_thought, adapter="tests.support.toy:Stopped")
    found.append(("stop strings of a task that would end the thinking", "never sent: score 1.00", stopped))
    silent = sum(result.silent for _, _, result in found)
    shown = [Line(what, asked, result.text) for what, asked, result in found]
    shown.append(Line("sick servers that moved a score in silence", "none", f"{silent} of {len(found)}"))
    return [*shown, *healthy_lines()]


RECORDED = (
    ("mmlu_pro", ("Qwen1.5-72B-Chat", "Meta-Llama-3_1-70B-Instruct", "Meta-Llama-3-70B", "Meta-Llama-3_1-70B")),
    ("mmmu_pro", ("gpt-4o_standard10-cot", "gpt-4o_vision-cot")),
    ("gsm8k", ("openai-175b-verification", "openai-6b-finetuning")),
)
"""Answers of real models that their benchmarks' authors recorded; the last two of MMLU-Pro are base models."""


def healthy_lines() -> list[Line]:
    """The share of degenerate answers among those of healthy models, and what looking costs."""
    lines, characters, seconds = [], 0, 0.0
    for benchmark, models in RECORDED:
        for model in models:
            with gzip.open(shared_data() / benchmark / f"outputs_{model}.jsonl.gz", "rt", encoding="utf-8") as file:
                replies = [Reply(json.loads(line)["output"] or "") for line in file]
            began = time.process_time()
            signs = Counter(degenerate(reply) for reply in replies)
            seconds += time.process_time() - began
            characters += sum(len(reply.text) for reply in replies)
            share = f"{100 * (1 - signs[''] / len(replies)):.2f} % of {len(replies):,}"
            kinds = ", ".join(f"{count} {sign}" for sign, count in signs.items() if sign)
            measured = f"{share} ({kinds})" if kinds else share
            lines.append(Line(f"degenerate among answers of {model} to {benchmark}", "well under 2 %", measured))
    cost = f"{1e9 * seconds / characters:.0f} ns a character of short answers"
    return [*lines, Line("CPU time of looking for signs", "little", cost)]


def looping(share: int) -> Callable[[str, bool], Answer]:
    """A server that loops on the first ``share`` of a hundred questions."""

    def answer(prompt: str, _: bool) -> Answer:
        return Answer(right(prompt)) if "2 + 2" in prompt or int(prompt.split(" ")[0]) >= share else LOOP

    return answer


def stop_in_thought(prompt: str, stops: bool) -> Answer:
    """A server that applies stop strings inside the thinking, too."""
    if stops:
        return Answer("", reasoning=THOUGHT.partition("\n\n")[0])
    return Answer(f"\n\n{right(prompt)}\n\nWhat is next?", reasoning=THOUGHT)
