"""Two documents are compared in every field but version and time; a checkout equals itself."""

from pathlib import Path

from figures.unchanged import ROOT, before_and_after, compared, demo


def test_every_difference_is_named() -> None:
    before = {"schema": 1, "at": "x", "rows": [{"delta": 0.5, "ci95": [0, 1]}, {"delta": None}], "gate": {}}
    assert compared(before, {**before, "at": "y", "evalsuite": "0.2"}).differing == ()
    assert compared(before, before).fields == 6
    rows = [{"delta": 0.5, "ci95": [0, 2]}, {"delta": 0.0, "more": 1}]
    found = compared(before, {"schema": 1, "rows": rows, "gate": {"margins": {}}})
    assert found.largest == float("inf")
    assert compared({"a": 0.5, "b": 2}, {"a": 0.25, "b": 2}).largest == 0.5
    assert set(found.differing) == {"rows[0].ci95[1]", "rows[1].delta", "rows[1].more", "gate", "gate.margins"}


def test_a_checkout_equals_itself(tmp_path: Path) -> None:
    found = before_and_after(ROOT, tmp_path, lambda checkout, folder: demo(checkout, folder, "limit=10"))
    assert found.fields > 100
    assert found.differing == ()
