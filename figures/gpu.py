"""Fingerprints of a server on a GPU: ``python -m figures.gpu RESULT.json [TAKES]`` (needs torch with CUDA).

The demo model in PyTorch behind the demo's protocol: BF16 weights, activations and KV cache, batches of whatever
requests happen to run together, so that kernels and orders of summation change with the batch as on a real server. A
second server multiplies in FP8 (E4M3, static scales, ``torch._scaled_mm``), a third holds NVFP4 weights in BF16. Each
take asks for one fingerprint while a random number of other requests share the batches.

Asked: how wide the spread is under batching, how often a server is refused as another one although it is the same
(100 restarts and batch sizes), and whether each true pair is distinguished.
"""

import argparse
import asyncio
import itertools
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.demo import app as demo_app
from evalsuite.demo import service as demo_service
from evalsuite.demo.checkpoint import Checkpoint, load_checkpoint, load_input_amax
from evalsuite.demo.engine import SLOTS, BatchEngine, GeneratedToken
from evalsuite.demo.linear import dequantized
from evalsuite.demo.quantize import fp8_scale
from evalsuite.demo.sampling import choose
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.identity import capture, fingerprint
from evalsuite.endpoint.identity.fingerprint import Fingerprint

SCHEMES = ("bf16", "fp8", "nvfp4")
LOADS = (0, 1, 3, 7, 15, 27)
"""Other requests that run beside the fingerprint's."""
BLOCK = 16
"""Attention reads the cache in multiples of this many positions, as far as the longest request of the batch."""


@dataclass(slots=True)
class TorchModel:
    """The demo model on a device; all tensors BF16 but the norms' sums."""

    scheme: str
    device: str
    config: Any
    weights: dict[str, Any] = field(default_factory=dict)
    scales: dict[str, Any] = field(default_factory=dict)
    """FP8: weight and input scale of each linear."""

    def linear(self, name: str, x: Any) -> Any:
        """``x @ weight.T`` with the scheme's kernel."""
        import torch

        weight = self.weights[name]
        if name not in self.scales:
            return x @ weight.T
        weight_scale, input_scale = self.scales[name]
        quantized = (x.float() / input_scale).clamp(-448, 448).to(torch.float8_e4m3fn)
        return torch._scaled_mm(
            quantized, weight.T, scale_a=input_scale, scale_b=weight_scale, out_dtype=torch.bfloat16
        )


def load(scheme: str, device: str) -> TorchModel:
    """The packaged weights at a scheme."""
    import torch

    checkpoint: Checkpoint = load_checkpoint()
    model = TorchModel(scheme, device, checkpoint.config)
    amax = load_input_amax()
    groups = {"q_proj": "qkv", "k_proj": "qkv", "v_proj": "qkv", "o_proj": "o", "gate_proj": "gate_up"}
    groups |= {"up_proj": "gate_up", "down_proj": "down"}
    for name, weight in checkpoint.weights.items():
        kind = name.split(".")[-2]
        if kind not in groups or scheme == "bf16":
            model.weights[name] = torch.tensor(weight, device=device, dtype=torch.bfloat16)
        elif scheme == "nvfp4":
            model.weights[name] = torch.tensor(dequantized(weight, "nvfp4"), device=device, dtype=torch.bfloat16)
        else:
            scale = float(fp8_scale(float(np.abs(weight).max())))
            tensor = torch.tensor(weight / scale, device=device).clamp(-448, 448)
            model.weights[name] = tensor.to(torch.float8_e4m3fn)
            layer = name.split(".")[2]
            inputs = float(fp8_scale(amax.get(f"{layer}.{groups[kind]}", 1.0)))
            as_tensor = [torch.tensor(value, device=device, dtype=torch.float32) for value in (scale, inputs)]
            model.scales[name] = (as_tensor[0], as_tensor[1])
    return model


