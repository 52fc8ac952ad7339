"""The schema's type decides what a plain word is, in files and on the command line, at every depth."""

from pathlib import Path

import pytest

from evalsuite.cli.main import dispatch
from evalsuite.config import compose
from evalsuite.config.override_values import protected
from evalsuite.errors import BadInput
from evalsuite.tasks.registry import typed_options

_WORDS = """
695e0514 1e3 1E5 no on Yes OFF true True False y n 010 0x1F 0b11 0o17 007 1:30 12:30:45 190:20:30 2024-01-01
1_000 1_0_0 1.10 .5 1. +1 -0 inf .inf nan .nan NaN NULL Null None 12_34 0.10
"""
WORDS = _WORDS.split()
"""Words that YAML, Hydra or both take for a number, a truth value, a date or nothing."""
MINE = """# @package models.1e3
defaults:
  - /server: vllm
  - _self_
title: 1_0
checkpoint: 12:30:45
revision: 695e0514
precision: 010
served_name: no
base_url: http://localhost:8000/v1
baseline: 1e5
quantized: {%s}
headers: {%s}
expect: {version: 0.10, build: 12_34, context: 8192, eager: false}
concurrency: 010
"""


@pytest.fixture
def conf(tmp_path: Path) -> str:
    pairs = ", ".join(f"{word}: {word}" for word in WORDS if ":" not in word)
    (tmp_path / "model").mkdir()
    (tmp_path / "suite").mkdir()
    (tmp_path / "model" / "1e3.yaml").write_text(MINE % (pairs, pairs))
    (tmp_path / "suite" / "007.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /model: [1e3]\n  - override /task: [mmlu_pro]\nsuite: 007\n"
        f"tasks: {{mmlu_pro: {{select: {{groups: {{subject: [{', '.join(WORDS)}, null, ~a]}}}}}}}}\n"
    )
    return str(tmp_path)


def test_texts_of_files_keep_their_letters(conf: str) -> None:
    run = compose.load_settings(["suite=007"], conf)
    model = run.models["1e3"]
    assert (model.title, model.checkpoint, model.revision) == ("1_0", "12:30:45", "695e0514")
    assert (model.precision, model.served_name, model.baseline, run.suite) == ("010", "no", "1e5", "007")
    assert model.quantized == model.headers == {word: word for word in WORDS if ":" not in word}
    assert model.expect == {"version": "0.10", "build": "12_34", "context": 8192, "eager": False}
    assert model.concurrency == 10  # a decimal number
    assert run.tasks["mmlu_pro"].select.groups == {"subject": [*WORDS, "null", "~a"]}


def test_texts_of_the_command_line_keep_their_letters(conf: str) -> None:
    named = {f"h{number}": word for number, word in enumerate(WORDS)}
    pairs = ",".join(f"{name}:{word}" for name, word in named.items() if ":" not in word)
    scalars = {"title": "1e3", "revision": "695e0514", "served_name": "no", "launch.command": "NULL"}
    run = compose.load_settings(
        [
            "model=1e3",
            "task=mmlu_pro",
            *(f"models.1e3.{key}={word}" for key, word in scalars.items()),
            *(f"+models.1e3.headers.{name}={word}" for name, word in named.items()),
            *(f"+models.1e3.expect.{name}={word}" for name, word in named.items()),
            f"models.1e3.quantized={{1e3:no,{pairs}}}",
            "models.1e3.launch={note:1_0,weights_gb:010}",
            f"tasks.mmlu_pro.select.groups.subject=[{','.join(WORDS)},null]",
            "models.1e3.concurrency=010",
        ],
        conf,
    )
    model = run.models["1e3"]
    assert (model.title, model.revision, model.served_name, model.launch.command) == tuple(scalars.values())
    assert {name: model.headers[name] for name in named} == named
    assert {str(model.expect[name]).lower() for name in named} == {word.lower() for word in WORDS} - {"null"} | {"none"}
    assert model.quantized.items() >= {"1e3": "no", **{name: w for name, w in named.items() if ":" not in w}}.items()
    assert (model.launch.note, model.launch.weights_gb, model.concurrency) == ("1_0", 10.0, 10)
    assert run.tasks["mmlu_pro"].select.groups == {"subject": [*WORDS, "null"]}


