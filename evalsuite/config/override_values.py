"""Overrides of the command line, parsed by Hydra's grammar; plain words keep their letters until a type is known."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import create_functions
from hydra.core.override_parser.overrides_visitor import HydraErrorListener, HydraOverrideVisitor
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString, ValueType
from hydra.errors import HydraException
from hydra.grammar.gen.OverrideLexer import (  # type: ignore[attr-defined]
    CommonTokenStream,
    InputStream,
    OverrideLexer,
)
from hydra.grammar.gen.OverrideParser import OverrideParser

from evalsuite.config.files import is_secret
from evalsuite.config.schema_types import ANYTHING, WORDS, Kind, typed
from evalsuite.errors import BadInput

_KEY = re.compile(r"([+~]*)([\w.-]+)")
"""Marks and a dotted key, whose parts may look like numbers."""


@dataclass(frozen=True, slots=True)
class _Plain:
    """A word without quotes that a parser takes for a number, a truth value or null."""

    text: str
    guess: Any


class _Visitor(HydraOverrideVisitor):
    """Hydra's reader of parsed overrides; keeps the text of plain words, except among arguments of functions."""

    depth = 0

    def visitFunction(self, ctx: Any) -> Any:
        self.depth += 1
        try:
            return super().visitFunction(ctx)
        finally:
            self.depth -= 1

    def _createPrimitive(self, ctx: Any) -> Any:
        guess = super()._createPrimitive(ctx)
        if self.depth or isinstance(guess, str | QuotedString):
            return guess
        return _Plain(ctx.getText().strip(), guess)


def parse(
    overrides: Sequence[str], kind_of: Callable[[str], Kind], loader: ConfigLoader | None = None
) -> list[Override]:
    """Parse overrides by Hydra's grammar, in their order; ``kind_of`` states the type of a dotted key (a ``Kind``).

    Plain words that Hydra would read as numbers, truth values or null become what ``schema_types.typed`` makes of them
    for this type: for a key of numbers mostly the text, which the schema converts later. ``loader``: Hydra's, needed
    only for ``glob()`` in a sweep. Raises ``BadInput`` for what is no override or cannot be read.
    """
    return [_parse(override, kind_of, loader) for override in overrides]


def _parse(override: str, kind_of: Callable[[str], Kind], loader: ConfigLoader | None) -> Override:
    key, equals, value = override.partition("=")
    if not equals and not override.startswith("~"):
        raise BadInput(f"'{override}' is not an override: write KEY=VALUE, such as model=fp8 or limit=20")
    named = _KEY.fullmatch(key)
    try:
        item = _read(f"{named[1]}key{equals}{value}" if named and "." in key else override)
    except HydraException:
        shown = "..." if is_secret(key) else value
        raise BadInput(f"cannot read {key}={shown} (a value with special characters: '{key}=\"...\"')") from None
    item = replace(item, input_line=override, config_loader=loader)  # `glob()` reads the names from it
    if named and "." in key:
        item = replace(item, key_or_group=named[2])
    return replace(item, _value=_resolved(item._value, kind_of(item.key_or_group)))


def _read(override: str) -> Override:
    """Parse one override by Hydra's grammar; words without quotes that it takes for a number, a truth value or null
    become ``_Plain``, with their text. Raises ``HydraException``.
    """
    listener = HydraErrorListener()
    lexer = OverrideLexer(InputStream(override))
    parser = OverrideParser(CommonTokenStream(lexer))
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(listener)
    item: Override = _Visitor(create_functions()).visit(parser.override())  # type: ignore[no-untyped-call]
    item.input_line = override
    item.validate()
    return item


def _resolved(value: Any, kind: Kind) -> Any:
    """A parsed value in which each ``_Plain`` word (in lists, mappings and choices, too) is what ``typed`` makes of it;
    where that is a text, a ``QuotedString`` of Hydra. Other values are unchanged.
    """
    if isinstance(value, _Plain):
        result = typed(value.text, value.guess, kind)
        return QuotedString(result, Quote.single) if isinstance(result, str) else result
    if isinstance(value, list):
        return [_resolved(element, kind.elements) for element in value]
    if isinstance(value, dict):
        return {_key(key, kind): _resolved(part, kind.below(_name(key)) or ANYTHING) for key, part in value.items()}
    if isinstance(value, ChoiceSweep):
        return replace(value, list=[_resolved(element, kind) for element in value.list])
    return value


def _name(key: Any) -> str:
    return key.text if isinstance(key, _Plain | QuotedString) else str(key)


def _key(key: Any, kind: Kind) -> Any:
    if isinstance(key, _Plain):
        return key.text if kind.text_keys else key.guess
    return key


def as_word(item: Override) -> str:
    """A parsed override as a word ``KEY=VALUE`` that Hydra reads as the same value (a ``~KEY`` as ``~KEY=null``).

    Of sweeps only those with a list of values (``KEY=A,B``) can be given; a ``shuffle()`` around it is left out.
    """
    key = str(item.input_line).partition("=")[0]
    value: Any = item._value
    values = value.list if item.value_type is ValueType.SIMPLE_CHOICE_SWEEP else [value]
    return f"{key}={','.join(Override._get_value_element_as_str(value) for value in values)}"


def protected(override: str) -> str:
    """The override, with words quoted whose letters Hydra would lose (``1e3``, ``1_0``); functions such as ``range()``
    stay. Raises ``BadInput`` for what cannot be parsed.
    """
    kept, guessed = parse([override], lambda _: WORDS)[0], parse([override], lambda _: ANYTHING)[0]
    if kept.value_type not in (ValueType.SIMPLE_CHOICE_SWEEP, ValueType.ELEMENT):
        return override
    return override if as_word(kept) == as_word(guessed) else as_word(kept)


def as_list(override: str, *names: str) -> str:
    """``NAME=VALUE`` as ``NAME=['VALUE']`` if its key is one of ``names`` and the value neither empty nor a list yet
    (it begins with ``[``); else unchanged. Quotes around the value are taken off before; ``'`` in it gets a backslash,
    and backslashes are doubled.
    """
    key, _, value = override.partition("=")
    if key not in names or not value or value.startswith("["):
        return override
    escaped = unquoted(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}=['{escaped}']"


def unquoted(value: str) -> str:
    """The text between the equal quotes (``'`` or ``"``) that ``value`` begins and ends with, in which backslash and
    this quote become the quote; a value without such quotes unchanged.
    """
    if len(value) < 2 or value[0] != value[-1] or value[0] not in "'\"":
        return value
    return value[1:-1].replace(f"\\{value[0]}", value[0])
