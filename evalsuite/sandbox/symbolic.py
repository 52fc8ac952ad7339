"""SymPy values as trees of known nodes, rebuilt one by one: no text is parsed, and expressions stay unevaluated."""

import builtins
import keyword
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

Tree = dict[str, Any]

_EXPRESSIONS = """
Add Mul Pow exp log Abs sign re im conjugate arg Max Min floor ceiling frac Mod sin cos tan cot sec csc sinc asin acos
atan acot asec acsc atan2 sinh cosh tanh coth sech csch asinh acosh atanh acoth LambertW factorial factorial2 binomial
gamma loggamma lowergamma uppergamma digamma polygamma beta erf erfc erfi erfinv Ei expint Si Ci Shi Chi li fresnels
fresnelc besselj bessely besseli besselk hankel1 hankel2 jn yn airyai airybi airyaiprime airybiprime legendre
assoc_legendre hermite laguerre assoc_laguerre chebyshevt chebyshevu gegenbauer jacobi Ynm Znm zeta dirichlet_eta
polylog lerchphi elliptic_k elliptic_e elliptic_f Heaviside DiracDelta KroneckerDelta LeviCivita fibonacci lucas
bernoulli euler harmonic catalan RisingFactorial FallingFactorial Piecewise Equality Unequality StrictLessThan
LessThan StrictGreaterThan GreaterThan And Or Not Xor Implies ITE
"""
"""Built with ``evaluate=False``."""
_OTHERS = """
Tuple ExprCondPair Derivative Integral Sum Product Limit Subs Lambda Order FiniteSet Interval Union Intersection
Complement ProductSet MatrixSymbol MatAdd MatMul Transpose Inverse Trace Determinant IndexedBase Indexed Idx Str
"""
_CONSTANTS = """
Pi Exp1 ImaginaryUnit Infinity NegativeInfinity ComplexInfinity NaN GoldenRatio TribonacciConstant EulerGamma Catalan
BooleanTrue BooleanFalse EmptySet UniversalSet Reals Integers Naturals Naturals0 Rationals Complexes
"""
_MATRICES = ("MutableDenseMatrix", "ImmutableDenseMatrix", "MutableSparseMatrix", "ImmutableSparseMatrix")
_TENSORS = ("ImmutableDenseNDimArray", "MutableDenseNDimArray")
_NAME = re.compile(r"[^()\[\]\"`;:=@#%&!?<>\n\r]{1,200}")
"""Names of symbols: nothing that would be more than a name where an expression is printed as code."""


class NotData(ValueError):
    """Bytes from the sandbox that are no value."""


def encode(value: Any, child: Callable[[Any], Tree]) -> Tree | None:
    """A SymPy value as a JSON tree of known nodes; ``child`` encodes the parts.

    None for any other value, for a SymPy value of an unknown kind, and where SymPy is not loaded.
    """
    sympy = sys.modules.get("sympy")
    if sympy is None:
        return None
    kind = type(value)
    if kind.__name__ in _MATRICES and isinstance(value, sympy.MatrixBase):
        return {
            "t": "matrix",
            "f": kind.__name__,
            "s": [int(length) for length in value.shape],
            "v": [child(one) for one in value],
        }
    if kind.__name__ in _TENSORS and isinstance(value, sympy.NDimArray):
        return {
            "t": "tensor",
            "f": kind.__name__,
            "s": [int(length) for length in value.shape],
            "v": [child(one) for one in value],
        }
    if not issubclass(kind, sympy.Basic):
        return None
    return _encode_atom(value, sympy) or _encode_node(value, child, sympy)


def _encode_atom(value: Any, sympy: Any) -> Tree | None:
    if isinstance(value, sympy.Rational):
        return {"t": "rational", "v": [hex(int(value.p)), hex(int(value.q))]}
    if isinstance(value, sympy.Float):
        sign, mantissa, exponent, bits = value._mpf_
        return {"t": "real", "v": [int(sign), hex(int(mantissa)), int(exponent), int(bits)], "p": int(value._prec)}
    if type(value) in (sympy.Symbol, sympy.Dummy) and _NAME.fullmatch(value.name):
        number = value.dummy_index if type(value) is sympy.Dummy else None
        return {"t": "symbol", "n": value.name, "d": number, "a": _assumptions(value)}
    if type(value).__name__ in _CONSTANTS.split() and value is getattr(sympy.S, type(value).__name__):
        return {"t": "constant", "f": type(value).__name__}
    return None


def _assumptions(value: Any) -> dict[str, bool]:
    stated = getattr(value, "_assumptions_orig", None)
    stated = value._assumptions.generator if stated is None else stated
    return {str(name): bool(holds) for name, holds in stated.items() if holds is not None}


def _encode_node(value: Any, child: Callable[[Any], Tree], sympy: Any) -> Tree | None:
    kind = type(value)
    if isinstance(value, sympy.core.function.AppliedUndef):
        if not _is_function_name(kind.__name__):
            return None
        return {"t": "call", "n": kind.__name__, "v": [child(one) for one in value.args]}
    if _nodes().get(kind.__name__) is not kind:
        return None
    if kind.__name__ == "Str":
        return {"t": "node", "f": "Str", "v": value.name} if _NAME.fullmatch(value.name) else None
    return {"t": "node", "f": kind.__name__, "v": [child(one) for one in value.args]}


