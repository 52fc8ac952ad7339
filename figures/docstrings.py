"""Fifty docstrings drawn by a seed, without the code below them: ``python -m figures.docstrings [SEED]``.

A reader states of each what the function takes, does and returns; the answers are then held against the code. Shown
are the signature, the decorators and ``async``, the class of a method, and the docstring.
"""

import ast
import random
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "evalsuite"
SEED, COUNT = 20_261_126, 50
Function = ast.FunctionDef | ast.AsyncFunctionDef


def drawn(seed: int = SEED, count: int = COUNT) -> list[tuple[str, str, str]]:
    """(place, signature, docstring) of functions and methods of the package that have a docstring.

    What is drawn does not depend on how a signature is shown, only on its place, name, arguments and returned type.
    """
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node, owner in _functions(ast.parse(path.read_text(encoding="utf-8")), ""):
            if text := ast.get_docstring(node):
                returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
                arguments = f"({ast.unparse(node.args)}){returns}"
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                found.append((place, node.name + arguments, text, _heading(node, owner) + arguments))
    chosen = random.Random(seed).sample(sorted(found), count)
    return [(place, shown, text) for place, _, text, shown in chosen]


def _functions(node: ast.AST, owner: str) -> Iterator[tuple[Function, str]]:
    """Every function below ``node`` with the name of its class; empty where it is no method."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield child, owner
            yield from _functions(child, "")
        else:
            yield from _functions(child, child.name if isinstance(child, ast.ClassDef) else owner)


def _heading(node: Function, owner: str) -> str:
    """A function's decorators, ``async``, class and name, as ``@property TableCell.demo``."""
    decorators = "".join(f"@{ast.unparse(decorator)} " for decorator in node.decorator_list)
    asynchronous = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{decorators}{asynchronous}{owner and owner + '.'}{node.name}"


def main() -> None:
    """Print them, numbered."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    for number, (place, signature, text) in enumerate(drawn(seed), 1):
        sys.stdout.write(f"{number}. {place}\n   {signature}\n   {text}\n\n")


if __name__ == "__main__":
    main()
