"""Every benchmark is asked and graded as the figure does it, with the evalsuite of this environment."""

import sys
from pathlib import Path

import pytest

from figures.everything import TASKS, unavailable
from figures.install import ITEMS, LM_EVAL, asked
from tests.support.questions import lay_out


@pytest.mark.slow
def test_every_benchmark_is_asked_and_graded(tmp_path: Path) -> None:
    lay_out(tmp_path / "here")
    lacking = unavailable(tmp_path / "here")
    tasks = {**dict.fromkeys([task for task in TASKS if task not in lacking], ""), "lm_eval": LM_EVAL}
    ran = asked(Path(sys.executable), tmp_path, tasks)
    assert {task: (one.code, one.graded) for task, one in ran.items()} == dict.fromkeys(tasks, (0, ITEMS)), ran
    assert all(one.right >= ITEMS - 1 for one in ran.values()), ran  # one dialogue of Tau2 gives up
