"""A refused run with a larger limit changes nothing on disk, and the old command reports the old score."""

from pathlib import Path

from figures.refused import LIMIT, measure


def test_a_refused_run_changes_nothing_and_takes_no_score_away(tmp_path: Path) -> None:
    found = measure(tmp_path, [0, 7, LIMIT])
    assert (found.refused, found.changed, found.scores) == (9, [], [])
