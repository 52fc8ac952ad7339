"""Mistakes of a new user: each message names the line that works, and that line is tried as it was named."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evalsuite.demo.process import serving
from figures.line import Line

Words = tuple[str, ...]
RUN: Words = ("run", "model=demo_fp8", "task=word_problems", "limit=2", "report=false")
OTHER: Words = ("run", "model=demo_fp8", "limit=2", "report=false")


@dataclass(frozen=True, slots=True)
class Slip:
    """What a new user types, what the message must hold, and the command that it leads to."""

    what: str
    typed: Words
    line: str
    """The words of the message that can be typed; URL stands for a server that works, CLOSED for a dead port."""
    mended: Words
    code: int = 0
    """The exit code of the mended command; 69 where its host exists nowhere, which is then looked for directly."""
    env: tuple[tuple[str, str], ...] = ()
    mended_env: tuple[tuple[str, str], ...] = ()


DRY = "dry_run=true"
SLIPS = (
    Slip("group selection at the top", (*RUN, DRY, "select.groups.subject=add"),
         "tasks.word_problems.select.groups.subject=[add]",
         (*RUN, DRY, "tasks.word_problems.select.groups.subject=[add]")),
    Slip("group as a word", (*RUN, DRY, "tasks.word_problems.select.groups.subject=add"),
         "tasks.word_problems.select.groups.subject=[add]",
         (*RUN, DRY, "tasks.word_problems.select.groups.subject=[add]")),
    Slip("flag", ("run", "--model", "demo_fp8", *RUN[2:], DRY), "model=demo_fp8", (*RUN, DRY)),
    Slip("flag of another harness", (*RUN[:3], DRY, "--temperature", "0.2"), "sampling.temperature=0.2",
         (*RUN, DRY, "sampling.temperature=0.2")),
    Slip("temperature at the top", (*RUN, DRY, "temperature=0.2"), "sampling.temperature=0.2",
         (*RUN, DRY, "sampling.temperature=0.2")),
    Slip("temperature at the task", (*RUN, DRY, "tasks.word_problems.temperature=0.2"),
         "tasks.word_problems.sampling.temperature=0.2", (*RUN, DRY, "tasks.word_problems.sampling.temperature=0.2")),
    Slip("name of another API", (*RUN, DRY, "max_new_tokens=64"), "sampling.max_tokens=64",
         (*RUN, DRY, "sampling.max_tokens=64")),
    Slip("typo below a key", (*RUN, DRY, "sampling.temprature=0.2"), "sampling.temperature=0.2",
         (*RUN, DRY, "sampling.temperature=0.2")),
    Slip("concurrency at the top", (*RUN, DRY, "batch_size=8"), "models.demo_fp8.concurrency=8",
         (*RUN, DRY, "models.demo_fp8.concurrency=8")),
    Slip("repeats at the top", (*RUN, DRY, "repeats=2"), "tasks.word_problems.repeats=2",
         (*RUN, DRY, "tasks.word_problems.repeats=2")),
    Slip("limit of a task", (*RUN[:3], DRY, "tasks.word_problems.limit=2"), "limit=2", (*RUN, DRY)),
    Slip("blank for the equals sign", (*RUN[:3], DRY, "limit", "2"), "limit=2", (*RUN, DRY)),
    Slip("name without a key", ("run", "demo_fp8", *RUN[2:], DRY), "model=demo_fp8", (*RUN, DRY)),
    Slip("list cut by the shell", ("run", "model=[demo_fp8,", "demo_bf16]", *RUN[2:], DRY),
         "'model=[demo_fp8,demo_bf16]'", ("run", "model=[demo_fp8,demo_bf16]", *RUN[2:], DRY)),
    Slip("commas without brackets", ("run", "model=demo_fp8,demo_bf16", *RUN[2:], DRY), "'model=[demo_fp8,demo_bf16]'",
         ("run", "model=[demo_fp8,demo_bf16]", *RUN[2:], DRY)),
    Slip("suite that is a task", (*OTHER, DRY, "suite=word_problems"), "task=word_problems", (*RUN, DRY)),
    Slip("no command", (*RUN[1:3], DRY), "evalsuite run model=demo_fp8 task=word_problems dry_run=true",
         (*RUN[:3], DRY)),
    Slip("command of another harness", ("eval", *RUN[1:3], DRY),
         "evalsuite run model=demo_fp8 task=word_problems dry_run=true", (*RUN[:3], DRY)),
    Slip("key as a setting", (*RUN, DRY, "api_key=sk-canary"), "export EVALSUITE_API_KEY=KEY", (*RUN, DRY),
         mended_env=(("EVALSUITE_API_KEY", "KEY"),)),
    Slip("address at the top", (*RUN, "base_url=URL"), "models.demo_fp8.base_url=URL",
         (*RUN, "models.demo_fp8.base_url=URL")),
    Slip("address of the route", (*RUN, "models.demo_fp8.base_url=URL/chat/completions"),
         "models.demo_fp8.base_url=URL", (*RUN, "models.demo_fp8.base_url=URL")),
    Slip("judge without a name", (*RUN, DRY, "judge="), "judge=qwen3_235b_instruct",
         (*RUN, DRY, "judge=qwen3_235b_instruct")),
    Slip("lm_eval without a task", (*OTHER, DRY, "task=lm_eval"), "task=lm_eval:gsm8k",
         (*OTHER, DRY, "task=lm_eval:gsm8k", "data.root=DATA")),
    Slip("dead proxy", (*RUN, "models.demo_fp8.base_url=http://node.invalid:8000/v1"), "NO_PROXY=node.invalid",
         (*RUN, "models.demo_fp8.base_url=http://node.invalid:8000/v1", "engine.outage_seconds=0"), code=69,
         env=(("HTTP_PROXY", "CLOSED"),), mended_env=(("HTTP_PROXY", "CLOSED"), ("NO_PROXY", "node.invalid"))),
    Slip("wrong variant of GSM8K", ("import", "task=gsm8k", "file=answers.jsonl", "name=m", "data.root=DATA"),
         "tasks.gsm8k.variant=flexible",
         ("import", "task=gsm8k", "file=answers.jsonl", "name=m", "data.root=DATA", "tasks.gsm8k.variant=flexible",
          "run_id=again")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one mistake and of the line that its message named."""

    slip: Slip
    code: int
    message: str
    mended_code: int
    mended_message: str

    @property
    def problem(self) -> str:
        """Why it does not count; empty if the message named the line and the line works."""
        if "Traceback" in self.message or "internal error" in self.message:
            return "a crash"
        if self.code == 0 and self.slip.typed[0] != "import":
            return "it was accepted"
        if self.slip.line not in self.message:
            return f"{self.slip.line} is not named"
        return "" if self.mended_code == self.slip.code else f"the line ends with {self.mended_code}"


