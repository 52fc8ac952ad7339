"""Stock ``lm_eval`` and evalsuite on one scripted endpoint: the same prompts, and the same verdict item by item."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nltk

from evalsuite.config.paths import shipped
from evalsuite.records import Item, Reply, canonical_sha
from evalsuite.store.manifest import cell_folders
from evalsuite.store.samples import read_samples
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.gsm8k import GSM8K
from evalsuite.tasks.lm_eval.adapter import LMEvalTask
from evalsuite.tasks.mmlu_pro import MMLUPro
from figures.lm_eval_data import laid_out, lay_out
from tests.support.scripted_endpoint import Answer, Server, scripted_endpoint

OURS = ("evalsuite_gsm8k", "evalsuite_mmlu_pro")
STOCK = ("gsm8k", "mmlu_pro", "drop", "nq_open", "hendrycks_math_algebra", "ifeval", "aime25", "gsm_plus")
"""gsm8k: 5 shots drawn at random, two filters. mmlu_pro: a group of 14, system message, 5 first shots. drop:
``process_docs``, ``process_results``, fractional F1. nq_open: description, two filter steps, several right answers.
hendrycks_math_algebra: ``process_docs`` and ``process_results`` without filters. ifeval: verifiers of instructions,
lists beside its numbers. aime25: answers in a box. gsm_plus: examples from the split that is asked."""
OWN: Mapping[str, Callable[..., GSM8K | MMLUPro]] = {"evalsuite_gsm8k": GSM8K, "evalsuite_mmlu_pro": MMLUPro}
SEED = 42
CONCURRENCY = 32

Verdicts = dict[str, dict[str, float]]
"""``<task>/<doc_id>`` -> ``metric,filter`` -> number."""


@dataclass(frozen=True, slots=True)
class Row:
    """What evalsuite recorded of one item."""

    value: float | None
    outcome: str
    parts: Mapping[str, float]
    """``metric,filter`` -> number."""


@dataclass(frozen=True, slots=True)
class TaskParity:
    """One task, asked by both programs."""

    items: int
    same_verdict: int
    """Items whose numbers agree for every metric and filter."""
    outcomes: Mapping[str, int]
    """evalsuite's outcomes."""
    same_as_own: int | None
    """Items that evalsuite's own adapter of the benchmark asks alike and grades alike; None: there is none."""


@dataclass(frozen=True, slots=True)
class Parity:
    """What one run of both programs showed."""

    tasks: Mapping[str, TaskParity]
    prompts: int
    """Requests that evalsuite made."""
    only_one_side: int
    """Requests (messages) that one of the two programs made more often than the other."""
    seconds_stock: float
    seconds_ours: float


def parity(folder: Path, size: int, shared: Path | None, names: tuple[str, ...] = OURS + STOCK) -> Parity:
    """Ask with both programs: ``size`` questions of tasks on GSM8K and MMLU-Pro, up to 40 of the others."""
    lay_out(folder, size, shared)
    if shared:
        nltk.data.path.append(str(shared / "nltk_data"))  # ifeval would fetch it when it is imported
    with laid_out(folder):
        asked = {name: _asked(LMEvalTask(task=name, seed=SEED)) for name in names}
    script = {
        prompt: _scripted(name, item, number)
        for name in names
        for number, (prompt, item) in enumerate(asked[name].items())
    }
    with scripted_endpoint(lambda prompt: script.get(prompt, "a prompt that nobody planned")) as server:
        start = time.monotonic()
        stock = stock_verdicts(folder, names, server.base_url)
        by_stock, between = _sent(server), time.monotonic()
        server.requests.clear()
        ours = our_rows(folder, names, server.base_url)
        by_us, end = _sent(server), time.monotonic()
    tasks = {}
    for name in names:
        rows = {prompt: ours[item.id] for prompt, item in asked[name].items()}
        same = sum(stock.get(item.id) == rows[prompt].parts for prompt, item in asked[name].items())
        outcomes = Counter(row.outcome for row in rows.values())
        tasks[name] = TaskParity(len(rows), same, outcomes, _same_as_own(name, folder, script, rows))
    return Parity(tasks, by_us.total(), len(by_us - by_stock) + len(by_stock - by_us), between - start, end - between)


def stock_verdicts(folder: Path, names: tuple[str, ...], base_url: str) -> Verdicts:
    """What one process of stock ``lm_eval`` logs for every item of every task."""
    out = folder / "stock"
    endpoint = f"base_url={base_url}/chat/completions,model=scripted,num_concurrent={CONCURRENCY},max_retries=1"
    command = [sys.executable, "-m", "lm_eval", "--model", "local-chat-completions", "--model_args", endpoint]
    command += ["--include_path", str(shipped("tasks")), "--tasks", ",".join(names), "--apply_chat_template"]
    command += ["--fewshot_as_multiturn", "false", "--seed", ",".join([str(SEED)] * 4)]
    command += ["--log_samples", "--output_path", str(out)]
    _run(command, folder)
    verdicts: Verdicts = {}
    for file in out.glob("*/samples_*.jsonl"):
        task = re.fullmatch(r"samples_(.+)_[0-9T:.-]+", file.stem)
        assert task, file
        for line in file.read_text(encoding="utf-8").splitlines():
            sample = json.loads(line)
            numbers = {
                f"{metric},{sample['filter']}": float(sample[metric])
                for metric in sample["metrics"]
                if not isinstance(sample[metric], list)
            }
            verdicts.setdefault(f"{task[1]}/{sample['doc_id']}", {}).update(numbers)
    return verdicts


