"""A/A: every model a second time, as a model of its own, to see how much two runs of one checkpoint differ.

The second arm is asked the same prompts with the same settings at the same endpoint, but its answers are drawn with
other seeds. With equal seeds a server that honours them (and computes the same in every batch) would repeat the first
arm letter by letter, and an A/A floor of no flips at all would make every flip of a real comparison look like damage.
Two precisions do not share their random choices in that way: after the first token at which they differ, equal seeds
draw from different distributions. What an A/A arm has to show is how much independent draws differ, so it must be one.
A request stays a pure function of (item, repeat, seed): the arm is part of the cell's identity (``draw``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from evalsuite.config.settings import Model
from evalsuite.errors import BadInput
from evalsuite.records import canonical_sha

SUFFIX = "__aa"
"""Added by evalsuite to the name of a second arm."""


def check_names(models: Iterable[str]) -> None:
    """Raise ``BadInput`` if a model has a name that only second arms may have (ends in ``__aa``)."""
    for name in models:
        if name.endswith(SUFFIX):
            raise BadInput(f"model {name}: '{SUFFIX}' is added by evalsuite for the second arm of aa=true")


def with_second_arms(models: Mapping[str, Model]) -> dict[str, Model]:
    """The models, each followed by its second arm ``NAME__aa``: the same settings with ``(again)`` behind the title,
    and with ``NAME`` as ``baseline`` and ``same_as``."""
    doubled: dict[str, Model] = {}
    for name, model in models.items():
        second = replace(model, title=f"{model.title} (again)", same_as=name, baseline=name)
        doubled |= {name: model, name + SUFFIX: second}
    return doubled


def first_arm(name: str) -> str:
    """The name of the model that ``name`` is the second arm of (without ``__aa`` at the end); others unchanged."""
    return name.removesuffix(SUFFIX)


def arm_identity(name: str) -> dict[str, str]:
    """The keys that a second arm's name adds to the identity of its cells, ``{"draw": "aa"}``; empty
    for other models.
    """
    return {"draw": "aa"} if name.endswith(SUFFIX) else {}


def draw_seed(seed: int, identity: Mapping[str, object]) -> int:
    """The seed from which the seeds of a cell's requests are drawn: the run's ``seed``, for second arms a number of 32
    bits derived from it.

    ``identity``: the cell's, which has ``draw`` in a second arm. Prompts never depend on it: an adapter's own seed
    (orders of options) is the run's in both arms.
    """
    arm = identity.get("draw")
    return seed if arm is None else int(canonical_sha([seed, arm])[:8], 16)
