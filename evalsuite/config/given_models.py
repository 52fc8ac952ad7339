"""Models of a run that no file describes: their settings are given by the caller, as a file would state them."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from evalsuite.config.files import ConfigSource, read_yaml
from evalsuite.config.settings import Model

GivenModels = Mapping[str, Mapping[str, Any]]
"""Key -> settings of ``models.KEY``, ``server`` being the name of a dialect."""


def add_models(source: ConfigSource, cfg: DictConfig, models: GivenModels) -> None:
    """Add models to the composed configuration ``cfg``, in place; they replace those of the same key. ``${`` in their
    texts becomes ``$ {``, so that it is no reference to another value.

    ``models``: key -> settings of ``models.KEY``, with ``server``, the name of a dialect, whose file in ``source`` is
    read. Raises ``BadInput`` where that cannot be read, ``KeyError`` without ``server``, and OmegaConf's errors for
    keys and types that do not fit ``Model``.
    """
    for name, content in models.items():
        server = read_yaml(source.file(f"server/{content['server']}"))
        values = {"server": server, **{key: _plain(value) for key, value in content.items() if key != "server"}}
        with open_dict(cfg):
            cfg.models[name] = OmegaConf.merge(OmegaConf.structured(Model), values)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$ {")
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value