class TorchEngine(BatchEngine):
    """The demo's continuous batching over a ``TorchModel``: prompts one by one, decoding all together."""

    torch_model: TorchModel

    def prepare(self, model: TorchModel) -> "TorchEngine":
        """Give the engine its device model and an empty cache."""
        import torch

        config = model.config
        shape = (config.num_hidden_layers, SLOTS, config.num_key_value_heads, config.max_position_embeddings)
        self.torch_model = model
        self.keys = torch.zeros((*shape, config.head_dim), device=model.device, dtype=torch.bfloat16)
        self.values = torch.zeros_like(self.keys)
        return self

    def _prefill(self, slot: int, running: Any) -> GeneratedToken:
        tokens = np.array(running.job.prompt, np.intp)
        rows = np.full(len(tokens), slot)
        logits = forward(self.torch_model, (self.keys, self.values), rows, np.arange(len(tokens)), tokens)[-1]
        return self._take(slot, running, logits, choose(logits, running.job.sampling, running.rng))

    def _decode(self) -> list[GeneratedToken]:
        active = [(slot, running) for slot, running in enumerate(self._slots) if running is not None]
        if not active:
            return []
        slots, positions, latest = (
            np.array(values, np.intp)
            for values in zip(*((slot, running.position, running.latest) for slot, running in active), strict=True)
        )
        logits = forward(self.torch_model, (self.keys, self.values), slots, positions, latest)
        return [
            self._take(slot, running, row, choose(row, running.job.sampling, running.rng))
            for row, (slot, running) in zip(logits, active, strict=True)
        ]


