"""Whether the items of a cell must not be shown: by the dataset that was asked, whatever the task is called.

A cell states it in its manifest (``gated``) since its adapter read a gated dataset. Of older cells, and of those of
others, the names of the shipped adapter, the task, the options and the class are compared with the gated datasets.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from evalsuite.config.paths import shipped
from evalsuite.tasks.base import Adapter
from evalsuite.tasks.datasets import card
from evalsuite.tasks.registry import ADAPTERS


@cache
def _gated_cards() -> Mapping[str, str]:
    """Return, for each benchmark whose card states ``gated: true``, name -> repository id of its dataset in lower case.

    A dataset without a repository is represented by the benchmark's name. The cards in ``tasks/*/card.yaml`` are read
    once per process.
    """
    names = sorted(path.parent.name for path in shipped("tasks").glob("*/card.yaml"))
    cards = {name: card(name) for name in names}
    return {name: str(cards[name]["dataset"].get("hub", name)).lower() for name in names if cards[name].get("gated")}


def is_gated_dataset(name: str) -> bool:
    """Return whether ``name`` contains the name of a gated benchmark, or of its dataset's repository without the owner.

    Case is ignored: true for ``Idavidrein/gpqa`` and ``leaderboard_gpqa_main``. A benchmark's or repository's
    name of up to three characters (``hle``) counts only where no letter a to z stands directly before or after it.
    """
    text = name.lower()
    stems = {part for stem, repository in _gated_cards().items() for part in (stem, repository.rpartition("/")[2])}
    return any(_mentions(text, stem) for stem in stems)


def _mentions(text: str, stem: str) -> bool:
    """Return whether a name (``text``, lower case) contains ``stem``.

    A stem of at most three characters (``hle``) counts only where no letter a to z stands directly before or after it:
    not in "mathlete".
    """
    return stem in text and (len(stem) > 3 or re.search(rf"(?<![a-z]){stem}(?![a-z])", text) is not None)


def adapter_is_gated(adapter: Adapter, read: list[str]) -> bool:
    """Return whether an adapter's items must not be shown.

    True when ``read``, the ids of the gated datasets that it loaded, is not empty, when its attribute ``gated`` is
    true, or when ``is_gated_dataset`` holds for a name in its attribute ``datasets``; both attributes may be missing.
    """
    own: tuple[str, ...] = getattr(adapter, "datasets", ())
    return bool(read) or bool(getattr(adapter, "gated", False)) or any(map(is_gated_dataset, own))


def is_gated(manifest: Mapping[str, Any], task: str = "") -> bool:
    """Return whether the items of a cell (results of one task and model) must not be shown.

    True when its ``manifest`` has a true ``gated``, or when ``task`` (name of the cell's folder), or in the manifest's
    ``identity`` the task, the adapter or one of the option values, contains the name of a gated benchmark or dataset
    (``is_gated_dataset``).
    """
    identity = manifest["identity"]
    adapter = str(identity.get("adapter"))
    shipped_name = next((name for name, path in ADAPTERS.items() if path == adapter), adapter)
    options = identity.get("options") or {}
    names = [task, str(identity.get("task")), adapter, shipped_name, *map(str, options.values())]
    return bool(manifest.get("gated")) or any(map(is_gated_dataset, names))
