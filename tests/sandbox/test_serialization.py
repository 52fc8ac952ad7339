"""Values leave as data: bit by bit what they were, and nothing else."""

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from evalsuite.sandbox.checker import frames
from evalsuite.sandbox.serialization import MAX_DEPTH, NotData, Opaque, decode, encode


def there_and_back(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -(10**400), 0.1, -0.0, math.inf, 1 + 2j, "ä\ud800", b"\0x"),
        *([1, (2.5, "x")], {1: {2.0: [None]}}, {3, 4}),
    ],
    ids=repr,
)
def test_plain_values_come_back_with_their_types(value: Any) -> None:
    found = there_and_back(value)
    assert found == value
    assert repr(found) == repr(value)


@pytest.mark.parametrize("kind", ["f8", "f4", "c16", "i2", "u1", "?", "U3", "S2", "g"])
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


def test_symbols_leave_as_text_and_their_numbers_as_numbers() -> None:
    import sympy

    x = sympy.Symbol("x")
    found = there_and_back({x: sympy.Rational(1, 4), "e": x**2 + 1, "m": sympy.Matrix([[1, sympy.sqrt(4)]])})
    assert (found["x"], found["e"], found["m"].tolist()) == (0.25, "x**2 + 1", [[1.0, 2.0]])


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
    for value in (Fraction(1, 2), object(), lambda: 1, np.array([1], "datetime64[s]")):
        found = there_and_back(value)
        assert isinstance(found, Opaque)
        assert found != value
        assert found != found
    deep: Any = 1
    for _ in range(MAX_DEPTH + 3):
        deep = [deep]
    assert "nested too deep" in repr(there_and_back(deep))


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
