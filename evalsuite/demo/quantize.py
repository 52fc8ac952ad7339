"""FP8 and NVFP4, for weights and for the inputs of linear layers.

* E4M3: 1 sign, 4 exponent (bias 7), 3 mantissa bits; largest value 448 (OCP 8-bit floating point, revision 1.0).
* E2M1: +-{0, 0.5, 1, 1.5, 2, 3, 4, 6} (OCP microscaling formats, revision 1.0).
* NVFP4: E2M1 values; one E4M3 scale per 16 neighbours along the input dimension; one FP32 scale per tensor.

"Units" are quantized numbers before the scale of their tensor, which `linear` applies after the matrix product, as a
kernel does in its epilogue. Rounding is to nearest, ties to even, and saturates, as hardware and NVIDIA ModelOpt do it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

E4M3_MAX = 448.0
E2M1_MAX = 6.0
BLOCK = 16
"""Elements that share one E4M3 scale in NVFP4."""

_LEAST_AMAX = 1e-30
"""Stands in for the amax of a tensor of zeros, which then stays zero."""

_EXPONENT_BITS = np.uint32(0x7F800000)


@dataclass(frozen=True, slots=True)
class Nvfp4:
    """A tensor in NVFP4, before packing two values into one byte."""

    values: Array
    """E2M1 values, [rows, columns]."""
    block_scales: Array
    """E4M3 values, [rows, columns / 16]."""
    global_scale: np.float32
    """FP32, one for the tensor."""

    def units(self) -> Array:
        """values x block scale without the global scale, [rows, columns]: exact in FP32 (2 + 4 significant bits)."""
        blocks = self.values.reshape(*self.block_scales.shape, BLOCK) * self.block_scales[..., None]
        return blocks.reshape(self.values.shape)

    def dequantized(self) -> Array:
        """The matrix that it stands for: values x block scale x global scale, [rows, columns]."""
        return self.units() * self.global_scale


def _round_to_grid(x: Array, mantissa_bits: int, lowest_exponent: int, largest: float) -> Array:
    """`x` (float32, at least one axis) rounded to a binary float format of `mantissa_bits`, ties to even, saturating at
    +-`largest`.

    Adding and subtracting 1.5 x 2^23 units in the last place makes the FP32 adder do the rounding: its own
    round-to-nearest-even then acts at exactly that place. Values below 2^lowest_exponent share the subnormal step.
    """
    x = np.minimum(np.maximum(x, np.float32(-largest)), np.float32(largest))
    power = (x.view(np.uint32) & _EXPONENT_BITS).view(np.float32)  # 2^floor(log2 |x|)
    np.maximum(power, np.float32(2.0**lowest_exponent), out=power)
    power *= np.float32(1.5 * 2.0 ** (23 - mantissa_bits))
    rounded = x + power
    rounded -= power
    return rounded


def to_e4m3(x: Array) -> Array:
    """`x` (float32, at least one axis) rounded to the nearest E4M3 values as float32, ties to even, saturating at
    +-448.
    """
    return _round_to_grid(x, mantissa_bits=3, lowest_exponent=-6, largest=E4M3_MAX)


def to_e2m1(x: Array) -> Array:
    """`x` (float32, at least one axis) rounded to the nearest E2M1 values as float32, ties to even, saturating at
    +-6.
    """
    return _round_to_grid(x, mantissa_bits=1, lowest_exponent=0, largest=E2M1_MAX)


def fp8_scale(amax: float) -> np.float32:
    """The FP32 scale of an FP8 tensor: `amax`, its largest magnitude (1e-30 instead of less), divided by 448."""
    return np.float32(max(amax, _LEAST_AMAX)) / np.float32(E4M3_MAX)


def fp8_units(x: Array, scale: np.float32) -> Array:
    """`x` / `scale` rounded to E4M3 values; not multiplied by `scale` again. What is beyond 448 units saturates."""
    return to_e4m3(x / scale)


def nvfp4_global_scale(amax: float) -> np.float32:
    """The FP32 scale of an NVFP4 tensor whose largest magnitude is `amax`: amax / (6 x 448).

    It puts the largest block scale at 448 and the largest value at 6, unless `amax` is below 1e-30, which counts as
    1e-30.
    """
    return np.float32(max(amax, _LEAST_AMAX)) / np.float32(E2M1_MAX * E4M3_MAX)


def nvfp4_units(x: Array, global_scale: np.float32) -> Array:
    """`x` [rows, columns] in NVFP4, in units of `global_scale`: E2M1 value x E4M3 block scale, [rows, columns].

    Each block's scale is its own amax / 6 in these units (rounded to E4M3, at most 448), so that nothing outside a
    block of 16 neighbours in a row affects it. There is at least one row, and the number of columns is a
    multiple of 16.
    """
    blocks = x.reshape(x.shape[0], -1, BLOCK)
    scales = to_e4m3(np.abs(blocks).max(axis=2) / (np.float32(E2M1_MAX) * global_scale))[:, :, None]
    values = to_e2m1(blocks / _divisor(scales, global_scale))
    values *= scales
    return values.reshape(x.shape)


def nvfp4_parts(weight: Array) -> Nvfp4:
    """A weight matrix [out, in] in NVFP4, max-calibrated: block scales from each block's own amax.
    `in` is a multiple of 16.
    """
    global_scale = nvfp4_global_scale(float(np.abs(weight).max()))
    blocks = weight.reshape(weight.shape[0], -1, BLOCK)
    scales = to_e4m3(np.abs(blocks).max(axis=2) / (np.float32(E2M1_MAX) * global_scale))
    return Nvfp4(_e2m1_values(blocks, scales, global_scale), scales, global_scale)


MSE_MULTIPLIERS: tuple[float, ...] = tuple(0.5 + step / 32 for step in range(33))
"""Candidates for a block's scale, in units of its amax / 6."""


