from pathlib import Path

import pytest

from figures.lost_answers import CONCURRENCY, killed


@pytest.mark.parametrize("stream", [False, True])
def test_a_kill_loses_no_more_than_was_in_flight_and_nothing_on_disk(tmp_path: Path, stream: bool) -> None:
    found = killed(tmp_path, stream=stream, answers=120)
    assert found.answered >= 120
    assert found.again <= CONCURRENCY
    assert found.acknowledged == 0
