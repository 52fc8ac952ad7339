"""Static input scales: the largest input that each group of linears sees over calibration texts.

As in NVIDIA ModelOpt, whose `input_scale` is this amax / 448 (FP8) or amax / (6 x 448) (NVFP4), stored once with
the weights. A scale taken from the running batch instead would let requests change each other's answers.
"""

from dataclasses import replace
from itertools import islice

import numpy as np

from evalsuite.demo.checkpoint import Checkpoint
from evalsuite.demo.linear import Linear
from evalsuite.demo.model import LanguageModel, build, new_cache, prefill
from evalsuite.demo.problems import training_problems
from evalsuite.demo.quantize import Array
from evalsuite.demo.text import END_THINK, IM_END, TextCodec

CALIBRATION_SEED = 7
CALIBRATION_TEXTS = 256


def calibrate(checkpoint: Checkpoint, codec: TextCodec) -> dict[str, float]:
    """Largest absolute input of each group of linears, by `layer.group`, over whole worked training problems."""
    amax: dict[str, float] = {}
    model = _observed(build(checkpoint, "demo_bf16", {}), amax)
    cache = new_cache(checkpoint.config, slots=1)
    for problem in islice(training_problems(CALIBRATION_SEED), CALIBRATION_TEXTS):
        prompt = codec.render([{"role": "user", "content": problem.question}], thinking=True)
        text = f"{prompt}{problem.scratchpad}{END_THINK}\n\n{problem.answer}{IM_END}"
        prefill(model, cache, 0, np.array(codec.encode(text), np.intp))
    return amax


def _observed(model: LanguageModel, amax: dict[str, float]) -> LanguageModel:
    """The same model, whose linears note their largest input in `amax`."""

    def watch(name: str, linear: Linear) -> Linear:
        def watched(x: Array) -> Array:
            amax[name] = max(amax.get(name, 0.0), float(np.abs(x).max()))
            return linear(x)

        return watched

    layers = tuple(
        replace(
            layer,
            qkv=watch(f"{index}.qkv", layer.qkv),
            o=watch(f"{index}.o", layer.o),
            gate_up=watch(f"{index}.gate_up", layer.gate_up),
            down=watch(f"{index}.down", layer.down),
        )
        for index, layer in enumerate(model.layers)
    )
    return replace(model, layers=layers)
