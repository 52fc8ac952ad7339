"""Tau2 telecom: gold dialogues of all tasks, every end of a dialogue, and dialogues killed in the middle.

The dialogues are written here, not generated: the customer and the agent take the task's gold actions in order and
pass the word to each other where the next action is the other side's.
"""

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.engine.conversation import request_seed
from evalsuite.records import Item, Score
from evalsuite.store import journal
from evalsuite.store.attempts import MODEL
from evalsuite.tasks.tau2_telecom.adapter import Tau2Telecom
from evalsuite.tasks.tau2_telecom.domain import new_environment, package_task, set_initial_state
from evalsuite.tasks.tau2_telecom.reward import reward
from tests.support.scripted_endpoint import Server as Scripted
from tests.support.tau2_dialogues import (
    SEED,
    SIMULATOR,
    STOP,
    Ended,
    Script,
    attempts,
    cases,
    endpoints,
    gold_script,
    hold,
    in_process,
    own_number,
)

SIMULATOR_CONF = "qwen3_235b_instruct"
"""A file of ``conf/simulator/``."""
Turn = tuple[str, str, int]
"""(item, who was asked, how manieth time)"""
READS = (
    "check_status_bar", "check_network_status", "check_network_mode_preference", "run_speed_test", "check_sim_status",
    "check_data_restriction_status", "check_apn_settings", "check_wifi_status", "check_wifi_calling_status",
    "check_vpn_status", "check_installed_apps", "can_send_mms", "check_payment_request",
)  # fmt: skip
"""The customer's tools that show the state of the world."""


@dataclass(frozen=True, slots=True)
class Gold:
    """What the gold dialogues came to."""

    tasks: int
    gold_rewarded: int
    """Tasks in which the gold actions give reward 1."""
    idle_unrewarded: int
    """Tasks in which doing nothing gives reward 0."""
    answers: int
    answers_equal: int
    """Tool answers, with their error flag, equal to the official environment's."""
    states: int
    states_equal: int
    """States of the world (13 reading tools and the task's assertions) equal to the official environment's."""


@dataclass(frozen=True, slots=True)
class Killed:
    """Dialogues killed in the middle and continued."""

    dialogues: int
    turns: int
    """Turns that the dialogues have."""
    before: int
    """Turns on record when the process was killed."""
    midway: int
    """Dialogues that were neither untouched nor over."""
    asked_twice: int
    """Turns on record that were asked again."""
    in_flight: int
    """Turns without a reply when the process died, asked again."""
    same_transcripts: int
    """Dialogues whose replies and requests equal those of a run that was left alone."""


def gold(trace_file: Path, count: int | None = None) -> Gold:
    """All 114 tasks (or the first ``count``) against the official environment's recorded answers and states."""
    traces = json.loads(gzip.decompress(trace_file.read_bytes()))
    items = list(Tau2Telecom().items())[:count]
    assert count is not None or {item.id for item in items} == set(traces)
    found: Counter[str] = Counter()
    for item in items:
        trace = traces[item.id]
        held = hold(item, gold_script(item))
        found["rewarded"] += held.end == "user_stop" and reward(held.task, held.trajectory).value == 1
        answers = [
            [message.requestor, message.content, message.error] for message in held.trajectory if message.role == "tool"
        ]
        official = [[who, content, error] for who, _, content, error in trace[1::2]]
        found["answers"] += len(official)
        found["equal"] += sum(one == other for one, other in zip(answers, official, strict=True))
        idle = hold(item, Script(["Good bye."], [STOP]))
        found["idle"] += idle.end == "user_stop" and reward(idle.task, idle.trajectory).value == 0
        states = _states(item)
        found["states"] += len(trace[0::2])
        found["states_equal"] += sum(one == other for one, other in zip(states, trace[0::2], strict=True))
    return Gold(
        len(items),
        found["rewarded"],
        found["idle"],
        found["answers"],
        found["equal"],
        found["states"],
        found["states_equal"],
    )


def ends(folder: Path) -> dict[str, tuple[Score, Ended]]:
    """Name -> what a scripted dialogue came to over HTTP, and what it has to come to."""
    items = {item.id: item for item in Tau2Telecom().items()}
    found = {}
    for name, case in cases(items).items():
        found[name] = (in_process(folder / name, items[case.item], case.script, **case.options), case.ended)
    return found


