"""Values as data: what may leave the sandbox, as JSON, and how it is rebuilt outside.

No pickle and no code: numbers (floats as hexadecimal, so bit by bit), texts, containers, arrays of plain numbers,
sparse matrices, and SymPy trees of known nodes (``symbolic``). What NumPy takes as an array (a Series of pandas,
``poly1d``, objects with ``__array__`` or a buffer) leaves as that array, a masked array as its data. Everything else
leaves as the name of its type. Subclasses are reduced to the built-in value that they hold, without their ``__eq__``.
"""

import array
import base64
import collections
import itertools
import numbers
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from evalsuite.sandbox import symbolic
from evalsuite.sandbox.symbolic import NotData

MAX_DEPTH = 50
MAX_ITEMS = 100_000
"""Most items that are taken from an iterator."""
KINDS = "biufcUSmM"
"""NumPy's kinds of plain numbers, texts and times."""
_DTYPE = re.compile(r"[<>|=]?(?:[biufcUS][0-9]{0,7}|[mM]8(?:\[[0-9]{0,4}[a-zA-Z]{1,7}\])?)")
SPARSE = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
Tree = dict[str, Any]


class Opaque:
    """Stands outside for an object that is no data; equal to nothing, not even to itself."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{self.kind}>"


def encode(value: Any, depth: int = 0) -> Tree:
    """Any value as a JSON tree, an object whose ``t`` names the kind of value; what is no data becomes ``opaque`` with
    the name of its type.

    ``depth``: levels around it; above ``MAX_DEPTH`` (50) a value is ``opaque``, too. Iterators are consumed. Runs
    beside untrusted code, so methods of the value may raise.
    """
    if depth > MAX_DEPTH:
        return {"t": "opaque", "v": "nested too deep"}
    for encoder in (_encode_array, _encode_sparse, _encode_plain, _encode_items, _encode_symbolic, _encode_other):
        tree = encoder(value, depth)
        if tree is not None:
            return tree
    return {"t": "opaque", "v": type(value).__name__[:80]}


def _is(value: Any, *kinds: type) -> bool:
    """``isinstance`` by the real type of ``value``, whatever its ``__class__`` is set to."""
    return issubclass(type(value), kinds)


def _all_encoded(values: Any, depth: int) -> list[Tree]:
    return [encode(one, depth + 1) for one in values]


def _encode_plain(value: Any, depth: int) -> Tree | None:
    if value is None or _is(value, bool):
        return {"t": "plain", "v": value}
    if _is(value, int):
        return {"t": "int", "v": hex(int.__int__(value))}
    if _is(value, float):
        return {"t": "float", "v": float.hex(value)}
    if _is(value, complex):
        return {"t": "complex", "v": [float.hex(complex.__complex__(value).real), float.hex(value.imag)]}
    if _is(value, str):
        return {"t": "str", "v": str.__str__(value)}
    if _is(value, bytes, bytearray):
        return {"t": "bytearray" if _is(value, bytearray) else "bytes", "v": base64.b64encode(value).decode()}
    if _is(value, Fraction):
        return {"t": "fraction", "v": [hex(value.numerator), hex(value.denominator)]}
    if _is(value, Decimal):
        sign, digits, exponent = Decimal.as_tuple(value)
        return {"t": "decimal", "v": [sign, "".join(map(str, digits)), exponent]}
    return None


_ITERABLE: Mapping[str, type] = {
    "list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "deque": collections.deque,
    "keys": type({}.keys()), "values": type({}.values()),
}  # fmt: skip


def _encode_items(value: Any, depth: int) -> Tree | None:
    """The tree of a built-in container, deque, range, ``array.array``, mapping proxy, view of a dict or
    ``collections.User...`` (or a subclass); None for other values.

    Lists, tuples, sets, deques and dicts are read by the methods of these types, not by those of a subclass.
    """
    for kind, found in _ITERABLE.items():
        if _is(value, found):
            return {"t": kind, "v": _all_encoded(found.__iter__(value), depth)}  # type: ignore[attr-defined]
    if _is(value, dict, MappingProxyType, type({}.items())):
        pairs = dict.items(value) if _is(value, dict) else value.items() if _is(value, MappingProxyType) else value
        kind = "items" if pairs is value else "dict"
        return {"t": kind, "v": [_all_encoded(pair, depth) for pair in pairs]}
    if _is(value, range):
        return {"t": "range", "v": [value.start, value.stop, value.step]}
    if _is(value, array.array):
        return {"t": "buffer", "c": value.typecode, "v": base64.b64encode(array.array.tobytes(value)).decode()}
    if _is(value, collections.UserList, collections.UserDict, collections.UserString):
        return encode(value.data, depth)
    return None


def _encode_array(value: Any, depth: int) -> Tree | None:
    import numpy as np

    if not _is(value, np.ndarray, np.generic):
        return None
    scalar, plain = _is(value, np.generic), np.asarray(value)
    kind = plain.dtype
    if kind.names is not None and all(kind[name].kind in KINDS for name in kind.names):
        fields = [[name, kind[name].str, encode(np.asarray(plain[name]), depth + 1)] for name in kind.names]
        return {"t": "record", "scalar": scalar, "s": list(plain.shape), "v": fields}
    if kind.kind in KINDS and kind.names is None:
        data = base64.b64encode(plain.tobytes()).decode()
        return {"t": "scalar" if scalar else "array", "d": kind.str, "s": list(plain.shape), "v": data}
    if kind.kind == "O":
        return {"t": "objects", "s": list(plain.shape), "v": _all_encoded(plain.ravel().tolist(), depth)}
    return {"t": "opaque", "v": f"array of {kind}"}


def _encode_sparse(value: Any, depth: int) -> Tree | None:
    sparse = sys.modules.get("scipy.sparse")
    if sparse is None or not sparse.issparse(value):
        return None
    coo = value.tocoo()
    parts = _all_encoded((coo.data, *coo.coords), depth)
    array = isinstance(value, sparse.sparray)
    return {"t": "sparse", "f": value.format, "array": array, "s": [int(length) for length in value.shape], "v": parts}


def _encode_symbolic(value: Any, depth: int) -> Tree | None:
    return symbolic.encode(value, lambda child: encode(child, depth + 1))


def _encode_other(value: Any, depth: int) -> Tree | None:
    """The tree of a value that acts as a number (as a float or complex), a mapping, an iterator or an array; None for
    others.

    Takes at most 100,000 items (``MAX_ITEMS``) from an iterator; what methods of the value raise is passed on.
    """
    import numpy as np

    kind = type(value)
    if _is(value, memoryview):
        return {"t": "view", "v": encode(np.asarray(value), depth + 1)}
    if isinstance(value, numbers.Real):  # such as mpmath's
        return {"t": "float", "v": float(value).hex()}
    if isinstance(value, numbers.Complex):
        number = complex(value)
        return {"t": "complex", "v": [number.real.hex(), number.imag.hex()]}
    if isinstance(value, Mapping):
        return {"t": "dict", "v": [_all_encoded(pair, depth) for pair in value.items()]}
    if hasattr(kind, "__next__"):
        return {"t": "iterator", "v": _all_encoded(itertools.islice(value, MAX_ITEMS), depth)}
    if any(hasattr(kind, name) for name in ("__array__", "__array_interface__", "__array_struct__", "__getitem__")):
        found = np.asarray(value)
        itself = found.dtype.kind == "O" and found.ndim == 0 and found.item() is value  # NumPy took it as one object
        return None if itself else _encode_array(found, depth)
    try:
        return _encode_array(np.asarray(memoryview(value)), depth)
    except TypeError:
        return None


def decode(tree: Any, depth: int = 0) -> Any:
    """The value of a tree that ``encode`` wrote; an ``Opaque`` for what was no data. ``depth``: levels around it.

    Raises ``NotData`` for anything that cannot be rebuilt, also where it is nested in over ``MAX_DEPTH`` + 2 levels;
    ``MemoryError`` and ``ImportError`` (of a missing library) pass through.
    """
    if depth > MAX_DEPTH + 2 or not isinstance(tree, dict):
        raise NotData("no value")
    name = str(tree.get("t"))
    reader = _READERS.get(name)
    try:
        if reader is not None:
            return reader(tree, depth + 1)
        return symbolic.decode(tree, lambda child: decode(child, depth + 1))
    except (NotData, MemoryError, ImportError):
        raise
    except Exception as error:  # noqa: BLE001  # a library's constructor may raise anything over a forged part
        raise NotData(f"broken {name[:40]}: {error}") from None


def _all(trees: list[Any], depth: int) -> list[Any]:
    return [decode(one, depth) for one in trees]


def _dict(tree: Tree, depth: int) -> dict[Any, Any]:
    return {decode(key, depth): decode(one, depth) for key, one in tree["v"]}


def _values(tree: Tree, depth: int) -> Any:
    return dict(enumerate(_all(tree["v"], depth))).values()


def _iterator(tree: Tree, depth: int) -> Iterator[Any]:
    return iter(_all(tree["v"], depth))


def _plain(tree: Tree, depth: int) -> Any:
    if tree["v"] is None or isinstance(tree["v"], bool):
        return tree["v"]
    raise NotData("no plain value")


def _decimal(tree: Tree, depth: int) -> Decimal:
    sign, digits, exponent = tree["v"]
    special = exponent if exponent in ("F", "n", "N") else int(exponent)
    return Decimal((int(bool(sign)), tuple(int(digit) for digit in str(digits)), special))


def _buffer(tree: Tree, depth: int) -> Any:
    if str(tree["c"]) not in "bBhHiIlLqQfd":
        raise NotData("no array of numbers")
    return array.array(str(tree["c"]), base64.b64decode(tree["v"], validate=True))


def _array(tree: Tree, depth: int) -> Any:
    import numpy as np

    if _DTYPE.fullmatch(str(tree["d"])) is None:
        raise NotData("no array of numbers")
    kind = np.dtype(str(tree["d"]))
    found = np.frombuffer(base64.b64decode(tree["v"], validate=True), kind).reshape([int(n) for n in tree["s"]])
    return found[()] if tree["t"] == "scalar" and found.shape == () else found.copy()


def _record(tree: Tree, depth: int) -> Any:
    import numpy as np

    if not all(_DTYPE.fullmatch(str(kind)) for _, kind, _ in tree["v"]):
        raise NotData("no array of numbers")
    parts = {str(name): decode(part, depth) for name, _, part in tree["v"]}
    shape = tuple(int(length) for length in tree["s"])
    if any(part.shape != shape for part in parts.values()):
        raise NotData("fields of unequal shape")
    found = np.zeros(shape, [(str(name), str(kind)) for name, kind, _ in tree["v"]])
    for name, part in parts.items():
        found[name] = part
    return found[()] if tree["scalar"] else found


def _objects(tree: Tree, depth: int) -> Any:
    import numpy as np

    found = np.empty(len(tree["v"]), object)
    for place, one in enumerate(tree["v"]):
        found[place] = decode(one, depth)
    return found.reshape([int(n) for n in tree["s"]])


def _sparse(tree: Tree, depth: int) -> Any:
    from scipy.sparse import coo_array, coo_matrix

    if tree["f"] not in SPARSE:
        raise NotData("unknown sparse format")
    data, *coordinates = _all(tree["v"], depth)
    shape = tuple(int(length) for length in tree["s"])
    made = coo_array if tree["array"] else coo_matrix
    return made((data, tuple(coordinates)), shape=shape).asformat(tree["f"])


_READERS: Mapping[str, Callable[[Tree, int], Any]] = {
    "plain": _plain,
    "int": lambda tree, depth: int(tree["v"], 16),
    "float": lambda tree, depth: float.fromhex(tree["v"]),
    "complex": lambda tree, depth: complex(*(float.fromhex(part) for part in tree["v"])),
    "fraction": lambda tree, depth: Fraction(*(int(part, 16) for part in tree["v"])),
    "decimal": _decimal,
    "str": lambda tree, depth: str(tree["v"]),
    "bytes": lambda tree, depth: base64.b64decode(tree["v"], validate=True),
    "bytearray": lambda tree, depth: bytearray(base64.b64decode(tree["v"], validate=True)),
    "buffer": _buffer,
    "view": lambda tree, depth: memoryview(decode(tree["v"], depth)),
    "range": lambda tree, depth: range(*(int(bound) for bound in tree["v"])),
    "list": lambda tree, depth: _all(tree["v"], depth),
    "tuple": lambda tree, depth: tuple(_all(tree["v"], depth)),
    "set": lambda tree, depth: set(_all(tree["v"], depth)),
    "frozenset": lambda tree, depth: frozenset(_all(tree["v"], depth)),
    "deque": lambda tree, depth: collections.deque(_all(tree["v"], depth)),
    "keys": lambda tree, depth: dict.fromkeys(_all(tree["v"], depth)).keys(),
    "values": _values,
    "items": lambda tree, depth: _dict(tree, depth).items(),
    "iterator": _iterator,
    "dict": _dict,
    "array": _array,
    "scalar": _array,
    "record": _record,
    "objects": _objects,
    "sparse": _sparse,
    "opaque": lambda tree, depth: Opaque(str(tree["v"])[:80]),
}
