"""Artefacts of others: what a crafted file could do is refused, and nothing of it reaches the disk."""

from pathlib import Path

import pytest

from evalsuite.cli.baseline import save
from evalsuite.config.report_settings import Report
from evalsuite.errors import BadInput, StorageFailed
from evalsuite.sandbox import archives
from evalsuite.store import artefact
from evalsuite.store.artefact import open_artefact, unpack
from evalsuite.store.baseline import write_artefact
from evalsuite.store.runs import run_cells
from tests.support import artefacts
from tests.support.cells import Answer, Made, answers, write


@pytest.fixture(name="good")
def _good(tmp_path: Path) -> Path:
    write(tmp_path / "r", Made("fp8", answers([1, 0, 1])))
    path = tmp_path / "good.baseline"
    save(Report(run=["r"], results_dir=str(tmp_path), model="fp8", to=str(path)))
    return path


ATTACKS = [*artefacts.CONTENT, *artefacts.INDEX_ONLY, *artefacts.HEADERS]


def test_crafted_artefacts_are_refused_and_leave_nothing(good: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    home = tmp_path / "inside" / "home"
    made.mkdir()
    home.mkdir(parents=True)
    crafted = artefacts.crafted(good, made)
    before = sorted(path for path in tmp_path.rglob("*") if home not in path.parents)
    opened: list[str] = []
    lines: dict[str, int] = {}
    for attack, path in crafted.items():
        try:
            unpack(path, home)
            opened.append(attack)
        except BadInput as error:
            lines[attack] = str(error).count("\n") + 1
    assert len(crafted) == len(ATTACKS) >= 40
    assert opened == []
    assert set(lines.values()) == {1}
    assert sorted(path for path in tmp_path.rglob("*") if home not in path.parents) == before
    assert [path.name for path in home.iterdir() if not path.name.startswith(".unpacked-")] == []


def test_a_larger_file_needs_a_larger_limit_and_room(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_artefact(good) as found:
        assert found.model == "fp8"
    with pytest.raises(BadInput, match=r"over baseline_max_gb=1e-06; if you trust it: baseline_max_gb=1"):
        unpack(good, good.parent, 1e-6)
    monkeypatch.setattr(archives, "_FREE", 1 << 60)
    with pytest.raises(StorageFailed, match=r"unpacking needs 0\.00 GB"), open_artefact(good):
        pass


def test_a_temporary_folder_that_cannot_be_made_is_said(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(StorageFailed, match=r"into a temporary folder: No such file"), open_artefact(good):
        pass


def test_an_artefact_of_looping_answers_can_be_opened(tmp_path: Path) -> None:
    """They are packed by more than a reader accepts, so they are stored unpacked."""
    write(tmp_path / "r", Made("fp8", {"0": [Answer(1.0)]}))
    journal = tmp_path / "r" / "fp8" / "mmlu_pro" / artefacts.JOURNAL
    journal.write_bytes(b'{"event":"flush","x":"' + b"wait " * 2_000_000 + b'"}\n')
    path = tmp_path / "loop.baseline"
    write_artefact(run_cells(tmp_path / "r"), path)
    with open_artefact(path) as found:
        assert (found.cells[0].folder / journal.name).stat().st_size == journal.stat().st_size


def test_manifests_are_read_without_unpacking(good: Path) -> None:
    assert [(task, manifest["title"]) for task, manifest in artefact.manifests(good)] == [("mmlu_pro", "fp8")]