def _states(item: Item) -> list[dict[str, Any]]:
    """The world before the first gold action and after each."""
    task, environment = package_task(item), new_environment()
    set_initial_state(environment, task)
    states = [_state(environment, task)]
    for action in task.evaluation_criteria.actions:
        environment.make_tool_call(action.name, requestor=action.requestor, **action.arguments)
        environment.sync_tools()
        states.append(_state(environment, task))
    return states


def _state(environment: Any, task: Any) -> dict[str, Any]:
    seen = deepcopy(environment)
    state = {name: seen.to_json_str(getattr(seen.user_tools, name)()) for name in READS}
    checks = task.evaluation_criteria.env_assertions
    return {**state, "_assert": [seen.run_env_assertion(check, raise_assertion_error=False) for check in checks]}


def killed(folder: Path, count: int = 20, *, engine: bool = True) -> Killed:
    """``count`` gold dialogues at once in a process that is killed midway with SIGKILL, and continued.

    The process is ``evalsuite run``; without ``engine`` it is this module, which makes the same attempts on a cell.
    """
    longest = sorted(Tau2Telecom().items(), key=lambda item: -len(item.target["actions"]))[:count]
    scripts = {item.id: gold_script(item, f"Please go on with {item.id}.") for item in longest}
    names = {request_seed(SEED, name, 0): name for name in scripts}
    (folder / "ids.txt").write_text("".join(f"{name}\n" for name in scripts), encoding="utf-8")
    command = _engine if engine else _here
    with endpoints(scripts) as servers:
        assert _run(command(folder, "whole", servers)).wait(timeout=300) == 0
    turns = _recorded(folder / "whole")
    with endpoints(scripts, delay=0.05) as servers:
        process = _run(command(folder, "killed", servers))
        while sum(len(server.requests) for server in servers) < len(turns) // 2:
            assert process.poll() is None, "the dialogues were over before they could be killed"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        before = _recorded(folder / "killed")
        cuts = [len(server.requests) for server in servers]
        assert _run(command(folder, "killed", servers)).wait(timeout=300) == 0
        early: set[Turn] = set()
        late: set[Turn] = set()
        for who, server, cut in zip((MODEL, SIMULATOR), servers, cuts, strict=True):
            for number, one in enumerate(server.requests):
                turn = (names[one.body["seed"]], who, own_number(who, one.body))
                (early if number < cut else late).add(turn)
    again = _recorded(folder / "killed")
    progress, wanted = (Counter(name for name, _, _ in some) for some in (before, turns))
    return Killed(
        len(scripts),
        len(turns),
        len(before),
        sum(0 < progress[name] < wanted[name] for name in scripts),
        len(late & set(before)),
        len(late & early - set(before)),
        sum(_of(name, again) == _of(name, turns) for name in scripts),
    )


def _engine(folder: Path, name: str, servers: Sequence[Scripted]) -> list[str]:
    """The command line of a user."""
    command = ["-m", "evalsuite", "run", "model=bf16", "task=tau2_telecom", f"simulator={SIMULATOR_CONF}"]
    for root, server in zip(("models.bf16", "simulator"), servers, strict=True):
        command += [f"{root}.base_url={server.base_url}", f"{root}.served_name={server.model}"]
    command += ["run_id=r", f"seed={SEED}", f"results_dir={folder / name}", "engine.probe=false"]
    return [*command, "tasks.tau2_telecom.repeats=1", f"tasks.tau2_telecom.select.ids={folder / 'ids.txt'}"]


def _here(folder: Path, name: str, servers: Sequence[Scripted]) -> list[str]:
    urls = [server.base_url for server in servers]
    return ["-m", "figures.tau2", str(folder / name), str(folder / "ids.txt"), *urls]


def _run(words: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, *words], cwd=Path(__file__).parents[1])


def _recorded(folder: Path) -> dict[Turn, tuple[Any, ...]]:
    """Turn -> what was asked (hash) and answered, from the journals."""
    found = {}
    for path in folder.rglob(journal.PATTERN):
        for _, event in journal.read(path):
            if event.get("event") == "reply":
                said = event["reply"]
                value = (event["prompt_sha"], said["text"], json.dumps(said["tool_calls"]))
                found[event["item"], event["who"], event["turn"]] = value
    return found


def _of(name: str, turns: Mapping[Turn, tuple[Any, ...]]) -> dict[Turn, tuple[Any, ...]]:
    return {turn: value for turn, value in turns.items() if turn[0] == name}


if __name__ == "__main__":
    asked = Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()
    asyncio.run(attempts(Path(sys.argv[1]), asked, {MODEL: sys.argv[3], SIMULATOR: sys.argv[4]}, {}))
