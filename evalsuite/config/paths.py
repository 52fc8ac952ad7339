"""Where the files that ship with evalsuite lie, in a checkout or in an installed wheel, and where its cache is."""

import os
from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(name: Literal["conf", "tasks"]) -> Path:
    """The shipped folder ``conf`` or ``tasks``.

    An installed wheel carries them inside the package (``_conf``, ``_tasks``); a checkout has them next to the package.
    The checkout's own folders win there, because an editable install may leave an older copy elsewhere.
    """
    inside = _PACKAGE / f"_{name}"
    return inside if inside.is_dir() else _PACKAGE.parent / name


def cache_folder() -> Path:
    """evalsuite's own cache folder, which may be removed at any time: below ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evalsuite"
