"""Trains the demo model: `python -m tools.train --out evalsuite/demo/weights` (needs torch, run once).

A Qwen3-shaped decoder of 0.64 M parameters learns the five subjects of `problems` with their scratchpads, about
250 CPU-seconds. Hidden matrices are trained with Muon (https://kellerjordan.github.io/posts/muon/: momentum, then
the nearest semi-orthogonal matrix by Newton-Schulz), everything else with AdamW. The result is written in BF16 under
Hugging Face's names, together with its tokenizer, chat template and calibrated input scales.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save as save_tensors
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from evalsuite.demo.checkpoint import load_checkpoint
from evalsuite.demo.problems import Problem, training_problems
from evalsuite.demo.text import END_THINK, IM_END, IM_START, THINK, TextCodec, make_codec
from tools.calibrate import calibrate

SEED = 20261120
VOCABULARY = 395
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's published pre-tokenizer pattern: every digit is a token of its own."""

CONFIG: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "max_position_embeddings": 256,
    "attention_bias": False,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": VOCABULARY,
}

CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- else %}
{{- '<think>\\n' }}
{%- endif %}
{%- endif %}
"""
"""ChatML; the generation prompt opens the thinking block itself (or an empty one with thinking off)."""

Parameters = dict[str, torch.Tensor]


def train_tokenizer(texts: Iterator[str]) -> Tokenizer:
    """Byte-level BPE over `texts` with Qwen2's split and the four tokens of ChatML with thinking."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - 4, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([IM_START, IM_END])
    # Not "special": like Qwen3's, they stay visible in decoded text.
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in (THINK, END_THINK)])
    return tokenizer


def initial_parameters() -> Parameters:
    """Random weights under Hugging Face's names; matrices [out, in], norms [size]."""
    torch.manual_seed(SEED)
    d, mlp, head = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["head_dim"]
    q_rows, kv_rows = CONFIG["num_attention_heads"] * head, CONFIG["num_key_value_heads"] * head
    parameters = {"model.embed_tokens.weight": torch.randn(VOCABULARY, d) * 0.05, "model.norm.weight": torch.ones(d)}
    for layer in range(CONFIG["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        shapes = {
            "self_attn.q_proj": (q_rows, d),
            "self_attn.k_proj": (kv_rows, d),
            "self_attn.v_proj": (kv_rows, d),
            "self_attn.o_proj": (d, q_rows),
            "mlp.gate_proj": (mlp, d),
            "mlp.up_proj": (mlp, d),
            "mlp.down_proj": (d, mlp),
        }
        for name, (rows, columns) in shapes.items():
            parameters[f"{prefix}{name}.weight"] = torch.randn(rows, columns) / math.sqrt(columns)
        for name, size in (("input_layernorm", d), ("post_attention_layernorm", d)):
            parameters[f"{prefix}{name}.weight"] = torch.ones(size)
        for name in ("q_norm", "k_norm"):
            parameters[f"{prefix}self_attn.{name}.weight"] = torch.ones(head)
    return {name: tensor.requires_grad_() for name, tensor in parameters.items()}


def _norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight, CONFIG["rms_norm_eps"])


def _rotate(x: torch.Tensor) -> torch.Tensor:
    """RoPE on [batch, heads, time, head_dim], halves rotated against each other as in Qwen3."""
    half = x.shape[-1] // 2
    frequency = CONFIG["rope_theta"] ** (-torch.arange(half) / half)
    angle = torch.arange(x.shape[2])[:, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    left, right = x[..., :half], x[..., half:]
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)


