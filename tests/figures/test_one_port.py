from pathlib import Path

import pytest

from figures.one_port import one_port


def test_one_port_after_another_equals_side_by_side(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="the second task is an lm-eval YAML")
    found = one_port(tmp_path, limit=20)
    assert found.samples == found.journaled_requests == 2 * (20 * 2 + 20)
    assert found.runs == 2
    assert found.equal_rows
    assert found.equal_comparison
    assert found.parallel_codes == (0, 0)
