"""The command line as a user meets it: real processes, exact words, exit codes."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from evalsuite.cli import help as cli_help
from evalsuite.cli import main
from evalsuite.cli.arguments import Arguments, split
from evalsuite.cli.main import COMMANDS
from evalsuite.cli.sweep import run_sweep
from evalsuite.config.settings import Run
from evalsuite.errors import Exit
from tests.support.command import Finished, evalsuite

ROOT = Path(__file__).parents[2]
RUN_YAML = ROOT / "conf" / "run.yaml"
MINE = """\
# @package models.mine
defaults:
  - /server: sglang
  - _self_
title: Mine
checkpoint: me/mine
precision: bf16
base_url: http://localhost:1/v1
"""


def environment(**more: str) -> dict[str, str]:
    """The test's environment with this checkout first, whether it is installed or not."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


@pytest.fixture(name="mine")
def _mine(tmp_path: Path) -> Path:
    """A user's own configuration folder with one good model."""
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "task").mkdir()
    (tmp_path / "own" / "suite").mkdir()
    (tmp_path / "own" / "model" / "mine.yaml").write_text(MINE)
    return tmp_path


GOOD = ("model=fp8", "task=gsm8k")
WRONG = {
    "typo in a key": (
        ["modle=fp8"],
        "unknown key 'modle'; did you mean 'model'? Known: aa, accept_degenerate, ",
    ),
    "typo below a model": (
        [*GOOD, "models.fp8.concurency=3"],
        "unknown key of models.fp8 'concurency'; did you mean 'concurrency'? Known: api_key_env, base_url, ",
    ),
    "typo with +": ([*GOOD, "+limitt=3"], "unknown key 'limitt'; did you mean 'limit'? Known: "),
    "typo with ++": (
        [*GOOD, "++tasks.gsm8k.repeets=3"],
        "unknown key of tasks.gsm8k 'repeets'; did you mean 'repeats'? ",
    ),
    "+ on a known key": ([*GOOD, "+limit=3"], "+limit=3: '+' is for the keys of free dictionaries; write limit=VALUE"),
    "+ on a group": (["+model=fp8"], "+model=fp8: write model=NAME. Known: bf16, demo_bf16, "),
    "free dictionary without +": (
        [*GOOD, "models.fp8.headers.X=1"],
        "unknown key 'models.fp8.headers.X'. Known: none. To add one: '+models.fp8.headers.X=VALUE'.",
    ),
    "typo in an option": (
        [*GOOD, "tasks.gsm8k.options.apj=chat"],
        "unknown key 'tasks.gsm8k.options.apj'. Known: api. To add one: '+tasks.gsm8k.options.apj=VALUE'.",
    ),
    "typo inside a value": (
        [*GOOD, "tasks.gsm8k={repeets: 3}"],
        "tasks.gsm8k={repeets: 3}: unknown key 'repeets'; did ",
    ),
    "unknown model": (["model=nvfp5"], "unknown model 'nvfp5'; did you mean 'nvfp4'? Known: bf16, demo_bf16, "),
    "unknown model in a list": (["model=[fp8,nvfp5]"], "unknown model 'nvfp5'; did you mean 'nvfp4'? Known: bf16, "),
    "unknown task": (
        ["model=fp8", "task=gpqa"],
        "unknown task 'gpqa'; did you mean 'gpqa_diamond'? Known: aa_lcr, aime, gpqa_diamond, gsm8k, ",
    ),
    "unknown suite": (
        ["suite=nigthly"],
        "unknown suite 'nigthly'; did you mean 'nightly'? Known: all, card, card_instruct, card_lukealonso, ",
    ),
    "unknown sampling": (
        ["sampling=crad"],
        "unknown sampling 'crad'; did you mean 'card'? Known: card, card_literal, ",
    ),
    "unknown server": ([*GOOD, "server@models.fp8.server=vlm"], "unknown server 'vlm'; did you mean 'vllm'? Known: "),
    "server without a place": ([*GOOD, "server=vllm"], "unknown key 'server'; write server@models.fp8.server=vllm"),
    "server of a model that is not there": (
        [*GOOD, "server@models.bf16.server=vllm"],
        "'server@models.bf16.server': there is nothing to choose",
    ),
    "task that is not chosen": (
        [*GOOD, "tasks.mmlu_pro.repeats=2"],
        "task 'mmlu_pro' is not chosen (chosen: gsm8k); add it to task=",
    ),
    "task that is not chosen, with +": (
        [*GOOD, "+tasks.mmlu_pro.repeats=2"],
        "task 'mmlu_pro' is not chosen (chosen: gsm8k); add it to task=",
    ),
    "no model": (["task=word_problems"], "no model chosen: add model=NAME. Known: bf16, demo_bf16, "),
    "no task": (
        ["model=fp8"],
        "no task chosen: add task=NAME or suite=NAME. Known tasks: aa_lcr, aime, gpqa_diamond, gsm8k, ",
    ),
    "wrong type": ([*GOOD, "limit=many"], "limit=many: Value 'many' of type 'str' could not be converted to Integer"),
    "wrong type below": (
        [*GOOD, "tasks.gsm8k.sampling.max_tokens=64k"],
        "tasks.gsm8k.sampling.max_tokens=64k: Value '64k' of type 'str' could not be converted to Integer",
    ),
    "key below a value": ([*GOOD, "limit.x=1"], "limit.x=1: limit is a plain value and has no keys"),
    "nothing chosen": (
        ["suite=null"],
        "suite=null: write suite=NAME, or leave it out. Known: all, card, card_instruct, ",
    ),
    "a choice twice": (["model=fp8", "model=bf16"], "model= is given twice; several names are model=[A,B]"),
    "no value": (["model=fp8", "gsm8k"], "'gsm8k' is not an override (KEY=VALUE): write task=gsm8k"),
    "several values": (
        ["model=fp8,bf16", "task=gsm8k"],
        "model=fp8,bf16: comma-separated values need -m (one run after the other), or 'model=[fp8,bf16]' for several ",
    ),
    "unreadable value": (["limit=("], "cannot read limit=( (a value with special characters: 'limit=\"...\"')"),
    "bad URL": (
        [*GOOD, "models.fp8.base_url=localhost:8000"],
        "models.fp8.base_url=localhost:8000: must begin with http:// or https:// (or be 'demo')",
    ),
    "missing option": (
        ["model=fp8", "task=lm_eval"],
        "task=lm_eval does not name a task of lm-eval: write task=lm_eval:gsm8k, or "
        "'task=[lm_eval:ifeval,lm_eval:aime25]' for several; `lm_eval ls tasks` lists their names",
    ),
    "missing data folder": ([*GOOD, "data=local"], "data=local needs data.root=DIR"),
    "unknown redo": (
        [*GOOD, "redo=mmlu", "reason=x"],
        "unknown task 'mmlu'. Known: failed, gsm8k. (redo= takes a chosen ",
    ),
    "redo without a reason": ([*GOOD, "redo=gsm8k"], 'redo=gsm8k archives results: say why with reason="..."'),
    "unknown flag": (["--dry-run"], "settings have no dashes: write dry_run=true instead of --dry-run"),
    "no such folder": (["--config-dir", "nowhere"], "--config-dir nowhere: there is no such folder"),
    "mistake in a sweep": (
        ["-m", "model=fp8,nvfp5", "task=gsm8k"],
        "unknown model 'nvfp5'; did you mean 'nvfp4'? Known: ",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_override_is_one_clear_line(case: str, tmp_path: Path) -> None:
    words, expected = WRONG[case]
    done = evalsuite(tmp_path, "run", *words)
    assert done.stderr.startswith(f"evalsuite: {expected}")
    assert_one_line(done)
    assert list(tmp_path.iterdir()) == []


def assert_one_line(done: Finished) -> None:
    """Exit 64, one line on stderr, nothing of Hydra's in it."""
    assert done.returncode == 64
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert not re.search(r"hydra|omegaconf|traceback|use \+|full_key|append to", done.stderr, re.IGNORECASE)


FILES = {
    "typo in a key": (
        "model/mine.yaml",
        MINE.replace("precision", "precison"),
        "{file}, line 7: unknown key 'precison'; did you mean 'precision'? Known: api_key_env, base_url, ",
    ),
    "wrong type": (
        "model/mine.yaml",
        MINE + "concurrency: many\n",
        "{file}, line 9: models.mine.concurrency: Value 'many' of type 'str' could not be converted to Integer",
    ),
    "no header": (
        "model/mine.yaml",
        MINE.replace("# @package models.mine\n", ""),
        "{file} must begin with `# @package models.mine`",
    ),
    "header of another name": (
        "model/mine.yaml",
        MINE.replace("models.mine", "models.yours"),
        "{file} must begin with `# @package models.mine`",
    ),
    "missing value": (
        "model/mine.yaml",
        MINE.replace("checkpoint: me/mine\n", ""),
        "models.mine.checkpoint is missing: give models.mine.checkpoint=VALUE, or add `checkpoint: ...` to {file}",
    ),
    "missing server": (
        "model/mine.yaml",
        MINE.replace("  - /server: sglang\n", ""),
        "models.mine.server.dialect is missing: give models.mine.server.dialect=VALUE, or add "
        "`defaults: [/server: sglang, _self_]` to {file}",
    ),
    "unknown server": (
        "model/mine.yaml",
        MINE.replace("sglang", "sglan"),
        "{file}: unknown server 'sglan'; did you mean 'sglang'? Known: llama_cpp, openai, sglang, transformers, vllm.",
    ),
    "not YAML": ("model/mine.yaml", MINE + "launch: {image: [\n", "{file}, line 10: not valid YAML: "),
    "a tab": ("model/mine.yaml", MINE + "launch:\n\timage: x\n", "{file}, line 10: not valid YAML: "),
    "a key twice": (
        "model/mine.yaml",
        MINE + "title: Again\n",
        "{file}, line 9: not valid YAML: found duplicate key title",
    ),
    "unknown variable": (
        "model/mine.yaml",
        MINE + "headers: {Authorization: '${oc.env:EVALSUITE_TEST_UNSET}'}\n",
        "models.mine.headers.Authorization: Environment variable 'EVALSUITE_TEST_UNSET' not found",
    ),
    "not UTF-8": (
        "model/mine.yaml",
        MINE + "# caf\udce9\n",
        "{file}: not UTF-8: invalid continuation byte",
    ),
    "a primary file": (
        "run.yaml",
        "defaults: [run_schema]\n",
        "{file} would replace evalsuite's own: put such settings into suite/NAME.yaml",
    ),
    "reserved name": (
        "model/report.yaml",
        MINE.replace("models.mine", "models.report"),
        "model=report: this name is taken by the report's folder",
    ),
    "suite without a header": (
        "suite/s.yaml",
        "defaults:\n  - override /task: [gsm8k]\nsuite: s\n",
        "{file} must begin with `# @package _global_`",
    ),
    "suite without its name": (
        "suite/s.yaml",
        "# @package _global_\ndefaults:\n  - override /task: [gsm8k]\nsuite: other\n",
        "{file} must say `suite: s`: runs are named and found by it",
    ),
    "suite with a typo": (
        "suite/s.yaml",
        "# @package _global_\ndefaults:\n  - override /task: [gsm8k]\nsuite: s\nlimitt: 3\n",
        "{file}, line 5: unknown key 'limitt'; did you mean 'limit'? Known: ",
    ),
    "suite with an unknown task": (
        "suite/s.yaml",
        "# @package _global_\ndefaults:\n  - override /task: [gsm9k]\nsuite: s\n",
        "{run}: unknown task 'gsm9k'; did you mean 'gsm8k'? Known: aa_lcr, aime, gpqa_diamond, gsm8k, ",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_wrong_file_of_the_user_is_one_clear_line(case: str, mine: Path) -> None:
    path, text, expected = FILES[case]
    file = mine / "own" / path
    file.write_text(text, "utf-8", "surrogateescape")
    words = [f"suite={file.stem}", "model=mine"] if path.startswith("suite") else [f"model={file.stem}", "task=gsm8k"]
    done = evalsuite(mine, "run", *words, "--config-dir", "own")
    assert done.stderr.startswith("evalsuite: " + expected.format(file=file, own=mine / "own", run=RUN_YAML))
    assert_one_line(done)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    done = evalsuite(
        tmp_path, "run", *GOOD, "limit=0", "models.fp8.concurrency=0", "tasks.gsm8k.repeats=0", "run_id=a/b"
    )
    assert done.returncode == 64
    assert [line.split(":")[0] for line in done.stderr.removeprefix("evalsuite: ").splitlines()] == [
        "models.fp8.concurrency=0",
        "tasks.gsm8k.repeats=0",
        "run_id=a/b",
        "limit=0",
    ]


def test_commands_over_runs_say_what_they_lack(tmp_path: Path) -> None:
    (tmp_path / "results" / "nightly-1").mkdir(parents=True)
    assert (
        evalsuite(tmp_path, "report").stderr
        == "evalsuite: no run chosen: add run=ID, such as run=nightly-1. In results: nightly-1.\n"
    )
    wrong = evalsuite(tmp_path, "report", "run=nightly-2")
    assert wrong.stderr.startswith("evalsuite: unknown run 'nightly-2'; did you mean 'nightly-1'? Known: nightly-1. ")
    assert wrong.returncode == 64
    key = evalsuite(tmp_path, "show", "suite=demo")
    assert key.stderr.startswith("evalsuite: unknown key 'suite'; did you mean 'item'? Known: accept_degenerate, ")
    only = evalsuite(tmp_path, "show", "model=fp8")
    assert (only.returncode, only.stderr) == (
        64,
        "evalsuite: model= is for gate and baseline save and forget, not for show\n",
    )
    lacking = evalsuite(tmp_path, "import", "task=gsm8k")
    assert lacking.stderr == "evalsuite: file= is missing: add file=ANSWERS.jsonl\nname= is missing: add name=MODEL\n"
    demo = evalsuite(tmp_path, "demo", "model=fp8")
    assert demo.stderr.startswith(
        "evalsuite: demo serves one embedded model: add model=NAME. Known: demo_bf16, demo_fp8, "
    )
    sweep = evalsuite(tmp_path, "report", "-m", "run=nightly-1")
    assert sweep.stderr == "evalsuite: -m works with run only, not with report\n"


def test_help_is_complete_and_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """``--help``, of the top level and of every command, needs evalsuite's own modules alone."""
    assert set(cli_help.DOES) == set(cli_help.KEYS) == set(COMMANDS)
    program = (
        "import sys\nfrom evalsuite.cli.main import main\ntry:\n    main()\n"
        "finally:\n    print(*(name for name in sys.modules if '.' not in name), file=sys.stderr)"
    )
    for words in (["--help"], *([name, "--help"] for name in COMMANDS)):
        command = [sys.executable, "-c", program, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
        assert done.stdout.startswith("evalsuite")
        own = {name for name in done.stderr.split() if name not in sys.stdlib_module_names and name[:1] != "_"}
        assert own <= {"evalsuite", "sitecustomize", "usercustomize"}, own


def test_names_in_help_exist(tmp_path: Path) -> None:
    shown = evalsuite(tmp_path)
    assert shown.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in shown.stdout
    assert evalsuite(tmp_path, "--version").stdout.startswith("evalsuite 0.")
    typo = evalsuite(tmp_path, "rnu")
    assert typo.returncode == 64
    assert typo.stderr.startswith("evalsuite: unknown command 'rnu'; did you mean 'run'? Known: baseline save, demo, ")


def test_flags_stand_anywhere() -> None:
    expected = Arguments(("model=fp8", "limit=2"), "own", multirun=True)
    assert split(["--config-dir", "own", "model=fp8", "-m", "limit=2"]) == expected
    assert split(["model=fp8", "--config-dir=own", "limit=2", "--multirun"]) == expected


def test_secrets_appear_in_no_output(mine: Path) -> None:
    """Header values: not in errors of any kind, not in what a dry run prints, not in a sweep's files."""
    secret = "s3cr3t-value"
    file = mine / "own" / "model" / "mine.yaml"
    file.write_text(MINE + "headers: {Authorization: 'Bearer ${oc.env:TEST_TOKEN}'}\n")
    base = ["run", "--config-dir", "own", "model=mine", "task=word_problems", "sampling=greedy", "limit=1"]
    given = f"+models.mine.headers.X-Key={secret}"
    tries = (
        [*base, "dry_run=true", given],
        [*base, "dry_run=true", given, "limitt=3"],
        [*base, "dry_run=true", f"+models.mine.headers.X-Key={secret}("],
        [*base, "dry_run=true", f"models.mine.headers.Authorization=[{secret}]"],
        [*base, "dry_run=true", f"models.mine.headers.Y={secret}"],
        [*base, "dry_run=true", f'+models.mine.headers.Z="{secret}\\n"'],
        [*base, "dry_run=true", f"models.mine.api_key_env={secret}"],
        [*base, "dry_run=true", f"models.mine.base_url=http://me:{secret}@localhost/v1"],
        [*base, "-m", "dry_run=true", "seed=1,2", given],
        [*base, "-m", "dry_run=true", "seed=1,x", given],
        ["tasks", "--config-dir", "own"],
    )
    for words in tries:
        done = evalsuite(mine, *words, TEST_TOKEN=secret, TMPDIR=str(mine))
        assert secret not in done.stdout + done.stderr
        assert done.returncode in (0, 64)
        assert "internal error" not in done.stderr
    file.write_text(MINE + f"headers: {{Authorization: [{secret}]}}\n")
    assert secret not in evalsuite(mine, *base).stderr
    file.unlink()
    assert [path for path in mine.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()] == []


def test_a_bug_leaves_a_log_and_exit_70(tmp_path: Path) -> None:
    code = "import evalsuite.cli.main as c; c.COMMANDS['tasks'] = 'json:nothing'; c.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "tasks"],
        cwd=tmp_path,
        env=environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    (log,) = tmp_path.glob("evalsuite-crash-*.log")
    assert done.returncode == 70
    assert done.stderr == f"evalsuite: internal error (AttributeError), please report it with {log}\n"
    assert "module 'json' has no attribute 'nothing'" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_what_the_operating_system_refuses_is_one_line_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "results" / "r" / "m" / "t" / "manifest.json").mkdir(parents=True)
    done = evalsuite(tmp_path, "report", "run=r")
    assert done.returncode == Exit.STORAGE
    assert done.stderr.startswith("evalsuite: cannot read ")
    assert done.stderr.endswith("manifest.json: Is a directory\n")
    program = (
        "import errno, os, evalsuite.cli.main as c\n"
        "def refuse(path): raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))\n"
        "c._function = refuse\nc.main()"
    )
    words = [sys.executable, "-c", program, "tasks"]
    refused = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert refused.returncode == Exit.STORAGE
    assert refused.stderr.startswith(
        "evalsuite: this machine refused something ([Errno 24] Too many open files). Allow"
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_have_their_exit_codes(number: signal.Signals, code: int, tmp_path: Path) -> None:
    (tmp_path / "waiting.py").write_text(
        "import time\ndef wait(settings):\n    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    program = "import evalsuite.cli.main as c; c.COMMANDS['tasks'] = 'waiting:wait'; c.main()"
    env = environment(PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    command = [sys.executable, "-c", program, "tasks"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (code, "")


def test_nobody_reading_on_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "evalsuite", "tasks"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_nobody_reading_on_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gate", "release", "probe"):
        monkeypatch.setattr(sys, "argv", ["evalsuite", name, "model=fp8"])
        assert main._output_closed() is Exit.BUG
    for words in (["gate", "--help"], ["run"], []):
        monkeypatch.setattr(sys, "argv", ["evalsuite", *words])
        assert main._output_closed() is Exit.DONE


@pytest.mark.parametrize("code", [Exit.SIGINT, Exit.SIGTERM, Exit.STOPPED])
def test_a_job_that_is_stopped_ends_its_sweep(code: Exit, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def stopped(run: Run) -> Exit:
        seeds.append(run.seed)
        return code

    monkeypatch.setattr(sys, "argv", ["evalsuite"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    words = ("model=demo_bf16", "task=gsm8k", "seed=1,2", "run_id=r")
    with pytest.raises(SystemExit) as ended:
        run_sweep(Arguments(words, multirun=True), stopped)
    assert (ended.value.code, seeds) == (int(code), [1])


def test_tasks_lists_what_can_run(mine: Path) -> None:
    (mine / "own" / "suite" / "s.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /task: [gsm8k]\nsuite: s\n"
    )
    done = evalsuite(mine, "tasks", "--config-dir", "own", COLUMNS="200")
    assert done.returncode == 0
    lines = [re.split(r"\s{2,}", line.strip()) for line in done.stdout.splitlines()]
    rows = {row[0]: row[1:] for row in reversed(lines) if len(row) > 1}  # a gate may have the name of a suite
    assert rows["gpqa_diamond"][:4] == ["GPQA Diamond", "1.0", "198", "nvidia, simple_evals"]
    assert "an accepted licence (gated)" in rows["gpqa_diamond"]
    assert rows["nvfp4_v2"] == [
        "nvidia/Qwen3.5-397B-A17B-NVFP4-V2",
        "nvfp4_v2",
        "fp8",
        "$EVALSUITE_NVFP4_V2_URL, else http://localhost:8004/v1",
    ]
    assert rows["mine"][:2] == ["me/mine", "bf16"]
    assert rows["demo"] == ["word_problems", "demo_bf16, demo_fp8, demo_nvfp4, demo_nvfp4_v2"]
    assert rows["s"] == ["gsm8k", "model=NAME"]


@pytest.mark.slow
def test_a_sweep_lands_in_one_run(tmp_path: Path) -> None:
    """``-m``: two models one after the other, one run id, nothing of Hydra's left behind; again: nothing new."""
    words = ["run", "-m", "model=demo_bf16,demo_fp8", "task=word_problems", "sampling=greedy", "limit=5"]
    for _ in range(2):
        done = evalsuite(tmp_path, *words, TMPDIR=str(tmp_path))
        assert done.returncode == 0, done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["results"]
        (run,) = (tmp_path / "results").iterdir()
        assert {path.name for path in run.iterdir()} == {"demo_bf16", "demo_fp8", "report"}
    failed = evalsuite(tmp_path, *words, "models.demo_bf16.base_url=http://127.0.0.1:9/v1", "run_id=other")
    assert failed.returncode == 64
    assert "is not chosen" in failed.stderr


def test_demo_serves_one_model_until_it_is_told_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "evalsuite", "demo", "model=demo_nvfp4", "port=0"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = re.search(r"http://\S+/v1", process.stdout.readline())
        assert url
        taken = url[0].rsplit(":", 1)[1].removesuffix("/v1")
        with urllib.request.urlopen(f"{url[0]}/models", timeout=600) as answer:
            assert json.load(answer)["data"][0]["id"] == "demo_nvfp4"
        second = evalsuite(tmp_path, "demo", "model=demo_fp8", f"port={taken}")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=600)
    assert process.returncode == 0
    assert second.returncode == 64
    problem = f"port={taken} cannot be used (Address already in use): choose another one, or port=0"
    assert second.stderr == f"evalsuite: {problem}\n"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url[0]}/models", timeout=600)


def test_closed_and_full_streams_of_a_shell_end_no_command(tmp_path: Path) -> None:
    ends = {">&-": 0, "<&- >&- 2>&-": 0, ">/dev/full": Exit.STORAGE}
    for redirected, code in ends.items():
        line = f'"{sys.executable}" -m evalsuite tasks output=json {redirected}'
        done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), redirected
    line = f'"{sys.executable}" -m evalsuite show run=nope output=json >/dev/full'
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (Exit.STORAGE, False)
