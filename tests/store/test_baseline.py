"""Baselines as artefacts: portable, deterministic, checked, counted, and still gradable."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from evalsuite.analysis.collect import open_inputs
from evalsuite.cli.baseline import save
from evalsuite.cli.run import run
from evalsuite.config.report_settings import Report
from evalsuite.errors import BadInput, Exit, StorageFailed
from evalsuite.store.artefact import INDEX, open_artefact
from evalsuite.store.baseline import compared_candidates, record_compared, write_artefact
from evalsuite.store.runs import run_cells
from evalsuite.store.samples import SAMPLES, read_samples
from tests.support import toy
from tests.support.cells import Answer, Made, answers, write
from tests.support.scripted_endpoint import scripted_endpoint
from tests.support.toy import right, settings


def saved(results: Path, run_id: str = "r", model: str = "bf16", name: str = "bf16.baseline") -> Path:
    path = results / name
    assert save(Report(run=[run_id], results_dir=str(results), model=model, to=str(path))) == Exit.DONE
    return path


@pytest.fixture(name="asked")
def _asked(tmp_path: Path) -> Path:
    """A run of the toy task with journals."""
    with scripted_endpoint(right) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
    return tmp_path


def test_everything_of_the_cell_travels(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(asked)
    folder = asked / "r" / "bf16" / "additions"
    with open_artefact(path) as found:
        assert f"sha256 {found.sha256}" in capsys.readouterr().out
        (cell,) = found.cells
        assert (cell.model, cell.task, cell.run, found.title) == ("bf16", "additions", "bf16", cell.title)
        assert read_samples(cell.folder).to_pylist() == read_samples(folder).to_pylist()
        (cell.folder / SAMPLES).unlink()  # the journals alone say the same
        assert read_samples(cell.folder).to_pylist() == read_samples(folder).to_pylist()
    assert not cell.folder.exists()


def test_equal_cells_give_equal_bytes_and_nothing_is_overwritten(asked: Path) -> None:
    path = saved(asked)
    again = saved(asked, name="again.baseline")
    assert path.read_bytes() == again.read_bytes()
    saved(asked)  # the same content: fine
    write(asked / "other", Made("bf16", answers([1, 0])))
    with pytest.raises(BadInput, match="there with another content; a baseline is never overwritten"):
        saved(asked, "other")
    assert path.read_bytes() == again.read_bytes()
    assert sorted(entry.name for entry in asked.glob("*.tmp")) == []


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _edit_samples(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.endswith(".parquet"))
    members[name] += b"x"


def _edit_index(members: dict[str, bytes]) -> None:
    members[INDEX] = members[INDEX].replace(b'"repeats": 1', b'"repeats": 2')


def _add(members: dict[str, bytes]) -> None:
    members["additions/extra.txt"] = b"more"


def _drop(members: dict[str, bytes]) -> None:
    del members["additions/manifest.json"]


def _no_index(members: dict[str, bytes]) -> None:
    del members[INDEX]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_edit_samples, "was edited: additions/samples.parquet does not have the hash"),
        (_edit_index, "was edited: its artefact.json does not have the hash"),
        (_add, "was edited: it does not hold exactly the files"),
        (_drop, "was edited: it does not hold exactly the files"),
        (_no_index, "is no baseline artefact: it has no artefact.json"),
    ],
)
def test_edited_files_are_refused(asked: Path, change: Callable[[dict[str, bytes]], None], words: str) -> None:
    path = rewritten(saved(asked), change)
    with pytest.raises(BadInput, match=words), open_artefact(path):
        pass


def test_torn_files_are_refused_wherever_they_end(asked: Path) -> None:
    whole = saved(asked).read_bytes()
    torn = asked / "torn.baseline"
    for end in (0, 10, len(whole) // 3, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        torn.write_bytes(whole[:end])
        with pytest.raises(BadInput, match=r"torn\.baseline is torn or no baseline"), open_artefact(torn):
            pass
    flipped = 0
    for place in range(100, len(whole), len(whole) // 40):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        torn.write_bytes(bytes(changed))
        try:
            with open_artefact(torn) as found:  # a bit that no content depends on may change nothing
                assert read_samples(found.cells[0].folder).num_rows == 40
        except BadInput:
            flipped += 1
    assert flipped >= 35


def test_incomplete_cells_and_wrong_names_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "r", Made("a", answers([1, None])), Made("b", answers([1, 0])))
    with pytest.raises(BadInput, match=r"must be whole; mmlu_pro: 1 of 2 samples measured \(1 failed\)"):
        saved(tmp_path, model="a")
    with pytest.raises(BadInput, match="unknown model 'c'"):
        saved(tmp_path, model="c")
    with pytest.raises(BadInput, match="needs model=NAME"):
        save(Report(run=["r"], results_dir=str(tmp_path)))
    with pytest.raises(BadInput, match="unknown task 'gsm8k'"):
        save(Report(run=["r"], results_dir=str(tmp_path), model="b", to=str(tmp_path / "f"), task="gsm8k"))
    with pytest.raises(BadInput, match="there is no such file"), open_artefact(tmp_path / "absent"):
        pass


def test_candidates_are_counted_once_each(tmp_path: Path) -> None:
    run_one = write(
        tmp_path / "one", Made("fp8", answers([1, 0])), Made("v1", answers([1, 1])), Made("v2", answers([1, 1]))
    )
    again = write(tmp_path / "again", Made("v2", answers([0, 1])))
    path = saved(tmp_path, "one", "fp8")
    cells = {(cell.run, cell.model): cell for folder in (run_one, again) for cell in run_cells(folder)}
    with open_artefact(path) as found:
        assert record_compared(found, [cells["one", "v1"]]).total == 1
        assert record_compared(found, [cells["one", "v1"], cells["one", "v2"]]).total == 2
        assert record_compared(found, [cells["one", "v2"]]).total == 2
        assert record_compared(found, [cells["again", "v2"]]).total == 3  # asked again: another draw
        beside = path.with_name(path.name + ".compared.jsonl")
        with beside.open("a") as file:
            file.write("[" * 100_000 + "\n" + "1" * 5000 + '\n{"candidate": "torn')
        assert len(compared_candidates(path)) == 3
        assert [entry["model"] for entry in compared_candidates(path)] == ["v1", "v2", "v2"]


def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path) -> None:
    write(tmp_path / "r", Made("fp8", answers([1, 0])))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match=r"cannot write .*file/fp8\.baseline"):
        write_artefact(run_cells(tmp_path / "r"), tmp_path / "file" / "fp8.baseline")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    write(tmp_path / "r", Made("fp8", answers([1, 0])), Made("v1", answers([1, 1])))
    path = saved(tmp_path, "r", "fp8")
    tmp_path.chmod(0o500)
    with open_artefact(path) as found:
        selected = record_compared(found, [run_cells(tmp_path / "r")[1]])
    tmp_path.chmod(0o700)
    assert (selected.total, "not recorded" in selected.note) == (1, True)


def test_a_count_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    write(tmp_path / "r", Made("fp8", answers([1, 0])), Made("v1", answers([1, 1])))
    path = saved(tmp_path, "r", "fp8")
    path.with_name(path.name + ".compared.jsonl").mkdir()
    with open_artefact(path) as found:
        selected = record_compared(found, [run_cells(tmp_path / "r")[1]])
    assert selected.total == 1
    assert "not recorded in" in selected.note


def report(results: Path, run_id: str, path: Path | str, **more: str) -> Report:
    return Report(run=[run_id], results_dir=str(results), baseline_run=str(path), **more)


def test_a_baseline_joins_other_runs(tmp_path: Path) -> None:
    write(tmp_path / "old", Made("fp8", answers([1, 0])))
    write(tmp_path / "new", Made("v2", answers([1, 1])), Made("v3", answers([0, 1])))
    path = saved(tmp_path, "old", "fp8")
    for origin in (path, "old", tmp_path / "old"):
        with open_inputs(report(tmp_path, "new", origin)) as found:
            assert (found.baseline, set(found.table.models)) == ("fp8", {"fp8", "v2", "v3"})
    with (
        pytest.raises(BadInput, match="holds fp8: leave baseline= out"),
        open_inputs(report(tmp_path, "new", path, baseline="v2")),
    ):
        pass
    with pytest.raises(BadInput, match="unknown run 'absent'"), open_inputs(report(tmp_path, "new", "absent")):
        pass
    with (
        pytest.raises(BadInput, match="holds v2, v3: choose one with baseline=NAME"),
        open_inputs(report(tmp_path, "old", "new")),
    ):
        pass


def test_the_same_model_of_another_night_keeps_its_own_name(tmp_path: Path) -> None:
    write(tmp_path / "old", Made("v2", answers([1, 0]), title="V2"))
    write(tmp_path / "new", Made("v2", answers([1, 1]), title="V2"))
    with open_inputs(report(tmp_path, "new", saved(tmp_path, "old", "v2"))) as found:
        assert (found.baseline, found.table.models) == ("v2@baseline", ("v2", "v2@baseline"))
        assert [cell.title for cell in found.table.cells] == ["V2", "V2 (baseline)"]
    with pytest.raises(BadInput, match="nothing but the baseline itself"), open_inputs(report(tmp_path, "old", "old")):
        pass


def test_a_baseline_is_graded_again_after_a_grader_fix(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The artefact holds version 1.0; the candidate is graded by 1.1, which takes one item for wrong."""
    path = saved(asked)
    before = path.read_bytes()
    monkeypatch.setattr(toy.Additions, "version", "1.1")
    monkeypatch.setattr(toy.Additions, "grade", staticmethod(lambda reply, target: target != "13"))
    with scripted_endpoint(right) as server:
        later = settings(asked, ("cand", server.base_url))
        later.run_id = "later"
        assert run(later) == Exit.DONE
    shutil.rmtree(asked / "r")
    with open_inputs(report(asked, "later", path)) as found:
        rows = found.table.samples
        assert set(rows["version"].astype(str)) == {"1.1"}
        assert [note.partition(":")[0].split(", ")[1] for note in found.notes] == ["additions"]
        assert found.notes[0].endswith("(1.0 -> 1.1), 1 changed")
        assert list(rows.loc[rows["value"] == 0, "item_id"]) == ["q012", "q012"]
    assert path.read_bytes() == before
    monkeypatch.setattr(toy, "OFFSET", 7)  # the questions are others now
    with open_inputs(report(asked, "later", path)) as found:
        assert set(found.table.samples["version"].astype(str)) == {"1.0", "1.1"}
        assert "cannot be graded again here" in found.notes[0]


def test_the_index_says_what_is_inside(tmp_path: Path) -> None:
    write(tmp_path / "r", Made("fp8", {"0": [Answer(1.0)], "1": [Answer(0.0)]}, total_items=5))
    with zipfile.ZipFile(saved(tmp_path, "r", "fp8")) as archive:
        index = json.loads(archive.read(INDEX))
    (task,) = index["tasks"]
    assert (index["model"], task["task"], task["items"], task["total_items"], task["run"]) == (
        "fp8",
        "mmlu_pro",
        2,
        5,
        "r",
    )
    assert task["identity"]["checkpoint"] == "maker/fp8"
