"""Snippets that are honest, clumsy or hostile in bubblewrap, as root and as an ordinary user."""

import os
import shutil

import pytest

from evalsuite.sandbox.isolation import missing
from figures.sandbox import attacked
from tests.support.shared import shared_data

pytestmark = pytest.mark.skipif(bool(missing("bubblewrap")), reason=missing("bubblewrap") or "-")


@pytest.mark.slow
@pytest.mark.parametrize("ordinary", [False, True], ids=["as this user", "as an ordinary user"])
def test_every_snippet_is_held_and_honest_jobs_pass_after_it(ordinary: bool) -> None:
    if ordinary and (os.geteuid() != 0 or shutil.which("setpriv") is None or shutil.which("unshare") is None):
        pytest.skip("only root can become another user, with setpriv and unshare")
    found = attacked(shared_data() / "sandbox_attacks", "bubblewrap", ordinary=ordinary, warm=1, honest=1 + ordinary)
    assert (found.wall, found.uid == 0) == ("bubblewrap", os.geteuid() == 0 and not ordinary)
    assert len(found.endings) == 66
    assert (found.wrong, found.harm, found.honest) == ({}, {}, 66 * (1 + ordinary))
