"""Values given in Python as the words of a command line that set exactly them."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

from evalsuite.config.schema_types import kind_at
from evalsuite.config.settings import Run

_NAME = re.compile(r"[A-Za-z_][\w.:/-]*", re.ASCII)
"""A text that Hydra's grammar reads as it stands."""
_VALUES = ("null", "true", "false", "inf", "nan")
"""Words that it reads as something else than a text."""


def override_words(values: Mapping[str, Any]) -> list[str]:
    """``KEY=VALUE`` for each dotted key of ``run`` and its Python value, in their order, quoted so that this value is
    read: no character of a text is lost, but references (``${...}``) in it are resolved, and in one text for a list key
    (``file``, ``varies``) backslashes are doubled. Keys of mappings must be plain words, as Hydra reads no others.
    """
    return [f"{key}={_word(key, value)}" for key, value in values.items()]


def _word(key: str, value: object) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    kind = kind_at(Run, key.split("."))
    if isinstance(text, str) and not _is_plain(text) and kind is not None and kind.is_text:
        return "'" + text.replace("'", "\\'") + "'"  # is taken literally, up to the escaped quotes
    return as_text(text)


def as_text(value: object) -> str:
    """A Python value in Hydra's grammar: ``null``, ``true``, ``false``; texts and paths, quoted where it would read
    something else; sequences as lists, mappings, both nested; of any other value ``str(value)``. Keys of mappings are
    written as values are, but Hydra reads no quoted ones.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        return value if _is_plain(value) else QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{as_text(key)}:{as_text(part)}" for key, part in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(as_text, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _is_plain(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and text.lower() not in _VALUES
