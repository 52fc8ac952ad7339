"""Values leave as data: bit by bit what they were, and nothing else."""

import itertools
import json
import math
import re
from array import array
from collections import UserList, deque
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pytest
import sympy
import sympy.physics.units
from scipy import sparse

from evalsuite.sandbox.checker import frames
from evalsuite.sandbox.serialization import MAX_DEPTH, Opaque, decode, encode
from evalsuite.sandbox.symbolic import NotData


def there_and_back(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -(10**400), 0.1, -0.0, math.inf, 1 + 2j, "ä\ud800", b"\0x"),
        *([1, (2.5, "x")], {1: {2.0: [None]}}, {3, 4}, frozenset({5}), bytearray(b"z"), range(9, 1, -2)),
        *(Fraction(-1, 3), Decimal("-1.50"), Decimal("inf"), deque([1, [2]]), array("d", [0.1, 2]), array("i", [3])),
    ],
    ids=repr,
)
def test_plain_values_come_back_with_their_types(value: Any) -> None:
    found = there_and_back(value)
    assert found == value
    assert repr(found) == repr(value)


@pytest.mark.parametrize("kind", ["f8", "f4", "c16", "i2", "u1", "?", "U3", "S2", "g", "M8[s]", "m8[25us]"])
def test_arrays_come_back_bit_by_bit(kind: str) -> None:
    array = np.array([[0, 1], [1, 0]]).astype(kind)
    for value in (array, array[:, ::-1], array.T, array[0, 0], np.zeros((0, 3), kind), np.array(array[0, 0])):
        found = there_and_back(value)
        assert (found.dtype, found.shape, type(found)) == (value.dtype, value.shape, type(value))
        assert found.tobytes() == value.tobytes()


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
def test_sparse_matrices_keep_their_format(kind: str) -> None:
    found = there_and_back(sparse.random(5, 4, 0.4, format=kind, random_state=1))
    assert found.format == kind
    assert np.array_equal(found.toarray(), sparse.random(5, 4, 0.4, random_state=1).toarray())


def test_sparse_arrays_stay_arrays_of_any_dimension() -> None:
    flat = sparse.coo_array([0.0, 3.0, 0.0])
    found = there_and_back([flat, sparse.csr_array([[0, 1], [2, 0]])])
    assert [type(one) for one in found] == [sparse.coo_array, sparse.csr_array]
    assert [one.toarray().tolist() for one in found] == [[0, 3, 0], [[0, 1], [2, 0]]]


def test_views_iterators_and_records() -> None:
    counts = {"a": 1, "b": 2}
    assert there_and_back(counts.keys()) == counts.keys()
    assert there_and_back(counts.items()) == counts.items()
    assert list(there_and_back(counts.values())) == [1, 2]
    assert list(there_and_back(zip("ab", range(2), strict=True))) == [("a", 0), ("b", 1)]
    assert list(there_and_back(itertools.count(3)))[:2] == [3, 4], "as far as anything is read"
    assert there_and_back(memoryview(b"xy")).tolist() == [120, 121]
    assert there_and_back(UserList([1, [2]])) == [1, [2]]
    assert there_and_back(MappingProxyType(counts)) == counts
    table = np.array([(1, 2.5), (3, 4.5)], [("n", "i4"), ("x", "f8")])
    for value in (table, table[0], np.rec.array(table)):
        found = there_and_back(value)
        assert (found.dtype, found.tolist()) == (table.dtype, value.tolist())


def test_what_numpy_takes_as_an_array_leaves_as_one() -> None:
    class Boxed:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.arange(3.0)

    masked = np.ma.array([0.0, 1.0, 2.0], mask=[0, 0, 1])
    for value in (Boxed(), np.poly1d([0.5, 1, 2]) * 2 - np.poly1d([1, 1, 2]), pd.Series(np.arange(3.0)), masked):
        found = there_and_back(value)
        assert type(found) is np.ndarray
        assert np.allclose(found, np.asarray(value))
    assert there_and_back(pd.Series(["a", "b"])).tolist() == ["a", "b"]
    assert there_and_back(mpmath.mpf("0.25")) == 0.25


X, Y, POSITIVE = sympy.Symbol("x"), sympy.Symbol("y"), sympy.Symbol("t", real=True, positive=True)
F = sympy.Function("f")
EXPRESSIONS = [
    *(X, POSITIVE, sympy.Symbol(r"\\alpha_{1}"), sympy.Integer(5), sympy.Rational(-1, 3), sympy.Float("0.1", 30)),
    *(sympy.Float(0), sympy.Float("inf"), sympy.pi, sympy.I, sympy.oo, -sympy.oo, sympy.zoo, sympy.true, sympy.sqrt(8)),
    *(X**2 + 1, (X + 1) / (Y - 2) * sympy.sqrt(X), sympy.sin(X) * sympy.exp(-POSITIVE), F(X, Y).diff(X), -X),
    *(sympy.Integral(X**2, (X, 0, 1)), sympy.Sum(X, (X, 1, Y)), sympy.Piecewise((X, X > 0), (0, True))),
    *(sympy.Eq(X, Y), sympy.And(X > 0, Y < 2), sympy.FiniteSet(1, X), sympy.Interval.open(0, 1), sympy.Max(X, Y)),
    *(sympy.besselj(0, X), sympy.Lambda(X, X**2), sympy.O(X**3), sympy.Subs(F(X), X, 0), sympy.MatrixSymbol("A", 2, 2)),
    *(sympy.Matrix([[1, X], [Y, 2.5]]), sympy.ImmutableMatrix([1]), sympy.SparseMatrix([[0, X]]), sympy.Array([X, 2])),
    *(sympy.Mul(2, 3, evaluate=False), sympy.Pow(10, sympy.Pow(10, 10, evaluate=False), evaluate=False)),
]


