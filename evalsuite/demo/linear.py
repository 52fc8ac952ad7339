"""Linear layers at the four precisions, computed so that the result is exact.

Floating-point sums depend on their order, and a BLAS takes another order for another row of a tile (measured with
OpenBLAS 0.3.31: three groups of rows among 32 with different last bits). An answer would then depend on which slot a
request got and on what shared the batch. Here both factors are integers times a common scale, small enough that every
product and every partial sum is an integer below 2^53: float64 holds them all exactly, in any order, on any machine.

* FP8: E4M3 is a multiple of 2^-9 up to 448: 18 bits a factor, 36 + 9 bits for up to 384 terms.
* NVFP4: E2M1 x E4M3 is a multiple of 2^-10 up to 6 x 448: 22 bits a factor, 44 + 9.
* BF16 weights, FP32 inputs: both as fixed point with 22 bits below the largest weight of the matrix and the largest
  input of the row: 44 + 9. (The 8 significant bits of a BF16 weight survive down to 2^-14 of the largest one.)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalsuite.demo.quantize import (
    Array,
    fp8_scale,
    fp8_units,
    nvfp4_global_scale,
    nvfp4_mse_parts,
    nvfp4_parts,
    nvfp4_units,
)

Wide = NDArray[np.float64]
Linear = Callable[[Array], Array]
"""Inputs [rows, in] to outputs [rows, out]; a row's output depends on that row only."""

Scheme = Literal["bf16", "fp8", "nvfp4", "nvfp4_mse"]
"""How the weights and inputs of a group of linears are held."""

EXACT_COLUMNS = 512
"""Largest number of inputs for which the sums above stay below 2^53."""

RECIPES: Mapping[str, Mapping[str, Scheme]] = {
    "demo_bf16": {"attention": "bf16", "mlp": "bf16"},
    "demo_fp8": {"attention": "fp8", "mlp": "fp8"},
    "demo_nvfp4": {"attention": "nvfp4", "mlp": "nvfp4"},
    "demo_nvfp4_v2": {"attention": "fp8", "mlp": "nvfp4_mse"},
}
"""Which scheme each precision uses where; embeddings, norms and the output head stay BF16 in all of them."""


@dataclass(frozen=True, slots=True)
class _Factor:
    """Weights of one or several linears with the same input, ready to be multiplied."""

    units: Wide
    """Integers times a power of two, [in, out]."""
    scale: Wide
    """[out]."""


def make_linear(weights: Sequence[Array], scheme: Scheme, input_amax: float) -> Linear:
    """One callable for linears that share their input: x [rows, in] -> their outputs side by side, [rows, sum of
    out_i].

    `weights` are their float32 matrices [out_i, in], at least one, quantized here by `scheme`; inputs are quantized by
    it at each call (in BF16 both become fixed-point numbers of 22 bits). Weight scales are each tensor's own.
    `input_amax` is the calibrated largest input magnitude (unused in BF16). Raises `ValueError` for more than
    `EXACT_COLUMNS` (512) inputs, in NVFP4 also if they are no multiple of 16.
    """
    if weights[0].shape[1] > EXACT_COLUMNS:
        raise ValueError(f"a linear of {weights[0].shape[1]} inputs would not be exact; at most {EXACT_COLUMNS}")
    factor = _joined([_weight_factor(weight, scheme) for weight in weights])
    if scheme == "bf16":
        return partial(_fixed_point_product, factor)
    if scheme == "fp8":
        scale = fp8_scale(input_amax)
        return partial(_product, _Factor(factor.units, factor.scale * scale), partial(fp8_units, scale=scale))
    scale = nvfp4_global_scale(input_amax)
    return partial(_product, _Factor(factor.units, factor.scale * scale), partial(nvfp4_units, global_scale=scale))


def dequantized(weight: Array, scheme: Scheme) -> Array:
    """The float32 matrix [out, in] that a weight matrix becomes when it is quantized by the scheme and scaled back.

    In NVFP4 `in` is a multiple of 16.
    """
    factor = _weight_factor(weight, scheme)
    return np.asarray((factor.units * factor.scale).T, np.float32)


def _weight_factor(weight: Array, scheme: Scheme) -> _Factor:
    if scheme == "bf16":
        step = _step(np.abs(weight).max(keepdims=True))
        units, scale = np.rint(weight / step), float(step[0, 0])
    elif scheme == "fp8":
        fp8 = fp8_scale(float(np.abs(weight).max()))
        units, scale = fp8_units(weight, fp8).astype(np.float64), float(fp8)
    else:
        parts = nvfp4_parts(weight) if scheme == "nvfp4" else nvfp4_mse_parts(weight)
        units, scale = parts.units().astype(np.float64), float(parts.global_scale)
    return _Factor(units.T, np.full(weight.shape[0], scale))


def _joined(factors: Sequence[_Factor]) -> _Factor:
    units = np.ascontiguousarray(np.concatenate([factor.units for factor in factors], axis=1))
    return _Factor(units, np.concatenate([factor.scale for factor in factors]))


def _product(factor: _Factor, to_units: Callable[[Array], Array], x: Array) -> Array:
    """Inputs x [rows, in] quantized by `to_units`, times the weights `factor`: [rows, out].

    The product of both in units is exact; it is then scaled by `factor.scale` in float64 and rounded to FP32.
    """
    y: Wide = to_units(x).astype(np.float64) @ factor.units
    y *= factor.scale
    return y.astype(np.float32)


def _fixed_point_product(factor: _Factor, x: Array) -> Array:
    """Inputs x [rows, in] in fixed point, each row in units of its own power of two, times the weights `factor`,
    rounded once to FP32: [rows, out].
    """
    step = _step(np.abs(x).max(axis=1, keepdims=True))
    units = x / step
    np.rint(units, out=units)
    y: Wide = units @ factor.units
    y *= factor.scale
    y *= step
    return y.astype(np.float32)


def _step(largest: Array) -> Wide:
    """The power of two 2^(e - 22) with 2^(e - 1) <= `largest` < 2^e, element by element, so that `largest` is less
    than 2^22 such steps. A `largest` below 2^-100 counts as 2^-100.
    """
    _, exponent = np.frexp(np.maximum(largest, np.float32(2.0**-100)))
    step: Wide = np.ldexp(1.0, exponent - 22)
    return step
