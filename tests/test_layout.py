"""The packages as they are meant to be: few, cheap to import, each with its published modules named."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import evalsuite
from tests.support.command import evalsuite as command

ROOT = Path(evalsuite.__file__).parent
PACKAGES = sorted(
    ".".join(("evalsuite", *path.parent.relative_to(ROOT).parts)) for path in ROOT.glob("*/**/__init__.py")
)
ADAPTER_PATH = re.compile(r"(evalsuite(?:\.\w+)+):\w+")
"""A string that names a class for a later import, as the table of adapters holds them."""


def module_name(path: Path) -> str:
    return ".".join(("evalsuite", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def imports(tree: ast.Module) -> Iterator[str]:
    """Dotted paths that a module imports anywhere, each with the names taken from it, and paths in its strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and (path := ADAPTER_PATH.fullmatch(str(node.value))):
            yield path[1]


@cache
def imported_by() -> dict[str, frozenset[str]]:
    """Each module of evalsuite and the dotted paths that it imports."""
    return {
        module_name(path): frozenset(imports(ast.parse(path.read_text(encoding="utf-8"))))
        for path in sorted(ROOT.rglob("*.py"))
    }


def submodules(package: str) -> set[str]:
    folder = ROOT.joinpath(*package.split(".")[1:])
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return packages | {path.stem for path in folder.glob("*.py")} - {"__init__"}


def published(package: str) -> tuple[set[str], set[str]]:
    """(the names in ``__all__``, the names that the ``__init__`` itself defines)."""
    tree = ast.parse(ROOT.joinpath(*package.split(".")[1:], "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    (listed,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
    )
    assert list(listed) == sorted(listed)
    return set(listed), {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_names_the_modules_that_others_import(package: str) -> None:
    inside, depth = f"{package}.", package.count(".") + 1
    by_others = [paths for name, paths in imported_by().items() if not f"{name}.".startswith(inside)]
    reached = {path.split(".")[depth] for paths in by_others for path in paths if path.startswith(inside)}
    listed, defined = published(package)
    assert listed - defined == reached & submodules(package)


def test_importing_the_packages_imports_no_module() -> None:
    """Start-up pays for what a command uses: an ``__init__`` that imports would load its whole package."""
    code = f"import sys\nfor name in {PACKAGES!r}: __import__(name)\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in loaded if name.partition(".")[0] == "evalsuite"} == {
        "evalsuite",
        "evalsuite.version",
        *PACKAGES,
    }
    assert not {"numpy", "pandas", "pydantic", "hydra", "openai"}.intersection(loaded)


def test_the_root_holds_few_entries() -> None:
    left_out = {"__init__.py", "__main__.py", "py.typed", "__pycache__"}
    entries = {path.name for path in ROOT.iterdir() if not path.name.startswith("_")} - left_out
    assert 0 < len(entries) <= 15, sorted(entries)


OLD_ADAPTER = """
from dataclasses import dataclass
from {module} import {name}

@dataclass(frozen=True)
class Mine:
    variant: str
    seed: int
    source: object
    version = "1.0"
    def items(self): return []
    async def attempt(self, item, repeat, tools): raise NotImplementedError
"""
TASK = """# @package tasks.mine
adapter: adapter_of_a_user:Mine
variant: ""
"""


@pytest.mark.parametrize(
    ("module", "name", "today"),
    [
        ("evalsuite.adapters.base", "single_turn", "from evalsuite import Tools, graded, single_turn"),
        ("evalsuite.data", "rows", "from evalsuite import HUB, Source, pin, rows"),
        ("evalsuite.grading.extract", "last_number", "evalsuite.tasks.grading.extract"),
    ],
)
def test_an_import_path_of_0_1_is_answered_with_the_one_of_today(
    module: str, name: str, today: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the command line: a user's adapter, written for 0.1, named by a user's ``conf/task``."""
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "mine.yaml").write_text(TASK)
    (tmp_path / "adapter_of_a_user.py").write_text(OLD_ADAPTER.format(module=module, name=name))
    monkeypatch.syspath_prepend(tmp_path)
    done = command(tmp_path, "run", "model=fp8", "task=mine", "sampling=greedy", "dry_run=true", "--config-dir", "conf")
    assert (done.returncode, done.stdout) == (64, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("evalsuite: adapter 'adapter_of_a_user:Mine': adapter_of_a_user cannot be imported")
    assert done.stderr.endswith(f"evalsuite 0.2 has {module} elsewhere: {today}\n")