Call = Callable[[Path, Words, Mapping[str, str]], tuple[int, str]]
"""Runs ``evalsuite WORDS`` in a folder with further environment variables; returns exit code and standard error."""


def tried(folder: Path, call: Call) -> list[Tried]:
    """Type every mistake and then what its message named, each in a folder of its own."""
    with serving(["demo_fp8"]) as urls:
        return [_try(slip, folder / str(number), urls["demo_fp8"], call) for number, slip in enumerate(SLIPS)]


def user_mistake_lines(folder: Path) -> list[Line]:
    """The figure, each command in a process of its own."""
    found = tried(folder, _process)
    bad = [f"{one.slip.what} ({one.problem})" for one in found if one.problem]
    asked = f"{len(found)} name the working line"
    text = f"{len(found) - len(bad)} of {len(found)}" + (f"; not: {'; '.join(bad)}" if bad else "")
    rows = [Line(f"{len(found)} mistakes of a new user, and the lines that the messages name tried", asked, text)]
    return rows + [Line(one.slip.what, f"`{one.slip.line}`", " ".join(one.message.split())[-200:]) for one in found]


def _try(slip: Slip, folder: Path, url: str, call: Call) -> Tried:
    folder.mkdir(parents=True)
    data = folder / "data" / "gsm8k"
    data.mkdir(parents=True)
    for name, rows in (("data/gsm8k/test.jsonl", _questions()), ("answers.jsonl", _answers())):
        (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    (folder / "data" / "gsm8k" / "train.jsonl").write_bytes((data / "test.jsonl").read_bytes())
    places = {"URL": url, "CLOSED": "http://127.0.0.1:9", "DATA": str(folder / "data")}
    slip = replace(slip, line=_placed(slip.line, places))
    typed, mended = (tuple(_placed(word, places) for word in words) for words in (slip.typed, slip.mended))
    environments = ({name: _placed(value, places) for name, value in env} for env in (slip.env, slip.mended_env))
    code, message = call(folder, typed, next(environments))
    return Tried(slip, code, message, *call(folder, mended, next(environments)))


def _placed(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = re.sub(rf"\b{name}\b(?!=)", value, text)
    return text


def _questions() -> list[dict[str, object]]:
    return [{"idx": n, "question": f"What is {n} + {n}?", "answer": f"Twice.\n#### {2 * n}"} for n in range(20)]


def _answers() -> list[dict[str, object]]:
    return [{"idx": n, "output": f"The answer is {2 * n}."} for n in range(20)]


def _process(folder: Path, words: Words, env: Mapping[str, str]) -> tuple[int, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVALSUITE_")}
    call = [sys.executable, "-m", "evalsuite", *words]
    done = subprocess.run(call, cwd=folder, env=kept | dict(env), capture_output=True, text=True, check=False)
    return done.returncode, done.stderr + done.stdout
