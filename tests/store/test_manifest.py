"""A manifest or a summary with a value of another type is damage that is named, or changes nothing of what is read."""

import json
from pathlib import Path

from evalsuite.analysis.degenerate import with_accepted
from evalsuite.cli.show import show_json
from evalsuite.config.report_settings import Report
from evalsuite.endpoint.identity.differences import changes_within, differing_facts
from evalsuite.errors import BadInput, Exit
from evalsuite.store.extents import undeclared
from evalsuite.store.manifest import MANIFEST, read_manifest, write_json
from evalsuite.store.runs import TableCell
from tests.support.cells import Made, answers, write
from tests.support.mutations import mutated

OPTIONAL = {
    "extents": [
        {"at": None, "limit": None, "groups": {}, "ids": None, "repeats": 1, "items": ["0", "1"], "declared": False}
    ],
    **{"idle": ["load_*"], "flags": ["x"], "varies": ["kv_cache_dtype"], "accepted": {"degenerate": "why"}},
    **{"log_agreement": {"same": 1, "verdicts": 9}, "gated": False, "part_declared": False, "unread": ""},
}


def test_a_manifest_with_a_value_of_another_type_is_named_or_read_as_before(tmp_path: Path) -> None:
    folder = write(tmp_path / "R", Made("m", answers([1, 0]))) / "m" / "mmlu_pro"
    whole = {**read_manifest(folder), **OPTIONAL, "server": [{"at": "2026-11-26T00:00:00Z", "facts": {"version": "1"}}]}
    cell = TableCell("R", folder, whole)
    assert (bool(cell.contradiction), bool(undeclared(whole))) == (True, True)
    refused = 0
    for place, changed in mutated(whole, (None, True, 10**400, float("nan"), "x", [], [1], {}, {"x": 1})):
        (folder / MANIFEST).write_text(json.dumps(changed))
        try:
            manifest = read_manifest(folder)
        except BadInput as error:
            refused += str(folder / MANIFEST) in str(error)
            continue
        differing_facts(whole, manifest)
        changes_within(manifest)
        with_accepted(manifest, {"degenerate": "x"})
        absent = place.endswith(("=absent", "=None")) or "={}" in place
        assert absent or bool(TableCell("R", folder, manifest).contradiction) or "log_agreement" in place, place
        assert absent or bool(undeclared(manifest)) or place in ("extents=[]", "part_declared=True"), place
        write_json(folder / MANIFEST, manifest)
    assert refused > 150


def test_show_takes_no_value_of_another_type_from_a_summary(tmp_path: Path) -> None:
    folder = write(tmp_path / "R", Made("m", answers([1, 0]))) / "m" / "mmlu_pro"
    outcomes = {"correct": 1, "wrong": 1}
    whole = {"version": "1.0", "planned": 2, "complete": True, "score": 0.5, "ci95": [0.1, 0.9], "outcomes": outcomes}
    settings = Report(run=["R"], results_dir=str(tmp_path))
    (folder / "summary.json").write_text(json.dumps(whole))
    _, before = show_json(settings)
    for place, changed in mutated(whole, (None, True, "x", [1], {"x": 1}, float("nan"))):
        (folder / "summary.json").write_text(json.dumps(changed))
        code, content = show_json(settings)
        (entry,) = content["runs"][0]["cells"]
        assert (code, entry["outcomes"]["wrong"], entry["score"]) in ((Exit.DONE, 1, 0.5), (Exit.DONE, 1, None)) or (
            "outcomes" in place and entry["outcomes"]["wrong"] == 0
        ), place
    assert before["runs"][0]["cells"][0]["score"] == 0.5
