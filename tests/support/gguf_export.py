"""Writes the demo checkpoint as a GGUF file, so that llama.cpp, an independent implementation, can serve it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite.demo.checkpoint import load_checkpoint
from evalsuite.demo.text import END_THINK, IM_END, IM_START, THINK, WEIGHTS

LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def export(path: Path, kind: str = "F32") -> None:
    """The BF16 weights as ``kind`` of GGML (F32: widened without loss), with tokenizer and chat template."""
    import gguf

    checkpoint = load_checkpoint()
    config = checkpoint.config
    writer = gguf.GGUFWriter(str(path), "qwen3")
    writer.add_name("evalsuite demo")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    _add_tokenizer(writer)
    quantization = gguf.GGMLQuantizationType[kind]
    for name, tensor in checkpoint.weights.items():
        if tensor.ndim == 2 and kind != "F32":
            quantized = gguf.quants.quantize(np.ascontiguousarray(tensor, dtype=np.float32), quantization)
            writer.add_tensor(gguf_name(name), quantized, raw_dtype=quantization)
        else:
            writer.add_tensor(gguf_name(name), np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(name: str) -> str:
    """GGUF's name of a tensor that Hugging Face calls `name`."""
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{LAYER_NAMES[rest.removesuffix('.weight')]}.weight"


def _add_tokenizer(writer: Any) -> None:
    import gguf

    raw = json.loads((WEIGHTS / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = dict(raw["model"]["vocab"])
    vocabulary.update({token["content"]: token["id"] for token in raw["added_tokens"]})
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    kinds = {
        IM_START: gguf.TokenType.CONTROL,
        IM_END: gguf.TokenType.CONTROL,
        THINK: gguf.TokenType.USER_DEFINED,
        END_THINK: gguf.TokenType.USER_DEFINED,
    }
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in raw["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.get(token, gguf.TokenType.NORMAL) for token in tokens])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(vocabulary[IM_END])
    writer.add_pad_token_id(vocabulary[IM_END])
    writer.add_add_bos_token(False)
    writer.add_chat_template((WEIGHTS / "chat_template.jinja").read_text(encoding="utf-8"))