@pytest.mark.parametrize("value", EXPRESSIONS, ids=str)
def test_expressions_are_rebuilt_node_by_node(value: Any) -> None:
    found = there_and_back(value)
    assert (type(found), sympy.srepr(found)) == (type(value), sympy.srepr(value))
    assert found == value


@pytest.mark.parametrize(
    "value",
    [sympy.Symbol("__import__('os')"), sympy.Function("eval")(X), F, sympy.Symbol("x; y"), sympy.physics.units.meter],
    ids=str,
)
def test_names_that_could_be_code_and_unknown_nodes_are_no_data(value: Any) -> None:
    for one in (value, [value]):
        found = there_and_back(one)
        assert isinstance(found[0] if isinstance(one, list) else found, Opaque)


def test_objects_lose_what_they_override() -> None:
    class Equal(float):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = float.__hash__

    class Array(np.ndarray):
        def __eq__(self, other: object) -> Any:
            return True

    assert type(there_and_back(Equal(3))) is float
    assert type(there_and_back(np.zeros(2).view(Array))) is np.ndarray
    for value in (object(), lambda: 1, np.array([(object(), 1)], "O,i4"), object):
        found = there_and_back(value)
        assert isinstance(found, Opaque)
        assert found != value
        assert found != found
    deep: Any = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert there_and_back(deep) == deep
    assert "nested too deep" in repr(there_and_back([deep]))


@pytest.mark.parametrize(
    "tree",
    [
        7,
        {"t": "pickle", "v": "gASVBQ=="},
        {"t": ["list"], "v": []},
        {"t": "array", "d": "|O", "s": [1], "v": "AAAAAAAAAAA="},
        {"t": "array", "d": "f8,i4", "s": [1], "v": ""},
        {"t": "array", "d": "<f8", "s": [1000000000], "v": "AAAA"},
        {"t": "sparse", "f": "csr", "s": [2, 2], "v": [{"t": "plain", "v": None}] * 3},
        {"t": "sparse", "f": "toarray", "s": [2, 2], "v": []},
        {"t": "plain", "v": [1]},
        {"t": "dict", "v": [[{"t": "list", "v": []}, {"t": "plain", "v": None}]]},
        {"t": "int", "v": "0x"},
        {"t": "node", "f": "Add", "v": [{"t": "str", "v": "x"}]},
        {"t": "node", "f": "Symbol", "v": "x"},
        {"t": "node", "f": "sympify", "v": []},
        {"t": "node", "f": "Indexed", "v": [{"t": "rational", "v": ["0x1", "0x1"]}]},
        {"t": "node", "f": "Limit", "v": [{"t": "symbol", "n": "x", "d": None, "a": {}}] * 3},
        {"t": "matrix", "f": "MutableDenseMatrix", "s": [1, 1], "v": [{"t": "str", "v": "x"}]},
        {"t": "symbol", "n": "x()", "d": None, "a": {}},
        {"t": "symbol", "n": "x", "d": None, "a": {"evil": True}},
        {"t": "call", "n": "exec", "v": []},
        {"t": "constant", "f": "sympify"},
        {"t": "real", "v": [0, "0x1", 0, 1], "p": 10**9},
        {"t": "decimal", "v": [0, "x", 0]},
        {"t": "buffer", "c": "u", "v": ""},
        {"t": "record", "scalar": False, "s": [1], "v": [["x", "O", {"t": "list", "v": []}]]},
    ],
    ids=lambda tree: str(tree)[:30],
)
def test_forged_bytes_are_no_value(tree: Any) -> None:
    with pytest.raises(NotData):
        decode(tree)


def test_forged_lines_end_the_reading_and_nothing_else() -> None:
    raw = b'{"end": 0}\n' + b"[" * 100_000 + b'\n{"end": 1}\n'
    assert frames(raw).ended == {0}
    assert frames(b'{"end": 0}\n7\n{"end": 1}\n').ended == {0}
    assert frames(b'{"site": 1, "error": "E"}\n').values[1]


def test_an_object_with_items_that_is_no_array_leaves_as_the_name_of_its_type() -> None:
    found = there_and_back(re.match("a", "a"))
    assert isinstance(found, Opaque)
    assert found.kind == "Match"
