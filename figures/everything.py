"""All eight benchmarks in one command, against servers that are right, wrong, cut short and broken by a fixed pattern.

The real command runs on small made data with a model, a simulated customer and a judge on three real HTTP servers.
The faults last until they are healed; then the same command has to finish, asking only for what had failed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evalsuite.engine.conversation import request_seed
from evalsuite.errors import BadInput
from evalsuite.records import Item
from evalsuite.sandbox.isolation import missing
from evalsuite.store.attempts import MODEL
from evalsuite.store.samples import read_samples
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.registry import build
from evalsuite.tasks.tau2_telecom.domain import package
from figures import quant_items
from figures.three_servers import Place, Play, key, playing
from tests.support import questions as made
from tests.support import scicode_problems as scicode_small
from tests.support.tau2_dialogues import SIMULATOR, STOP, TALK, Script, gold_script

ROOT = Path(__file__).parents[1]
SEED = 42
SINGLES = {
    "mmlu_pro": "nvidia",
    "gsm8k": "boxed",
    "mmmu_pro": "vision",
    "gpqa_diamond": "nvidia",
    "ifbench": "prompts300",
    "aime": "boxed",
    "livecodebench": "nvidia",
}
"""Single-turn benchmarks -> the variant that ``conf/task`` chooses."""
TASKS = ("mmlu_pro", "gsm8k", "mmmu_pro", "gpqa_diamond", "ifbench", "aa_lcr", "scicode", "tau2_telecom")
"""The benchmarks of ``suite=all``."""
QUANT = ("mmlu_pro", "gpqa_diamond", "scicode", "aa_lcr", "livecodebench", "aime", "tool_calls")
"""The benchmarks of ``suite=quant``."""
SUITES = {"all": TASKS, "quant": QUANT}
FATES = ("correct", "wrong", "truncated", "failed")
"""Of a task's first four items, in order; further items are answered right."""
HELPERS = {"aa_lcr": "ungraded", "tau2_telecom": "failed"}
"""Of a fifth item: there the judge or the simulator is broken, the model is not."""


@dataclass(frozen=True, slots=True)
class Found:
    """One cell, before and after the faults were healed."""

    planned: Mapping[str, str]
    """Item -> the outcome that the pattern means it to have."""
    before: Mapping[str, str]
    """Item -> its outcome in the table while the faults lasted."""
    after: Mapping[str, str]
    summaries: tuple[Mapping[str, Any], Mapping[str, Any]]
    """``summary.json`` before and after."""
    asked_after: frozenset[str]
    """Items that the model was asked about after healing."""
    rows_kept: bool
    """Whether every row that had a score is the same afterwards."""


@dataclass(frozen=True, slots=True)
class Everything:
    """What two runs of one command came to."""

    skipped: Mapping[str, str]
    """Benchmark -> what it needs and is not here."""
    codes: tuple[int, int]
    """Exit codes before and after healing."""
    cells: Mapping[str, Found]
    requests: tuple[int, int]
    """Generation requests of the model, probes included, before and after."""
    answered_twice: int
    """Requests to the model or the simulator that had been answered before healing and were sent again."""
    judged: tuple[int, int]
    """Requests to the judge."""
    seconds: float
    """Both runs."""
    said: str
    """Last lines of both runs' standard error."""
    ends: Mapping[str, int]
    """Command after healing -> its exit code: the run of a second model, ``rescore``, ``report``, the run of the
    benchmarks that are whole, and its ``gate``."""


