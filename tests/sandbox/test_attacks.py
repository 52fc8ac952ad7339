"""Snippets that are honest, clumsy or hostile, on every tier that this machine offers, as root and as anybody."""

import os
import shutil
from pathlib import Path

import pytest

from evalsuite.sandbox.isolation import ISOLATING, missing
from figures.sandbox import attacked
from tests.support.shared import shared_data


@pytest.mark.slow
@pytest.mark.parametrize("ordinary", [False, True], ids=["as this user", "as an ordinary user"])
@pytest.mark.parametrize("tier", ISOLATING)
def test_every_snippet_behaves_as_its_header_says(tier: str, ordinary: bool) -> None:
    if missing(tier):
        pytest.skip(missing(tier))
    if ordinary and (os.geteuid() != 0 or shutil.which("setpriv") is None or shutil.which("unshare") is None):
        pytest.skip("only root can become another user, with setpriv and unshare")
    snippets = shared_data() / "sandbox_attacks"
    found = attacked(snippets, tier, ordinary=ordinary, warm=10)
    assert (found.tier, found.uid == 0) == (tier, os.geteuid() == 0 and not ordinary)
    assert len(found.endings) == len(list(Path(snippets).glob("*.py"))) == 26
    assert (found.wrong, found.harm) == ({}, {})
    assert found.median_ms < 200


def test_without_walls_the_same_look_finds_the_harm() -> None:
    """The harmless half of the hostile snippets, as a user without rights: what the test above would have seen."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None or shutil.which("unshare") is None:
        pytest.skip("only root can become a user without rights, with setpriv and unshare")
    names = ("14_read_h5_target", "20_read_home_ssh", "24_udp_exfil", "28_poison_site_packages")
    found = attacked(shared_data() / "sandbox_attacks", "plain", ordinary=True, names=names, warm=2)
    assert list(found.wrong) == ["14_read_h5_target"]
    assert found.harm["20_read_home_ssh"] == ["leaked into its output"]
    assert found.harm["24_udp_exfil"] == ["reached UDP"]
    assert [one.split("/")[-1] for one in found.harm["28_poison_site_packages"]] == ["pwned.pth"]
