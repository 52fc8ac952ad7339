"""The types that the schema states for dotted keys, and values that take them instead of a parser's guess.

YAML and Hydra guess the type of a plain word: ``695e0514`` is a number to them, ``no`` is false, ``1:30`` is ninety.
The schema decides here: a text keeps its letters, and a number is read as a decimal one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

AS_WRITTEN = "as_written"
"""In a field's metadata: a later reader knows the types of the values below it, so that no letter may be lost."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of one key."""

    type: Any
    """``str``, ``int``, ``list[str]``, a dataclass ...; ``Any`` where the schema states nothing."""
    optional: bool = False
    as_written: bool = False
    element: bool = False
    """Whether it is the type of the elements of a container, in which no value can be missing."""

    @property
    def is_text(self) -> bool:
        """Whether the schema states a text (``str``) for the key."""
        return self.type is str

    @property
    def elements(self) -> "Kind":
        """The type of a list's elements; for a text the same type, as a list of names may stand for one name; ``Any``
        for others.
        """
        if self.is_text:
            return self
        arguments = get_args(self.type) if get_origin(self.type) is list else ()
        return replace(_kind(arguments[0] if arguments else Any, as_written=self.as_written), element=True)

    @property
    def text_keys(self) -> bool:
        """Whether the keys of a mapping of this type are texts: of a dataclass or ``dict[str, ...]``; True for
        ``list[str]``, too."""
        return is_dataclass(self.type) or get_args(self.type)[:1] == (str,)

    def below(self, key: str) -> "Kind | None":
        """The type of the value at ``key``: a dataclass's field, or None if it has no such; the value type of a
        ``dict`` for any key; ``Any`` below all else, plain values included.
        """
        if is_dataclass(self.type):
            return _fields(cast("type", self.type)).get(key)
        arguments = get_args(self.type) if get_origin(self.type) is dict else ()
        return replace(_kind(arguments[1] if arguments else Any, as_written=self.as_written), element=True)


ANYTHING = Kind(Any)
"""No type is stated."""
WORDS = Kind(Any, as_written=True)
"""No type is stated, and no letter may be lost."""
NAMES = Kind(str, optional=True)
"""Names of files: one, or a list of them."""


def kind_at(schema: Any, path: Sequence[str]) -> Kind | None:
    """The type of the key at ``path`` (the parts of a dotted key) below the dataclass ``schema``; None where a
    dataclass has no such field.

    Below free dictionaries and plain values every key exists, with the type of the dictionary's values, or ``Any``.
    """
    kind: Kind | None = Kind(schema)
    for part in path:
        kind = kind.below(part) if kind else None
    return kind


def typed(text: str, guess: Any, kind: Kind) -> Any:
    """The value of a word without quotes for a key of this kind: its ``text``, or ``guess``, what a parser made of it.

    For a key of texts or numbers it is the text, which the schema converts later (for numbers the guess where the text
    holds ``0x``, ``0b``, ``inf`` or ``nan``). For others it is the guess, but with ``kind.as_written`` the text where
    the guess is spelled in another way. A guess of None stays None; only as an element of a container of texts it is
    the text, such as ``null``, unless that is empty or ``~``.
    """
    if guess is None:
        return text if kind.is_text and kind.element and text not in ("", "~") else None
    if kind.type is str or (kind.type in (int, float) and not re.search(r"0[xb]|inf|nan", text, re.IGNORECASE)):
        return text
    return text if kind.as_written and spelled(guess) != text else guess


def element_problems(value: Any, hint: Any, key: str = "") -> Iterator[str]:
    """Messages on values in ``value``, also in its lists and mappings, that are no text where the schema states one:
    OmegaConf takes any list for a ``list[str]``.

    ``value`` is an instance of a dataclass, or what the type ``hint`` states; ``key`` is its dotted key (empty for all
    settings).
    """
    arguments = [part for part in get_args(hint) if part is not NoneType]
    if is_dataclass(value):
        for name, inner in get_type_hints(type(value)).items():
            yield from element_problems(getattr(value, name), inner, f"{key}.{name}" if key else name)
    elif value is not None and get_origin(hint) in (Union, UnionType):
        yield from element_problems(value, arguments[0], key) if len(arguments) == 1 else ()
    elif get_origin(hint) is list and isinstance(value, list):
        for element in value:
            yield from element_problems(element, arguments[0], key)
    elif get_origin(hint) is dict and isinstance(value, dict):
        for name, element in value.items():
            yield from element_problems(element, arguments[1], f"{key}.{name}")
    elif hint is str and not isinstance(value, str):
        yield f"{key}: its values must be texts, and one is {'null' if value is None else type(value).__name__}"


def spelled(value: Any) -> str:
    """A plain value in one spelling: ``null`` for None, ``true`` or ``false``, else ``str(value)``."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


@cache
def _fields(schema: type) -> Mapping[str, Kind]:
    hints = get_type_hints(schema)
    return {
        field.name: _kind(hints[field.name], as_written=bool(field.metadata.get(AS_WRITTEN)))
        for field in fields(schema)
    }


def _kind(hint: Any, *, as_written: bool = False) -> Kind:
    if get_origin(hint) in (Union, UnionType):
        rest = [part for part in get_args(hint) if part is not NoneType]
        optional = len(rest) < len(get_args(hint))
        return Kind(rest[0] if len(rest) == 1 else Any, optional, as_written)
    return Kind(hint, as_written=as_written)
