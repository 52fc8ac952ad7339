"""A run in an odd shell is a normal run or one line; it is never a bug of ours."""

from pathlib import Path

import pytest

from tests.support.odd_environments import ENVIRONMENTS, SECRET, OddEnvironment, as_promised, outcome, place


@pytest.mark.slow
@pytest.mark.parametrize("odd", ENVIRONMENTS, ids=lambda odd: odd.what)
def test_an_odd_shell(odd: OddEnvironment, tmp_path: Path) -> None:
    if not odd.possible:
        pytest.skip("another clock needs Debian's package libfaketime")
    with place(tmp_path) as here:
        found = outcome(odd, here)
    assert as_promised(odd, found) == ""
    if odd.what == "key with a line break":
        assert found.key == f"Bearer {SECRET}"
