"""The page opens and filters fast, small."""

from pathlib import Path

from figures.page import page_cost


def test_it_opens_and_filters_fast(tmp_path: Path) -> None:
    found = page_cost(tmp_path, 600, opens=1)
    assert found.samples == 2400
    assert found.complaints == ()
    assert found.shown["all items"] == 600
    assert found.open_seconds < 3
    assert max(found.filter_ms.values()) < 200