def everything(folder: Path, suite_name: str = "all") -> Everything:
    """Run the command on the benchmarks of a suite that can run here, below ``folder``, heal, and run it again."""
    root = folder / "data"
    source = made.lay_out(root)
    skipped = {task: why for task, why in unavailable(root).items() if task in SUITES[suite_name]}
    tasks = [task for task in SUITES[suite_name] if task not in skipped]
    play = Play()
    options = [word for task in tasks for word in prepare(task, root, source, play)]
    results = folder / "results"
    suite = f"suite={suite_name}" if not skipped else f"task=[{','.join(tasks)}]"
    words = ["run", "model=fp8", suite, "data=local", f"data.root={root}", f"results_dir={results}", "run_id=r"]
    words += [f"seed={SEED}", "judge=qwen3_235b_instruct", "engine.retries=1", "engine.backoff_seconds=0.01", *options]
    words += [f"tasks.{task}.repeats=1" for task in tasks]
    cells = {task: results / "r" / "fp8" / task for task in tasks}
    began = time.monotonic()
    with playing(play) as servers:
        places = zip(("models.fp8", "simulator", "judge"), servers, strict=True)
        words += [f"{name}.base_url={server.base_url}" for name, server in places]
        first = evalsuite(folder, *words, "report=false")
        before = {task: (_rows(cell), _summary(cell)) for task, cell in cells.items()}
        cuts = [len(server.requests) for server in servers]
        answered = set(play.answered)
        play.healed = True
        second = evalsuite(folder, *words)
        seconds = time.monotonic() - began
        late_requests = [list(server.requests) for server in servers]
        ends = _further(folder, words) if suite_name == "quant" else {}
        late = [requests[cut:] for requests, cut in zip(late_requests, cuts, strict=True)]
    again = {place for one in late[0] if (place := play.owner(one.prompt, one.body))}
    sent = [(who, key(one.body)) for who, some in zip((MODEL, SIMULATOR), late, strict=False) for one in some]
    return Everything(
        skipped,
        (first.returncode, second.returncode),
        {task: _found(task, cell, play, before[task], again) for task, cell in cells.items()},
        (cuts[0], len(late[0])),
        sum(one in answered for one in sent),
        (cuts[2], len(late[2])),
        seconds,
        first.stderr[-2000:] + second.stderr[-2000:],
        ends,
    )


def _further(folder: Path, words: Sequence[str]) -> dict[str, int]:
    """Ask a second model, which is the first under another name, then grade again, report and gate.

    The gate refuses benchmarks of which only made parts are there: it judges a run of those that are whole.
    """
    other = [word.replace("models.fp8.", "models.nvfp4.") for word in words]
    other[other.index("model=fp8")] = "model=nvfp4"
    where = [word for word in words if word.startswith(("results_dir=", "data=", "data.root="))]
    places = [word for word in where if word.startswith("results_dir=")]
    kept = ("run", "model", "data", "results_dir=", "seed=", "judge", "tasks.aime", "tasks.tool_calls", "engine.")
    whole = [
        [*(word for word in arm if word.startswith(kept) and not word.startswith("run_id")), "task=[aime,tool_calls]"]
        for arm in (words, other)
    ]
    commands = {
        "second model": other,
        "rescore": ["rescore", "run=r", *where],
        "report": ["report", "run=r", "baseline=fp8", *places],
        "whole benchmarks": [*whole[0], "run_id=whole", "report=false"],
        "and of the second model": [*whole[1], "run_id=whole", "report=false"],
        "gate": ["gate", "run=whole", "gate=quant", "baseline=fp8", *places],
    }
    return {name: evalsuite(folder, *command).returncode for name, command in commands.items()}


def _found(
    task: str,
    cell: Path,
    play: Play,
    before: tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Any]],
    again: Collection[Place],
) -> Found:
    """Compare a cell with its rows and summary of ``before``."""
    rows = _rows(cell)
    return Found(
        {item: fate for (name, item), fate in play.fates.items() if name == task},
        _outcomes(before[0]),
        _outcomes(rows),
        (before[1], _summary(cell)),
        frozenset(item for name, item in again if name == task),
        all(rows[item] == row for item, row in before[0].items() if row["value"] is not None),
    )


def unavailable(root: Path) -> dict[str, str]:
    """Benchmark -> why it cannot run on this machine."""
    found = {}
    try:
        package()
    except BadInput as error:
        found["tau2_telecom"] = str(error)
    try:
        list(made.adapter("ifbench", SINGLES["ifbench"], Source("local", str(root))).items())
    except BadInput as error:
        found["ifbench"] = str(error)
    lacking = [name for name in ("h5py", "scipy", "sympy") if find_spec(name) is None]
    if lacking:
        found["scicode"] = f"not installed: {', '.join(lacking)}"
    elif missing("bubblewrap"):
        found["scicode"] = found["livecodebench"] = missing("bubblewrap")
    return found


