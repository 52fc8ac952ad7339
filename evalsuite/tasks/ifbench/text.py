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
    """Return the text in ASCII: accents are removed from letters, variants of ASCII characters become these (NFKD: the
    ligature of f and i becomes ``fi``), other characters outside of ASCII are dropped.
    """
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
