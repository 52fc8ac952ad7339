"""Every command of the README and of the documentation, given as it is written; each ends as its page states."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import page_shell
from tests.support.page_shell import Site, execute
from tests.support.pages import PAGES, ROOT, steps

LONG = {ROOT / "docs" / "guide" / name for name in ("release.md", "air_gapped.md")}
"""Pages of many minutes of CPU: whole suites with dialogues at full item counts and repeats."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with page_shell.site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_ends_as_it_states(page: Path, tmp_path: Path, site: Site) -> None:
    if page in LONG and os.environ.get("EVALSUITE_FIGURES") != "full":
        pytest.skip("40,000 to 80,000 requests: EVALSUITE_FIGURES=full runs this page")
    for ended in execute(steps(page), tmp_path, site):
        where = f"{page.relative_to(ROOT)}:{ended.command.line}: {ended.command.text}"
        assert (ended.code, ended.lacking) == (ended.command.code, ()), f"{where}\n{ended.shown[-6000:]}"
