"""``output=json``: standard output is one JSON document and nothing else.

Every document begins with ``schema``, ``command`` and ``exit`` (the exit code); ``docs/reference/json.md`` lists the
fields of each command. What a command prints for people, and what a library prints, goes to standard error. A command
that fails has the document ``{"schema", "command", "exit", "error"}``.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

from evalsuite.errors import Exit, StorageFailed
from evalsuite.sandbox import safe_text

WORD = "output=json"
COMMANDS = {
    "show": "evalsuite.cli.show:show_json",
    "tasks": "evalsuite.cli.tasks:tasks_json",
    "doctor": "evalsuite.cli.doctor:doctor_json",
    "plan": "evalsuite.cli.plan:plan_json",
    "report": "evalsuite.cli.report:report_json",
    "gate": "evalsuite.cli.gate:gate_json",
}
"""Command -> "module:function"; the function takes the composed settings and returns the content of the document."""

Content = tuple[Exit, Mapping[str, Any]]
"""The exit code of a command, and the fields of its document."""


def is_requested(words: Sequence[str]) -> bool:
    """Whether the words of a command line ask for JSON: one is ``output=json``, quoted or not (they
    may be wrong otherwise).
    """
    return any(word.replace("'", "").replace('"', "") == WORD for word in words)


def print_result(command: str, content: Callable[[], Content]) -> Exit:
    """Call ``content``, print the JSON document of ``command`` to standard output, and return the exit code.

    ``content`` returns (exit code, fields). What it prints by ``sys.stdout`` goes to standard error, and an ``error``
    among its fields is printed there, too. A reader that has closed the pipe does not change the exit code. Raises
    ``StorageFailed`` where standard output cannot be written, and what ``content`` raises.
    """
    with redirect_stdout(sys.stderr):
        code, fields = content()
    if "error" in fields:
        sys.stderr.write(f"evalsuite: {safe_text.terminal(str(fields['error']))}\n")
    _print(command, code, fields)
    return code


def print_error(words: Sequence[str], code: Exit, text: str) -> None:
    """Print the JSON document of a command that failed with ``code`` to standard output: ``text`` is its ``error``,
    ``words[0]`` its ``command`` (empty without words). Raises ``StorageFailed`` where it cannot be written.
    """
    _print(next(iter(words), ""), code, {"error": text})


def _print(command: str, code: Exit, fields: Mapping[str, Any]) -> None:
    import json

    from evalsuite.records import SCHEMA

    document = {"schema": SCHEMA, "command": command, "exit": int(code), **fields}
    text = safe_text.json(json.dumps(document, indent=1, allow_nan=False))
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # what is left in the buffer would fail again when the process ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise StorageFailed(f"cannot write to standard output: {error.strerror or error}") from None
