"""Which sampling a model is asked with, and who states it."""

from pathlib import Path

import pytest

from evalsuite.config.compose import load_settings
from evalsuite.config.sampling import fields, model_sampling, sampling_origin
from evalsuite.errors import BadInput

CARD = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 64000, "top_k": 20}
OFF = {"min_p": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0}
OWN = "sampling: {temperature: 0.7, top_p: 0.8, origin: {generation_config: {temperature: 0.7, top_p: 0.8}}}\n"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    for name, text in {
        "own": f"checkpoint: org/own\n{OWN}",
        "plain": "checkpoint: org/plain\n",
        "quantized": "checkpoint: org/own-FP8\nbaseline: own\n",
        "of_card": "checkpoint: me/Qwen-NVFP4\nbaseline: nvfp4_v2\n",
    }.items():
        head = f"# @package models.{name}\ntitle: {name}\nprecision: bf16\nbase_url: http://localhost:1/v1\n"
        (tmp_path / "model" / f"{name}.yaml").write_text(f"{head}server: {{dialect: vllm}}\n{text}")
    return tmp_path


def sampled(conf: Path, model: str, *words: str) -> tuple[dict[str, float], dict[str, str]]:
    run = load_settings([f"model={model}", "task=gsm8k", *words], str(conf))
    own = model_sampling(run.sampling, run.models[model])
    return fields(own), sampling_origin(own)


def test_a_cards_values_are_for_the_models_of_that_card(conf: Path) -> None:
    for model in ("nvfp4_v2", "qwen3_5_9b_bf16", "of_card"):  # the last one by its baseline
        values, origin = sampled(conf, model)
        assert values == CARD | OFF
        assert (origin["temperature"], origin["top_k"], origin["min_p"]) == ("card", "generation_config", "ours")
    values, origin = sampled(conf, "own")
    assert values == {"temperature": 0.7, "top_p": 0.8, "max_tokens": 64000}
    assert origin == {"temperature": "generation_config", "top_p": "generation_config", "max_tokens": "ours"}
    values, origin = sampled(conf, "quantized")
    assert values["temperature"] == 0.7
    assert origin["temperature"] == "generation_config of own"


def test_a_model_without_a_source_is_asked_with_our_values(conf: Path) -> None:
    """The same ones as before, so that interrupted runs go on; what they are called is what changes."""
    values, origin = sampled(conf, "plain")
    assert values == CARD | OFF
    assert set(origin.values()) == {"ours"}
    assert set(sampled(conf, "plain", "sampling=card_literal")[1].values()) == {"ours"}


def test_the_command_line_comes_last(conf: Path) -> None:
    values, origin = sampled(conf, "own", "sampling.temperature=0.6", "sampling.top_k=5")
    assert (values["temperature"], values["top_p"], values["top_k"]) == (0.6, 0.8, 5)
    assert (origin["temperature"], origin["top_k"]) == ("ours", "ours")
    assert "top_k" not in sampled(conf, "nvfp4_v2", "sampling.top_k=null")[0]
    values, origin = sampled(conf, "plain", "models.plain.sampling.temperature=0.1")
    assert values == CARD | OFF | {"temperature": 0.1}
    for model in ("plain", "quantized", "nvfp4_v2"):
        whole = sampled(conf, model, f"models.{model}.sampling={{temperature: 0.1, top_p:0.9}}")
        single = [f"models.{model}.sampling.{field}" for field in ("temperature=0.1", "top_p=0.9")]
        assert whole == sampled(conf, model, *single)
    assert sampled(conf, "own", "sampling=greedy")[0] == {"temperature": 0.0, "top_p": 1.0, "max_tokens": 200}
    (conf / "suite").mkdir()
    suite = "# @package _global_\ndefaults:\n  - override /task: [gsm8k]\nsuite: short\nsampling: {max_tokens: 99}\n"
    (conf / "suite" / "short.yaml").write_text(suite)
    run = load_settings(["model=own", "suite=short"], str(conf))
    assert fields(model_sampling(run.sampling, run.models["own"]))["max_tokens"] == 99


def test_a_demo_model_brings_what_the_demo_suite_sets(conf: Path) -> None:
    suite = load_settings(["suite=demo"], str(conf)).sampling
    assert sampled(conf, "demo_bf16")[0] == fields(suite)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("sampling: 5", "sampling must hold fields"),
        ("sampling: {temperature: x}", "sampling.temperature"),
        ("sampling: {temperature: 1, origin: {card: 5}}", "sampling"),
        ("baseline: [own]", "must be the name of a model"),
    ],
)
def test_a_baselines_file_with_values_of_a_wrong_type_is_named(conf: Path, line: str, named: str) -> None:
    file = conf / "model" / "own.yaml"
    file.write_text(f"# @package models.own\ncheckpoint: org/own\n{line}\n")
    with pytest.raises(BadInput, match=f"{file}: .*{named}"):
        load_settings(["model=quantized", "task=gsm8k"], str(conf))
