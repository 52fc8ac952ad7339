from pathlib import Path

import pytest

from evalsuite.errors import Exit
from figures.faults import expected, lasting, measured, mixed


@pytest.mark.parametrize("stream", [True, False])
def test_a_mix_of_transient_faults_leaves_the_score_exact(tmp_path: Path, stream: bool) -> None:
    found = measured(tmp_path, 150, mixed, stream=stream)
    assert len(found.faults) == 5
    assert (found.code, found.summary["score"]) == (Exit.DONE, pytest.approx(expected(150), abs=1e-12))
    assert found.summary["outcomes"]["failed"] == 0


def test_what_fails_for_ever_is_listed_and_the_rest_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = lasting(tmp_path, 120)
    first = found.first
    assert found.wanted
    assert (first.code, first.summary["score"]) == (Exit.INCOMPLETE, None)
    assert set(first.summary["failed_items"]) == found.wanted
    assert {item for item, outcome in first.outcomes.items() if outcome == "failed"} == found.wanted
    assert f"failed items: {', '.join(sorted(found.wanted))}." in " ".join(capsys.readouterr().out.split())
    assert (found.later.code, found.later.summary["score"]) == (Exit.DONE, pytest.approx(expected(120), abs=1e-12))
