"""Light commands import what they need: what costs most of a start is not among their modules."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"hydra", "numpy", "pandas", "scipy", "scipy.stats", "matplotlib", "aiohttp", "openai", "pyarrow", "lm_eval"}
PROGRAM = """
import sys
sys.argv = ["evalsuite", *sys.argv[1:]]
from evalsuite.cli.main import main
try:
    main()
except SystemExit as stop:
    code = stop.code
print("MODULES", *sorted(sys.modules))
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("--help", set()),
        ("run --help", set()),
        ("tasks", set()),
        ("show", set()),
        ("run model=fp8 task=word_problems dry_run=true", {"hydra"}),
        ("plan model=fp8 suite=smoke", {"hydra", "numpy", "scipy"}),
    ],
)
def test_a_command_imports_only_what_it_needs(tmp_path: Path, words: str, needed: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words.split()], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.rpartition("MODULES ")[2].split())
    assert modules & HEAVY <= needed
