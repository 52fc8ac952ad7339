# ruff: noqa: E501
"""Thirty made answers to made LiveCodeBench problems of both kinds, with the official checker's verdict on each.

The verdicts are those of LiveCodeBench/LiveCodeBench 28fef95e; ``python -m figures livecodebench`` takes them again.
"""

import base64
import json
import pickle
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.tasks.datasets import Source
from evalsuite.tasks.livecodebench.problems import Tests

SECONDS = 1
"""For each test, here."""
SUM = Tests(None, ("1 2\n", "10 20\n"), ("3\n", "30\n"))
LINES = Tests(None, ("2\n5\n7\n", "1\n4\n"), ("5\n7\n", "4\n"))
RATIO = Tests(None, ("1 2\n", "3 1\n"), ("0.5", "3"))
DOUBLE = Tests("double", ("[1, 2]", "[]"), ("[2, 4]", "[]"))
PAIRS = Tests("pairs", ("[1, 2]\n3", "[4]\n0"), ("[[1, 3], [2, 3]]", "[[4, 0]]"))


@dataclass(frozen=True, slots=True)
class Case:
    """One answer."""

    name: str
    tests: Tests
    code: str
    passes: bool
    """Verdict of the official checker."""


def _method(name: str, body: str) -> str:
    return f"class Solution:\n    def {name}(self, nums: List[int], more: int = 0):\n        {body}\n"


CASES = (
    Case("input", SUM, "a, b = map(int, input().split())\nprint(a + b)", True),
    Case("sys.stdin.read", SUM, "import sys\nprint(sum(map(int, sys.stdin.read().split())))", True),
    Case(
        "main guard",
        SUM,
        "def main():\n    print(sum(map(int, input().split())))\nif __name__ == '__main__':\n    main()",
        True,
    ),
    Case("sys.stdin.buffer.read", SUM, "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))", True),
    Case(
        "imported stdin",
        LINES,
        "from sys import stdin\nfor _ in range(int(stdin.readline())):\n    print(int(stdin.readline()))",
        True,
    ),
    Case("open(0)", SUM, "print(sum(map(int, open(0).read().split())))", False),
    Case(
        "names of the preamble",
        SUM,
        "print(reduce(lambda a, b: a + b, Counter(map(int, input().split())).elements()))",
        True,
    ),
    Case("blank lines and spaces", SUM, "print('  ', sum(map(int, input().split())), ' \\n\\n')", True),
    Case("equal decimals", RATIO, "a, b = map(int, input().split())\nprint('%.3f' % (a / b))", True),
    Case("leaves with exit", SUM, "print(sum(map(int, input().split())))\nexit()", True),
    Case(
        "iterates over stdin", SUM, "import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))", False
    ),
    Case(
        "buffer line by line",
        LINES,
        "import sys\nn = int(sys.stdin.buffer.readline())\nfor _ in range(n):\n    print(int(sys.stdin.buffer.readline()))",
        False,
    ),
    Case("wrong", SUM, "a, b = map(int, input().split())\nprint(a - b)", False),
    Case("wrong in the second test", SUM, "a, b = map(int, input().split())\nprint(3 if a < 9 else 31)", False),
    Case("one line too many", SUM, "a, b = map(int, input().split())\nprint(a + b)\nprint('done')", False),
    Case("almost equal decimals", RATIO, "a, b = map(int, input().split())\nprint(a / b + 1e-9)", False),
    Case("runs for ever", SUM, "while True:\n    pass", False),
    Case("divides by zero", SUM, "print(1 // 0)", False),
    Case("no Python", SUM, "print('3'", False),
    Case("all memory", SUM, "x = [0] * 10**12\nprint(sum(map(int, input().split())))", False),
    Case(
        "class Solution in a program",
        SUM,
        "class Solution:\n    def run(self):\n        return sum(map(int, input().split()))\nprint(Solution().run())",
        False,
    ),
    Case(
        "global in a program",
        SUM,
        "total = 0\ndef add(n):\n    global total\n    total += n\nfor n in map(int, input().split()):\n    add(n)\nprint(total)",
        False,
    ),
    Case("method", DOUBLE, _method("double", "return [2 * n for n in nums]"), True),
    Case("method, tuple", DOUBLE, _method("double", "return tuple(2 * n for n in nums)"), True),
    Case("method, floats", DOUBLE, _method("double", "return [2.0 * n for n in nums]"), True),
    Case(
        "method, NumPy integers",
        DOUBLE,
        "import numpy as np\n" + _method("double", "return [np.int64(2 * n) for n in nums]"),
        True,
    ),
    Case("method of two arguments", PAIRS, _method("pairs", "return [[n, more] for n in nums]"), True),
    Case("method, tuples inside", PAIRS, _method("pairs", "return [(n, more) for n in nums]"), False),
    Case("method, generator", DOUBLE, _method("double", "return (2 * n for n in nums)"), False),
    Case("method that is missing", DOUBLE, _method("triple", "return nums"), False),
)


def lay_out(root: Path) -> Source:
    """Two problems of the window and one before it, in the dataset's columns, below ``root``."""
    rows = [
        row("sum", SUM, "2024-09-14", "easy", "atcoder"),
        row("double", DOUBLE, "2025-01-05", "hard", "leetcode"),
        row("old", SUM, "2024-07-31", "easy", "atcoder"),
    ]
    path = root / "livecodebench" / "test.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Source("local", str(root))


def row(name: str, tests: Tests, date: str, difficulty: str, platform: str) -> dict[str, Any]:
    """One problem in the dataset's columns."""
    kind = "stdin" if tests.function is None else "functional"
    cases = [
        {"input": text, "output": output, "testtype": kind}
        for text, output in zip(tests.inputs, tests.outputs, strict=True)
    ]
    starter = "" if tests.function is None else f"class Solution:\n    def {tests.function}(self, nums: List[int]):"
    return {
        "question_title": name,
        "question_content": f"Made problem: {name}.\n    Indented.",
        "platform": platform,
        "question_id": name,
        "contest_id": "made",
        "contest_date": f"{date}T00:00:00",
        "starter_code": f"{starter}\n        " if starter else "",
        "difficulty": difficulty,
        "public_test_cases": json.dumps(cases[:1]),
        "private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases[1:])))).decode(),
        "metadata": json.dumps({} if tests.function is None else {"func_name": tests.function}),
    }