def logits(p: Parameters, tokens: torch.Tensor) -> torch.Tensor:
    """Next-token logits [batch, time, vocabulary] for token ids [batch, time]."""
    batch, time_steps = tokens.shape
    head = CONFIG["head_dim"]
    x = p["model.embed_tokens.weight"][tokens]
    for layer in range(CONFIG["num_hidden_layers"]):
        attn, mlp = f"model.layers.{layer}.self_attn.", f"model.layers.{layer}.mlp."
        h = _norm(x, p[f"model.layers.{layer}.input_layernorm.weight"])
        q, k, v = (
            (h @ p[f"{attn}{part}_proj.weight"].T).view(batch, time_steps, -1, head).transpose(1, 2) for part in "qkv"
        )
        q = _rotate(_norm(q, p[f"{attn}q_norm.weight"]))
        k = _rotate(_norm(k, p[f"{attn}k_norm.weight"]))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + mixed.transpose(1, 2).reshape(batch, time_steps, -1) @ p[f"{attn}o_proj.weight"].T
        h = _norm(x, p[f"model.layers.{layer}.post_attention_layernorm.weight"])
        gated = F.silu(h @ p[f"{mlp}gate_proj.weight"].T) * (h @ p[f"{mlp}up_proj.weight"].T)
        x = x + gated @ p[f"{mlp}down_proj.weight"].T
    return _norm(x, p["model.norm.weight"]) @ p["model.embed_tokens.weight"].T


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """Muon's approximate U V^T of `matrix`: five Newton-Schulz steps with the published quintic coefficients."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def batches(codec: TextCodec, problems: Iterator[Problem], size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids and targets [size, longest]; targets are -100 where nothing is to be learnt (prompt, padding)."""
    while True:
        rows = []
        for problem in islice(problems, size):
            prompt = codec.encode(codec.render([{"role": "user", "content": problem.question}], thinking=True))
            rows.append((prompt, codec.encode(f"{problem.scratchpad}{END_THINK}\n\n{problem.answer}{IM_END}")))
        longest = max(len(prompt) + len(answer) for prompt, answer in rows) - 1
        tokens = torch.full((size, longest), codec.im_end)
        targets = torch.full((size, longest), -100)
        for row, (prompt, answer) in enumerate(rows):
            ids = torch.tensor(prompt + answer)
            tokens[row, : len(ids) - 1] = ids[:-1]
            targets[row, len(prompt) - 1 : len(ids) - 1] = ids[len(prompt) :]
        yield tokens, targets


def train(codec: TextCodec, steps: int, batch: int) -> tuple[Parameters, float, int]:
    """Trained parameters, mean loss over the last 20 steps (nats a token), and tokens seen."""
    parameters = initial_parameters()
    hidden = [p for name, p in parameters.items() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in parameters.items() if p.ndim == 1 or "embed" in name]
    adam = torch.optim.AdamW(others, lr=6e-3, betas=(0.9, 0.95), weight_decay=0.0)
    momentum = [torch.zeros_like(p) for p in hidden]
    losses: list[float] = []
    seen = 0
    data = batches(codec, training_problems(SEED), batch)
    for step, (tokens, targets) in enumerate(islice(data, steps)):
        # Warm up over 20 steps, hold, then go down linearly over the last half.
        scale = min(1.0, (step + 1) / 20, (steps - step) / (steps / 2))
        loss = F.cross_entropy(logits(parameters, tokens).flatten(0, 1), targets.flatten())
        torch.autograd.backward(loss)
        adam.param_groups[0]["lr"] = 6e-3 * scale
        adam.step()
        with torch.no_grad():
            for p, buffer in zip(hidden, momentum, strict=True):
                gradient = p.grad if p.grad is not None else torch.zeros_like(p)
                buffer.mul_(0.95).add_(gradient)
                update = orthogonalised(gradient + 0.95 * buffer)
                p.mul_(1 - 0.01 * 0.02 * scale)
                p.add_(update, alpha=-0.02 * scale * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)
        for p in parameters.values():
            p.grad = None
        losses.append(loss.item())
        seen += tokens.numel()
        if step % 50 == 0 or step == steps - 1:
            sys.stdout.write(f"step {step} loss {losses[-1]:.4f} cpu {time.process_time():.0f} s\n")
            sys.stdout.flush()
    return parameters, sum(losses[-20:]) / len(losses[-20:]), seen


def save(folder: Path, codec: TextCodec, parameters: Parameters) -> None:
    """Writes the checkpoint in BF16, its config, tokenizer and chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.asarray(p.detach().numpy(), ml_dtypes.bfloat16) for name, p in parameters.items()}
    (folder / "model.safetensors").write_bytes(save_tensors(arrays, metadata={"format": "pt"}))
    config = {**CONFIG, "eos_token_id": codec.im_end}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    codec.tokenizer.save(str(folder / "tokenizer.json"))


def main() -> None:
    """Trains, saves, calibrates, and prints what it took."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1100)
    parser.add_argument("--batch", type=int, default=32)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    texts = (f"user\n{p.question}\nassistant\n{p.scratchpad}" for p in islice(training_problems(SEED), 20_000))
    codec = make_codec(train_tokenizer(texts), CHAT_TEMPLATE)
    parameters, loss, seen = train(codec, arguments.steps, arguments.batch)
    save(arguments.out, codec, parameters)
    scales = calibrate(load_checkpoint(arguments.out), codec)
    (arguments.out / "input_amax.json").write_text(json.dumps(scales, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(
        f"{arguments.steps} steps of {arguments.batch} problems, {seen} tokens, loss {loss:.4f}, "
        f"{time.process_time():.0f} CPU-s, torch {torch.__version__}\n"
    )


if __name__ == "__main__":
    main()
