"""What a run's files and its command line say about the sampling of each model."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evalsuite.config.composition import first_line
from evalsuite.config.files import ConfigSource, read_yaml
from evalsuite.config.sampling import NAMES, fields, of_card
from evalsuite.config.settings import Run, Sampling
from evalsuite.errors import BadInput

_MAPPED = re.compile(r"[{,]\s*(\w+)\s*:")
"""A key of a mapping on the command line."""


def settle_sampling(run: Run, source: ConfigSource, overrides: Sequence[str], group: str) -> None:
    """Fill in the lists ``sampling.explicit`` of ``run`` and its models, in place, and let models share their
    baselines' sampling.

    ``source``: the configuration's files; ``overrides``: the command line; ``group``: the chosen file of
    ``conf/sampling``. Explicit are the fields of ``sampling`` that the command line names or that differ from that
    file, and those of a model that the command line names as ``models.NAME.sampling.FIELD`` or
    ``models.NAME.sampling={FIELD: ...}``. Where the patterns of
    ``run.sampling.checkpoints`` match a baseline of a model (or that one's baseline ...) but not the model, the model's
    checkpoint is added to them; where they match neither, a model that sets no fields but explicit ones takes the
    other fields of its nearest baseline that states any, whose name then stands in the origin. Raises ``BadInput`` for
    a file that cannot be read, and values of a wrong type in a baseline's.
    """
    keys = set(_named_keys(overrides))
    file = source.file(f"sampling/{group}")
    written = read_yaml(file) if file.is_file() else {}
    run.sampling.explicit = [
        name for name in NAMES if f"sampling.{name}" in keys or getattr(run.sampling, name) != written.get(name)
    ]
    for name, model in run.models.items():
        model.sampling.explicit = [field for field in NAMES if f"models.{name}.sampling.{field}" in keys]
    for name, model in run.models.items():
        chain = list(_baselines(run, source, name))
        if of_card(run.sampling, model.checkpoint):
            continue
        if any(of_card(run.sampling, checkpoint) for _, checkpoint, _ in chain):
            run.sampling.checkpoints.append(model.checkpoint)
        elif not fields(model.sampling).keys() - set(model.sampling.explicit):
            _take(model.sampling, chain)


def _named_keys(overrides: Sequence[str]) -> Iterator[str]:
    """Yield the keys that overrides set, for a mapping also those in it, with dots."""
    for override in overrides:
        key, _, value = override.partition("=")
        yield key
        yield from (f"{key}.{name}" for name in _MAPPED.findall(value))


def _baselines(run: Run, source: ConfigSource, name: str) -> Iterator[tuple[str, str, Sampling]]:
    """Yield (key, checkpoint, sampling) of the baseline of model ``name`` (its own, else the run's), of that one's own
    baseline, and so on.

    Those that the run does not hold are read from their files (the checkpoint is ``None`` as a text if such a file
    states none); it ends where no baseline is stated, at one that is in neither, or that comes again. Raises
    ``BadInput`` for a file that cannot be read, or whose ``sampling`` or ``baseline`` is of a wrong type.
    """
    seen = {name}
    key = run.models[name].baseline or run.baseline
    while key and key not in seen:
        seen.add(key)
        if key in run.models:
            model = run.models[key]
            yield key, model.checkpoint, model.sampling
            key = model.baseline
        elif (file := source.file(f"model/{key}")).is_file():
            written = read_yaml(file)
            yield key, str(written.get("checkpoint")), _stated(file, written.get("sampling") or {})
            key = written.get("baseline")
            if not isinstance(key, str | None):
                raise BadInput(f"{file}: baseline={key} must be the name of a model")
        else:
            return


def _stated(file: Path, content: Any) -> Sampling:
    """What the ``content`` of ``sampling`` in a model's ``file`` states on requests, and its origins.

    Raises ``BadInput`` for values of a wrong type.
    """
    if not isinstance(content, dict):
        raise BadInput(f"{file}: sampling must hold fields with values, such as sampling: {{temperature: 1}}")
    known = {field: content[field] for field in (*NAMES, "origin") if content.get(field) is not None}
    try:
        return cast("Sampling", OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Sampling), known)))
    except OmegaConfBaseException as error:
        raise BadInput(f"{file}: sampling.{error.key or ''}: {first_line(error)}") from None


def _take(own: Sampling, chain: Sequence[tuple[str, str, Sampling]]) -> None:
    """Fill in ``own`` in place the sampling of the first baseline of ``chain`` that states one, and its origins as
    ``SOURCE of KEY``; nothing where none does.

    ``chain``: (key, checkpoint, sampling) of each baseline. Fields in ``own.explicit`` stay.
    """
    for key, _, theirs in chain:
        if stated := fields(theirs):
            for name in stated.keys() - set(own.explicit):
                setattr(own, name, stated[name])
            for source, values in theirs.origin.items():
                own.origin.setdefault(f"{source} of {key}", dict(values))
            return
