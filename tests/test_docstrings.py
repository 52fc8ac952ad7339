"""The documented contract of the public API: every parameter, every returned value and every field has its text.

Ruff's D rules check the form of all docstrings; this test checks that those of the public API are complete.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import pairwise
from types import FunctionType, ModuleType

import docstring_parser
import pytest

import evalsuite
from evalsuite import stats
from evalsuite.tasks import base

MODULES = [
    base,
    *(importlib.import_module(f"{stats.__name__}.{found.name}") for found in pkgutil.iter_modules(stats.__path__)),
]
EXPORTED = [getattr(evalsuite, name) for name in evalsuite.__all__ if not name.startswith("__")]


def public(module: ModuleType) -> Iterator[object]:
    for name, member in vars(module).items():
        if not name.startswith("_") and getattr(member, "__module__", None) == module.__name__:
            yield member


def members(cls: type) -> Iterator[FunctionType]:
    for name, member in vars(cls).items():
        function = getattr(member, "__func__", member)
        if isinstance(function, FunctionType) and (not name.startswith("_") or name == "__call__"):
            yield function


OBJECTS = list(dict.fromkeys([*EXPORTED, *(member for module in MODULES for member in public(module))]))
CLASSES = [member for member in OBJECTS if isinstance(member, type)]
FUNCTIONS = [
    *(inspect.unwrap(member) for member in OBJECTS if inspect.isroutine(inspect.unwrap(member))),
    *(function for cls in CLASSES for function in members(cls)),
]


def labels(objects: list[object]) -> list[str]:
    return [f"{member.__module__}.{getattr(member, '__qualname__', type(member).__name__)}" for member in objects]


@pytest.mark.parametrize("function", FUNCTIONS, ids=labels(FUNCTIONS))
def test_every_parameter_and_the_returned_value_are_documented(function: FunctionType) -> None:
    text = docstring_parser.parse_from_object(function)
    signature = inspect.signature(function)
    described = {entry.arg_name: entry.description for entry in text.params}

    assert text.short_description
    assert list(described) == [name for name in signature.parameters if name != "self"]
    assert all(described.values())
    if signature.return_annotation not in (None, "None", inspect.Signature.empty):
        assert text.returns is not None
        assert text.returns.description


@pytest.mark.parametrize("cls", CLASSES, ids=labels(CLASSES))
def test_every_field_of_a_public_class_has_a_docstring(cls: type) -> None:
    assert cls.__doc__
    named = {field.name for field in fields(cls) if not field.name.startswith("_")} if is_dataclass(cls) else set()
    (definition,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(definition, ast.ClassDef)
    documented = {
        statement.target.id
        for statement, following in pairwise(definition.body)
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and isinstance(following, ast.Expr)
        and isinstance(following.value, ast.Constant)
    }

    assert named <= documented


def test_the_whole_public_api_is_looked_at() -> None:
    names = set(labels(OBJECTS))

    assert {f"evalsuite.stats.delta.{name}" for name in ("Delta", "paired_delta")} <= names
    assert {"evalsuite.tasks.base.Adapter", "evalsuite.tasks.datasets.rows", "evalsuite.cli.python.run"} <= names
