"""The sampling of one task in one run: which fields are sent, and which source states their values.

A value has an origin when a source (``card``, ``generation_config``) states exactly that value; otherwise it is
``ours``. So an override on the command line loses the origin of its field, and the original value regains it.
"""

from dataclasses import fields as dataclass_fields
from dataclasses import replace
from typing import Any

from evalsuite.config.settings import Sampling

OURS = "ours"
NAMES: tuple[str, ...] = tuple(field.name for field in dataclass_fields(Sampling) if field.name != "origin")
"""The fields of a request that sampling can set."""


def fields(sampling: Sampling) -> dict[str, float]:
    """Field -> value, for the fields that are sent (None: left to the server)."""
    values = {name: getattr(sampling, name) for name in NAMES}
    return {name: value for name, value in values.items() if value is not None}


def sampling_origin(sampling: Sampling) -> dict[str, str]:
    """Field -> the first source that states its value, for the fields that are sent; ``ours`` where none does."""
    sources = sampling.origin.items()
    return {
        name: next((source for source, stated in sources if stated.get(name) == value), OURS)
        for name, value in fields(sampling).items()
    }


def effective(run: Sampling, task: Sampling) -> Sampling:
    """``run`` with every field that ``task`` sets, and the origins of both."""
    origin = {source: dict(stated) for source, stated in run.origin.items()}
    for source, stated in task.origin.items():
        origin.setdefault(source, {}).update(stated)
    changes: dict[str, Any] = {**fields(task), "origin": origin}
    return replace(run, **changes)
