from pathlib import Path

import pytest

from figures.replay_http import made_data, over_http
from tests.support.shared import shared_data


def test_made_questions_over_http_equal_their_import(tmp_path: Path) -> None:
    found = over_http(made_data(tmp_path), "made", tmp_path, kill=False)
    assert (found.items, found.requests, found.asked_twice, found.right) == (60, 60, 0, 15)
    assert found.same_verdicts


@pytest.mark.parametrize("kill", [False, True])
def test_real_answers_over_http_equal_their_import(tmp_path: Path, kill: bool) -> None:
    found = over_http(shared_data(), "Meta-Llama-3_1-70B-Instruct", tmp_path, kill=kill, limit=600)
    assert found.items == 600
    assert found.same_verdicts
    assert found.marked_right
    assert found.late_twice == 0
    assert (found.asked_twice > 0) == kill
    assert found.asked_twice <= 256
    assert found.requests == 600 + found.asked_twice
    assert found.peak_mb < 1000
