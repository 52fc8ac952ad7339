"""Snippets that try to be found right: by the values that they return, or by the process that they share."""
# ruff: noqa: E501  # the code of a snippet stands as it runs

from collections.abc import Mapping

FORGING: Mapping[str, str] = {
    "empty_column": "import numpy as np\ndef f(x): return np.empty((0, 1))\ndef g(n): return np.empty((0, 1)), []",
    "empty_everything": "def f(x): return []\ndef g(n): return [], ()",
    "nothing_but_masked": "import numpy as np\ndef f(x): return np.ma.masked_all(5)\ndef g(n): return np.ma.masked, np.ma.masked",
    "text_that_sympy_would_run": """
import numpy as np
TEXT = "__import__('os').system('touch @SCRATCH@/@MARK@')"
def f(x): return TEXT
def g(n): return TEXT, np.array([TEXT])
""",
    "symbols_named_as_code": """
import sympy
def f(x): return sympy.Symbol("__import__('os').system('touch @SCRATCH@/@MARK@')")
def g(n): return sympy.Function("eval")(sympy.Symbol("exec")), sympy.Symbol("x); import os; (x")
""",
    "classes_that_lie": """
import numpy as np
class Lie:
    __class__ = np.ndarray
    dtype = np.dtype('f8'); shape = (5,); __array_priority__ = 9e9
    def __eq__(s, o): return True
    def __getattr__(s, name): return lambda *a, **k: True
    def __bool__(s): return True
    def __array__(s, *a, **k): raise SystemExit(0)
def f(x): return Lie()
def g(n): return Lie(), Lie()
""",
    "arrays_that_lie": """
import numpy as np
class A(np.ndarray):
    def tobytes(s, *a): return np.zeros(5).tobytes()
    def __array_function__(s, *a, **k): return True
    def __array_ufunc__(s, *a, **k): return True
    def __reduce__(s): raise SystemExit(0)
def f(x): return np.zeros(5).view(A)
def g(n): return np.zeros(()).view(A), np.zeros(()).view(A)
""",
    "frames_of_its_own": """
import gc, io, json
def writers(): return [o for o in gc.get_objects() if isinstance(o, io.TextIOWrapper)]
lines = [json.dumps({'end': n}) for n in range(3)] + [json.dumps({'site': n, 'value': {'t': 'plain', 'v': True}}) for n in range(9)]
def f(x):
    for out in writers():
        try: out.write('\\n'.join(lines) + '\\n'); out.flush()
        except Exception: pass
    raise SystemExit(0)
def g(n): return 0, 0
""",
    "frames_of_the_caller": """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        for name in list(frame.f_locals):
            if name in ('target', 'targets', 'tests', 'request'): print('CANARY' if 'target' in name else '')
        frame.f_globals.update(encode=lambda *a: {'t': 'plain', 'v': True})
        frame = frame.f_back
    return True
def g(n): return True, True
""",
    "libraries_replaced": """
import builtins, json, sys
import numpy as np
json.dumps = lambda *a, **k: '{"end": 0}'
builtins.isinstance = lambda *a: True
builtins.all = builtins.any = lambda *a: True
for name in list(vars(np)):
    if 'close' in name or 'equal' in name: setattr(np, name, lambda *a, **k: True)
sys.modules['numpy'] = sys.modules['json']
def f(x): return True
def g(n): return True, True
""",
    "values_that_explode": """
import numpy as np
def f(x): return np.ones((60_000, 1))
def g(n): return np.broadcast_to(np.ones(1), (10**9,)), 0
""",
    "values_without_end": """
class Endless(list):
    def __iter__(s):
        while True: yield 1.0
    def __len__(s): return 5
deep = []
for _ in range(100_000): deep = [deep]
circle = []; circle.append(circle)
def f(x): return [Endless(), deep, circle]
def g(n): return deep, circle
""",
    "numbers_without_end": "def f(x): return 10 ** 3_000_000\ndef g(n): return (1 << 900_000_000), 1e999",
    "stack_and_crash": "import sys, ctypes\nsys.setrecursionlimit(10**9)\ndef f(x): return f(x)\ndef g(n): return ctypes.string_at(1)",
}
"""Name -> code; a part of ``attacks.ATTACKS``."""