def test_null_takes_a_text_away_and_a_quoted_one_is_a_text() -> None:
    words = ["model=fp8", "task=gsm8k"]
    assert compose.load_settings([*words, "models.fp8.revision=null"]).models["fp8"].revision is None
    assert compose.load_settings([*words, "models.fp8.revision='null'"]).models["fp8"].revision == "null"
    run = compose.load_settings(
        [*words, "launch=slurm", "+launch.options.account=0123", "+launch.options.exclusive=true"]
    )
    assert run.launch.options.items() >= {"account": "0123", "exclusive": True}.items()
    with pytest.raises(BadInput, match=r"models.fp8.title"):
        compose.load_settings([*words, "models.fp8.title=null"])


def test_a_number_that_is_none_is_refused() -> None:
    for word in ("1e3", "1:30", "0x1G"):
        with pytest.raises(BadInput, match="give a whole number"):
            compose.load_settings(["model=fp8", "task=gsm8k", f"limit={word}"])
    assert compose.load_settings(["model=fp8", "task=gsm8k", "limit=1_0"]).limit == 10


def test_runs_and_options_keep_their_letters(tmp_path: Path) -> None:
    for name in ("1e3", "010"):
        (tmp_path / name).mkdir()
    assert compose.load_report(["run=[1e3,010]", f"results_dir={tmp_path}"]).run == ["1e3", "010"]
    run = compose.load_settings(["model=fp8", "task=lm_eval", "tasks.lm_eval.options.task=1e3"])
    assert typed_options("lm_eval", run.tasks["lm_eval"].options)["task"] == "1e3"
    run = compose.load_settings(["model=fp8", "task=lm_eval", "tasks.lm_eval.options.task=7"])
    assert typed_options("lm_eval", run.tasks["lm_eval"].options)["task"] == "7"


def test_a_sweep_keeps_letters() -> None:
    jobs = compose.sweep_jobs(["models.fp8.revision=695e0514,1_0,main"])
    assert [compose.load_settings(["model=fp8", "task=gsm8k", *job]).models["fp8"].revision for job in jobs] == [
        "695e0514",
        "1_0",
        "main",
    ]
    assert protected("models.fp8.revision=695e0514,1_0") == "models.fp8.revision='695e0514','1_0'"
    jobs = compose.sweep_jobs(["models.fp8.title=a b,c"])
    loaded = [compose.load_settings(["model=fp8", "task=gsm8k", *job]) for job in jobs]
    assert [run.models["fp8"].title for run in loaded] == ["a b", "c"]
    assert protected("seed=1,2") == "seed=1,2"
    assert protected("model=choice(fp8,bf16)") == "model=choice(fp8,bf16)"


def test_a_run_is_named_by_its_letters(tmp_path: Path) -> None:
    words = [f"results_dir={tmp_path}", "run_id=1e3", "limit=2", "report=false", "seed=007"]
    dispatch(["run", "model=demo_bf16", "task=word_problems", "suite=demo", *words])
    assert [path.name for path in tmp_path.iterdir()] == ["1e3"]


@pytest.mark.parametrize(
    "word",
    [
        "models.demo_fp8.server.extra_sampling=[[a]]",
        "models.demo_fp8.sampling.checkpoints=[{a: 1}]",
        "models.demo_fp8.quantized={a: [1]}",
        "varies=[[a]]",
    ],
)
def test_an_element_that_is_no_text_is_refused_by_its_key(word: str) -> None:
    with pytest.raises(BadInput, match=word.partition("=")[0].replace(".", r"\.")):
        compose.load_settings(["suite=demo", word], None, "plan")
