"""NumPy inference of the demo model: prefill of one prompt, one decoding step of many, with a KV cache.

**A prompt gives the same bits alone and in any company.** Linear layers are exact (see `linear`), everything else acts
on one row at a time, and attention is one small matrix product per request whose shape comes from that request's own
length. The tests hold it at every precision.

Letters in shapes: n rows, d = hidden size, h = heads, g = KV heads, e = head dimension, v = vocabulary.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.demo.checkpoint import Checkpoint, Config
from evalsuite.demo.linear import RECIPES, Linear, make_linear
from evalsuite.demo.quantize import Array

Ints = NDArray[np.intp]
Attend = Callable[[int, Array, Array, Array], Array]
"""(layer, queries [n, h, e], keys [n, g, e], values [n, g, e]) to mixed values [m, h * e] of the last m <= n rows."""

CAPACITIES: tuple[int, ...] = (64, 96, 128, 192, 256)
"""A decoding request attends over the smallest of these that holds its own text so far."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer; its linears at the precision asked for."""

    input_norm: Array
    """[d]."""
    qkv: Linear
    qk_norm: Array
    """[h + g, e]: the query norm's weights for each query head, then the key norm's."""
    o: Linear
    post_norm: Array
    """[d]."""
    gate_up: Linear
    down: Linear


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A checkpoint at one precision."""

    config: Config
    embedding: Array
    """[v, d], BF16 values."""
    layers: tuple[Layer, ...]
    norm: Array
    """[d]."""
    head: Linear
    cosine: Array
    """[context, 1, e]: RoPE, both halves."""
    sine: Array
    """[context, 1, e]: RoPE, negated in the first half."""
    mask: Array
    """[context, context]: 0 up to and including the own position, then -inf."""
    noise: np.random.Generator | None = None
    """Rounds the output of every norm to BF16 up or down at random, as another kernel's order of summation would move
    it; None: results are exact and repeatable. One thread may use it."""


@dataclass(frozen=True, slots=True)
class Cache:
    """Keys and values of the requests being served, each in a slot of its own."""

    keys: Array
    """[layers, slots, g, context, e]."""
    values: Array
    """[layers, slots, g, context, e]."""


def build(
    checkpoint: Checkpoint, precision: str, input_amax: Mapping[str, float], noise: int | None = None
) -> LanguageModel:
    """The model at one of the precisions in `RECIPES` (such as `demo_fp8`); the linear layers of its blocks are
    quantized here, the output head is BF16 in all of them.

    `input_amax`: largest input of each group of linears, `0.qkv` and so on (a missing group counts as 1); `noise`: seed
    of random rounding at the norms (see `LanguageModel`), None: exact. Raises `KeyError` for another precision and for
    a checkpoint that lacks a weight.
    """
    config, weights, recipe = checkpoint.config, checkpoint.weights, RECIPES[precision]
    layers = []
    for index in range(config.num_hidden_layers):
        prefix = f"model.layers.{index}"

        def linear(group: str, part: str, names: tuple[str, ...], at: str = prefix, place: int = index) -> Linear:
            tensors = [weights[f"{at}.{name}_proj.weight"] for name in names]
            return make_linear(tensors, recipe[part], input_amax.get(f"{place}.{group}", 1.0))

        q_norm, k_norm = (weights[f"{prefix}.self_attn.{name}_norm.weight"] for name in "qk")
        layers.append(
            Layer(
                input_norm=weights[f"{prefix}.input_layernorm.weight"],
                qkv=linear("qkv", "attention", ("self_attn.q", "self_attn.k", "self_attn.v")),
                qk_norm=np.stack([q_norm] * config.num_attention_heads + [k_norm] * config.num_key_value_heads),
                o=linear("o", "attention", ("self_attn.o",)),
                post_norm=weights[f"{prefix}.post_attention_layernorm.weight"],
                gate_up=linear("gate_up", "mlp", ("mlp.gate", "mlp.up")),
                down=linear("down", "mlp", ("mlp.down",)),
            )
        )
    embedding = weights["model.embed_tokens.weight"]
    cosine, sine = _rope_tables(config)
    steps = np.arange(config.max_position_embeddings)
    mask = np.where(steps[None, :] <= steps[:, None], 0.0, -np.inf).astype(np.float32)
    head = make_linear([embedding], "bf16", 1.0)
    rounding = None if noise is None else np.random.default_rng(noise)
    norm = weights["model.norm.weight"]
    return LanguageModel(config, embedding, tuple(layers), norm, head, cosine, sine, mask, rounding)


def new_cache(config: Config, slots: int) -> Cache:
    """A cache of zeros for the keys and values of `slots` (a number) requests, each as long as the context."""
    groups, context = config.num_key_value_heads, config.max_position_embeddings
    shape = (config.num_hidden_layers, slots, groups, context, config.head_dim)
    return Cache(np.zeros(shape, np.float32), np.zeros(shape, np.float32))


def prefill(model: LanguageModel, cache: Cache, slot: int, tokens: Ints) -> Array:
    """Read a whole prompt [n] of token ids, n >= 1; returns the logits [v] of the token that follows.

    The keys and values of the prompt are written to the first n places of the slot in `cache`.
    """
    n, groups = len(tokens), model.config.num_key_value_heads
    last_layer = model.config.num_hidden_layers - 1
    mask = model.mask[:n, :n]

    def attend(layer: int, q: Array, k: Array, v: Array) -> Array:
        cache.keys[layer, slot, :, :n] = k.transpose(1, 0, 2)
        cache.values[layer, slot, :, :n] = v.transpose(1, 0, 2)
        # Only the last row's output is used after the last layer's attention.
        rows = q[-1:] if layer == last_layer else q
        queries = rows.transpose(1, 0, 2).reshape(groups, -1, len(rows), q.shape[2])
        weighted = _softmax_mix(
            queries,
            cache.keys[layer, slot, :, None, :n],
            cache.values[layer, slot, :, None, :n],
            mask[n - len(rows) :],
        )
        return weighted.transpose(2, 0, 1, 3).reshape(len(rows), -1)

    logits: Array = _forward(model, tokens, np.arange(n), attend)[0]
    return logits


def score(model: LanguageModel, tokens: Ints) -> Array:
    """Logits [n, v] of the token after each of the token ids ``tokens`` [n], n >= 1, read at once without a cache."""
    n, groups = len(tokens), model.config.num_key_value_heads
    mask = model.mask[:n, :n]

    def attend(layer: int, q: Array, k: Array, v: Array) -> Array:
        queries = q.transpose(1, 0, 2).reshape(groups, -1, n, q.shape[2])
        weighted = _softmax_mix(queries, k.transpose(1, 0, 2)[:, None], v.transpose(1, 0, 2)[:, None], mask)
        return weighted.transpose(2, 0, 1, 3).reshape(n, -1)

    return _forward(model, tokens, np.arange(n), attend)


def decode(model: LanguageModel, cache: Cache, slots: Ints, positions: Ints, tokens: Ints) -> Array:
    """One step of the requests in `slots` [n], whose latest `tokens` [n] stand at `positions` [n] of their texts.

    Writes their keys and values into `cache`; returns the logits [n, v] of the tokens that follow.
    """
    groups = _by_capacity(positions, cache.keys.shape[1], slots)

    def attend(layer: int, q: Array, k: Array, v: Array) -> Array:
        keys, values = cache.keys[layer], cache.values[layer]
        keys[slots, :, positions] = k
        values[slots, :, positions] = v
        n, heads, size = q.shape
        queries = q.reshape(n, k.shape[1], heads // k.shape[1], size)
        if len(groups) == 1:
            where, capacity, _ = groups[0]
            mask = model.mask[positions, None, None, :capacity]
            return _softmax_mix(queries, keys[where, :, :capacity], values[where, :, :capacity], mask).reshape(n, -1)
        mixed = np.empty_like(queries)
        for where, capacity, rows in groups:
            mask = model.mask[positions[rows], None, None, :capacity]
            mixed[rows] = _softmax_mix(queries[rows], keys[where, :, :capacity], values[where, :, :capacity], mask)
        return mixed.reshape(n, -1)

    return _forward(model, tokens, positions, attend)


def _by_capacity(positions: Ints, all_slots: int, slots: Ints) -> list[tuple[Ints | slice, int, Ints]]:
    """Requests grouped by capacity (tokens attended over): (slots, capacity, rows of the batch) of each group.

    `positions` and `slots` [n]: of each row; `all_slots`: the number of slots in the cache. The capacity of a request
    is the smallest of `CAPACITIES` above its position. Where all slots are served, in order and with one capacity, they
    are a slice (no copy).
    """
    chosen = np.searchsorted(CAPACITIES, positions, side="right")
    kinds = np.unique(chosen)
    everyone = len(kinds) == 1 and len(slots) == all_slots and bool((slots == np.arange(all_slots)).all())
    groups: list[tuple[Ints | slice, int, Ints]] = []
    for kind in kinds:
        rows = np.flatnonzero(chosen == kind)
        groups.append((slice(None) if everyone else slots[rows], CAPACITIES[kind], rows))
    return groups


def _forward(model: LanguageModel, tokens: Ints, positions: Ints, attend: Attend) -> Array:
    """Logits [m, v] of the last m <= n rows, those that `attend` returns in the last layer (in earlier layers it
    returns all n); `tokens` and `positions` are [n].
    """
    config = model.config
    heads, groups, size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    eps, middle = np.float32(config.rms_norm_eps), config.intermediate_size
    cosine, sine = model.cosine[positions], model.sine[positions]
    x = model.embedding[tokens]
    for index, layer in enumerate(model.layers):
        qkv = layer.qkv(_normed(model, x, layer.input_norm)).reshape(len(x), heads + 2 * groups, size)
        qk = _rotated(_rms_norm(qkv[:, : heads + groups], layer.qk_norm, eps), cosine, sine)
        mixed = attend(index, qk[:, :heads], qk[:, heads:], qkv[:, heads + groups :])
        x = x[-len(mixed) :] + layer.o(mixed)
        both = layer.gate_up(_normed(model, x, layer.post_norm))
        gate, up = both[:, :middle], both[:, middle:]
        x = x + layer.down(_silu(gate) * up)
    return model.head(_normed(model, x, model.norm))


def _normed(model: LanguageModel, x: Array, weight: Array) -> Array:
    normed = _rms_norm(x, weight, np.float32(model.config.rms_norm_eps))
    if model.noise is None:
        return normed
    bits = normed.view(np.uint32)
    low = model.noise.integers(0, 1 << 16, size=bits.shape, dtype=np.uint32)
    return ((bits + low) & np.uint32(0xFFFF0000)).view(np.float32)


def _rms_norm(x: Array, weight: Array, eps: np.float32) -> Array:
    """x / sqrt(mean(x^2) + eps) * weight along the last axis."""
    mean: Array = np.add.reduce(np.square(x), axis=-1, keepdims=True)
    mean /= np.float32(x.shape[-1])
    mean += eps
    np.sqrt(mean, out=mean)
    normed: Array = np.divide(x, mean)
    normed *= weight
    return normed


def _silu(x: Array) -> Array:
    """x * sigmoid(x), for x < -80 computed as x / (1 + e^80), because exp overflows soon after; a new array."""
    # A fresh contiguous array: NumPy's vector loops for exp need not give the last bit of its strided ones.
    falling: Array = np.minimum(-x, np.float32(80))
    np.exp(falling, out=falling)
    falling += np.float32(1)
    activated: Array = x / falling
    return activated


def _rotated(x: Array, cosine: Array, sine: Array) -> Array:
    """RoPE on x [n, heads, e]: the two halves of each head are rotated against each other; a new array.

    `cosine`, `sine` [n, 1, e]: rows of the tables of `_rope_tables`.
    """
    half = x.shape[2] // 2
    swapped = np.concatenate((x[:, :, half:], x[:, :, :half]), axis=2)
    swapped *= sine
    turned = x * cosine
    turned += swapped
    return turned


def _softmax_mix(queries: Array, keys: Array, values: Array, mask: Array) -> Array:
    """softmax(q k^T / sqrt(e) + mask) v over the last two axes; leading axes are requests or head groups.

    `queries` [..., rows, e], `keys` and `values` [..., n, e], `mask` of a shape that broadcasts to [..., rows, n];
    returns [..., rows, e].
    """
    scores = np.matmul(queries, keys.swapaxes(-1, -2))
    scores *= np.float32(1 / np.sqrt(queries.shape[-1]))
    scores += mask
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    mixed: Array = np.matmul(scores, values)
    mixed /= total
    return mixed


def _rope_tables(config: Config) -> tuple[Array, Array]:
    """(cosines, sines) of RoPE, each [context, 1, e]; the sines of the first half of a head are negated."""
    half = config.head_dim // 2
    frequency = config.rope_theta ** (-np.arange(half) / half)
    angle = np.arange(config.max_position_embeddings)[:, None] * frequency
    cosine = np.concatenate((np.cos(angle), np.cos(angle)), axis=1)
    sine = np.concatenate((-np.sin(angle), np.sin(angle)), axis=1)
    return cosine[:, None].astype(np.float32), sine[:, None].astype(np.float32)
