"""The calibrated input scales that ship with the demo model are those of its own calibration."""

import pytest

from evalsuite.demo.checkpoint import load_checkpoint, load_input_amax
from evalsuite.demo.text import load_codec
from tools.calibrate import calibrate


def test_the_shipped_input_scales_are_reproduced() -> None:
    assert calibrate(load_checkpoint(), load_codec()) == pytest.approx(load_input_amax(), rel=1e-3)
