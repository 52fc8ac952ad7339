"""Reads the YAML files of ``conf/`` for Hydra: the schema's types decide what a plain word is, not YAML's guesses."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from evalsuite.config.files import GUEST, config_key, stored_path, yaml_faults
from evalsuite.config.paths import shipped
from evalsuite.config.report_settings import Report
from evalsuite.config.schema_types import ANYTHING, Kind, kind_at, typed
from evalsuite.config.settings import Run, Server
from evalsuite.errors import BadInput

SCHEME = "evalsuite"
"""Scheme of the folders that ``TypedFiles`` reads, in place of Hydra's own ``file``."""
_TEXT = "tag:yaml.org,2002:str"


class TypedFiles(FileConfigSource):
    """Hydra's reader of folders, with a loader of its own."""

    @staticmethod
    def scheme() -> str:
        """The scheme of folders that this class reads."""
        return SCHEME

    def is_config(self, config_path: str) -> bool:
        """Whether there is a file for a configuration such as ``model/fp8`` in this folder."""
        return super().is_config(stored_path(config_path))

    def load_config(self, config_path: str) -> ConfigResult:
        """Read the file of a configuration such as ``model/fp8`` with the types of the schema; ``task/lm_eval:NAME`` is
        ``task/lm_eval`` with ``options.task: NAME`` and the package ``tasks.lm_eval_NAME`` (``files.config_key``).

        Raises ``ConfigLoadError`` if there is no such file, ``BadInput`` for one that cannot be read, is not valid
        YAML, or holds anything else than a mapping (an empty one is an empty configuration).
        """
        file = Path(self.path, self._normalize_file_name(stored_path(config_path)))
        if not file.is_file():
            raise ConfigLoadError(f"Config not found : {file}")
        with yaml_faults(file), file.open(encoding="utf-8") as opened:
            header = ConfigSource._get_header_dict(opened.read(512))
            opened.seek(0)
            content = _load(opened, _kind_of(config_path, header.get("package")))
        if not isinstance(content, dict | None):
            raise BadInput(f"{file}: must hold keys with values (key: value), not a {type(content).__name__}")
        if isinstance(content, dict) and config_path.startswith(f"task/{GUEST}"):
            name = config_path.partition("/")[2]
            options = content.get("options") or {}
            if isinstance(options, dict):  # else the schema refuses it
                content["options"] = {**options, "task": name.removeprefix(GUEST)}
            header["package"] = f"tasks.{config_key(name)}"
        try:
            config = OmegaConf.create({} if content is None else content)
        except RecursionError:
            raise BadInput(f"{file}: it is nested too deeply, or holds itself") from None
        except OmegaConfBaseException as error:
            raise BadInput(f"{file}: {str(error).splitlines()[0]}") from None
        return ConfigResult(self.provider, f"{SCHEME}://{self.path}", config, header)


class SearchPath(SearchPathPlugin):
    """Searches the user's ``--config-dir``, then the shipped ``conf/``; both are read by ``TypedFiles``."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Change Hydra's search path in place: ``TypedFiles`` reads its main folder, and the shipped ``conf`` is added
        at the end, to be read by it, too.
        """
        for element in search_path.get_path():
            if element.provider == "main":
                element.path = f"{SCHEME}://{str(element.path).removeprefix('file://')}"
        search_path.append("evalsuite", f"{SCHEME}://{shipped('conf')}")


def _kind_of(config_path: str, package: str | None) -> Kind:
    """The type of the content of a file such as ``model/fp8``: that of the key ``package`` of its header, else that of
    its group; ``Server`` for files of ``server``, ``Report`` or ``Run`` for files in no group.

    ``ANYTHING`` where the schema states none.
    """
    group = config_path.rpartition("/")[0]
    if not group:
        return Kind(Report if Path(config_path).stem == "report" else Run)
    if group == "server":  # is merged into a model, judge or simulator
        return Kind(Server)
    place = "" if package == "_global_" else package or group.replace("/", ".")
    return kind_at(Run, place.split(".") if place else ()) or ANYTHING


def _load(opened: Any, kind: Kind) -> Any:
    loader = _loader()(opened)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _retag(node, kind, loader)
        return loader.construct_document(node)
    finally:
        loader.dispose()


@cache
def _loader() -> Any:
    """OmegaConf's class of YAML loaders, which takes the text apart in C where PyYAML has libyaml."""
    theirs = get_yaml_loader()
    if not yaml.__with_libyaml__:
        return theirs

    class Loader(yaml.CSafeLoader, theirs):  # type: ignore[misc, valid-type]
        yaml_constructors = theirs.yaml_constructors
        yaml_implicit_resolvers = theirs.yaml_implicit_resolvers

    return Loader


def _retag(node: yaml.Node, kind: Kind, loader: Any) -> None:
    """Mark, in place, the plain words at or below a YAML node as texts where ``typed`` keeps their text for the
    schema's ``kind``; so are the plain keys of mappings with text keys, and names in a ``defaults`` list.
    """
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "<<":
                _retag(value, kind, loader)
                continue
            if kind.text_keys and isinstance(key, yaml.ScalarNode) and not key.style:
                key.tag = _TEXT
            if key.value == "defaults":  # names of files
                _retag_defaults(value)
            else:
                _retag(value, kind.below(str(key.value)) or ANYTHING, loader)
    elif isinstance(node, yaml.SequenceNode):
        for element in node.value:
            _retag(element, kind.elements, loader)
    elif (
        isinstance(node, yaml.ScalarNode)
        and not node.style
        and isinstance(typed(node.value, _guess(node, loader), kind), str)
    ):
        node.tag = _TEXT


def _guess(node: yaml.ScalarNode, loader: Any) -> Any:
    """The value that YAML takes a plain word for; the word itself where YAML cannot read it."""
    try:
        return loader.construct_object(node)
    except (ValueError, yaml.constructor.ConstructorError):
        return node.value
    finally:
        loader.constructed_objects.pop(node, None)
        loader.recursive_objects.pop(node, None)


def _retag_defaults(node: yaml.Node) -> None:
    """Mark, in place, the names of groups and files in a defaults list as texts; ``null`` stays, as it chooses none."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            key.tag = _TEXT
            _retag_defaults(value)
    elif isinstance(node, yaml.SequenceNode):
        for element in node.value:
            _retag_defaults(element)
    elif isinstance(node, yaml.ScalarNode) and not re.fullmatch(r"~|null|", node.value, re.IGNORECASE):
        node.tag = _TEXT