def _is_function_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and name not in vars(builtins)


@cache
def _nodes() -> Mapping[str, type]:
    """Name -> class of the expression nodes that may leave the sandbox."""
    import sympy
    from sympy.core.symbol import Str
    from sympy.functions.elementary.piecewise import ExprCondPair

    own = {"Str": Str, "ExprCondPair": ExprCondPair}
    return {name: own.get(name) or getattr(sympy, name) for name in (*_EXPRESSIONS.split(), *_OTHERS.split())}


def decode(tree: Tree, child: Callable[[Any], Any]) -> Any:
    """The SymPy value of a tree that ``encode`` wrote; ``child`` decodes the parts.

    Arithmetic, functions, relations and logic (``_EXPRESSIONS``) are built unevaluated, other nodes, such as sets and
    integrals, as their constructors do. Raises ``NotData`` for an unknown node, and whatever a part of the wrong kind
    raises.
    """
    reader = _READERS.get(str(tree.get("t")))
    if reader is None:
        raise NotData(f"unknown kind of value {str(tree.get('t'))[:40]}")
    return reader(tree, child)


def _parts(tree: Tree, child: Callable[[Any], Any]) -> list[Any]:
    """The decoded parts ``tree["v"]``. Raises ``NotData`` unless all are of SymPy's classes ``Basic`` or
    ``MatrixBase``: a text among them would be parsed.
    """
    from sympy import Basic, MatrixBase

    parts = [child(one) for one in tree["v"]]
    if not all(isinstance(part, Basic | MatrixBase) for part in parts):
        raise NotData("a part that is no expression")
    return parts


def _node(tree: Tree, child: Callable[[Any], Any]) -> Any:
    name = str(tree["f"])
    kind = _nodes().get(name)
    if kind is None:
        raise NotData(f"unknown expression {name[:40]}")
    if name == "Str":
        return kind(_checked_name(tree["v"]))
    parts = _parts(tree, child)
    return kind(*parts, evaluate=False) if name in _EXPRESSIONS.split() else kind(*parts)


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise NotData("no name of a symbol")
    return name


def _symbol(tree: Tree, child: Callable[[Any], Any]) -> Any:
    import sympy
    from sympy.core.assumptions import _assume_defined

    assumptions = {str(name): bool(holds) for name, holds in tree["a"].items()}
    if not assumptions.keys() <= set(_assume_defined):
        raise NotData("unknown assumption")
    if tree["d"] is not None:
        return sympy.Dummy(_checked_name(tree["n"]), dummy_index=int(tree["d"]), **assumptions)
    return sympy.Symbol(_checked_name(tree["n"]), **assumptions)


def _call(tree: Tree, child: Callable[[Any], Any]) -> Any:
    import sympy

    name = str(tree["n"])
    if not _is_function_name(name):
        raise NotData("no name of a function")
    return sympy.Function(name)(*_parts(tree, child))


def _real(tree: Tree, child: Callable[[Any], Any]) -> Any:
    import sympy
    from mpmath.libmp import from_man_exp  # type: ignore[import-untyped]

    sign, mantissa, exponent, bits = tree["v"]
    precision, size = int(tree["p"]), int(mantissa, 16)
    if not 0 < precision < 1 << 20:
        raise NotData("no precision")
    if size == 0 and exponent:  # mpmath's infinities and nan
        return sympy.Float({(-456, -2): "inf", (-789, -3): "-inf"}.get((int(exponent), int(bits)), "nan"))
    if size == 0:
        return sympy.Float("0", precision=precision)
    number = from_man_exp(-size if sign else size, int(exponent))
    return sympy.Float._new(number, precision)


def _rational(tree: Tree, child: Callable[[Any], Any]) -> Any:
    import sympy

    return sympy.Rational(*(int(part, 16) for part in tree["v"]))


def _constant(tree: Tree, child: Callable[[Any], Any]) -> Any:
    import sympy

    if tree["f"] not in _CONSTANTS.split():
        raise NotData("unknown constant")
    return getattr(sympy.S, tree["f"])


def _matrix(tree: Tree, child: Callable[[Any], Any]) -> Any:
    import sympy

    shape = [int(length) for length in tree["s"]]
    if tree["t"] == "tensor" and tree["f"] in _TENSORS:
        return getattr(sympy, tree["f"])(_parts(tree, child), shape)
    if tree["t"] == "matrix" and tree["f"] in _MATRICES and len(shape) == 2:
        return getattr(sympy, tree["f"])(*shape, _parts(tree, child))
    raise NotData("unknown matrix")


_READERS: Mapping[str, Callable[[Tree, Callable[[Any], Any]], Any]] = {
    "node": _node,
    "symbol": _symbol,
    "call": _call,
    "real": _real,
    "rational": _rational,
    "constant": _constant,
    "matrix": _matrix,
    "tensor": _matrix,
}
