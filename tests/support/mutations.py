"""Every value of a JSON document replaced by values of other types, as a faulty program might have written them."""

import copy
import math
from collections.abc import Iterator
from typing import Any

ODD = (None, True, 0, -1, 1.5, math.nan, 10**30, 10**400, "", "x", "\ud800", [], [None], ["x"], {}, {"x": 1})
"""Values that a mutated place takes, besides being left out."""


def mutated(document: Any, values: tuple[Any, ...] = ODD) -> Iterator[tuple[str, Any]]:
    """(place and value, copy of ``document`` with that change) for every place, at any depth, and every value; of lists
    the first element changes."""
    for place in _places(document):
        for value in (*values, _ABSENT):
            changed = copy.deepcopy(document)
            holder = changed
            for step in place[:-1]:
                holder = holder[step]
            if value is _ABSENT:
                del holder[place[-1]]
            else:
                holder[place[-1]] = copy.deepcopy(value)
            shown = "absent" if value is _ABSENT else repr(value)[:20]
            yield f"{'.'.join(map(str, place))}={shown}", changed


_ABSENT = object()


def _places(document: Any) -> Iterator[tuple[Any, ...]]:
    keys = (
        document if isinstance(document, dict) else range(min(1, len(document))) if isinstance(document, list) else ()
    )
    for key in keys:
        yield (key,)
        yield from ((key, *place) for place in _places(document[key]))
