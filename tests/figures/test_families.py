"""The figure on other families, with the two that differ most; the others at full size."""

from pathlib import Path

import pytest

from figures.families import FAMILIES, differences


@pytest.mark.parametrize("name", ["gpt_oss", "llama"])
def test_values_and_origins_are_those_of_the_files(tmp_path: Path, name: str) -> None:
    assert differences(name, FAMILIES[name], tmp_path) == []
