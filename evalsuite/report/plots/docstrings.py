"""Imports matplotlib without the lists of properties that it writes into the docstrings of its classes."""

import sys
from importlib import import_module

from matplotlib import artist


def import_figures() -> None:
    """Import matplotlib's classes of figures with docstrings that list no properties, which takes less time.

    Where they are imported already, nothing changes.
    """
    if "matplotlib.figure" in sys.modules:
        return
    kept = artist.kwdoc
    artist.kwdoc = lambda artist: ""
    try:
        import_module("matplotlib.figure")
    finally:
        artist.kwdoc = kept
