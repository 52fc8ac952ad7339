"""Real logs of other harnesses: each asks the embedded demo server the same word problems, with its own program."""

import json
import os
import subprocess
import sys
from pathlib import Path

from evalsuite.demo.problems import Problem, held_out

TOKENS = 150
SETTINGS = {"LOCAL_API_KEY": "none", "OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
LM_EVAL = """task: wp
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: [], max_gen_toks: {tokens}, temperature: 0.0}}
filter_list:
  - name: stripped
    filter: [{{function: regex, regex_pattern: '(\\S+)'}}, {{function: take_first}}]
  - name: none
    filter: [{{function: take_first}}]
metric_list: [{{metric: exact_match}}]
"""
INSPECT = """from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import match
from inspect_ai.solver import generate


@task
def wp():
    fields = FieldSpec(input="question", target="answer", id="id", metadata=["subject"])
    return Task(dataset=json_dataset("{data}", fields), solver=[generate()], scorer=match(location="exact"))
"""
EVALSCOPE = """from evalscope import TaskConfig, run_task

gsm8k = dict(local_path="{folder}", few_shot_num=0, prompt_template="{{question}}", subset_list=["default"])
generation = dict(max_tokens={tokens}, temperature=0.0)
run_task(TaskConfig(model="{model}", api_url="{url}", api_key="none", eval_type="openai_api", datasets=["gsm8k"],
         dataset_args=dict(gsm8k=gsm8k), generation_config=generation, work_dir="{work}", eval_batch_size=8))
"""


def problems(count: int) -> list[Problem]:
    """The first ``count`` problems of every subject."""
    seen: dict[str, int] = {}
    found = []
    for one in held_out():
        seen[one.subject] = seen.get(one.subject, 0) + 1
        if seen[one.subject] <= count:
            found.append(one)
    return found


def lm_eval_log(folder: Path, url: str, model: str, asked: list[Problem]) -> Path:
    """``samples_*.jsonl`` of ``lm_eval --log_samples``."""
    data = _questions(folder, asked)
    (folder / "tasks").mkdir()
    (folder / "tasks" / "wp.yaml").write_text(LM_EVAL.format(data=data, tokens=TOKENS))
    arguments = f"model={model},base_url={url}/chat/completions,num_concurrent=8"
    _run(
        [
            *[sys.executable, "-m", "lm_eval", "--model", "local-chat-completions", "--model_args", arguments],
            *["--apply_chat_template", "--include_path", str(folder / "tasks"), "--tasks", "wp", "--log_samples"],
            *["--output_path", str(folder / "logs")],
        ],
        folder,
    )
    return next((folder / "logs").rglob("samples_wp_*.jsonl"))


def inspect_log(folder: Path, url: str, model: str, asked: list[Problem]) -> Path:
    """The ``.eval`` archive of ``inspect eval``, two epochs."""
    task = folder / "wp.py"
    task.write_text(INSPECT.format(data=_questions(folder, asked)))
    _run(
        [
            *[sys.executable, "-m", "inspect_ai", "eval", task.name, "--model", f"openai-api/local/{model}"],
            *["--temperature", "0", "--max-tokens", str(TOKENS), "--epochs", "2", "--log-dir", str(folder / "logs")],
            *["--display", "plain"],
        ],
        folder,
        LOCAL_BASE_URL=url,
    )
    return next((folder / "logs").glob("*.eval"))


def evalscope_log(python: Path, folder: Path, url: str, model: str, asked: list[Problem]) -> Path:
    """``reviews/<model>/*.jsonl`` of evalscope's GSM8K protocol, asked plainly; ``python`` has evalscope installed."""
    data = folder / "gsm8k"
    data.mkdir(parents=True)
    rows = [{"question": one.question, "answer": f"#### {one.answer}"} for one in asked]
    for name in ("test", "train"):
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    script = folder / "ask.py"
    script.write_text(EVALSCOPE.format(folder=data, tokens=TOKENS, model=model, url=url, work=folder / "work"))
    _run([str(python), str(script)], folder)
    return next((folder / "work").rglob("reviews/*/*.jsonl"))


def _questions(folder: Path, asked: list[Problem]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"id": one.id, "question": one.question, "answer": one.answer, "subject": one.subject} for one in asked]
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _run(command: list[str], folder: Path, **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **SETTINGS, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} ... ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