def our_rows(folder: Path, names: tuple[str, ...], base_url: str) -> dict[str, Row]:
    """Item id -> what ``evalsuite run`` recorded, all tasks in one run of the real engine."""
    command = [sys.executable, "-m", "evalsuite", "run", "model=fp8"]
    command += [f"models.fp8.base_url={base_url}", f"models.fp8.concurrency={CONCURRENCY}", "engine.probe=false"]
    command += [
        f"task=[{','.join(f'lm_eval:{name}' for name in names)}]",
        f"seed={SEED}",
        "run_id=parity",
        "report=false",
    ]
    _run([*command, f"results_dir={folder / 'results'}"], folder)
    rows = {}
    for cell in cell_folders(folder / "results" / "parity"):
        for row in read_samples(cell, ["item_id", "value", "outcome", "parts"]).to_pylist():
            rows[row["item_id"]] = Row(row["value"], row["outcome"], json.loads(row["parts"]))
    return rows


def _run(command: list[str], folder: Path) -> None:
    """One of the two programs, working where the hub's names are folders, without a network."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "PYTHONPATH": path}
    offline["NLTK_DATA"] = os.pathsep.join(nltk.data.path)
    done = subprocess.run(
        command,
        cwd=folder / "hub",
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise AssertionError(f"{command[2]} ended with {done.returncode}: {done.stderr[-3000:]}")


def _asked(adapter: LMEvalTask | GSM8K | MMLUPro) -> dict[str, Item]:
    """The last message of each item's prompt -> the item."""
    return {str(adapter.prompt(item, 0).messages[-1]["content"]): item for item in adapter.items()}


def _sent(server: Server) -> Counter[str]:
    """How often each list of messages was sent."""
    return Counter(canonical_sha(list(one.body["messages"])) for one in server.requests)


def _same_as_own(name: str, folder: Path, script: Mapping[str, Answer], rows: Mapping[str, Row]) -> int | None:
    """Items that evalsuite's own adapter of the benchmark asks with the same prompt and grades equally."""
    if name not in OWN:
        return None
    adapter = OWN[name](source=Source("local", str(folder / "local")))
    same = 0
    for prompt, item in _asked(adapter).items():
        if prompt in rows:
            answer = script[prompt]
            score = adapter.score(item, 0, Reply(answer.text, finish_reason=answer.finish_reason))
            same += (score.value, score.outcome) == (rows[prompt].value, rows[prompt].outcome)
    return same


# ---------------------------------------------------------------- what the endpoint answers


def _scripted(name: str, item: Item, number: int) -> Answer:
    """Of 20 items in a row 9 are right, 6 wrong, 2 unparsed, 2 truncated and 1 truncated behind its right answer."""
    right, wrong = _texts(name, item)
    kind = number % 20
    thinking = f"Let me think about item {number}."
    if kind < 9:
        return Answer(right[kind % len(right)], thinking)
    if kind < 14:
        return Answer(wrong[kind % len(wrong)], thinking)
    if kind < 16:
        return Answer("" if kind == 14 else "I cannot settle this", thinking)
    if kind < 18:
        return Answer("" if kind == 16 else "First we note that", thinking, "length")
    if kind == 18:
        return Answer(f"{right[0]} No, wait: {wrong[0]}", thinking)
    return Answer(right[0], thinking, "length")


def _texts(name: str, item: Item) -> tuple[list[str], list[str]]:
    """Right and wrong replies in several wordings."""
    target, number = str(item.target), item.inputs["doc_id"]
    if name == "evalsuite_gsm8k":
        right = ["So \\boxed{@}.", "\\boxed{@.00}", "\\boxed{\\$@}", "\\boxed{@ \\text{ pens}}", "\\boxed{n = @}"]
        wrong = ["\\boxed{@1}", "\\boxed{@ or 3}", "\\boxed{\\frac{@}{7}}", "\\boxed{@e1}"]
    elif name == "evalsuite_mmlu_pro":
        right = ["Answer: \\boxed{@}", "**Answer:** @", "\\boxed{\\text{@}}", "\\boxed{@) as stated}"]
        target_wrong = "A" if target != "A" else "B"
        wrong = [text.replace("@", target_wrong) for text in right] + [f"\\boxed{{{target.lower()}}}"]
    elif name == "gsm8k":
        target = target.rpartition("#### ")[2]
        right, wrong = ["So it is\n#### @", "#### $@.", "That makes @."], ["#### 1@", "It is @, or 5"]
    elif name == "mmlu_pro":
        right = ["Thus the answer is (@).", "the answer is @", "The answer is (@)\nQuestion: The answer is (A)"]
        wrong = ["the answer is (Z)", "the answer is (J) or (@)" if target != "J" else "the answer is (A)"]
    elif name == "drop":
        right, wrong = [f"team {number}", f"Team {number}. Beyond doubt"], [f"team {number} of the coast", "nobody"]
    elif name == "nq_open":
        right, wrong = [f"The {number + 1}", f" {number + 1}\nindeed"], [f"{number}", f"{number + 1} or so"]
    elif name == "ifeval":
        bullets = [f"* pens {line} of desk{number}" for line in range(1 + number % 3)]
        right = ["\n".join(bullets), "\n".join(["Of course", *bullets])]
        wrong = ["\n".join([*bullets, "* a card"]), "\n".join(bullets).replace("desk", "shelf")]
    elif name == "aime25":
        right, wrong = ["So \\boxed{@}.", "$@$", "@"], ["\\boxed{@1}", "it is @"]
    elif name == "gsm_plus":
        target = target.rpartition("#### ")[2]
        right, wrong = ["So it is\n#### @", "That makes\n#### @."], ["#### 1@", "It is @"]
    else:
        right, wrong = ["$@$", "It is $@$", "@"], ["$\\frac{9}{7}$", "the number @"]
    return [text.replace("@", target) for text in right], [text.replace("@", target) for text in wrong]
