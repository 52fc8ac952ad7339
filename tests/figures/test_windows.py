from pathlib import Path

from figures.windows import REPEATS, windows


def test_eight_windows_equal_one_run(tmp_path: Path) -> None:
    found = windows(tmp_path, 24, 4.0)
    assert found.samples == 24 * REPEATS * 4
    assert found.equal_rows
    assert found.equal_comparison
    assert found.unmarked == 0
    assert found.marked >= found.cut
    assert len(found.codes) == 8
    assert {75, 143, -9} <= set(found.codes)
