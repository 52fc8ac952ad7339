"""Imports matplotlib without the lists of properties that it writes into docstrings and signatures of its classes.

One of the two functions is private to matplotlib; a test fails when it is gone.
"""

import sys
from importlib import import_module

from matplotlib import artist

_SIGNATURE = "_update_set_signature_and_docstring"
"""Called for each new class of things that are drawn."""


def import_figures() -> None:
    """Import matplotlib's classes of figures with docstrings and ``set`` methods that list no properties, which takes
    less time.

    Where they are imported already, nothing changes.
    """
    if "matplotlib.figure" in sys.modules:
        return
    kept = artist.kwdoc, vars(artist.Artist)[_SIGNATURE]
    artist.kwdoc = lambda artist: ""
    setattr(artist.Artist, _SIGNATURE, classmethod(lambda cls: None))
    try:
        import_module("matplotlib.figure")
    finally:
        artist.kwdoc = kept[0]
        setattr(artist.Artist, _SIGNATURE, kept[1])
