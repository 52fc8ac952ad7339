"""The page on an own server and own questions, small and without the installation."""

from pathlib import Path

import pytest

from figures.own import PAGE, own
from tests.support.pages import commands


def test_the_page_needs_at_most_six_commands() -> None:
    assert len(commands(PAGE)) + 1 <= 6
    assert commands(PAGE)[0].text == "pip install ."


@pytest.mark.slow
def test_the_page_leads_from_a_clone_to_a_score(tmp_path: Path) -> None:
    found = own(tmp_path, 20, install=False)
    assert (found.codes, found.said) == ((0,) * 5, "")
    assert (found.correct, found.asked) == (18, 20)
