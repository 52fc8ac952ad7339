"""Where the files that ship with evalsuite lie, in a checkout or in an installed wheel, and where its cache is."""

import os
from pathlib import Path
from typing import Literal

from evalsuite.config.settings import FETCH_FOLDER, Data

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(name: Literal["conf", "tasks"]) -> Path:
    """The path of the shipped folder ``conf`` or ``tasks``.

    An installed wheel carries them inside the package (``_conf``, ``_tasks``), which are taken if they are there; a
    checkout has them next to the package.
    """
    inside = _PACKAGE / f"_{name}"
    return inside if inside.is_dir() else _PACKAGE.parent / name


def expanded(path: str) -> Path:
    """``path`` with ``~`` or ``~USER`` at its beginning replaced by that home folder; a user that does not exist stays
    as written, so that no such file is found.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111  # Path.expanduser raises for an unknown user


def cache_folder() -> Path:
    """evalsuite's own cache folder, which may be removed at any time: ``evalsuite`` in ``XDG_CACHE_HOME``, or in
    ``~/.cache`` where that is not set or empty. It is not created.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evalsuite"


def complete_data(data: Data) -> None:
    """Fill in ``data`` in place: with a ``root`` (also an empty one) the kind ``hub`` becomes ``local``, and ``~`` at
    the beginning of the root the home folder.

    ``data=local`` without a root gets the folder that ``fetch`` fills by default (in the working directory), if that
    holds ``fetched.json``.
    """
    if data.root is not None:
        data.kind = "local" if data.kind == "hub" else data.kind
        data.root = os.path.expanduser(data.root)  # noqa: PTH111  # as `expanded`, but an empty text stays empty
    elif data.kind == "local" and Path(FETCH_FOLDER, "fetched.json").is_file():
        data.root = FETCH_FOLDER
