"""The trained weights on disk: `config.json` and `model.safetensors` in Hugging Face's Qwen3 layout."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from evalsuite.demo.quantize import Array
from evalsuite.demo.text import WEIGHTS
from evalsuite.errors import BadInput


@dataclass(frozen=True, slots=True)
class Config:
    """The sizes of the model; names as in Hugging Face's `config.json`."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    max_position_embeddings: int
    """Context length in tokens, prompt and answer together."""
    vocab_size: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """BF16 weights, widened to float32 without loss, under their names on disk; linears are [out, in]."""

    config: Config
    weights: Mapping[str, Array]


def load_checkpoint(folder: Path = WEIGHTS) -> Checkpoint:
    """The checkpoint in `folder` (default: the shipped one), from `config.json` and `model.safetensors`.

    Raises `BadInput` for weights that are not BF16, `OSError` for a missing file, `KeyError` for a missing size.
    """
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = Config(
        hidden_size=raw["hidden_size"],
        intermediate_size=raw["intermediate_size"],
        num_hidden_layers=raw["num_hidden_layers"],
        num_attention_heads=raw["num_attention_heads"],
        num_key_value_heads=raw["num_key_value_heads"],
        head_dim=raw["head_dim"],
        rms_norm_eps=raw["rms_norm_eps"],
        rope_theta=raw["rope_theta"],
        max_position_embeddings=raw["max_position_embeddings"],
        vocab_size=raw["vocab_size"],
    )
    tensors = load_file(folder / "model.safetensors")
    return Checkpoint(config, {name: _widened(name, tensor) for name, tensor in tensors.items()})


def _widened(name: str, tensor: NDArray[Any]) -> Array:
    """A BF16 tensor as float32, without loss (NumPy knows the type once ml_dtypes is imported).

    Raises `BadInput`, with `name` in its message, for another type.
    """
    if tensor.dtype != ml_dtypes.bfloat16:
        raise BadInput(f"demo weights: {name} is {tensor.dtype}, not bfloat16")
    return np.asarray(tensor, np.float32)


def load_input_amax(folder: Path = WEIGHTS) -> dict[str, float]:
    """Group of linears (layer and name: `0.qkv`, `0.o`, `0.gate_up`, `0.down`, `1.qkv` ...) -> largest input magnitude
    of the calibration, from `input_amax.json` in `folder` (default: the shipped one).
    """
    table: dict[str, float] = json.loads((folder / "input_amax.json").read_text(encoding="utf-8"))
    return table