def nvfp4_mse_parts(weight: Array) -> Nvfp4:
    """A weight matrix [out, in] in NVFP4, each block's scale being that of 33 candidates with the least squared error.

    They are 0.5 to 1.5 times the block's amax / 6 (`MSE_MULTIPLIERS`), rounded to E4M3; of equal errors the smallest
    multiple is taken. `in` is a multiple of 16.
    """
    global_scale = nvfp4_global_scale(float(np.abs(weight).max()))
    blocks = weight.reshape(weight.shape[0], -1, BLOCK)
    base = np.abs(blocks).max(axis=2) / (np.float32(E2M1_MAX) * global_scale)
    best_error = np.full(base.shape, np.inf, np.float32)
    best_scales = np.zeros(base.shape, np.float32)
    for multiplier in MSE_MULTIPLIERS:
        scales = to_e4m3(base * np.float32(multiplier))
        candidate = Nvfp4(_e2m1_values(blocks, scales, global_scale), scales, global_scale).dequantized()
        error = np.square(candidate.reshape(blocks.shape) - blocks).sum(axis=2)
        better = error < best_error
        best_error = np.where(better, error, best_error)
        best_scales = np.where(better, scales, best_scales)
    return Nvfp4(_e2m1_values(blocks, best_scales, global_scale), best_scales, global_scale)


def _divisor(scales: Array, global_scale: np.float32) -> Array:
    """Block scales x global scale, by which blocks are divided; 1 where that is 0 (callers make such blocks 0)."""
    divisor = scales * global_scale
    divisor[divisor == 0] = 1
    return divisor


def _e2m1_values(blocks: Array, scales: Array, global_scale: np.float32) -> Array:
    """E2M1 values [rows, columns] of blocks [rows, n, 16] divided by their scales [rows, n] and the global one; 0 where
    the block's scale is 0.
    """
    values = to_e2m1(blocks / _divisor(scales, global_scale)[:, :, None])
    return np.where(scales[:, :, None] == 0, np.float32(0), values).reshape(blocks.shape[0], -1)
