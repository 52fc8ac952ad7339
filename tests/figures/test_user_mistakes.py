from collections.abc import Mapping
from pathlib import Path

import pytest

from figures.user_mistakes import SLIPS, Words, tried
from tests.support.command import evalsuite


def _called(folder: Path, words: Words, env: Mapping[str, str]) -> tuple[int, str]:
    done = evalsuite(folder, *words, **env)
    return done.returncode, done.stderr + done.stdout


@pytest.mark.slow
def test_each_mistake_of_a_new_user_names_a_line_that_works(tmp_path: Path) -> None:
    found = tried(tmp_path, _called)
    assert len(found) == len(SLIPS) == 25
    assert {one.slip.what: (one.problem, one.message) for one in found if one.problem} == {}
    assert not any("sk-canary" in one.message for one in found)
