"""What the Python modules of lm-eval's tasks do as soon as they are imported; they are read, not imported.

``humaneval`` and ``mbpp`` load the metric ``code_eval`` at the top of their module and execute programs with it at
once; others load a metric's script from the hub, where its code runs (lm-eval 0.4.13, ``tasks/*/utils.py``).
"""

import ast
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_TASKS = "lm_eval.tasks"


def code_at_import(config: Mapping[str, Any]) -> str:
    """Return a text naming the first call of ``evaluate.load`` (a metric's script) that
    stands outside of functions in the modules of a task, and its line.

    Empty if there is none. ``config`` is a task's YAML content, in which functions are
    ``/<folder>/<module>.<function>``. The modules, and relative ones and those of ``lm_eval.tasks`` that they import,
    are read, not imported. Raises ``SyntaxError``, ``ValueError`` or ``OSError`` for a module that cannot be read.
    """
    names: dict[str, str] = {}
    for path, node in _on_import(config):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= _imported(node)
        elif isinstance(node, ast.Call):
            root, _, rest = ast.unparse(node.func).partition(".")
            if f"{names.get(root, root)}.{rest}".rstrip(".") == "evaluate.load":
                return f"{ast.unparse(node)} in line {node.lineno} of {path.parent.name}/{path.name}"
    return ""


def imports_nltk(config: Mapping[str, Any]) -> bool:
    """Return whether the modules that a task names (``config``: its YAML content) have a statement that imports from
    ``nltk`` (or from a module of that name beside them).

    Relative modules and those of ``lm_eval.tasks`` that these import count as well; imports inside functions, and those
    of other packages, do not. The modules are read, not imported; raises as ``code_at_import`` where one cannot be.
    """
    nodes = (node for _, node in _on_import(config) if isinstance(node, ast.Import | ast.ImportFrom))
    return any(name.partition(".")[0] == "nltk" for node in nodes for name in _imported(node).values())


def _on_import(config: Mapping[str, Any]) -> Iterator[tuple[Path, ast.AST]]:
    """Yield (file, syntax node) of everything outside of functions in the modules of a task, file after file.

    ``config`` is its YAML content; modules of ``lm_eval.tasks`` and relative ones that these import are included. A
    file may come more than once.
    """
    pending = list(dict.fromkeys(_modules(config)))
    for path in pending:  # grows while it is read
        with warnings.catch_warnings(action="ignore"):  # about escape sequences in the modules
            tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in _run_on_import(tree):
            yield path, node
            if isinstance(node, ast.Import | ast.ImportFrom):
                pending += [other for other in _task_modules(node, path) if other not in pending]


def _modules(value: Any) -> Iterator[Path]:
    """Yield the existing files of the modules whose functions a task's YAML content names, at every depth.

    A function is a text ``/<folder>/<module>.<function>``.
    """
    if isinstance(value, str) and value.startswith("/"):
        path = Path(f"{value.rpartition('.')[0]}.py")
        if path.is_file():
            yield path
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for part in parts:
        yield from _modules(part)


def _run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes below ``node`` in order, without what is inside of functions.

    Of functions and lambdas the definition itself is yielded, and nothing inside it (body, decorators, defaults).
    """
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _run_on_import(child)


def _imported(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Return the names of an import statement: name in the module -> dotted name of what it is.

    ``from a import b as c`` gives c -> a.b, ``import a.b`` a.b -> a.b, ``from . import x`` x -> .x, ``from .m import
    x`` x -> m.x.
    """
    prefix = f"{node.module or ''}." if isinstance(node, ast.ImportFrom) else ""
    return {alias.asname or alias.name: f"{prefix}{alias.name}" for alias in node.names}


def _task_modules(node: ast.Import | ast.ImportFrom, path: Path) -> Iterator[Path]:
    """Yield the existing files that an import statement in the module ``path`` may load from lm-eval's tasks or
    relative to the module.

    These are relative imports, from the folder of ``path``, and absolute ones below ``lm_eval.tasks``; others give
    nothing. A name that is imported may be a module or stand in one, so both files are tried.
    """
    spec = find_spec(_TASKS)
    home = Path(spec.origin).parent if spec and spec.origin else path.parent
    for dotted in _imported(node).values():
        relative = node.level if isinstance(node, ast.ImportFrom) else 0
        if not relative and not dotted.startswith(f"{_TASKS}."):
            continue
        folder = path.parents[relative - 1] if relative else home
        parts = dotted.removeprefix(f"{_TASKS}.").strip(".").split(".")
        for end in (len(parts), len(parts) - 1):  # the last part may be a name inside the module
            file = folder.joinpath(*parts[:end]).with_suffix(".py")
            if end and file.is_file():
                yield file
