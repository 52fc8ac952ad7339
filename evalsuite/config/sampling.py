"""The sampling of one task in one run: which fields are sent, and which source states their values.

A value has an origin when a source (``card``, ``generation_config``) states exactly that value; otherwise it is
``ours``. So an override on the command line loses the origin of its field, and the original value regains it.

Sampling belongs to the model: the values of a card are for the checkpoints of that card (``Sampling.checkpoints``).
Another model is sampled as its own ``sampling`` states, and without one with the same numbers as ``ours``.
"""

from dataclasses import fields as dataclass_fields
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from evalsuite.config.settings import Model, Sampling

OURS = "ours"
_NOT_SENT = ("origin", "checkpoints", "explicit")
NAMES: tuple[str, ...] = tuple(field.name for field in dataclass_fields(Sampling) if field.name not in _NOT_SENT)
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
    """A copy of ``run`` with the value of every field that ``task`` sets (not None), and the origins of both; where one
    source states a field in both, the task's value.
    """
    changes: dict[str, Any] = {**fields(task), "origin": _merged(run.origin, task.origin)}
    return replace(run, **changes)


def model_sampling(run: Sampling, model: Model) -> Sampling:
    """A copy of the run's sampling as it holds for one model.

    - For a checkpoint of the run's card (``of_card``): the run's values, and over them those that the model states.
    - Else, where ``run.checkpoints`` is not empty and the model states a value that is not ``explicit``: the model's
      values alone, with the run's ``max_tokens`` unless it states one.
    - Else the run's values.

    Over these come the ``explicit`` fields (set by the command line or a suite), first the run's, then the model's.
    ``origin`` is the run's and the model's, but the model's alone where the run's card is of other checkpoints.
    """
    own = model.sampling
    stated: dict[str, Any] = {**fields(own)}
    explicit: dict[str, Any] = {name: getattr(run, name) for name in run.explicit}
    explicit |= {name: getattr(own, name) for name in own.explicit}
    for_any = not run.checkpoints
    values: dict[str, Any] = {}
    if not for_any and of_card(run, model.checkpoint):
        for_any, values = True, stated
    elif not for_any and stated.keys() - set(own.explicit):
        values = {**dict.fromkeys(NAMES), "max_tokens": run.max_tokens, **stated}
    origin = _merged(run.origin, own.origin) if for_any else own.origin
    return replace(run, **{**values, **explicit, "origin": origin})


def of_card(run: Sampling, checkpoint: str) -> bool:
    """Whether the run's sampling is that of the model card of ``checkpoint``: one of the patterns ``run.checkpoints``
    (``fnmatch``, upper and lower case differ) matches it; False without patterns.
    """
    return any(fnmatchcase(checkpoint, pattern) for pattern in run.checkpoints)


def _merged(first: dict[str, dict[str, Any]], second: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    origin = {source: dict(stated) for source, stated in first.items()}
    for source, stated in second.items():
        origin.setdefault(source, {}).update(stated)
    return origin
