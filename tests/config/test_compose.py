"""Composition in process: every shipped file with every other, typed values, checks and the origins of sampling."""

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from itertools import cycle, pairwise
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from evalsuite.config import compose as config
from evalsuite.config import sampling
from evalsuite.config.files import config_source
from evalsuite.config.settings import DEMO, Engine, Model, Run, Sampling, Server, Task
from evalsuite.endpoint.thinking import switch_fields, tags_of
from evalsuite.errors import BadInput
from evalsuite.tasks.datasets import Source, benchmark_title
from evalsuite.tasks.registry import COMMON, build

SHIPPED = config_source("run", Run, ("model", "task", "suite", "sampling", "data"), None)
MODELS = SHIPPED.options("model")
SUITES = SHIPPED.options("suite")
TASKS = SHIPPED.options("task")


def load(*overrides: str) -> Run:
    """The settings of ``run``."""
    return config.load_settings(overrides)


@pytest.mark.slow
def test_every_model_composes_with_every_suite() -> None:
    """All models together with each suite, and each model alone with one suite and with a task."""
    together = [(MODELS, suite) for suite in SUITES]
    for models, suite in (*together, *(([model], suite) for model, suite in zip(MODELS, cycle(SUITES), strict=False))):
        run = load(f"model=[{','.join(models)}]", f"suite={suite}")
        assert list(run.models) == models
        assert run.suite == suite
        assert run.tasks
        assert run.tasks.keys() <= set(TASKS)
        if len(models) == 1:
            assert list(load(f"model={models[0]}", "task=gsm8k").models) == models


@pytest.fixture(scope="module")
def every_model() -> Run:
    """One run of every shipped model, to be read only."""
    return load(f"model=[{','.join(MODELS)}]", "task=gsm8k")


@pytest.fixture(scope="module")
def every_task() -> Mapping[str, Task]:
    """Every shipped task with the options that have no default, to be read only."""
    file = str(Path(__file__).parent / "one_question.jsonl")
    words = ["tasks.lm_eval.options.task=evalsuite_gsm8k", f"tasks.jsonl.options.file={file}"]
    return load("model=fp8", f"task=[{','.join(TASKS)}]", *words).tasks


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_whole(name: str, every_model: Run) -> None:
    model = every_model.models[name]
    assert model.baseline is None or model.baseline in MODELS
    assert (model.baseline is None) == (model.precision == "bf16")
    assert bool(model.quantized) == (model.precision != "bf16")
    assert model.thinking
    assert model.launch.command
    assert model.launch.note
    assert model.server.identity
    if name.startswith("demo_"):
        assert model.base_url == DEMO
        assert model.checkpoint == f"evalsuite/{name}"
        return
    port = model.base_url.removeprefix("http://localhost:").removesuffix("/v1")
    assert f"--port {port}" in model.launch.command
    assert model.checkpoint in model.launch.command


def test_an_environment_variable_replaces_the_address_of_every_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MODELS:
        monkeypatch.setenv(f"EVALSUITE_{name.upper()}_URL", f"https://{name}:9/v1")
    models = load(f"model=[{','.join(MODELS)}]", "task=gsm8k").models
    assert {name: model.base_url for name, model in models.items() if not name.startswith("demo_")} == {
        name: f"https://{name}:9/v1" for name in MODELS if not name.startswith("demo_")
    }


FREE_FLAGS = {"model", "port", "served-model-name", "quantization", "tensor-parallel-size"}
"""Flags in which arms of a pair differ by their nature; the last one follows the size of the weights."""
CARDS_OWN = {"nvfp4_community", "qwen3_5_27b_nvfp4"}
"""Models whose command is that of their card, unchanged: a report names what differs from their baseline's server."""


def flags(command: str) -> dict[str, str]:
    """The flags of a launch command with their values, without those that differ by their nature."""
    words = shlex.split(command)
    found = {
        word.removeprefix("--"): value if not value.startswith("--") else ""
        for word, value in pairwise([*words, ""])
        if word.startswith("--")
    }
    return {name: value for name, value in found.items() if name not in FREE_FLAGS} | {"server": " ".join(words[:3])}


