"""Chooses fonts for names in any script: titles and groups are text of users, and no font has every letter."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from matplotlib import rcParams
from matplotlib.font_manager import FontEntry, FontProperties, fontManager
from matplotlib.ft2font import FT2Font

FAMILY = "DejaVu Sans"
"""Font of all plots; it comes with matplotlib."""
_PLACEHOLDERS = "Last Resort"
"""Start of the name of a font that has a box for every letter."""


def families(texts: Iterable[str]) -> list[str]:
    """Return font families, the default first, that together have the letters of ``texts``, as far as installed fonts
    have them.
    """
    missing = _letters(texts) - _covered((FAMILY,))
    chosen = [FAMILY]
    for entry in sorted(_installed(), key=_preference) if missing else ():
        covered = missing & _charmap(entry.fname)
        if covered and entry.name not in chosen:
            chosen.append(entry.name)
            missing -= covered
        if not missing:
            break
    return chosen


def drawable(text: str) -> bool:
    """Return whether the font families set in matplotlib now have every letter of ``text``."""
    return not _letters((text,)) - _covered(tuple(rcParams["font.family"]))


def drawn(text: str) -> str:
    """Return ``text`` with the sign U+FFFD for every letter that the font families set in matplotlib now lack."""
    missing = _letters((text,)) - _covered(tuple(rcParams["font.family"]))
    return "".join("\ufffd" if ord(letter) in missing else letter for letter in text) if missing else text


def numbered(values: Sequence[str], kind: str) -> list[str]:
    """Return a label for each value: the value itself, or, if it cannot be drawn, ``kind`` (the group's name, "group"
    if that cannot be drawn either) and its position from 1.
    """
    name = kind if drawable(kind) else "group"
    return [value if drawable(value) else f"{name} {number}" for number, value in enumerate(values, 1)]


def _letters(texts: Iterable[str]) -> set[int]:
    return {ord(letter) for text in texts for letter in text if letter.isprintable() and letter != " "}


def _installed() -> list[FontEntry]:
    plain = [entry for entry in fontManager.ttflist if not entry.name.startswith(_PLACEHOLDERS)]
    return [entry for entry in plain if entry.style == "normal" and entry.weight in (400, "normal", "regular")]


def _preference(entry: FontEntry) -> tuple[bool, bool, str]:
    """Return a sort key of a font, the smallest preferred: families for East Asian scripts first, then other sans-serif
    ones; the rest by name.
    """
    return "CJK" not in entry.name and "Hei" not in entry.name, "Sans" not in entry.name, entry.name


@lru_cache
def _covered(names: tuple[str, ...]) -> frozenset[int]:
    return frozenset().union(*(_charmap(fontManager.findfont(FontProperties(family=[name]))) for name in names))


@lru_cache
def _charmap(path: str) -> frozenset[int]:
    return frozenset(FT2Font(path).get_charmap())
