"""Files of a configuration folder with odd content: one message that names the file, whatever the content is."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from evalsuite.cli.tasks import tasks_json
from evalsuite.config.compose import load_report, load_settings
from evalsuite.config.files import config_source, read_yaml
from evalsuite.config.paths import shipped
from evalsuite.config.settings import Run
from evalsuite.endpoint.identity.checkpoint import CheckpointFiles, base_model
from evalsuite.errors import BadInput
from evalsuite.plan.hardware import read_machine
from evalsuite.tasks.published import card_named
from tests.support.mutations import mutated

WRONG = {
    "a date": b"title: 2026-13-45",
    "a number": b"title: " + b"9" * 5000,
    "a boolean": b"title: !!bool x",
    "a time": b"title: !!timestamp x",
    "itself": b"title: &x [*x]",
    "depth": b"title: " + b"[" * 2_000,
    "indents": b"".join(b" " * depth + b"a:\n" for depth in range(700)),
    "a control": b"title: \x00",
    "utf-16": "title: x".encode("utf-16"),
    "twice": b"title: x\ntitle: y",
    "a list": b"- title",
    "a word": b"title",
}
MODEL = b"# @package models.m\ncheckpoint: org/m\nprecision: fp8\nbase_url: demo\nserver: {dialect: vllm}\n"


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())
def test_a_file_that_is_no_yaml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model" / "m.yaml"
    path.parent.mkdir()
    path.write_bytes(content)
    if content != WRONG["indents"]:
        with pytest.raises(BadInput, match=str(path)):
            read_yaml(path)
    base_model(CheckpointFiles({"README.md": f"---\n{content.decode('latin-1')}\n---\n"}))
    path.write_bytes(MODEL + content if content[:1] == b"t" and content != b"title" else content)
    if content not in (WRONG["a date"], WRONG["a number"]):  # texts, as the schema has it
        with pytest.raises(BadInput, match=str(path)):
            load_settings(["model=m", "task=gsm8k"], str(tmp_path), "plan")


def test_options_of_guest_tasks_may_be_empty_and_no_list(tmp_path: Path) -> None:
    path = tmp_path / "task" / "lm_eval.yaml"
    path.parent.mkdir()
    path.write_text("# @package tasks.lm_eval\nadapter: lm_eval\nvariant: task\noptions:\n")
    assert load_settings(["task=lm_eval:x"], str(tmp_path)).tasks["lm_eval_x"].options == {"task": "x"}
    path.write_text("# @package tasks.lm_eval\nadapter: lm_eval\nvariant: task\noptions: [1]\n")
    with pytest.raises(BadInput, match=str(path)):
        load_settings(["task=lm_eval:x"], str(tmp_path))


@pytest.mark.parametrize(
    "value",
    [
        *("alpha=5", "alpha=0", "alpha=nan", "suite_points=nan", "suite_points=-1", "tokens_ratio_max=-1"),
        *("margins.word_problems.points=inf", "margins.word_problems.points=-1", "margins.word_problems.tier=critcal"),
    ],
)
def test_a_gate_that_can_decide_nothing_is_refused_by_its_key(tmp_path: Path, value: str) -> None:
    (tmp_path / "R").mkdir()
    with pytest.raises(BadInput, match=rf"gate\.{value.partition('=')[0]}="):
        load_report(["run=R", f"results_dir={tmp_path}", "gate=demo", f"gate.{value}"], None, "gate")


CARD: dict[str, Any] = {
    **{"title": "t", "source": "s", "date": "2026", "settings": {"temperature": 0.6}, "errata": ["x"]},
    "columns": [{"key": "fp8", "title": "FP8", "checkpoint": "org/m"}],
    "rows": [{"task": "gsm8k", "title": "GSM8K", "scores": {"fp8": 0.5}, "n": 10, "note": "x"}],
    "groups": [{"task": "gsm8k", "group": "subject", "column": "fp8", "values": {"law": {"correct": 1, "n": 2}}}],
}


def test_cards_and_machines_with_values_of_other_types_are_named_or_read(tmp_path: Path) -> None:
    card, folder = tmp_path / "c.yaml", tmp_path / "hardware"
    folder.mkdir()
    source = config_source("run", Run, (), str(tmp_path))
    machine = read_yaml(shipped("conf") / "hardware" / "b200x8.yaml")
    refused = [0, 0]
    values = (None, True, 0, -1, 87.5, float("nan"), 10**400, "x", [], [1], {}, {"x": 1})
    for place, changed in mutated(CARD, values):
        card.write_text(yaml.dump(changed, Dumper=yaml.CSafeDumper))
        try:
            read = card_named(str(card))
        except BadInput as error:
            refused[0] += str(card) in str(error)
            continue
        score = read.score("gsm8k", "fp8")
        assert score is None or 0 <= score <= 1, place
        assert read.counts("gsm8k", "fp8") in ({"law": (1, 2)}, {}) or "values" in place, place
    for place, changed in mutated(machine, values):
        (folder / "m.yaml").write_text(yaml.dump(changed, Dumper=yaml.CSafeDumper))
        try:
            read_machine("m", source)
        except BadInput as error:
            refused[1] += str(folder / "m.yaml") in str(error)
            continue
        assert not place.startswith(("gpus=", "memory_gb=")) or place in ("memory_gb=87.5",), place
    assert min(refused) > 30


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gate/g", "margins: [gsm8k]"),
        ("gate/g", "margins: {t: 1}"),
        ("suite/s", "defaults: 5"),
        ("hardware/h", "tensor_parallel: 3"),
    ],
)
def test_a_list_of_files_names_one_of_another_form(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / f"{name}.yaml"
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(BadInput, match=f"{file}: a value has another form"):
        tasks_json(Run(config_dir=str(tmp_path)))


def test_suites_that_hydra_or_the_system_cannot_read_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    (folder / "s.yaml").mkdir(parents=True)
    with pytest.raises(BadInput, match="unknown suite 's'"):
        load_settings(["suite=s"], str(tmp_path))
    (folder / "t.yaml").write_text("# @package _global_\nsuite: t\ndefaults: 5\n")
    with pytest.raises(BadInput, match=f"{folder / 't.yaml'}: .*defaults must be a list"):
        load_settings(["suite=t"], str(tmp_path))
    with pytest.raises(BadInput, match=r"unknown launch\.kind 'x'"):
        load_settings(["task=gsm8k", "launch.kind=x"])
    with pytest.raises(BadInput, match=r"launch.jobs=0: must be 1 or more"):
        load_settings(["task=gsm8k", "launch.kind=joblib", "launch.jobs=0"])