def test_models_of_one_family_are_launched_with_equal_flags(every_model: Run) -> None:
    real = {name: model for name, model in every_model.models.items() if model.base_url != DEMO}
    families: dict[str, set[str]] = {}
    for name in real:
        base = name
        while baseline := real[base].baseline:
            base = baseline
        families.setdefault(base, set()).add(name)
    assert {"bf16", "fp8", "nvfp4", "nvfp4_v2"} <= families["bf16"]
    for base, names in families.items():
        for name in names - CARDS_OWN:
            assert flags(real[name].launch.command) == flags(real[base].launch.command), name
    for name in CARDS_OWN:
        assert "The card's command" in real[name].launch.note
        assert "serve the baseline with the same flags" in real[name].launch.note


def test_addresses_and_checkpoints_are_used_once(every_model: Run) -> None:
    models = every_model.models
    assert list(models) == MODELS
    real = [model for model in models.values() if model.base_url != DEMO]
    assert len({model.base_url for model in real}) == len(real)
    assert len({model.checkpoint for model in models.values()}) == len(MODELS)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_names_an_adapter_and_lists_its_options(name: str, every_task: Mapping[str, Task]) -> None:
    task = every_task[name]
    needed = {option: task.options[option] for option in {"lm_eval": ["task"], "jsonl": ["file"]}.get(name, [])}
    adapter = build(task.adapter, variant=task.variant, options=task.options, source=Source("local", "."), seed=42)
    known = {field.name: field.default for field in dataclasses.fields(type(adapter)) if field.init}
    options = {
        field: list(default) if isinstance(default, tuple) else default
        for field, default in known.items()
        if field not in COMMON
    }
    assert task.variant == known["variant"]
    assert task.options == {**options, **needed}


