"""One port, one checkpoint after another: the runs that a node with room for one model makes."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.demo.process import serving
from evalsuite.store.samples import read_samples

MODELS = ("demo_fp8", "demo_nvfp4_v2")
UNEQUAL = ("seconds", "rerolled")
"""Columns that time may change."""
HOUSE_TASK = """
task: more_problems
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: []}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1.0}}
"""


@dataclass(frozen=True, slots=True)
class OnePort:
    """Compare the results of runs on one port with those of servers that ran at the same time."""

    samples: int
    journaled_requests: int
    """Requests that went out, over all cells: equal to ``samples`` when none was sent twice."""
    runs: int
    """Run folders."""
    equal_rows: bool
    """Every column but the times, against the side-by-side run."""
    equal_comparison: bool
    """The whole of ``comparison.json`` but for the run's name."""
    parallel_codes: tuple[int, int]
    """Exit codes of two processes that wrote different cells of the run at the same time."""


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def one_port(folder: Path, limit: int | None = None) -> OnePort:
    """fp8, then v2, then one task more of each, then repeats 1 to 2, all on one port (``limit`` items a task)."""
    port = free_port()
    first = [f"limit={limit}"] if limit else []
    more = [*first, *_house_task(folder)]
    for step in ([*first, "task=word_problems"], [*more, "task=lm_eval"]):
        for model in MODELS:
            with serving([model], ports=[port]) as urls:
                _run(folder, "one", model, urls[model], step)
    for model in MODELS:
        with serving([model], ports=[port]) as urls:
            _run(folder, "one", model, urls[model], [*first, "task=word_problems", "tasks.word_problems.repeats=2"])
    with serving(MODELS) as urls:
        for tasks in (["task=word_problems", "tasks.word_problems.repeats=2", *first], ["task=lm_eval", *more]):
            wanted = [f"model=[{','.join(MODELS)}]", *(f"models.{name}.base_url={urls[name]}" for name in MODELS)]
            _evalsuite(folder, "run", *wanted, "run_id=together", "sampling=greedy", "report=false", *tasks)
        codes = _two_at_once(folder, urls, first)
    one, together = (_rows(folder / "results" / name) for name in ("one", "together"))
    return OnePort(
        samples=len(one),
        journaled_requests=_sent(folder / "results" / "one"),
        runs=len([path for path in (folder / "results").iterdir() if path.name != "parallel"]),
        equal_rows=one == together,
        equal_comparison=_comparison(folder, "one") == _comparison(folder, "together"),
        parallel_codes=codes,
    )


def _house_task(folder: Path) -> list[str]:
    """A second task: the demo's own subtraction problems as an lm-eval YAML of the user's."""
    from evalsuite.demo.problems import held_out

    home = folder / "house"
    home.mkdir(exist_ok=True)
    lines = [{"question": one.question, "answer": one.answer} for one in held_out() if one.subject == "sub"]
    (home / "sub.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (home / "more.yaml").write_text(HOUSE_TASK.format(data=home / "sub.jsonl"))
    return ["tasks.lm_eval.options.task=more_problems", f"tasks.lm_eval.options.include_path={home}"]


def _evalsuite(folder: Path, command: str, *words: str) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "CI": "1"}
    call = [sys.executable, "-m", "evalsuite", command, *words, f"results_dir={folder}/results"]
    done = subprocess.run(call, capture_output=True, text=True, check=False, env={**os.environ, **offline})
    assert done.returncode == 0, done.stderr[-2000:]


def _run(folder: Path, run_id: str, model: str, url: str, words: list[str]) -> None:
    where = [f"models.{model}.base_url={url}", f"run_id={run_id}"]
    _evalsuite(folder, "run", f"model={model}", *where, "sampling=greedy", "report=false", *words)


def _two_at_once(folder: Path, urls: dict[str, str], words: list[str]) -> tuple[int, int]:
    """Two processes write different cells of one run at the same time."""
    common = ["run_id=parallel", "sampling=greedy", "task=word_problems", f"results_dir={folder}/results", *words]
    processes = []
    for name in MODELS:
        call = [sys.executable, "-m", "evalsuite", "run", f"model={name}", f"models.{name}.base_url={urls[name]}"]
        processes.append(subprocess.Popen([*call, *common], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    first, second = (process.wait() for process in processes)
    return first, second


def _rows(run: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted(run.glob("*/*/manifest.json")):
        rows += read_samples(path.parent).to_pylist()
    kept = ({name: value for name, value in row.items() if name not in UNEQUAL} for row in rows)
    return sorted(kept, key=lambda row: (row["model"], row["task"], row["item_id"], row["repeat"]))


def _sent(run: Path) -> int:
    """Requests in the journals."""
    events = (json.loads(line) for path in run.glob("*/*/journal-*.jsonl") for line in path.read_text().splitlines())
    return sum(event["event"] == "sent" for event in events)


def _comparison(folder: Path, run: str) -> str:
    _evalsuite(folder, "report", f"run={run}", "baseline=demo_fp8")
    text = (folder / "results" / run / "report" / "comparison.json").read_text()
    return text.replace(f'"{run}"', '"RUN"')
