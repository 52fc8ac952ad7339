"""The page opens and filters, small; the figure at full size states how fast."""

from pathlib import Path

from figures.page import page_cost


def test_it_opens_and_a_filter_costs_less_than_opening(tmp_path: Path) -> None:
    found = page_cost(tmp_path, 600, opens=1)
    assert found.samples == 2400
    assert found.complaints == ()
    assert found.shown["all items"] == 600
    assert max(found.filter_ms.values()) < 1000 * found.open_seconds  # both on this machine, however slow
