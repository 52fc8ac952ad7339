"""A/A: every model a second time, as a model of its own, to see how much two runs of one checkpoint differ.

The second arm is asked the same prompts with the same settings at the same endpoint, but its answers are drawn with
other seeds. With equal seeds a server that honours them (and computes the same in every batch) would repeat the first
arm letter by letter, and an A/A floor of no flips at all would make every flip of a real comparison look like damage.
Two precisions do not share their random choices in that way: after the first token at which they differ, equal seeds
draw from different distributions. What an A/A arm has to show is how much independent draws differ, so it must be one.
A request stays a pure function of (item, repeat, seed): the arm is part of the cell's identity (``draw``).
"""

from collections.abc import Mapping
from dataclasses import replace

from evalsuite.config.settings import Model, Run
from evalsuite.errors import BadInput
from evalsuite.records import canonical_sha

SUFFIX = "__aa"
"""Added by evalsuite to the name of a second arm."""


def doubled(settings: Run) -> Run:
    """The settings with every model's second arm beside it. Raises ``BadInput`` if a name is taken."""
    taken = [name for name in settings.models if name.endswith(SUFFIX)]
    if taken:
        raise BadInput(f"model {taken[0]}: '{SUFFIX}' is added by evalsuite for the second arm of aa=true")
    if not settings.aa:
        return settings
    models: dict[str, Model] = {}
    for name, model in settings.models.items():
        second = replace(model, title=f"{model.title} (again)", same_as=name, baseline=name)
        models |= {name: model, name + SUFFIX: second}
    return replace(settings, models=models)


def first(name: str) -> str:
    """The model that ``name`` is the second arm of; any other name as it is."""
    return name.removesuffix(SUFFIX)


def draw(name: str) -> dict[str, str]:
    """What a second arm adds to its cells' identity; nothing for all other models."""
    return {"draw": "aa"} if name.endswith(SUFFIX) else {}


def draw_seed(seed: int, identity: Mapping[str, object]) -> int:
    """The seed that the requests of a cell are drawn from (``turns.request_seed``): the run's, but for second arms.

    Prompts never depend on it: an adapter's own seed (orders of options) is the run's in both arms.
    """
    which = identity.get("draw")
    return seed if which is None else int(canonical_sha([seed, which])[:8], 16)
