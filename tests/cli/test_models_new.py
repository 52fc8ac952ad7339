"""The configuration that ``evalsuite models new`` writes, from servers, folders and an unreachable hub."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalsuite.cli.main import dispatch
from evalsuite.config.compose import load_settings
from evalsuite.config.sampling import model_sampling, sampling_origin
from evalsuite.endpoint.identity.checkpoint import CheckpointFiles, base_model, stated_precision, stated_thinking
from evalsuite.errors import BadInput, Exit
from tests.support.scripted_endpoint import scripted_endpoint

SGLANG = {"model_path": "org/mine-FP8", "tp_size": 4, "quantization": "fp8", "reasoning_parser": "deepseek-r1"}
SGLANG |= {"max_model_len": 4096, "api_key": "sk-secret"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path


def written(*words: str) -> dict[str, Any]:
    assert dispatch(["models", "new", "mine", *words]) == Exit.DONE
    content: dict[str, Any] = yaml.safe_load(Path("mine/model/mine.yaml").read_text())
    return content


def test_what_a_server_states_is_written_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_endpoint(lambda _: "4", model="served", facts={"/server_info": SGLANG}) as server:
        content = written(f"base_url={server.base_url}")
    assert content["defaults"][0] == {"/server": "sglang"}
    assert (content["checkpoint"], content["precision"]) == ("org/mine-FP8", "fp8")
    assert content["expect"] == {"quantization": "fp8"}
    assert "--tensor-parallel-size 4 --reasoning-parser deepseek-r1" in content["launch"]["command"]
    assert content["sampling"] == {"max_tokens": 2048}
    text = Path("mine/model/mine.yaml").read_text()
    assert "secret" not in text
    assert "# the server's model path" in text
    assert "max_tokens: 2048 # ours: half of the context of 4,096 (stated by the server), at most 32,768" in text
    assert "thinking_switch" in content  # no template was found: none is sent, whoever's it might be
    run = load_settings(["model=mine", "task=gsm8k"], "mine")
    assert sampling_origin(model_sampling(run.sampling, run.models["mine"])) == {"max_tokens": "ours"}
    assert "evalsuite run --config-dir mine model=mine task=NAME" in capsys.readouterr().out


def test_a_checkpoint_whose_server_and_hub_are_away() -> None:
    content = written("checkpoint=org/mine", "base_url=http://127.0.0.1:9/v1")
    assert (content["checkpoint"], content["precision"]) == ("org/mine", "unknown")
    text = Path("mine/model/mine.yaml").read_text()
    assert "# the server: left out; no server answers" in text
    assert "# the checkpoint's files: left out; the hub cannot be reached" in text
    with pytest.raises(BadInput, match="is there already"):
        written("checkpoint=org/mine")


def test_a_precision_of_a_known_model_is_sampled_as_its_baseline(place: Path) -> None:
    folder = place / "quantized"
    folder.mkdir()
    (folder / "generation_config.json").write_text('{"temperature": 1.0}')
    front = "base_model: Qwen/Qwen3.5-397B-A17B-FP8\nbase_model_relation: quantized"
    (folder / "README.md").write_text(f"---\n{front}\n---\n")
    (folder / "hf_quant_config.json").write_text('{"quantization": {"quant_algo": "NVFP4"}}')
    assert written(f"checkpoint={folder}")["baseline"] == "fp8"
    run = load_settings(["model=[fp8,mine]", "task=gsm8k"], "mine")
    assert model_sampling(run.sampling, run.models["mine"]) == model_sampling(run.sampling, run.models["fp8"])


def test_texts_of_others_stay_texts(place: Path) -> None:
    folder = place / "hostile"
    folder.mkdir()
    config = {"quantization_config": {"quant_method": "${oc.env:HOME}", "bits": "\n- x"}, "torch_dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text("---\nbase_model: '${oc.env:HOME}/x\x1b[2J'\n---\n")
    (folder / "generation_config.json").write_text('{"temperature": 1e400, "top_k": true, "top_p": "0.5"}')
    content = written(f"checkpoint={folder}")
    assert content["precision"] == "bf16"
    assert content["sampling"] == {"max_tokens": 32768}
    assert "baseline" not in content


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "write evalsuite models new NAME checkpoint=ORG/REPO base_url=URL"),
        (["base_url=http://user:pw@x/v1"], "holds a user or password"),
        (["base_url=http://x/v1?api_key=1"], "seems to hold a key"),
        (["base_url=http://[x/v1"], "is no URL"),
    ],
)
def test_what_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        written(*words)
    assert message in str(caught.value)
    assert "pw" not in str(caught.value) or message == "holds a user or password"
    assert not Path("mine").exists()


SWITCHES = {
    "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}": (
        "enable_thinking",
        True,
    ),
    "{% if enable_thinking %}<think>{% endif %}": ("enable_thinking", False),
    "{% if enable_thinking is defined and enable_thinking is true %}<think>{% endif %}": ("enable_thinking", False),
    "{%- if (enable_thinking is defined and enable_thinking) or tools -%}<think>{% endif %}": (
        "enable_thinking",
        False,
    ),
    "{% if enable_thinking | default(false) %}<think>{% endif %}": ("enable_thinking", False),
    "{% if enable_thinking | default(true) %}<think>{% endif %}": ("enable_thinking", True),
    "{% set enable_thinking = enable_thinking if enable_thinking is defined else True %}": ("enable_thinking", True),
    "{% if not thinking is defined %}{% set thinking = false %}{% endif %}": ("thinking", False),
    "{{ message.thinking }}{# enable_thinking #}": (None, False),
    "{% broken thinking is defined": ("thinking", True),
}
"""Chat template -> (its switch, whether it thinks by default)."""


def test_the_switch_of_a_template() -> None:
    found = {template: stated_thinking(CheckpointFiles({"chat_template.jinja": template})) for template in SWITCHES}
    assert {text: (one.switch, one.default) if one else None for text, one in found.items()} == SWITCHES


def test_formats_of_public_quantizers() -> None:
    def precision(**declared: Any) -> str:
        files = CheckpointFiles({"config.json": json.dumps({"quantization_config": declared})})
        stated = stated_precision(files)
        return stated.name if stated else ""

    assert precision(quant_method="awq", bits=4) == "int4"
    weights = {"num_bits": 4, "type": "float", "group_size": 16}
    groups = {"group_0": {"weights": weights}}
    assert precision(quant_method="compressed-tensors", config_groups=groups) == "nvfp4"
    assert precision(quant_method="modelopt", quant_algo="MIXED_PRECISION") == "mixed_precision"
    assert base_model(CheckpointFiles({"README.md": "# none\n---\nbase_model: a/b\n---\n"})) == (None, "")
