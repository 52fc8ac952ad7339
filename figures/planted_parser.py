"""A parser that leaves a share of a model's tool calls in the text: does the suite of quantization find and name it?

Three models answer all requests of ``tool_calls`` over HTTP, each nine times out of ten as expected, with chances of
their own. The second one's server leaves 3 % of its replies with calls as text; the third one's is sound.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from evalsuite.config.paths import shipped
from evalsuite.engine.conversation import request_seed
from evalsuite.records import Item, canonical_sha
from evalsuite.store.samples import read_rows
from evalsuite.tasks.tool_calls.adapter import ToolCalls
from figures.line import Line
from tests.support.scripted_endpoint import Answer, Server, scripted_endpoint

ROOT = Path(__file__).parents[1]
SEED = 42
BROKEN = 0.03
"""Share of replies with calls that the planted parser leaves in the text."""
RIGHT = 0.9
MODELS = {"fp8": 0.0, "nvfp4": BROKEN, "nvfp4_v2": 0.0}
"""Model -> the share that its parser breaks; the first is the baseline."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the gate and the report said of one candidate."""

    call: str
    """``pass``, ``fail`` or ``undecided``."""
    delta: float
    """Candidate minus baseline, a fraction of 1."""
    as_text: float
    """Share of samples whose stage is ``as_text``."""
    named: bool
    """Whether the report's own lines on this model say that calls are left as text."""


def planted_parser(folder: Path, limit: int | None = None) -> dict[str, Outcome]:
    """Run, report and gate ``tool_calls`` with the repeats of ``suite=quant``; ``limit`` takes fewer items."""
    repeats, gate = _planned(folder)
    by_seed = {request_seed(SEED, item.id, repeat): item for item in ToolCalls().items() for repeat in range(repeats)}
    results = folder / "results"
    words = [f"model=[{','.join(MODELS)}]", "task=tool_calls", f"tasks.tool_calls.repeats={repeats}", f"seed={SEED}"]
    words += [f"results_dir={results}", "run_id=r", "engine.probe=false", "report=false"]
    words += [] if limit is None else [f"limit={limit}"]
    servers: dict[str, Server] = {}

    def script(name: str, prompt: str) -> Answer:
        return _answer(name, MODELS[name], by_seed, servers[name].requests[-1].body)

    with ExitStack() as stack:
        for name in MODELS:
            servers[name] = stack.enter_context(scripted_endpoint(partial(script, name), model=name))
            words.append(f"models.{name}.base_url={servers[name].base_url}")
        done = _evalsuite(folder, "run", *words)
        assert done.returncode == 0, done.stderr[-2000:]
    where = [f"results_dir={results}", "--config-dir", str(gate)]
    reported = _evalsuite(folder, "report", "run=r", "gate=planted", "baseline=fp8", *where)
    assert reported.returncode == 0, reported.stderr[-2000:]
    report = (results / "r" / "report" / "report.md").read_text(encoding="utf-8")
    comparison = json.loads((results / "r" / "report" / "comparison.json").read_text(encoding="utf-8"))
    return {row["candidate"]: _outcome(row, results, report) for row in comparison["rows"]}


def lines(folder: Path) -> list[Line]:
    """The rows of the page of figures, at full size."""
    found = planted_parser(folder)
    told = "; ".join(
        f"{name}: {one.call}, {100 * one.delta:+.1f} pt, {100 * one.as_text:.1f} % of its answers left a call as text"
        f"{', named' if one.named else ', not named'}"
        for name, one in found.items()
    )
    what = "tool_calls: a parser that leaves 3 % of calls as text (nvfp4), beside a sound one (nvfp4_v2)"
    return [Line(what, "found at the planned repeats, named as calls left as text", told)]


def _planned(folder: Path) -> tuple[int, Path]:
    """The repeats of ``suite=quant``, and a folder of configurations whose gate has its margin for ``tool_calls``."""
    conf = shipped("conf")
    suite = yaml.safe_load((conf / "suite" / "quant.yaml").read_text(encoding="utf-8"))
    gate = yaml.safe_load((conf / "gate" / "quant.yaml").read_text(encoding="utf-8"))
    own = folder / "conf" / "gate"
    own.mkdir(parents=True)
    margins = {"margins": {"tool_calls": gate["margins"]["tool_calls"]}, "alpha": gate["alpha"]}
    (own / "planted.yaml").write_text(yaml.safe_dump(margins), encoding="utf-8")
    return int(suite["tasks"]["tool_calls"]["repeats"]), own.parent


def _outcome(row: Mapping[str, Any], results: Path, report: str) -> Outcome:
    name = row["candidate"]
    stages = [one["stage"] for one in read_rows(results / "r" / name / "tool_calls", ["stage"])]
    title = yaml.safe_load((shipped("conf") / "model" / f"{name}.yaml").read_text(encoding="utf-8"))["title"]
    named = any("tool calls as text" in line and f"{title}, " in line for line in report.splitlines())
    return Outcome(row["verdict"]["call"], row["delta"], stages.count("as_text") / len(stages), named)


def _answer(name: str, broken: float, by_seed: Mapping[int, Item], body: Mapping[str, Any]) -> Answer:
    """The answer of a server: it depends on nothing but its name and the request's seed and turn."""
    item = by_seed.get(body.get("seed", -1))
    if item is None:
        return Answer("4")
    turn = _user_messages(body["messages"]) - _user_messages(item.inputs["turns"][0]["messages"])
    return _reply(item.target[turn], f"{name} {body['seed']} {turn}", broken)


def _user_messages(messages: Sequence[Mapping[str, Any]]) -> int:
    return sum(message["role"] == "user" for message in messages)


def _reply(calls: Sequence[Mapping[str, Any]], name: str, broken: float) -> Answer:
    """The expected calls or text, or now and then the opposite; ``broken`` of the calls as text."""
    if (_chance(f"{name} right") < RIGHT) != bool(calls):
        return Answer("Here is my answer.")
    if not calls:
        return Answer("", tool_calls=[{"id": "a", "name": "none_of_them", "arguments": "{}"}])
    texts = [{"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)} for call in calls]
    if _chance(f"{name} parser") < broken:
        return Answer("".join(f"<tool_call>\n{json.dumps(text)}\n</tool_call>" for text in texts))
    return Answer(tool_calls=[{"id": f"call_{place}", **text} for place, text in enumerate(texts)])


def _chance(name: str) -> float:
    """A number from 0 to 1 that depends on the name alone."""
    return int(canonical_sha(name)[:12], 16) / 16**12


def _evalsuite(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-m", "evalsuite", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