def test_tasks_of_lm_eval_stand_beside_each_other_each_with_its_own_key(tmp_path: Path) -> None:
    run = load("model=fp8", "task=[lm_eval:ifeval,lm_eval:1e3,gsm8k,lm_eval:a_0.5k]", "tasks.lm_eval_ifeval.repeats=4")
    chosen = {key: (task.adapter, task.options.get("task"), task.repeats) for key, task in run.tasks.items()}
    assert chosen == {
        "lm_eval_ifeval": ("lm_eval", "ifeval", 4),
        "lm_eval_1e3": ("lm_eval", "1e3", 1),
        "gsm8k": ("gsm8k", None, 1),
        "lm_eval_a_0_5k": ("lm_eval", "a_0.5k", 1),
    }
    assert run.tasks["lm_eval_ifeval"].options["stops"] == "task"
    assert benchmark_title("lm_eval_ifeval") == "ifeval"
    words = config.sweep_jobs(["model=fp8", "task=lm_eval:ifeval,lm_eval:aime25"])
    assert [list(load(*job).tasks) for job in words] == [["lm_eval_ifeval"], ["lm_eval_aime25"]]
    (tmp_path / "suite").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /task: [lm_eval:ifeval]\nsuite: guests\n"
    (tmp_path / "suite" / "guests.yaml").write_text(f"{text}tasks:\n  lm_eval_ifeval: {{repeats: 3}}\n")
    assert config.load_settings(["model=fp8", "suite=guests"], str(tmp_path)).tasks["lm_eval_ifeval"].repeats == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=lm_eval"], r"write task=lm_eval:gsm8k, or 'task=\[lm_eval:ifeval,lm_eval:aime25\]' for several"),
        (["task=[lm_eval:]"], "lm_eval: stands before a name, such as task=lm_eval:gsm8k"),
        (["task=[lm_eval:a.b,lm_eval:a_b]"], "lm_eval:a.b, lm_eval:a_b have one key, lm_eval_a_b; choose one of them"),
        (
            ["task=[gsm8k,lm_eval:aime25]", "tasks.lm_eval_ifeval.repeats=2"],
            r"'lm_eval_ifeval' is not chosen .*; add it: 'task=\[gsm8k,lm_eval:aime25,lm_eval:ifeval\]'",
        ),
    ],
)
def test_a_task_of_lm_eval_that_is_named_wrongly_names_the_line_that_works(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load("model=fp8", *words)


def test_demo_suite_brings_models_task_and_sampling() -> None:
    run = load("suite=demo")
    assert list(run.models) == ["demo_bf16", "demo_fp8", "demo_nvfp4", "demo_nvfp4_v2"]
    assert list(run.tasks) == ["word_problems"]
    assert sampling.fields(run.sampling) == {"temperature": 0.0, "top_p": 1.0, "max_tokens": 200}


def test_the_command_line_replaces_what_a_suite_chose() -> None:
    run = load("suite=sglang", "model=fp8", "task=mmlu_pro", "sampling=card_literal", "limit=5")
    assert list(run.tasks) == ["mmlu_pro"]
    assert run.limit == 5
    assert sampling.fields(run.sampling) == {"temperature": 0.6, "top_p": 0.95, "max_tokens": 64000}
    assert load("suite=nightly", "model=fp8", "task=gsm8k").tasks.keys() == {"gsm8k"}
    assert load("suite=nightly", "model=fp8", "tasks.gpqa_diamond.repeats=3").tasks["gpqa_diamond"].repeats == 3


def test_values_are_typed_and_text_is_literal() -> None:
    run = load(
        "model=fp8",
        "task=mmlu_pro",
        "thinking=off",
        "run_id=2026_11_20",
        "reason=flag (tp=8), again",
        "name=1e5",
        "tasks.mmlu_pro.select.groups.subject=[law,computer science]",
        "+models.fp8.expect.tp_size=4",
        "server@models.fp8.server=vllm",
        "engine.retries=2",
    )
    model = run.models["fp8"]
    assert type(model) is Model
    assert type(model.server) is Server
    assert type(run.engine) is Engine
    assert type(run.tasks["mmlu_pro"]) is Task
    assert (run.run_id, run.reason, run.name) == ("2026_11_20", "flag (tp=8), again", "1e5")
    assert run.tasks["mmlu_pro"].select.groups == {"subject": ["law", "computer science"]}
    assert model.expect == {"max_model_len_min": 131072, "tp_size": 4}
    assert (model.server.dialect, model.thinking, run.engine.retries) == ("vllm", False, 2)
    assert load("model=fp8", "task=gsm8k", "models.fp8.thinking=off").models["fp8"].thinking is False


def test_report_takes_runs_by_name_folder_or_list(tmp_path: Path) -> None:
    folder = tmp_path / "a run (1), it's=odd"
    folder.mkdir()
    assert config.load_report([f"run={folder}"]).run == [str(folder)]
    (tmp_path / "A").mkdir()
    (tmp_path / "B").mkdir()
    both = config.load_report(["run=[A,B]", f"results_dir={tmp_path}", "task=gsm8k", "item=0070", "card=x"])
    assert (both.run, both.task, both.item, both.card) == (["A", "B"], "gsm8k", "0070", "x")
    assert config.load_report([f"results_dir={tmp_path}"], command="show").run == []


def test_own_files_win_over_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    text = SHIPPED.file("model/fp8").read_text().replace("title: FP8", "title: Mine")
    (tmp_path / "model" / "fp8.yaml").write_text(text)
    assert config.load_settings(["model=fp8", "task=gsm8k"], str(tmp_path)).models["fp8"].title == "Mine"
    assert load("model=fp8", "task=gsm8k").models["fp8"].title == "FP8"


def test_hydras_own_settings_are_checked_and_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "suite").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /hydra/job_logging: disabled\n  - override /task: [gsm8k]\n"
    (tmp_path / "suite" / "silent.yaml").write_text(f"{text}suite: silent\n")
    words = ["model=fp8", "suite=silent", "hydra.run.dir=elsewhere", "hydra/launcher=basic"]
    silent = config.load_settings(words, str(tmp_path))
    assert list(silent.tasks) == ["gsm8k"]
    with pytest.raises(BadInput, match="unknown hydra/launcher 'nope'"):
        load("model=fp8", "task=gsm8k", "hydra/launcher=nope")


def test_origins_follow_the_values() -> None:
    run = load("model=fp8", "task=gsm8k").sampling
    assert sampling.sampling_origin(run) == {
        "temperature": "card",
        "top_p": "card",
        "max_tokens": "card",
        "top_k": "generation_config",
        "min_p": "ours",
        "presence_penalty": "ours",
        "repetition_penalty": "ours",
    }
    changed = load("model=fp8", "task=gsm8k", "sampling.temperature=1.0", "sampling.top_k=40").sampling
    assert sampling.sampling_origin(changed)["temperature"] == "ours"
    assert sampling.sampling_origin(changed)["top_k"] == "ours"
    literal = load("model=fp8", "task=gsm8k", "sampling=card_literal").sampling
    assert sampling.sampling_origin(literal) == dict.fromkeys(("temperature", "top_p", "max_tokens"), "card")


