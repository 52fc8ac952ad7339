from pathlib import Path

from figures.mistakes import MISTAKES, met


def test_ten_common_mistakes_are_one_message_each_and_cost_nothing(tmp_path: Path) -> None:
    found = met(tmp_path)
    assert len(found) == len(MISTAKES) == 10
    for one in found:
        assert one.well, (one.mistake.what, one.code, one.requests, one.said)
        assert one.cpu_seconds < 5.0, (one.mistake.what, one.cpu_seconds)
