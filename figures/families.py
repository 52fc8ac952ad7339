"""Ten checkpoints of other families through ``evalsuite models new``: every value and every origin.

The folders are made with the shapes of public files. Sampling is that of the ``generation_config.json`` named beside
each; chat templates are reduced to the lines that switch thinking, as the public ones have them.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from evalsuite.config.compose import load_settings
from evalsuite.config.sampling import fields, model_sampling, sampling_origin
from figures.line import Line

_MESSAGES = "{% for message in messages %}{{ message.role }}{{ message.content }}{% endfor %}"
_QWEN = "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>{% endif %}"
_THINK = [["<think>", "</think>"]]
_HARMONY = [["<|channel|>analysis<|message|>", "<|channel|>final<|message|>"]]


@dataclass(frozen=True, slots=True)
class Family:
    """The files of a checkpoint, and what must come of them."""

    checkpoint: str
    generation: dict[str, Any]
    config: dict[str, Any]
    template: str
    sampling: dict[str, float]
    """What the generation configuration states; ``max_tokens`` is always evalsuite's own."""
    precision: str
    thinking: bool
    switch: dict[str, Any] = field(default_factory=dict)
    """Arguments that switch thinking on; none: there is no switch."""
    tags: list[list[str]] = field(default_factory=list)
    quantization: dict[str, Any] = field(default_factory=dict)
    """``hf_quant_config.json``."""


_FP8 = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
_INT4 = {"config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 32}}}}
_BF16 = {"torch_dtype": "bfloat16", "max_position_embeddings": 131072}
FAMILIES = {
    "glm": Family(  # huggingface.co/zai-org/GLM-4.6 at 2e51388
        "zai-org/GLM-4.6",
        {"_from_model_config": True, "eos_token_id": [151329, 151336, 151338], "temperature": 1.0},
        {"torch_dtype": "bfloat16", "max_position_embeddings": 202752},
        _MESSAGES + "{{ '<think></think>' if (enable_thinking is defined and not enable_thinking) else '' }}",
        {"temperature": 1.0},
        *("bf16", True, {"enable_thinking": True}, _THINK),
    ),
    "deepseek": Family(  # deepseek-ai/DeepSeek-R1-Distill-Qwen-32B at 2d78713; V3.1's switch (vLLM's examples/)
        "deepseek-ai/DeepSeek-V3.1",
        {"_from_model_config": True, "do_sample": True, "temperature": 0.6, "top_p": 0.95},
        {"torch_dtype": "bfloat16", "max_position_embeddings": 163840, "quantization_config": _FP8},
        "{% if not thinking is defined %}{% set thinking = false %}{% endif %}"
        "{% if thinking %}<think>{% else %}</think>{% endif %}",
        {"temperature": 0.6, "top_p": 0.95},
        *("fp8", False, {"thinking": True}, _THINK),
    ),
    "gpt_oss": Family(  # openai/gpt-oss-120b: no temperature in its generation_config.json
        "openai/gpt-oss-120b",
        {"bos_token_id": 199998, "do_sample": True, "eos_token_id": [200002, 199999, 200012]},
        {"max_position_embeddings": 131072, "quantization_config": {"quant_method": "mxfp4"}},
        '{% if reasoning_effort is not defined %}{% set reasoning_effort = "medium" %}{% endif %}'
        "{% if message.thinking %}<|channel|>analysis<|message|>{{ message.thinking }}{% endif %}",
        {},
        *("mxfp4", True, {}, _HARMONY),
    ),
    "kimi": Family(  # moonshotai/Kimi-K2.5: token ids only
        "moonshotai/Kimi-K2.5",
        {"max_length": 262144, "eos_token_id": 163586},
        {"text_config": {"max_position_embeddings": 262144, "dtype": "bfloat16"}}
        | {"quantization_config": {"quant_method": "compressed-tensors", **_INT4}},
        "{% if thinking is defined and thinking is false %}<think></think>{% else %}<think>{% endif %}",
        {},
        *("int4", True, {"thinking": True}, _THINK),
    ),
    "minimax": Family(  # MiniMaxAI/MiniMax-M2 at e977417
        "MiniMaxAI/MiniMax-M2",
        {"do_sample": True, "temperature": 1.0, "top_p": 0.95, "top_k": 40, "transformers_version": "4.46.1"},
        {"max_position_embeddings": 196608, "quantization_config": _FP8},
        _MESSAGES + "]~b]ai\n<think>\n",
        {"temperature": 1.0, "top_p": 0.95, "top_k": 40},
        *("fp8", True, {}, _THINK),
    ),
    "nemotron": Family(  # nvidia/Llama-3.1-Nemotron-70B-Instruct-HF at 475e82d: greedy
        "nvidia/Llama-3.1-Nemotron-70B-Instruct-FP8",
        {"bos_token_id": 128000, "do_sample": False, "eos_token_id": [128001, 128008, 128009], "top_p": 1.0},
        _BF16,
        _MESSAGES,
        {"temperature": 0.0, "top_p": 1.0},
        *("fp8", False, {}, []),
        {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}},
    ),
    "llama": Family(  # meta-llama/Llama-3.3-70B-Instruct, copied in bartowski/...-exl2 at 1a3d5ac
        "nvidia/Llama-3.3-70B-Instruct-NVFP4",
        {"bos_token_id": 128000, "do_sample": True, "temperature": 0.6, "top_p": 0.9},
        _BF16,
        _MESSAGES,
        {"temperature": 0.6, "top_p": 0.9},
        *("nvfp4", False, {}, []),
        {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}},
    ),
    "gemma": Family(  # google/gemma-3: no temperature (tylee4/gemma_trl at 1f0cf6a holds the same)
        "google/gemma-3-27b-it",
        {"cache_implementation": "hybrid", "do_sample": True, "eos_token_id": [1, 106], "top_k": 64, "top_p": 0.95},
        {"torch_dtype": "bfloat16", "text_config": {"max_position_embeddings": 131072}},
        _MESSAGES,
        {"top_p": 0.95, "top_k": 64},
        *("bf16", False, {}, []),
    ),
    "mistral": Family(  # mistral3 as saved by transformers 4.57: temperature null (ariG23498/Mistral-Small at 70b0f2b)
        "mistralai/Mistral-Small-3.2-24B-Instruct-2506",
        {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2, "temperature": None},
        {"dtype": "bfloat16", "text_config": {"max_position_embeddings": 131072}},
        "[INST]{{ messages[0].content }}[/INST]",
        {},
        *("bf16", False, {}, []),
    ),
    "qwen": Family(  # Qwen/Qwen3-235B-A22B
        "Qwen/Qwen3-235B-A22B",
        {"bos_token_id": 151643, "do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95},
        {"torch_dtype": "bfloat16", "max_position_embeddings": 40960},
        _MESSAGES + _QWEN,
        {"temperature": 0.6, "top_p": 0.95, "top_k": 20},
        *("bf16", True, {"enable_thinking": True}, _THINK),
    ),
}


