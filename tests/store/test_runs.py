"""The folder of runs."""

from pathlib import Path

import pytest

from evalsuite.errors import StorageFailed
from evalsuite.store.runs import check_can_create


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    check_can_create(tmp_path / "a" / "b" / "c")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="results_dir="):
        check_can_create(tmp_path / "file" / "r")
    (tmp_path / "there").mkdir()
    check_can_create(tmp_path / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there"]
