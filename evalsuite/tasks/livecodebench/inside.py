"""What runs an answer inside the sandbox, as LiveCodeBench's checker runs it; nothing here is trusted.

Behaviour of LiveCodeBench/LiveCodeBench 28fef95e, ``lcb_runner/evaluation/testing_util.py``, its oddities included: a
program becomes a function without its main guard, imports stay outside of it, standard input and ``open`` are replaced,
``sys.stdin`` cannot be iterated over, a second ``sys.stdin.buffer.readline()`` gives the first line again, and a
program with ``class Solution`` fails. The text of this module is sent into the sandbox: it imports the standard
library only.
"""

import ast
import builtins
import contextlib
import importlib
import io
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import mock_open, patch

_MODULES = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json"
)
STAR = (*_MODULES.split(), "builtins", "typing")
"""Modules whose names an answer finds, in this order; all but the last two also as modules."""
PREAMBLE = "".join(
    [
        *(f"from {name} import *\n" for name in STAR),
        *(f"import {name}\n" for name in STAR[:-2]),
        "sys.setrecursionlimit(50000)\n",
    ]
)
DISABLED = {
    "builtins": "quit",
    "os": "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate "
    "replace unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir",
    "shutil": "rmtree move chown",
    "subprocess": "Popen",
}
"""Module -> names that the checker sets to None."""
ABSENT = ("ipdb", "joblib", "resource", "psutil", "tkinter")
"""Modules that the checker makes impossible to import."""
PLAIN = (list, int, str, bool, float, type(None))


class TimeoutException(Exception):
    """A test took longer than its seconds."""


class StoppedError(Exception):
    """An earlier test failed: the checker stops there too."""


class _Buffer:
    def __init__(self, text: str) -> None:
        self.data = text.encode()

    def read(self, *_: Any) -> bytes:
        return self.data

    def readline(self, *_: Any) -> bytes:
        return self.data.split(b"\n")[0] + b"\n"


class _Stdin:
    """Standard input with a buffer; whatever else is asked of it goes to a text stream."""

    def __init__(self, text: str) -> None:
        self.text, self.stream, self.buffer = text, io.StringIO(text), _Buffer(text)

    def read(self, *_: Any) -> str:
        return self.text

    def readline(self, *size: Any) -> str:
        return self.stream.readline(*size)

    def readlines(self, *_: Any) -> list[str]:
        return self.text.split("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def load(answer: str, function: str | None, seconds: int) -> Callable[[str], Any]:
    """Compile and execute an answer in this process; return a function that runs it on one input, given as text.

    That function returns the standard output of a program, or what a function returned as ("json", JSON text) or
    ("value", value). It raises ``TimeoutException`` after ``seconds``, the answer's own errors, and ``StoppedError``
    at each call after one that raised. The process is changed for good: dangerous functions of the standard library are
    None, SIGALRM has a handler, standard input is empty.

    Args:
        answer: The code; its own errors pass through, and ``AttributeError`` if it has no such function.
        function: Name of the function or of the method of ``Solution``; None for a program that reads standard input.
        seconds: Time for compiling and executing, and for each input; ``TimeoutException`` after it.
    """
    _alarm()
    _disable()
    sys.set_int_max_str_digits(50_000)
    sys.stdin = Path("/dev/null").open(encoding="utf-8")  # noqa: SIM115  # the answer may keep it
    code = f"{PREAMBLE}\n\n{answer}" if function is not None else _as_function(answer)
    module: Any = ModuleType("tmp_sol", "")
    signal.alarm(seconds)
    try:
        exec(code, module.__dict__)
        if "class Solution" in code:
            module = module.Solution()
    finally:
        signal.alarm(0)
    called = getattr(module, "wrapped_function" if function is None else function)
    failed = False

    def on_input(text: str) -> Any:
        nonlocal failed
        if failed:
            raise StoppedError("an earlier test failed")
        failed = True
        arguments = [json.loads(line) for line in text.split("\n")] if function is not None else []
        signal.alarm(seconds)
        try:
            result = _program(called, text) if function is None else called(*arguments)
        finally:
            signal.alarm(0)
        failed = False
        return result if function is None else _as_data(result)

    return on_input


def _alarm() -> None:
    def late(*_: Any) -> None:
        raise TimeoutException

    signal.signal(signal.SIGALRM, late)


def _disable() -> None:
    for module, names in DISABLED.items():
        for name in names.split():
            setattr(importlib.import_module(module), name, None)
    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]
    builtins.help = None  # type: ignore[assignment]


def _as_function(answer: str) -> str:
    """Return the code of a program rewritten as a function ``wrapped_function``, with the preamble and its top-level
    imports before it.

    A main guard ``__name__ == '__main__'`` at the end is unwrapped, its ``else`` dropped. Text that is no Python is
    returned unchanged. That fails when it is compiled, and so does what comes of an empty program or one of imports
    only: a function without a body.
    """
    try:
        tree = ast.parse(answer)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.If) and ast.unparse(last.test).strip() == "__name__ == '__main__'":
            tree = ast.parse(f"{ast.unparse(tree.body[:-1])}\n{ast.unparse(last.body)}")  # type: ignore[arg-type]
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        shell = ast.parse("def wrapped_function():\n    pass").body[0]
        shell.body = [node for node in tree.body if node not in imports]  # type: ignore[attr-defined]
        return f"{PREAMBLE}\n{ast.unparse(imports)}\n{ast.unparse(shell)}"  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001  # as the checker does: whatever the parser raises
        return answer


def _program(called: Callable[[], Any], text: str) -> str:
    """Run a program, ``called`` without arguments, with ``text`` as standard input; return what it wrote to
    ``sys.stdout``.

    ``open`` gives a file that reads ``text``, too; ``SystemExit`` ends it normally, other errors pass through.
    """
    lines, output = iter(text.split("\n")), io.StringIO()
    output.close = lambda: None  # type: ignore[method-assign]
    before, sys.stdout = sys.stdout, output
    try:
        with (  # in this order: names that the answer imported keep the process's own standard input
            patch("sys.stdin.read", lambda *_: text),
            patch("sys.stdin.readlines", lambda *_: text.split("\n")),
            patch("sys.stdin.readline", lambda *_: next(lines)),
            patch("sys.stdin", _Stdin(text)),
            patch("builtins.open", mock_open(read_data=text)),
            contextlib.suppress(SystemExit),
        ):
            called()
    finally:
        sys.stdout = before
    return output.getvalue()


def _as_data(value: Any) -> tuple[str, Any]:
    """Return ("json", JSON text) for a value of plain JSON types, else ("value", the value). A
    tuple is made a list first; tuples inside of it stay.
    """
    if isinstance(value, tuple):
        value = list(value)
    return ("json", json.dumps(value)) if _is_plain(value) else ("value", value)


def _is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and _is_plain(one) for key, one in value.items())
    return type(value) in PLAIN and (type(value) is not list or all(_is_plain(one) for one in value))
