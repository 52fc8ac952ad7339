"""The folder of runs."""

from pathlib import Path

import pytest

from evalsuite.errors import StorageFailed
from evalsuite.store.manifest import read_manifest, write_json
from evalsuite.store.runs import TableCell, archive, check_can_create
from tests.support.journals import manifest


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    check_can_create(tmp_path / "a" / "b" / "c")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="results_dir="):
        check_can_create(tmp_path / "file" / "r")
    (tmp_path / "file").chmod(0o755)
    with pytest.raises(StorageFailed, match="Not a directory; another folder"):
        check_can_create(tmp_path / "file")
    with pytest.raises(StorageFailed, match="results_dir="):
        check_can_create(tmp_path / ("x" * 300) / "r")
    (tmp_path / "there").mkdir()
    check_can_create(tmp_path / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there"]


def test_archived_cells_of_a_task_with_a_longer_name_are_not_those_of_the_shorter(tmp_path: Path) -> None:
    model = tmp_path / "run" / "fp8"
    for task in ("toy", "toy-2", "toy-2"):
        folder = model / task
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "manifest.json", manifest(task=task))
        if task == "toy-2" and not (model / "superseded").exists():
            archive(folder, "wrong template")
    reasons = {
        task: TableCell("run", model / task, read_manifest(model / task)).superseded for task in ("toy", "toy-2")
    }
    assert reasons == {"toy": (), "toy-2": ("wrong template",)}
