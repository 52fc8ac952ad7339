"""Log-probabilities beside NumPy's: a server's own weights agree, the same weights in FP8 do not."""

import re
from pathlib import Path

import pytest

from figures.vllm_logprobs import measured, written
from tests.end_to_end.contract.servers import demo


def largest(words: str) -> list[float]:
    return [float(number) for number in re.findall(r"largest (\S+?)[ )]", words)]


@pytest.mark.slow
def test_own_weights_agree_and_dequantized_ones_do_not(tmp_path: Path) -> None:
    with demo(tmp_path) as model:
        pairs = written(model, 5)
        same, other = (measured(model, pairs, scheme) for scheme in ("bf16", "fp8"))
    assert max(largest(same)) < 1e-5
    assert "5 of 5 prompts have the same ids" in same
    assert largest(other)[1] > 0.05