def lay_out(family: Family, folder: Path) -> Path:
    """Write the files of a checkpoint."""
    folder.mkdir(parents=True)
    files = {"generation_config.json": family.generation, "config.json": family.config}
    if family.quantization:
        files["hf_quant_config.json"] = family.quantization
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(family.template, encoding="utf-8")
    (folder / "README.md").write_text(f"---\nlicense: mit\n---\n# {family.checkpoint}\n", encoding="utf-8")
    return folder


def differences(name: str, family: Family, folder: Path) -> list[str]:
    """Where the written configuration, or what a run sends with it, is not what the files state."""
    checkpoint = lay_out(family, folder / name)
    call = [sys.executable, "-m", "evalsuite", "models", "new", name, f"checkpoint={checkpoint}"]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        return [done.stderr.strip()]
    path = folder / "mine" / "model" / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    run = load_settings([f"model={name}", "task=gsm8k"], str(folder / "mine"))
    model = run.models[name]
    sent = model_sampling(run.sampling, model)
    values, origin = fields(sent), sampling_origin(sent)
    values.pop("max_tokens", None)
    expected = {
        "sampling": (family.sampling, values),
        "origin": (dict.fromkeys(family.sampling, "generation_config") | {"max_tokens": "ours"}, origin),
        "precision": (family.precision, model.precision),
        "thinking": (family.thinking, model.thinking),
        "switch": (family.switch, model.thinking_switch.get("on")),
        "off": ({key: False for key in family.switch}, model.thinking_switch.get("off")),
        "tags": (family.tags, model.thinking_switch.get("tags", [])),
        "baseline": (None, model.baseline),
        "comments": ([], _without_source(text)),
    }
    return [f"{key}: {got}, not {wanted}" for key, (wanted, got) in expected.items() if got != wanted]


def _without_source(text: str) -> list[str]:
    """Lines with a value of the model that name no source."""
    keys = yaml.safe_load(text).keys() - {"defaults", "sampling", "launch"}
    lines = [line for line in text.splitlines() if re.match(r"( {2})?\w+:", line)]
    values = [line for line in lines if line.strip().split(":")[0] in keys or line.startswith("  ")]
    return [line for line in values if " # " not in line and not line.strip().startswith("origin:")]


def families(folder: Path) -> list[Line]:
    """The figure: all ten, and those that are not as their files state."""
    wrong = {name: differences(name, family, folder) for name, family in FAMILIES.items()}
    bad = "; ".join(f"{name}: {', '.join(lines)}" for name, lines in wrong.items() if lines)
    right = sum(not lines for lines in wrong.values())
    return [
        Line(
            "ten checkpoints of other families, files to configuration to request: values and origins",
            "all true, none of another family",
            f"{right} of {len(wrong)}" + (f" ({bad})" if bad else ""),
        )
    ]
