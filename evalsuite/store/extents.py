"""The extents of a cell: the items and repeats that commands have asked for, and the one that counts.

``extents`` of the manifest is their history; the last entry counts, and ``items``, ``selection`` and ``repeats`` of the
manifest repeat it. An entry holds ``at`` (UTC), ``limit``, ``groups`` and ``ids`` as they were given, ``repeats``,
``items`` in the order in which smaller limits are nested, and ``declared``: whether it was asked for before its answers
existed. With the answers known a part that looks well can be chosen, so only declared extents decide a release.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from evalsuite.errors import BadInput

Extent = dict[str, Any]
"""An entry of ``extents``."""
EXTENTS = "extents"
"""Its key in the manifest."""


def new_extent(order: Sequence[str], selection: Mapping[str, Any] | None, repeats: int) -> Extent:
    """The extent, declared now, of a command that asks for ``order`` (item ids in the order in which smaller limits are
    nested) with ``repeats`` attempts at each.

    ``selection``: ``limit``, ``groups`` and ``ids`` as given; None: the whole task. Returns a dictionary of these three
    (None, empty and None for the whole task), ``at`` (the UTC time), ``repeats``, ``items`` and ``declared`` (True).
    """
    asked = dict(selection or {"limit": None, "groups": {}, "ids": None})
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **asked,
        "repeats": repeats,
        "items": list(order),
        "declared": True,
    }


def history(manifest: Mapping[str, Any]) -> list[Extent]:
    """Copies of the extents in a manifest, oldest first.

    For a manifest of an earlier version, which has none, the list holds one made of its items, selection and repeats,
    declared, with ``at`` None.
    """
    if manifest.get(EXTENTS):
        return [dict(entry) for entry in manifest[EXTENTS]]
    chosen = manifest["selection"] or {"limit": None, "groups": {}, "ids": None}
    return [{"at": None, **chosen, "repeats": manifest["repeats"], "items": manifest["items"], "declared": True}]


def extended(known: Mapping[str, Any], asked: Mapping[str, Any], answered: Collection[tuple[str, int]]) -> list[Extent]:
    """The history of extents of a cell that a command continues: the known ones, then the extent asked for unless it
    equals the last one (the same items in any order, and repeats).

    The new one is ``declared`` if it holds all answers on record and more, or none of them, or was declared before. A
    last one of an earlier version that equals it gets its time and its order of items.

    Args:
        known: The manifest on disk.
        asked: The manifest as it is asked for now.
        answered: (item id, repeat) of all answers on record.
    """
    extents, new = history(known), history(asked)[-1]
    last = extents[-1]
    if _same(last, new):
        if last["at"] is None:  # a cell of an earlier version gets its order
            extents[-1] = {**last, "at": new["at"], "items": new["items"]}
        return extents
    items, repeats = set(new["items"]), new["repeats"]
    inside = sum(item in items and repeat < repeats for item, repeat in answered)
    extends = inside == len(answered) < len(items) * repeats
    declared = extends or not inside or any(entry["declared"] and _same(entry, new) for entry in extents)
    return [*extents, {**new, "declared": declared}]


def asked_at_all(manifest: Mapping[str, Any]) -> tuple[set[str], int]:
    """(ids of all items, largest number of repeats) that any command has asked for in a cell."""
    extents = history(manifest)
    items = {item for entry in extents for item in entry["items"]} | set(manifest["items"])
    return items, max(int(manifest["repeats"]), *(int(entry["repeats"]) for entry in extents))


def narrowed(manifest: Mapping[str, Any], limit: int | None) -> Mapping[str, Any]:
    """A copy of a manifest whose items, selection and repeats are those of an extent of ``limit`` items (the whole task
    where the task has fewer); for None or a stopped cell ``manifest`` itself.

    An extent of just this size that a command asked for without ``groups`` and ``ids`` (the latest declared one, else
    the latest) is taken; where there is none, the first items of a larger one, the latest that keeps an order.
    ``part_declared`` in the result states whether the part was declared, which the first items of a larger one are not.
    Raises ``BadInput`` where there is neither.
    """
    if limit is None or manifest.get("stopped"):  # the plan of a stopped cell is what its comparison needed
        return manifest
    extents = history(manifest)
    size = min(limit, manifest["total_items"])
    exact = [entry for entry in extents if len(entry["items"]) == size and not entry["groups"] and not entry["ids"]]
    if exact:
        chosen = next((entry for entry in reversed(exact) if entry["declared"]), exact[-1])
        return _with_extent(manifest, chosen, size, limit, declared=chosen["declared"])
    for entry in reversed(extents):
        if len(entry["items"]) > size and entry["at"] is not None:
            return _with_extent(manifest, entry, size, limit, declared=False)
    largest = max(len(entry["items"]) for entry in extents)
    if largest < size or all(entry["at"] is not None for entry in extents):
        how = "" if largest < size else ", which groups or ids chose"
        raise BadInput(f"limit={limit}: {_name(manifest)} was asked for at most {largest:,} items{how}")
    raise BadInput(
        f"{_name(manifest)} was asked by an earlier version, which kept no order of its items: the same run command "
        "records it (answers that are there are not asked again)"
    )


def undeclared(manifest: Mapping[str, Any]) -> str:
    """Why the items of a manifest, as it is or as ``narrowed``, cannot decide a release (a message); empty if they
    can, as where the extent is declared or the cell was stopped early."""
    extents = history(manifest)
    if manifest.get("stopped") or manifest.get("part_declared", extents[-1]["declared"]):
        return ""
    declared = sorted({len(entry["items"]) for entry in extents if entry["declared"] and not entry["ids"]})
    known = ", ".join(f"limit={count}" for count in declared) or "none"
    return (
        f"{_name(manifest)}: no command asked for just these {len(manifest['items']):,} items before their answers "
        f"existed, so that they cannot decide a release. Asked for in time: {known}"
    )


def check(manifest: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` unless each of the ``extents`` of a manifest, if it has any, has all keys, texts as
    ``items``, a whole number or None as ``limit``, a boolean ``declared``, and ``repeats`` of at least 1."""
    for entry in manifest.get(EXTENTS) or ():
        items = entry.get("items") if isinstance(entry, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise ValueError("an entry of extents has no list of items")
        if type(entry.get("repeats")) is not int or not {"limit", "groups", "ids", "declared", "at"} <= entry.keys():
            raise ValueError("an entry of extents is incomplete")
        if type(entry["declared"]) is not bool or not isinstance(entry["limit"], int | None) or entry["repeats"] < 1:
            raise ValueError("an entry of extents holds a value of another type")


def _name(manifest: Mapping[str, Any]) -> str:
    identity = manifest["identity"]
    return f"{identity['model']}/{identity['task']}"


def _same(one: Extent, other: Extent) -> bool:
    return one["repeats"] == other["repeats"] and set(one["items"]) == set(other["items"])


def _with_extent(
    manifest: Mapping[str, Any], entry: Extent, size: int, limit: int, *, declared: bool
) -> Mapping[str, Any]:
    place = {item: number for number, item in enumerate(manifest["items"])}
    items = sorted(entry["items"][:size], key=lambda item: (place.get(item, len(place)), item))
    part = {"limit": limit, "groups": {}, "ids": None} if len(items) < manifest["total_items"] else None
    changes = {"items": items, "repeats": entry["repeats"], "selection": part, "part_declared": declared}
    return {**manifest, **changes}
