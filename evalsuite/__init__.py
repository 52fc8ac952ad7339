"""evalsuite: did this quantized checkpoint lose accuracy against its baseline - where, by how much, why, how sure?

The public API is small and loaded on use, so that ``import evalsuite`` costs nothing::

    result = evalsuite.run(["demo_bf16", "demo_nvfp4"], "word_problems", overrides={"limit": 200})
    print(result.deltas)
    table = evalsuite.load_run("demo-20261120T190000Z")
    print(evalsuite.compare(table, task="word_problems", baseline="demo_bf16", candidate="demo_nvfp4").delta)
"""

from typing import TYPE_CHECKING, Any

from evalsuite.version import __version__

if TYPE_CHECKING:
    from evalsuite.analysis.comparison import Comparison, compare
    from evalsuite.analysis.table import RunTable, load_run
    from evalsuite.cli.python import RunResult, make_plan, run
    from evalsuite.errors import EvalsuiteError
    from evalsuite.records import Item, Reply, Request, Score
    from evalsuite.tasks.base import Tools, graded, single_turn
    from evalsuite.tasks.datasets import HUB, Source, pin, rows

_HOME = {
    "Comparison": "evalsuite.analysis.comparison",
    "EvalsuiteError": "evalsuite.errors",
    "HUB": "evalsuite.tasks.datasets",
    "Item": "evalsuite.records",
    "Reply": "evalsuite.records",
    "Request": "evalsuite.records",
    "RunResult": "evalsuite.cli.python",
    "RunTable": "evalsuite.analysis.table",
    "Score": "evalsuite.records",
    "Source": "evalsuite.tasks.datasets",
    "Tools": "evalsuite.tasks.base",
    "compare": "evalsuite.analysis.comparison",
    "graded": "evalsuite.tasks.base",
    "load_run": "evalsuite.analysis.table",
    "make_plan": "evalsuite.cli.python",
    "pin": "evalsuite.tasks.datasets",
    "rows": "evalsuite.tasks.datasets",
    "run": "evalsuite.cli.python",
    "single_turn": "evalsuite.tasks.base",
}
"""Public name -> the module that defines it."""

__all__ = [
    "HUB",
    "Comparison",
    "EvalsuiteError",
    "Item",
    "Reply",
    "Request",
    "RunResult",
    "RunTable",
    "Score",
    "Source",
    "Tools",
    "__version__",
    "compare",
    "graded",
    "load_run",
    "make_plan",
    "pin",
    "rows",
    "run",
    "single_turn",
]


def __getattr__(name: str) -> Any:
    """Return the object of a public name from the module that defines it (``_HOME``), imported when needed (PEP 562).

    Raises ``AttributeError`` for a name that is not in ``_HOME``.
    """
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module 'evalsuite' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
