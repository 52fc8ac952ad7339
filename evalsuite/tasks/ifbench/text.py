"""What several verifiers do to a text first."""

import string
import unicodedata

BLANKS = string.punctuation + " "
"""What is stripped from around a word."""
_TAKEN_OUT = str.maketrans("", "", string.punctuation)


def without_punctuation(text: str) -> str:
    """The text without ASCII punctuation."""
    return text.translate(_TAKEN_OUT)


def plain_ascii(text: str) -> str:
    """Accents taken off, everything else that is not ASCII dropped."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