def test_a_task_overrides_the_run_field_by_field() -> None:
    run = Sampling(0.6, 0.95, 64000, top_k=20, origin={"card": {"temperature": 0.6, "max_tokens": 64000}})
    task = Sampling(max_tokens=128000, origin={"card": {"max_tokens": 128000}})
    both = sampling.effective(run, task)
    assert sampling.fields(both) == {"temperature": 0.6, "top_p": 0.95, "max_tokens": 128000, "top_k": 20}
    assert sampling.sampling_origin(both) == {
        "temperature": "card",
        "top_p": "ours",
        "max_tokens": "card",
        "top_k": "ours",
    }
    assert run.origin == {"card": {"temperature": 0.6, "max_tokens": 64000}}
    assert sampling.effective(run, Sampling(temperature=0.0)).temperature == 0.0


PROBLEMS = {
    "models.fp8.base_url=ftp://x/v1": "models.fp8.base_url=ftp://x/v1: must begin with http:// or https:// (or",
    "tasks.gsm8k.select.groups.subject=law": "tasks.gsm8k.select.groups.subject=law: ",
    "models.fp8.base_url=http://x/v1/chat/completions": "give the root of the API, such as models.fp8.base_url=http://x/v1",
    "models.fp8.base_url=http://me:pw@x/v1": "models.fp8.base_url: holds a user or password; put it into headers",
    "models.fp8.base_url='http://x:port/v1'": "models.fp8.base_url: 'http://x:port/v1' is no URL",
    "models.fp8.server.dialect=sglan": "unknown models.fp8.server.dialect 'sglan'; did you mean 'sglang'?",
    "models.fp8.ca_file=/nowhere.pem": "models.fp8.ca_file=/nowhere.pem: there is no such file",
    "models.fp8.proxy=localhost:3128": "models.fp8.proxy: must begin with http:// or https://",
    "models.fp8.api_key_env=sk-123": "models.fp8.api_key_env: must be the name of an environment variable, not the key",
    "+models.fp8.headers.Bad:Name=x": "cannot read +models.fp8.headers.Bad:Name=...",
    "seed=9223372036854775808": "seed: must be a number of 64 bits",
    "baseline_max_gb=nan": "baseline_max_gb=nan: must be above 0",
    "tasks.gsm8k.repeats=10001": "tasks.gsm8k.repeats=10001: must be 1 to 10,000",
    "tasks.gsm8k.concurrency=0": "tasks.gsm8k.concurrency=0: must be 1 or more",
    "tasks.gsm8k.select.ids=nowhere": "tasks.gsm8k.select.ids=nowhere: there is no such file",
    "sampling.top_p=0": "sampling.top_p=0.0: must be above 0 and at most 1",
    "sampling.temperature=nan": "sampling.temperature=nan: must be 0 or more",
    "tasks.gsm8k.sampling.max_tokens=0": "tasks.gsm8k.sampling.max_tokens=0: must be 1 or more",
    "engine.idle_seconds=0": "engine.idle_seconds=0.0: must be above 0",
    "run_id=../x": "run_id=../x: letters, digits, '.', '_' and '-' only",
    "name=report": "name=report: this name is taken by the report's folder",
    "name=fp8-nothink": "name=fp8-nothink: '-nothink' is added by evalsuite for thinking=off",
    "data.kind=s3": "data.kind=s3: must be hub or local",
    "port=70000": "port=70000: must be 0 to 65535",
}


@pytest.mark.parametrize("override", PROBLEMS)
def test_semantic_problems(override: str) -> None:
    with pytest.raises(BadInput) as caught:
        load("model=fp8", "task=gsm8k", override)
    assert PROBLEMS[override] in str(caught.value)
    assert "sk-123" not in str(caught.value)
    assert "pw@" not in str(caught.value)


