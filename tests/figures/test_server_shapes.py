from pathlib import Path

import pytest

from evalsuite.errors import Exit
from figures import server_shapes
from figures.server_shapes import lines, shaped
from tests.support.shared import shared_data


def test_shapes_give_the_same_score_or_named_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_shapes, "FAULTY", 10)
    names = ("whole", "stream, CR", "whole, text parts", "end lost")
    found = {name: shaped(tmp_path / name, shared_data(), name, items=20) for name in names}
    assert found["whole"].right == found["stream, CR"].right == found["whole, text parts"].right > 0
    assert [(one.compared, one.differing) for one in found.values()] == [(4, 0), (4, 0), (0, 0), (4, 0)]
    assert found["end lost"].code == Exit.INCOMPLETE
    assert found["end lost"].failed == found["end lost"].wanted > 0
    assert "otherwise 0" in lines(found)[0].measured
