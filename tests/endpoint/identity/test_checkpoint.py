"""Files of a checkpoint with values of other types and hostile templates: what they state is taken or left out."""

import json
from typing import Any

import pytest

from evalsuite.endpoint.identity import checkpoint
from evalsuite.endpoint.identity.checkpoint import CheckpointFiles, read_files
from tests.support.mutations import mutated

FILES: dict[str, dict[str, Any]] = {
    "config.json": {
        "max_position_embeddings": 4096,
        "torch_dtype": "bfloat16",
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "config_groups": {"g": {"weights": {"type": "float", "num_bits": 4, "group_size": 16}}},
            "ignore": ["lm_head"],
        },
        "text_config": {"max_position_embeddings": 10},
    },
    "generation_config.json": {"temperature": 0.6, "top_k": 20, "max_new_tokens": 100, "do_sample": True},
    "hf_quant_config.json": {"quantization": {"quant_algo": "NVFP4", "exclude_modules": ["lm_head"]}},
    "tokenizer_config.json": {"chat_template": [{"name": "default", "template": "{{ enable_thinking }}</think>"}]},
    "model.safetensors.index.json": {"metadata": {"total_size": 1e9}},
}


def stated(files: CheckpointFiles) -> list[Any]:
    return [
        checkpoint.stated_sampling(files),
        checkpoint.stated_context(files),
        checkpoint.stated_precision(files),
        checkpoint.stated_thinking(files),
        checkpoint.base_model(files),
        checkpoint.weights_gb(files),
    ]


@pytest.mark.parametrize("name", FILES)
def test_a_value_of_another_type_is_left_out(name: str) -> None:
    texts = {file: json.dumps(content) for file, content in FILES.items()}
    if name == "config.json":
        del texts["hf_quant_config.json"]
    for place, changed in mutated(FILES[name]):
        sampling = stated(CheckpointFiles({**texts, name: json.dumps(changed)}))[0]
        numbers = {field for field, value in sampling.items() if type(value) in (int, float) and abs(value) < 1e15}
        assert numbers == sampling.keys(), place


@pytest.mark.parametrize(
    "part",
    ["{{ 'x' * 9000000000000 }}", "{{ 'x' | center(9000000000000) }}", "{{ " + "9" * 5000 + " }}", "{{ 1 / 0 }}"],
)
def test_a_hostile_template_computes_nothing(part: str) -> None:
    template = part + "{% if enable_thinking is defined and enable_thinking %}<think>{% endif %}</think>"
    thinking = checkpoint.stated_thinking(CheckpointFiles({"chat_template.jinja": template}))
    assert thinking is not None
    assert (thinking.switch, thinking.effort) == ("enable_thinking", False)


@pytest.mark.parametrize("checkpoint", ["~nobody-of-this-name/x", "a" * 5000, "a\0b", "/" + "a" * 5000])
def test_a_name_that_is_no_folder_is_a_note(checkpoint: str) -> None:
    found = read_files(checkpoint, download=False)
    assert not found.texts
    assert "is no folder of this machine" in found.note