def evalsuite(folder: Path, *words: str, columns: int = 100) -> subprocess.CompletedProcess[str]:
    """The real command."""
    targets = str(scicode_small.targets(folder / "data"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "SCICODE_TARGETS": targets}
    command = [sys.executable, "-m", "evalsuite", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def prepare(task: str, root: Path, source: Source, play: Play) -> list[str]:
    """Write what ``made`` does not, script the servers' answers, and return the words of the command line."""
    if task == "aa_lcr":
        made.documents(root)
    elif task == "scicode":
        return _problems(root, source, play)
    elif task == "tau2_telecom":
        return _dialogues(root, play)
    elif task == "tool_calls":
        play.calls |= quant_items.tool_calls(root, _cast, play)
        return []
    elif task == "livecodebench":
        quant_items.livecodebench(root)
    variant = SINGLES.get(task, "v1_0")
    options = {"nltk_data": str(root / "nltk_data")} if task == "ifbench" else {}
    adapter: Any = build(task, variant=variant, options=options, source=source, seed=SEED)
    items = list(adapter.items())
    for place, item in zip(_cast(task, items, play), items, strict=True):
        (content,) = (message["content"] for message in adapter.prompt(item, 0).messages)
        text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        play.by_prompt[text, request_seed(SEED, item.id, 0)] = place
        right = _right(task, adapter, item)
        play.texts[place] = (right, _wrong(task, right))
        if play.fates[place] == "ungraded":
            play.judge_fails.add(right)
    return [f"tasks.{task}.options.{name}={value}" for name, value in options.items()]


def _cast(task: str, items: Sequence[Item], play: Play) -> list[Place]:
    """Give every item its fate."""
    fates = [*FATES, HELPERS.get(task, "correct")]
    places = [(task, item.id) for item in items]
    for number, place in enumerate(places):
        play.fates[place] = fates[number] if number < len(fates) else "correct"
    return places


def _right(task: str, adapter: Any, item: Item) -> str:
    if task == "livecodebench":
        return quant_items.PROGRAM
    return str(item.target) if task == "aa_lcr" else made.right(task, SINGLES[task], adapter, item, 0)


def _wrong(task: str, right: str) -> str:
    """An answer that is read and is not the key."""
    if task == "livecodebench":
        return quant_items.WRONG_PROGRAM
    if task in ("gpqa_diamond", "mmmu_pro"):
        return f"Answer: {'B' if right.endswith('A') else 'A'}"
    return made.WRONG.get(task, "No idea.")


def _problems(root: Path, source: Source, play: Play) -> list[str]:
    """The three made problems and a copy of one, which makes four."""
    from h5py import File  # type: ignore[import-untyped, unused-ignore]

    scicode_small.lay_out(root)
    path, targets = root / "scicode" / "test.jsonl", scicode_small.targets(root)
    copied = next(line for line in path.read_text().splitlines() if '"902"' in line)
    with path.open("a") as lines:
        lines.write(copied.replace("902", "903") + "\n")
    with File(targets, "a") as file:
        for step in ("902.1", "902.2"):
            file.copy(step, step.replace("902", "903"))
    adapter: Any = build("scicode", variant="nvidia", options={"targets": str(targets)}, source=source, seed=SEED)
    items = list(adapter.items())
    play.by_seed |= {request_seed(SEED, place[1], 0): place for place in _cast("scicode", items, play)}
    return [f"tasks.scicode.options.targets={targets}", "tasks.scicode.options.timeout=20"]


def _dialogues(root: Path, play: Play) -> list[str]:
    """Five short tasks whose agent has two lines or more; gold scripts, and one that gives up at once."""
    adapter: Any = build("tau2_telecom", variant="nvidia", options={}, source=Source(), seed=SEED)
    scripts = {item.id: (item, gold_script(item)) for item in adapter.items()}
    fit = [
        pair for pair in scripts.values() if len(pair[1].agent) > 1 and "ACTION" not in pair[0].target["reward_basis"]
    ]
    chosen = {item.id for item, _ in sorted(fit, key=lambda pair: len(pair[0].target["actions"]))[:5]}
    items = [item for item, _ in scripts.values() if item.id in chosen]
    for number, place in enumerate(_cast("tau2_telecom", items, play)):
        play.by_seed[request_seed(SEED, place[1], 0)] = place
        wrong = play.fates[place] == "wrong"
        play.dialogues[place] = Script([TALK], [TALK, STOP]) if wrong else scripts[place[1]][1]
        if number == len(FATES):
            play.simulator_fails.add(place)
    (root / "dialogues.txt").write_text("".join(f"{item.id}\n" for item in items))
    return [f"tasks.tau2_telecom.select.ids={root / 'dialogues.txt'}"]


def _rows(cell: Path) -> dict[str, dict[str, Any]]:
    return {row["item_id"]: row for row in read_samples(cell).to_pylist()}


def _outcomes(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {item: str(row["outcome"]) for item, row in rows.items()}


def _summary(cell: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((cell / "summary.json").read_text())
    return loaded
