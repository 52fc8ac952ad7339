"""Fifty docstrings drawn by a seed, without the code below them: ``python -m figures.docstrings [SEED]``.

A reader says of each what the function takes, does and returns; the answers are then held against the code.
"""

import ast
import random
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1] / "evalsuite"
SEED, COUNT = 20_261_126, 50


def drawn(seed: int = SEED, count: int = COUNT) -> list[tuple[str, str, str]]:
    """(place, signature, docstring) of functions and methods of the package that have a docstring."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(node)):
                returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                found.append((place, f"{node.name}({ast.unparse(node.args)}){returns}", text))
    return random.Random(seed).sample(sorted(found), count)


def main() -> None:
    """Print them, numbered."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    for number, (place, signature, text) in enumerate(drawn(seed), 1):
        sys.stdout.write(f"{number}. {place}\n   {signature}\n   {text}\n\n")


if __name__ == "__main__":
    main()
