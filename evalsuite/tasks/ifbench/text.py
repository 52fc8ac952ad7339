"""Text transformations that several verifiers share."""

import string
import unicodedata

BLANKS = string.punctuation + " "
"""Characters that are stripped from around a word."""
_TAKEN_OUT = str.maketrans("", "", string.punctuation)
"""Translation table that removes ASCII punctuation."""


def without_punctuation(text: str) -> str:
    """Return the text without ASCII punctuation (``string.punctuation``); nothing is put in its place."""
    return text.translate(_TAKEN_OUT)


def plain_ascii(text: str) -> str:
    """Return the text in ASCII: characters are decomposed (NFKD: an accented letter into letter and accent, the
    ligature of f and i into ``fi``), then everything outside of ASCII is dropped.
    """
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
