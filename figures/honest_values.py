"""Values of every honest kind through the sandbox, beside the same assertion run directly in one process."""

import sys
import types
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evalsuite.sandbox import compare, scipy_compat
from evalsuite.sandbox.client import Job, Sandbox
from evalsuite.sandbox.split_tests import split
from evalsuite.sandbox.zygote import WARM
from figures.line import Line

IMPORTS = (
    "import array, collections, decimal, fractions, types\nimport mpmath\nimport numpy as np\nimport pandas as pd\n"
    "import scipy.sparse\nimport sympy as sp"
)
_ROW = [1.0, 2.0, 3.0]
VALUES: Mapping[str, tuple[str, Any]] = {
    "float": ("2.5", 2.5),
    "int": ("3", 3),
    "bool": ("True", True),
    "complex": ("1+2j", 1 + 2j),
    "str": ("'text'", "text"),
    "None": ("None", "none"),
    "list": ("[1.0, 2.0, 3.0]", np.array(_ROW)),
    "tuple": ("(1.0, 2.0, 3.0)", tuple(_ROW)),
    "named tuple": ("collections.namedtuple('P', 'x y')(1.0, 2.0)", (1.0, 2.0)),
    "dict": ("{'a': 1.0, 'b': 2.0}", {"a": 1.0, "b": 2.0}),
    "ordered dict": ("collections.OrderedDict(a=1.0)", {"a": 1.0}),
    "set": ("{1, 2}", {1, 2}),
    "range": ("range(1, 4)", np.array([1, 2, 3])),
    "deque": ("collections.deque([1.0, 2.0, 3.0])", np.array(_ROW)),
    "array.array": ("array.array('d', [1, 2, 3])", np.array(_ROW)),
    "memoryview": ("memoryview(np.array([1.0, 2.0, 3.0]))", np.array(_ROW)),
    "bytes": ("b'xy'", b"xy"),
    "dict's values": ("{1: 1.0}.values()", [1.0]),
    "Fraction": ("fractions.Fraction(1, 4)", 0.25),
    "Decimal": ("decimal.Decimal('0.25')", 0.25),
    "mpf": ("mpmath.mpf('0.25')", 0.25),
    "ndarray": ("np.arange(6.0).reshape(2, 3)[::-1]", np.arange(6.0).reshape(2, 3)[::-1]),
    "NumPy scalar": ("np.float32(2.5)", 2.5),
    "array of texts": ("np.array(['a', 'bc'])", np.array(["a", "bc"])),
    "array of objects": ("np.array([1, 2.5, None], dtype=object)", np.array([1, 2.5, None], dtype=object)),
    "matrix": ("np.matrix([[1.0, 2.0]])", np.array([[1.0, 2.0]])),
    "masked array": ("np.ma.array([1.0, 2.0, 3.0], mask=[0, 0, 1])", np.array(_ROW)),
    "poly1d": ("np.poly1d([1.0, 2.0, 3.0])", np.array(_ROW)),
    "Series": ("pd.Series([1.0, 2.0, 3.0])", np.array(_ROW)),
    "DataFrame": ("pd.DataFrame({'a': [1.0, 2.0]})", np.array([[1.0], [2.0]])),
    "object with __array__": ("type('B', (), {'__array__': lambda s, *a, **k: np.arange(3.0)})()", np.arange(3.0)),
    "nested to 50 levels": ("nest(1.0)", 1.0),
    "SymPy number": ("sp.Float(2.5)", 2.5),
    "SymPy expression": ("sp.Symbol('x')**2 + 1", "x**2 + 1"),
    "SymPy matrix": ("sp.Matrix([[1, 2], [3, 4]])", np.array([[1, 2], [3, 4]])),
}
"""Kind -> (how an answer returns it, the target)."""
FORMS: Sequence[str] = (
    "assert np.allclose(f(), target)",
    "assert np.all(f() == target)",
    "from scicode.compare.cmp import cmp_tuple_or_list\nassert cmp_tuple_or_list((f(), 1.0), (target, 1.0))",
)
_NEST = "\ndef nest(value):\n    for _ in range(49): value = [value]\n    return value\n"


def lines() -> list[Line]:
    """How many of the verdicts are those of the assertion run directly."""
    different = {name: both for name, both in verdicts().items() if both[0] != both[1]}
    shown = "; ".join(f"{name}: {ours}, directly {direct}" for name, (ours, direct) in different.items()) or "none"
    total = len(VALUES) * len(FORMS)
    what = f"{len(VALUES)} types of honest values x {len(FORMS)} forms of assertion, beside the assertion run directly"
    return [
        Line(what, "equal but for the empty-value rule", f"{total - len(different)} of {total} equal; others: {shown}")
    ]


def verdicts() -> dict[str, tuple[bool, bool]]:
    """ "Kind, form" -> (verdict of the sandbox, verdict of the assertion run directly)."""
    box = Sandbox("bubblewrap", warm=(*WARM, "pandas"))
    found = {}
    try:
        for name, (value, target) in VALUES.items():
            code = f"{_NEST}def f(): return {value}"
            if name.startswith("nested"):
                target = np.full((1,) * 49, target)
            result = box.run(Job(IMPORTS, code, split(FORMS, IMPORTS), 60.0), [target] * len(FORMS))
            for form, passed in zip(FORMS, result.passed, strict=True):
                found[f"{name}, {form.splitlines()[-1]}"] = (passed, directly(code, form, target))
    finally:
        box.close()
    return found


def directly(code: str, form: str, target: Any) -> bool:
    """Whether the assertion holds where answer, test and target share a process."""
    scipy_compat.restore()
    for name in ("scicode", "scicode.compare"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["scicode.compare.cmp"] = compare
    names: dict[str, Any] = {"target": target}
    try:
        with warnings.catch_warnings(action="ignore"):
            exec(f"{IMPORTS}\n{code}\n{form}", names)
    except Exception:  # noqa: BLE001  # whatever an assertion raises: it does not hold
        return False
    return True
