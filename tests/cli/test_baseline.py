"""Files of earlier commands that ``baseline save`` and ``probe`` read, with values of other types."""

import json
import math
from pathlib import Path

import pytest

from evalsuite.cli import baseline, probe
from evalsuite.errors import BadInput
from evalsuite.store.runs import run_cells
from tests.support.cells import Made, answers, write
from tests.support.mutations import mutated

ROW = {"task": "mmlu_pro", "delta": -0.01, "ci95": [-0.02, 0.01]}
VERDICT = {"candidates": {"m": {"call": "pass", "baseline": "b", "rows": [ROW]}}}
SIZES = {"nats": {"value": 0.1}, "flips": {"value": 0.1}, "strata": [{"name": "answer", "nats": 0.1}]}


def test_offsets_of_a_verdict_are_numbers_or_the_file_is_named(tmp_path: Path) -> None:
    cells = tuple(run_cells(write(tmp_path / "R", Made("m", answers([1, 0])))))
    path = tmp_path / "R" / "report" / "verdict.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(VERDICT))
    assert baseline._accepted(cells)["tasks"]["mmlu_pro"]["delta"] == -0.01
    refused = 0
    for place, changed in mutated(VERDICT):
        path.write_text(json.dumps(changed))
        try:
            offsets = baseline._accepted(cells)
        except BadInput as error:
            refused += str(path) in str(error)
            continue
        for offset in offsets.get("tasks", {}).values():
            assert all(map(math.isfinite, offset.values())), place
    assert refused > 30


def test_accepted_sizes_are_numbers_or_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "probe.json"
    path.write_text(json.dumps({**SIZES, "nats": {"value": math.nan}}))
    with pytest.raises(BadInput, match="a size that is no number"):
        probe._accepted(str(path))
    for place, changed in mutated(SIZES):
        path.write_text(json.dumps(changed))
        try:
            accepted = probe._accepted(str(path))
        except BadInput:
            continue
        assert accepted is not None, place
        assert all(math.isfinite(float(accepted[name]["value"])) for name in ("nats", "flips")), place
