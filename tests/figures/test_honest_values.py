"""What leaves the sandbox is judged as if it had never left."""

import pytest

from evalsuite.sandbox.isolation import missing
from figures.honest_values import VALUES, verdicts

pytestmark = pytest.mark.skipif(bool(missing("bubblewrap")), reason=missing("bubblewrap") or "-")


@pytest.mark.slow
def test_every_honest_value_has_the_verdict_of_the_assertion_run_directly() -> None:
    found = verdicts()
    assert len(found) == 3 * len(VALUES) == 105
    assert {name: both for name, both in found.items() if both[0] != both[1]} == {}
    assert sum(direct for _, direct in found.values()) > 70