def forward(
    model: TorchModel, cache: tuple[Any, Any], slots: np.ndarray, positions: np.ndarray, tokens: np.ndarray
) -> np.ndarray:
    """Logits [rows, vocabulary] (float32) of rows that stand at ``positions`` of their ``slots``."""
    import torch
    import torch.nn.functional as F

    config, device = model.config, model.device
    heads, groups, size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    with torch.inference_mode():
        at, where = torch.tensor(slots, device=device), torch.tensor(positions, device=device)
        reach = min(-(-(int(positions.max()) + 1) // BLOCK) * BLOCK, config.max_position_embeddings)
        mask = torch.arange(reach, device=device)[None, :] <= where[:, None]
        cosine, sine = _rotation(config, where)
        x = model.weights["model.embed_tokens.weight"][torch.tensor(tokens, device=device)]
        for layer in range(config.num_hidden_layers):
            prefix = f"model.layers.{layer}"
            normed = _norm(x, model.weights[f"{prefix}.input_layernorm.weight"], config.rms_norm_eps)
            q, k, v = (
                model.linear(f"{prefix}.self_attn.{part}_proj.weight", normed).view(len(x), -1, size) for part in "qkv"
            )
            q, k = (
                _turned(
                    _norm(part, model.weights[f"{prefix}.self_attn.{name}_norm.weight"], config.rms_norm_eps),
                    cosine,
                    sine,
                )
                for part, name in ((q, "q"), (k, "k"))
            )
            cache[0][layer][at, :, where] = k
            cache[1][layer][at, :, where] = v
            keys, values = (part[layer][at, :, :reach].repeat_interleave(heads // groups, 1) for part in cache)
            mixed = F.scaled_dot_product_attention(q[:, :, None], keys, values, attn_mask=mask[:, None, None])
            x = x + model.linear(f"{prefix}.self_attn.o_proj.weight", mixed.reshape(len(x), -1))
            normed = _norm(x, model.weights[f"{prefix}.post_attention_layernorm.weight"], config.rms_norm_eps)
            gate, up = (model.linear(f"{prefix}.mlp.{part}_proj.weight", normed) for part in ("gate", "up"))
            x = x + model.linear(f"{prefix}.mlp.down_proj.weight", F.silu(gate) * up)
        x = _norm(x, model.weights["model.norm.weight"], config.rms_norm_eps)
        logits: np.ndarray = (x @ model.weights["model.embed_tokens.weight"].T).float().cpu().numpy()
    return logits


def _norm(x: Any, weight: Any, eps: float) -> Any:
    wide = x.float()
    return (wide * (wide.square().mean(-1, keepdim=True) + eps).rsqrt()).to(x.dtype) * weight


def _rotation(config: Any, positions: Any) -> tuple[Any, Any]:
    import torch

    half = config.head_dim // 2
    steps = torch.arange(half, device=positions.device, dtype=torch.float32)
    angle = positions[:, None].float() * config.rope_theta ** (-steps / half)
    return torch.cat((angle.cos(), angle.cos()), -1)[:, None], torch.cat((-angle.sin(), angle.sin()), -1)[:, None]


def _turned(x: Any, cosine: Any, sine: Any) -> Any:
    import torch

    half = x.shape[-1] // 2
    swapped = torch.cat((x[..., half:], x[..., :half]), -1)
    return (x.float() * cosine + swapped.float() * sine).to(x.dtype)


def make_app(model: TorchModel) -> web.Application:
    """The demo's application with a fresh engine on the device: a restarted server."""
    made = demo_app.make_app("demo_bf16")
    made.cleanup_ctx.clear()

    async def life(app: web.Application) -> Any:
        service = demo_service.load_service("demo_bf16", asyncio.get_running_loop())
        plain = service.engine
        engine = TorchEngine(plain.model, plain.eos, plain.deliver, plain.failed).prepare(model)
        service.engine = engine
        app[demo_service.SERVICE] = service
        engine.start()
        yield
        await asyncio.to_thread(engine.stop)

    made.cleanup_ctx.append(life)
    return made


async def take(model: TorchModel, load_: int, rng: random.Random) -> Fingerprint:
    """One fingerprint of a freshly started server that serves ``load_`` other requests."""
    runner = web.AppRunner(make_app(model), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    client = connect(Model("m", "m", None, "m", base_url=url, server=Server("sglang")), Engine(), "demo_bf16", 64)
    others = [asyncio.create_task(_busy(url, rng.randrange(10**6))) for _ in range(load_)]
    try:
        await asyncio.sleep(0.05 if others else 0)  # they are under way; how far does not matter
        found, _ = await capture.take_fingerprint(client)
    finally:
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await client.close()
        await runner.cleanup()
    return found


async def _busy(url: str, seed: int) -> None:
    """Requests of random lengths, one after the other, until cancelled."""
    from aiohttp import ClientSession

    rng = random.Random(seed)
    async with ClientSession() as session:
        while True:
            body = {
                "model": "demo_bf16",
                "messages": [{"role": "user", "content": "word " * rng.randrange(1, 20)}],
                "max_tokens": rng.randrange(4, 60),
                "temperature": 1.0,
                "seed": rng.randrange(10**6),
            }
            async with session.post(f"{url}/chat/completions", json=body) as response:
                await response.read()


EVERY = {"bf16": 1, "fp8": 2, "nvfp4": 4}
"""A scheme is taken in every so many rounds: most restarts are of the baseline."""


def measure(takes: int, device: str, seconds: float) -> dict[str, Any]:
    """All figures as plain values: spreads, distances and verdicts of each scheme, and of each pair.

    Ends after ``takes`` rounds, or when ``seconds`` have passed; the result holds what was measured.
    """
    end = time.monotonic() + seconds
    rng = random.Random(20261126)
    models = {scheme: load(scheme, device) for scheme in SCHEMES}
    known = {scheme: asyncio.run(take(model, 0, rng)) for scheme, model in models.items()}
    again: dict[str, list[dict[str, Any]]] = {scheme: [] for scheme in SCHEMES}
    prints: dict[str, list[Fingerprint]] = {scheme: [] for scheme in SCHEMES}
    for number in itertools.takewhile(lambda _: time.monotonic() < end, range(takes)):
        for scheme, model in models.items():
            if number % EVERY[scheme]:
                continue
            load_ = LOADS[number // EVERY[scheme] % len(LOADS)]
            found = asyncio.run(take(model, load_, rng))
            prints[scheme].append(found)
            compared = fingerprint.compare(known[scheme], found)
            row = {"load": load_, "spread": found.spread, "distance": compared.distance}
            again[scheme].append({**row, "verdict": compared.verdict})
    pairs = {
        f"{one} {other}": [
            fingerprint.compare(left, right).verdict for left in prints[one][:20] for right in prints[other][:20]
        ]
        for one, other in itertools.combinations(SCHEMES, 2)
    }
    return {"known_spread": {name: found.spread for name, found in known.items()}, "again": again, "pairs": pairs}


def summary(found: Mapping[str, Any]) -> list[str]:
    """The figures in words."""
    lines = []
    for scheme, rows in found["again"].items():
        spreads = sorted(row["spread"] for row in rows)
        distances = sorted(row["distance"] or 0.0 for row in rows)
        counts = dict(Counter(row["verdict"] for row in rows))
        spread = f"spread {statistics.median(spreads):.4f} at most {spreads[-1]:.4f} nats"
        distance = f"distance {statistics.median(distances):.4f} at most {distances[-1]:.4f}"
        lines.append(f"{scheme}: {len(rows)} restarts, {spread}, {distance}, {counts}")
    for pair, verdicts in found["pairs"].items():
        lines.append(f"{pair}: {dict(Counter(verdicts))} of {len(verdicts)}")
    return lines


def main() -> int:
    """Measure, write the file, print the summary."""
    parser = argparse.ArgumentParser(description="Fingerprints of the demo model on a GPU.")
    parser.add_argument("result", type=Path)
    parser.add_argument("takes", type=int, nargs="?", default=100)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=3600.0)
    options = parser.parse_args()
    found = measure(options.takes, options.device, options.seconds)
    options.result.write_text(json.dumps(found, indent=1), encoding="utf-8")
    sys.stdout.write("\n".join(summary(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
