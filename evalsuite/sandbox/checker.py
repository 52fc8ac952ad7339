"""The outer halves of the tests: targets, clean libraries, and the sandbox's bytes read as data.

No value that came out of the sandbox is run: SymPy parses only texts that stand in the trusted tests or the targets,
and prints no expression as code. An empty value that is compared with a target that is not empty is wrong: NumPy would
find it equal to everything.

Runs in a process of its own, because a column where a row was expected can make NumPy ask for all the memory there
is: that must cost the answer its step, not the run its life. It never runs a line of untrusted code.
"""

import ast
import io
import json
import pickle
import resource
import struct
import sys
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalsuite.sandbox import scipy_compat as legacy
from evalsuite.sandbox.checker_guards import guard, lacks, trust
from evalsuite.sandbox.serialization import decode
from evalsuite.sandbox.split_tests import COMPARISONS, PEEK, TAKE, TARGET
from evalsuite.sandbox.symbolic import NotData

MEMORY = 8 << 30
"""Address space of the checker, bytes."""

NOT_COMPARABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)


class EmptyValue(AssertionError):
    """An empty value where the target is not empty."""


class CodeFailed(Exception):
    """What the answer's code raised where a test read a value of it."""


@dataclass(slots=True)
class SandboxOutput:
    """What came out of the sandbox."""

    values: dict[int, deque[Any]] = field(default_factory=lambda: defaultdict(deque))
    ended: set[int] = field(default_factory=set)
    """Tests that ran to their end."""
    error: tuple[int, str] | None = None
    """(test, or -1 for the answer itself, what was raised)."""


def frames(raw: bytes) -> SandboxOutput:
    """Parse the lines that came out of the sandbox: the values of each capture (by its number, in order), the tests
    that ran to their end, and the error.

    A line that is no JSON object ends the reading, an object without a known key is passed over. A value whose
    computation raised is a ``CodeFailed``. Of several errors the last is kept. Raises ``NotData`` for a value that
    cannot be rebuilt; ``MemoryError`` and ``ImportError`` (of a missing library) pass through.
    """
    found = SandboxOutput()
    for line in io.BytesIO(raw):
        try:
            frame = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(frame, dict):
            break
        site, test, text = frame.get("site"), frame.get("test"), str(frame.get("error"))[:500]
        if isinstance(site, int):
            found.values[site].append(CodeFailed(text) if "error" in frame else decode(frame.get("value")))
        elif isinstance(test, int):
            found.error = (test, text)
        elif isinstance(frame.get("end"), int):
            found.ended.add(frame["end"])
    return found


def verdicts(request: Mapping[str, Any], raw: bytes) -> dict[str, Any]:
    """Run the outer halves of the tests on the values in ``raw``; the verdict on each test, and the first failure.

    ``{"passed": [bool, ...], "kind": "pass" | "wrong" | "exception" | "no_result", "why": str}``: ``kind`` and ``why``
    are those of the first failed test (``why`` is empty without one). Where ``raw`` cannot be rebuilt, all tests are
    ``no_result``. ``request`` holds ``imports`` (source) and, with one element a test, ``outside`` (sources),
    ``compared`` (the numbers of the captured values that are compared with the target) and ``targets``. What the import
    block raises is passed on, and errors of a test that a failed comparison does not explain, such as ``ImportError``;
    most others, also ``MemoryError``, make the test ``wrong``.
    """
    outside: Sequence[str] = request["outside"]
    try:
        found = frames(raw)
    except NotData as error:
        return {"passed": [False] * len(outside), "kind": "no_result", "why": str(error)}
    compared = TargetSites()
    names = _names(request["imports"], outside, found, compared)
    _trusted_texts(request)
    passed, kind, why = [], "pass", ""
    for number, source in enumerate(outside):
        names[TARGET] = compared.target = request["targets"][number]
        compared.sites = frozenset(request["compared"][number])
        judged, reason = _judged(source, number, names) if number in found.ended else ("no_result", "")
        if judged == "no_result" and found.error is not None:
            judged, reason = "exception", found.error[1]
        passed.append(judged == "pass")
        if kind == "pass" and judged != "pass":
            kind, why = judged, f"test {number + 1}: {reason or 'its end was never reached'}"
    return {"passed": passed, "kind": kind, "why": why[:600]}


@dataclass(slots=True)
class TargetSites:
    """What the running test compares with its target."""

    target: Any = None
    sites: frozenset[int] = frozenset()


def _names(imports: str, outside: Sequence[str], found: SandboxOutput, compared: TargetSites) -> dict[str, Any]:
    def read(site: int, place: int) -> Any:
        if not found.values[site]:
            raise CodeFailed("no value came out")
        value = found.values[site].popleft() if place == 0 else found.values[site][place]
        if isinstance(value, CodeFailed):
            raise value
        if site in compared.sites and lacks(value, compared.target):
            raise EmptyValue("an empty value")
        return value

    def take(site: int) -> Any:
        return read(site, 0)

    def peek(site: int) -> Any:
        return read(site, -1)

    names: dict[str, Any] = {"__name__": "judge", TAKE: take, PEEK: peek}
    exec(compile(imports, "<imports>", "exec"), names)
    for source in outside:  # a missing library is never the answer's fault
        wanted: list[ast.stmt] = [
            node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        exec(compile(ast.Module(wanted, []), "<imports of a test>", "exec"), names)
    return names


def _judged(source: str, number: int, names: dict[str, Any]) -> tuple[str, str]:
    try:
        exec(compile(source, f"<test {number + 1}>", "exec"), names)
    except AssertionError as error:
        return "wrong", str(error) if isinstance(error, EmptyValue) else "the values differ"
    except CodeFailed as error:
        return "exception", str(error)
    except NOT_COMPARABLE as error:  # such as shapes that do not fit: the official test fails too
        return "wrong", f"the values cannot be compared ({type(error).__name__}: {error})"
    return "pass", ""


def _trusted_texts(request: Mapping[str, Any]) -> None:
    """Let SymPy, once ``guard`` was called, parse the text constants in the sources ``imports`` and ``outside`` of
    ``request`` (as in ``verdicts``) and the texts in its ``targets``, and no other.
    """
    sources = [request["imports"], *request["outside"]]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
    trust([*texts, *request["targets"]])


def _answered(request: Mapping[str, Any], raw: bytes) -> dict[str, Any]:
    """The result of ``verdicts``, or ``{"fault": text}`` for an ``ImportError``; where memory runs out before the
    tests, all of them are ``wrong``. Other errors pass through.
    """
    try:
        return verdicts(request, raw)
    except MemoryError:
        return {"passed": [False] * len(request["outside"]), "kind": "wrong", "why": "its values are too large"}
    except ImportError as error:
        return {"fault": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Serve judgements until standard input ends: pickles of (request, raw values) from evalsuite in, JSON out, each
    after its length in 8 bytes.

    Guards SymPy and NumPy, limits the memory of this process and writes the line ``ready`` first.
    """
    import types

    from evalsuite.sandbox import compare

    legacy.restore()
    guard()
    for name in COMPARISONS:
        parts = name.split(".")
        for depth in range(1, len(parts)):
            sys.modules.setdefault(".".join(parts[:depth]), types.ModuleType(parts[depth - 1]))
        sys.modules[name] = compare
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(b"ready\n")
    sink.flush()
    while len(head := source.read(8)) == 8:
        request, raw = pickle.loads(source.read(struct.unpack("Q", head)[0]))
        answer = json.dumps(_answered(request, raw)).encode()
        sink.write(struct.pack("Q", len(answer)) + answer)
        sink.flush()
