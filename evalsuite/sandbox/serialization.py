"""Values as data: what may leave the sandbox, as JSON, and how it is read outside with nothing but NumPy and SciPy.

No pickle and no code: numbers (floats as hexadecimal, so bit by bit), texts, containers, arrays of plain numbers,
sparse matrices, and SymPy expressions as number or text. Everything else leaves as the name of its type. Subclasses
are reduced to the built-in value that they hold, which takes every overridden ``__eq__`` from them.
"""

import base64
import binascii
import re
import sys
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 12
KINDS = "biufcUS"
"""NumPy's kinds of plain numbers and texts."""
_DTYPE = re.compile(rf"[<>|=]?[{KINDS}][0-9]{{0,7}}")
SPARSE = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")


class NotData(ValueError):
    """Bytes from the sandbox that are no value."""


class Opaque:
    """Stands outside for an object that is no data; equal to nothing, not even to itself."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self.kind}>"


def encode(value: Any, depth: int = 0) -> dict[str, Any]:
    """A JSON tree; runs beside untrusted code, so nothing that it says is believed."""
    import numpy as np

    if depth > MAX_DEPTH:
        return {"t": "opaque", "v": "nested too deep"}
    if isinstance(value, np.ndarray | np.generic):
        return _encode_array(np.asarray(value), isinstance(value, np.generic), depth)
    matrix = _encode_sparse(value, depth)  # first: one of the formats is a dict as well
    if matrix is not None:
        return matrix
    for kind, found in (("list", list), ("tuple", tuple), ("set", set | frozenset), ("list", range)):
        if isinstance(value, found):
            return {"t": kind, "v": [encode(one, depth + 1) for one in value]}
    if isinstance(value, dict):
        pairs = dict.items(value)
        return {"t": "dict", "v": [[encode(key, depth + 1), encode(one, depth + 1)] for key, one in pairs]}
    return _encode_plain(value) or _encode_symbolic(value, depth) or {"t": "opaque", "v": type(value).__name__[:80]}


def _encode_plain(value: Any) -> dict[str, Any] | None:
    if value is None or isinstance(value, bool):
        return {"t": "plain", "v": value}
    if isinstance(value, int):
        return {"t": "int", "v": hex(int.__int__(value))}
    if isinstance(value, float):
        return {"t": "float", "v": float.hex(value)}
    if isinstance(value, complex):
        return {"t": "complex", "v": [value.real.hex(), value.imag.hex()]}
    if isinstance(value, str):
        return {"t": "str", "v": str.__str__(value)}
    if isinstance(value, bytes | bytearray):
        return {"t": "bytes", "v": base64.b64encode(value).decode()}
    return None


def _encode_array(array: Any, scalar: bool, depth: int) -> dict[str, Any]:
    if array.dtype.kind in KINDS and array.dtype.names is None:
        data = base64.b64encode(array.tobytes()).decode()
        return {"t": "scalar" if scalar else "array", "d": array.dtype.str, "s": list(array.shape), "v": data}
    if array.dtype.kind == "O":
        items = [encode(one, depth + 1) for one in array.ravel().tolist()]
        return {"t": "objects", "s": list(array.shape), "v": items}
    return {"t": "opaque", "v": f"array of {array.dtype}"}


def _encode_sparse(value: Any, depth: int) -> dict[str, Any] | None:
    sparse = sys.modules.get("scipy.sparse")
    if sparse is None or not sparse.issparse(value):
        return None
    coo = value.tocoo()
    parts = [encode(part, depth + 1) for part in (coo.data, coo.row, coo.col)]
    return {"t": "sparse", "f": value.format, "s": [int(length) for length in value.shape], "v": parts}


def _encode_symbolic(value: Any, depth: int) -> dict[str, Any] | None:
    sympy = sys.modules.get("sympy")
    if sympy is None:
        return None
    if isinstance(value, sympy.MatrixBase):
        return {"t": "objects", "s": list(value.shape), "v": [encode(one, depth + 1) for one in value]}
    if isinstance(value, sympy.Basic):
        number = complex(value) if getattr(value, "is_number", False) else None
        if number is None:
            return {"t": "str", "v": str(value)}
        return encode(number if number.imag else number.real, depth)
    return None


def decode(tree: Any, depth: int = 0) -> Any:
    """The value. Raises ``NotData`` for anything that ``encode`` does not write."""
    if depth > MAX_DEPTH + 1 or not isinstance(tree, dict):
        raise NotData("no value")
    reader = _READERS.get(str(tree.get("t")))
    if reader is None:
        raise NotData(f"unknown kind of value {str(tree.get('t'))[:40]}")
    try:
        return reader(tree, depth + 1)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, binascii.Error) as error:
        raise NotData(f"broken {tree['t']}: {error}") from None


def _all(trees: list[Any], depth: int) -> list[Any]:
    return [decode(one, depth) for one in trees]


def _plain(tree: dict[str, Any], depth: int) -> Any:
    if tree["v"] is None or isinstance(tree["v"], bool):
        return tree["v"]
    raise NotData("no plain value")


def _array(tree: dict[str, Any], depth: int) -> Any:
    import numpy as np

    if _DTYPE.fullmatch(str(tree["d"])) is None:
        raise NotData("no array of numbers")
    kind = np.dtype(str(tree["d"]))
    array = np.frombuffer(base64.b64decode(tree["v"], validate=True), kind).reshape([int(n) for n in tree["s"]])
    return array[()] if tree["t"] == "scalar" and array.shape == () else array.copy()


def _objects(tree: dict[str, Any], depth: int) -> Any:
    import numpy as np

    array = np.empty(len(tree["v"]), object)
    for place, one in enumerate(tree["v"]):
        array[place] = decode(one, depth)
    return array.reshape([int(n) for n in tree["s"]])


def _sparse(tree: dict[str, Any], depth: int) -> Any:
    from scipy.sparse import coo_matrix

    if tree["f"] not in SPARSE:
        raise NotData("unknown sparse format")
    data, row, column = _all(tree["v"], depth)
    rows, columns = (int(n) for n in tree["s"])
    return coo_matrix((data, (row, column)), shape=(rows, columns)).asformat(tree["f"])


_READERS: dict[str, Callable[[dict[str, Any], int], Any]] = {
    "plain": _plain,
    "int": lambda tree, depth: int(tree["v"], 16),
    "float": lambda tree, depth: float.fromhex(tree["v"]),
    "complex": lambda tree, depth: complex(*(float.fromhex(part) for part in tree["v"])),
    "str": lambda tree, depth: str(tree["v"]),
    "bytes": lambda tree, depth: base64.b64decode(tree["v"], validate=True),
    "list": lambda tree, depth: _all(tree["v"], depth),
    "tuple": lambda tree, depth: tuple(_all(tree["v"], depth)),
    "set": lambda tree, depth: set(_all(tree["v"], depth)),
    "dict": lambda tree, depth: {decode(key, depth): decode(one, depth) for key, one in tree["v"]},
    "array": _array,
    "scalar": _array,
    "objects": _objects,
    "sparse": _sparse,
    "opaque": lambda tree, depth: Opaque(str(tree["v"])[:80]),
}
