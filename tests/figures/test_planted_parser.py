"""A parser that leaves 3 % of the calls as text fails the gate, a sound one does not, on a part of the requests."""

from pathlib import Path

import pytest

from figures.planted_parser import planted_parser


@pytest.mark.slow
def test_a_planted_parser_is_found_and_a_sound_one_is_not(tmp_path: Path) -> None:
    found = planted_parser(tmp_path, limit=120)
    assert found["nvfp4"].call == "fail"
    assert found["nvfp4"].as_text > 0.01
    assert found["nvfp4_v2"].call != "fail"
    assert found["nvfp4_v2"].as_text == 0