def test_two_checkpoints_on_one_port_are_refused() -> None:
    same = ("models.fp8.base_url=http://x:1/v1", "models.nvfp4_v2.base_url=http://x:1/v1/")
    with pytest.raises(BadInput, match="models fp8 and nvfp4_v2 have one base_url"):
        load("model=[fp8,nvfp4_v2]", "task=gsm8k", *same)
    named = ("models.fp8.served_name=a", "models.nvfp4_v2.served_name=b")
    assert len(load("model=[fp8,nvfp4_v2]", "task=gsm8k", *same, *named).models) == 2


def test_headers_with_line_breaks_are_refused() -> None:
    with pytest.raises(BadInput, match=r"models.fp8.headers.X: must be text without line breaks") as caught:
        load("model=fp8", "task=gsm8k", "+models.fp8.headers.X='a\nb'")
    assert "a\nb" not in str(caught.value)


def test_sweep_takes_every_combination() -> None:
    assert config.sweep_jobs(["model=fp8,bf16", "limit=1", "seed=1,2"]) == [
        ["model=fp8", "limit=1", "seed=1"],
        ["model=fp8", "limit=1", "seed=2"],
        ["model=bf16", "limit=1", "seed=1"],
        ["model=bf16", "limit=1", "seed=2"],
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["model=fp8,bf16", "limit=1", "seed=1,2"],
        ["seed=range(1,4)", "model=choice(bf16,fp8)"],
        ["model=glob(nvfp4*,exclude=*_v2)"],
        ["seed=sort(3,1,2,reverse=true)", "run_id='a,b',\"c d\""],
        ["models.fp8.headers={a:1},{b:'x y'}", "task=[gsm8k,mmlu_pro],[gsm8k]"],
        ["seed=1,2", "~task", "+models.fp8.headers.X=null", "seed=3,4"],
    ],
)
def test_a_sweep_is_split_as_hydra_splits_it(words: list[str]) -> None:
    """Differential test against Hydra's own sweeper, which is private."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    config.register()
    with initialize_config_dir(str(config.main_folder(None)), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        parsed = OverridesParser.create(loader).parse_overrides(words)
        for item in parsed:
            item.config_loader = loader
        (theirs,) = BasicSweeper.split_arguments(parsed, None)
    assert config.sweep_jobs(words) == [list(job) for job in theirs]


def test_an_endless_sweep_is_refused() -> None:
    with pytest.raises(BadInput, match=r"interval\(\) has no values to run one after the other; write seed=A,B"):
        config.sweep_jobs(["seed=interval(0,1)"])


def test_composing_imports_nothing_heavy() -> None:
    """The door is light: composing a run loads neither pandas nor a server's client."""
    code = (
        "import json, sys; from evalsuite.config import compose as config; config.load_settings(['suite=demo']);"
        "print(json.dumps([m for m in ('pandas', 'datasets', 'openai', 'matplotlib', 'scipy', 'lm_eval', 'pyarrow')"
        " if m in sys.modules]))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_replicas_are_a_list_of_addresses() -> None:
    urls = ["http://a:8000/v1", "http://b:8000/v1"]
    assert load(f"models.fp8.base_url=[{','.join(urls)}]", "model=fp8", "task=gsm8k").models["fp8"].base_url == urls


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[]", "models.fp8.base_url=[]: must be an address or a list of addresses"),
        ("[http://a:1/v1,http://a:1/v1/]", "models.fp8.base_url: http://a:1/v1 is named 2 times"),
        ("[http://a:1/v1,b:1]", "models.fp8.base_url=b:1: must begin with http:// or https://"),
        ("[demo]", "'demo' starts one embedded server; it cannot be one of several replicas"),
        ("7", "models.fp8.base_url=7: must begin with http://"),
    ],
)
def test_a_list_of_addresses_is_checked_one_by_one(value: str, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)):
        load("model=fp8", "task=gsm8k", f"models.fp8.base_url={value}")


def test_two_models_may_not_share_a_replica() -> None:
    words = ("models.fp8.base_url=[http://x:1/v1,http://y:1/v1]", "models.nvfp4_v2.base_url=http://y:1/v1/")
    with pytest.raises(BadInput, match=r"models fp8 and nvfp4_v2 have one base_url \(http://y:1/v1\)"):
        load("model=[fp8,nvfp4_v2]", "task=gsm8k", *words)


