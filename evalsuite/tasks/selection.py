"""Selects the items of a task that are asked: all, or a declared part that is the same for every precision."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from evalsuite.config.paths import expanded
from evalsuite.config.settings import Select
from evalsuite.errors import BadInput, unknown_name
from evalsuite.records import Item, canonical_sha


def selected_items(items: Sequence[Item], select: Select, limit: int | None, seed: int) -> tuple[Item, ...]:
    """Return the items to ask: filtered by ``select``, ordered by ``nested_order(...,
    seed)``, cut to the first ``limit``.

    ``items`` are all items of the task; ``select.groups`` maps a group to the accepted values (all groups must match),
    ``select.ids`` is the path of a text file with one item id a line (None: all); ``limit`` is at least 1, or None for
    all. The items of a smaller limit are the first ones of a larger limit. Raises ``BadInput`` for groups, values or
    ids that do not exist, an ids file that cannot be read (UTF-8), and a selection that no item meets.
    """
    chosen = [item for item in items if _in_groups(item, select)]
    if select.groups:
        _check_groups(items, select)
    if select.ids is not None:
        ids = _read_ids(expanded(select.ids), {item.id for item in items})
        chosen = [item for item in chosen if item.id in ids]
    if not chosen:
        raise BadInput("the selection leaves no item: check select.groups and select.ids")
    return nested_order(chosen, seed)[:limit]


def nested_order(items: Sequence[Item], seed: int) -> tuple[Item, ...]:
    """Return all items, reordered so that every beginning of the result is a sample stratified by their first group.

    The stratum of an item is its value of the group whose name is alphabetically first; items without groups form one
    of their own. In it each item gets a random but reproducible rank (hash of ``seed`` and id); items are sorted by
    their rank relative to the size of the stratum.
    """
    strata: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for index, item in enumerate(items):
        stratum = tuple(item.groups[name] for name in sorted(item.groups))[:1]
        strata[stratum].append((canonical_sha([seed, item.id]), index))
    ranked = [
        ((rank + 0.5) / len(members), digest, index)
        for members in strata.values()
        for rank, (digest, index) in enumerate(sorted(members))
    ]
    return tuple(items[index] for _, _, index in sorted(ranked))


def _in_groups(item: Item, select: Select) -> bool:
    return all(item.groups.get(name) in values for name, values in select.groups.items())


def _check_groups(items: Sequence[Item], select: Select) -> None:
    for name, values in select.groups.items():
        known = {item.groups[name] for item in items if name in item.groups}
        if not known:
            raise unknown_name("group", name, {group for item in items for group in item.groups})
        for value in values:
            if value not in known:
                raise unknown_name(f"value of group {name}", value, known)


def _read_ids(path: Path, known: set[str]) -> set[str]:
    try:
        ids = set(path.read_text(encoding="utf-8").split("\n")) - {""}
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"select.ids={path} cannot be read: {getattr(error, 'strerror', error)}") from None
    missing = sorted(ids - known)
    if missing:
        raise BadInput(f"select.ids={path} names {len(missing)} unknown ids, such as {missing[0]!r}")
    return ids
