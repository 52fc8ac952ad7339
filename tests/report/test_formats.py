"""Numbers as text."""

import pytest

from evalsuite.report import formats


@pytest.mark.parametrize(
    ("got", "text"),
    [
        (formats.change(-0.031, (-0.0421, -0.0199)), "-3.10 [-4.21, -1.99]"),
        (formats.change(0.0015, (-0.007, 0.0105)), "+0.15 [-0.70, +1.05]"),
        (formats.change(-0.00001, (-0.00001, 0.0001)), "0.00 [0.00, +0.01]"),
        (formats.change(0.5, None), "+50.00"),
        (formats.change(None, None), "–"),  # noqa: RUF001
        (formats.score(0.9097, (0.8971, 0.9216)), "91.0 [89.7, 92.2]"),
        (formats.score(1.0, None), "100.0"),
        (formats.probability(0.0344), "0.034"),
        (formats.probability(0.00004), "<0.001"),
        (formats.probability(1.0), "1.000"),
        (formats.count(1043.0), "1,043"),
        (formats.count(12.34), "12.3"),
        (formats.ratio(1.034), "x1.03"),
        (formats.tokens(4312.4), "4,310"),
        (formats.tokens(0.0), "0.0"),
        (formats.tokens(None), "–"),  # noqa: RUF001
        (formats.percent(0.0126, 2), "1.26"),
    ],
)
def test_formats(got: str, text: str) -> None:
    assert got == text