QUERIES = [
    "ftp://x/v1?key=canary",
    "'ftp://x/v1?key=canary'",
    "'http://:1/v1/models?key=canary#canary'",
    "'http://x:port/v1?key=canary'",
    "'http://[::1/v1?key=canary'",
    "['http://a/v1?key=canary','http://a/v1?key=canary']",
    "['http://a/v1?key=canary',7]",
    "[demo,'http://a/v1?key=canary']",
    "{a: 'http://x/v1?key=canary'}",
    "'http://x/v1?key=canary",
    "http://me:canary@x:port/v1",
    "http://me:ca/canary@x/v1",
]


OTHER_KEYS = ("models.fp8.proxy", "models.fp8.base_ulr", "judge.base_url")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("models.fp8.base_url", value) for value in QUERIES),
        *((key, value) for key in OTHER_KEYS for value in QUERIES[3:5]),
    ],
)
def test_no_message_shows_what_an_address_may_hold(key: str, value: str) -> None:
    with pytest.raises(BadInput) as raised:
        load("model=fp8", "task=gsm8k", "judge=qwen3_235b_instruct", f"{key}={value}")
    assert "canary" not in str(raised.value)


def test_a_shared_address_is_shown_without_its_query() -> None:
    url = "'http://x/v1?key=canary'"
    with pytest.raises(BadInput, match=r"one base_url \(http://x/v1\?\*\*\*\)"):
        load("model=[fp8,nvfp4_v2]", "task=gsm8k", f"models.fp8.base_url={url}", f"models.nvfp4_v2.base_url={url}")


SWITCH = """# @package models.mine
defaults:
  - /server: vllm
  - _self_
title: Mine
checkpoint: me/mine
precision: bf16
base_url: http://localhost:8000/v1
thinking_switch: {on: {thinking: true}, off: {}, tags: [[<r>, </r>]]}
"""


def test_a_model_file_names_its_own_thinking_switch_without_quoting_on_and_off(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(SWITCH)
    for words, sent in (([], {"chat_template_kwargs": {"thinking": True}}), (["thinking=off"], {})):
        model = config.load_settings(["model=mine", "task=gsm8k", *words], str(tmp_path)).models["mine"]
        assert switch_fields(model) == sent
        assert tags_of(model) == (("<r>", "</r>"),)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{on: 1}", "models.fp8.thinking_switch.on=1: must be arguments of the chat template"),
        ("{of: {}}", "unknown models.fp8.thinking_switch 'of'; did you mean 'off'?"),
        ("{tags: ['<think>']}", "models.fp8.thinking_switch.tags=['<think>']: must be pairs"),
        ("{tags: [[a, a]]}", "models.fp8.thinking_switch.tags=[['a', 'a']]: must be pairs"),
    ],
)
def test_a_thinking_switch_that_cannot_be(value: str, message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        load("model=fp8", "task=gsm8k", f"models.fp8.thinking_switch={value}")


def test_a_free_dictionary_can_be_given_whole() -> None:
    words = ["model=fp8", "task=gsm8k", "models.fp8.thinking_switch={on: {thinking: true}, off: {}}"]
    assert load(*words).models["fp8"].thinking_switch == {"on": {"thinking": True}, "off": {}}
    with pytest.raises(BadInput, match="unknown key 'nowhere'"):
        load(*words, "models.fp8.server={nowhere: 1}")


@pytest.mark.parametrize("word", ["model=glob(no_such_*)", "seed=range(3,3)"])
def test_a_sweep_over_nothing_is_refused(word: str) -> None:
    with pytest.raises(BadInput, match="there is no such value"):
        config.sweep_jobs(["task=gsm8k", word])


def test_a_step_of_zero_and_a_group_that_is_not_there_are_refused() -> None:
    with pytest.raises(BadInput, match="must not be zero"):
        config.sweep_jobs(["task=gsm8k", "seed=range(1,5,0)"])
    with pytest.raises(BadInput, match="there is no 'law' to leave out"):
        load("task=gsm8k", "model=fp8", "~tasks.gsm8k.select.groups.law")


def test_a_new_key_of_a_free_dictionary_may_hold_a_mapping() -> None:
    run = load("task=gsm8k", "model=fp8", "+models.fp8.server.body.x={a:{b:[1,2]}}", "models.fp8.expect={a:{b:1}}")
    assert run.models["fp8"].server.body["x"] == {"a": {"b": [1, 2]}}
    assert run.models["fp8"].expect["a"] == {"b": 1}
