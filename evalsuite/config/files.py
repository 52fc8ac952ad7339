"""The files of ``conf/``, shipped and the user's own: their names, and the errors for files that are wrong."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from evalsuite.config import paths
from evalsuite.errors import BadInput, unknown_name

MULTI = {"model": "models", "task": "tasks"}
"""Groups of which several options can be chosen -> the dictionary in ``settings.Run`` that holds them."""
SECRETS = ("headers",)
"""Dictionaries whose values are never repeated in a message."""

GUEST = "lm_eval:"
"""A task of lm-eval is chosen as ``lm_eval:NAME``: the file ``task/lm_eval.yaml`` with ``options.task: NAME``."""
_GUEST_KEY = "lm_eval_"

REMOVED = {
    "wheels": "pip collects the packages: pip download -d DIR/wheels evalsuite setuptools wheel "
    "(docs/guide/air_gapped.md)",
}
"""Keys of earlier versions -> what replaces them."""


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """What one command is composed from."""

    primary: str
    """Name of the primary file: ``run`` or ``report``."""
    schema: type
    """Dataclass that types it."""
    groups: tuple[str, ...]
    """Groups that the command line can choose from."""
    folders: tuple[Path, ...]
    """Folders that are searched, in order: the user's, then the shipped one."""

    @property
    def texts(self) -> frozenset[str]:
        """Dotted keys whose values a sweep keeps from Hydra's parser: plain texts at the top of the schema (groups of
        files and ``config_dir`` aside), and ``data.root``.
        """
        plain = {field.name for field in fields(self.schema) if field.type in (str, str | None)}
        return frozenset(plain - {*self.groups, "config_dir"} | {"data.root"})

    def options(self, group: str) -> list[str]:
        """Names (without ``.yaml``) of the files ``*.yaml`` of a group in all folders, sorted, each once."""
        files = (file for folder in self.folders for file in (folder / group).glob("*.yaml"))
        return sorted({file.stem for file in files if file.is_file()})

    def file(self, config_path: str) -> Path:
        """The file of a configuration such as ``model/fp8``: the user's, else the shipped one; where there is neither,
        the path that it would have in the first folder.
        """
        candidates = [folder / f"{stored_path(config_path)}.yaml" for folder in self.folders]
        return next((file for file in candidates if file.is_file()), candidates[0])


def config_key(name: str) -> str:
    """The key of a chosen file in ``models`` or ``tasks``, which also names its folder in a run: the file's ``name``,
    with ``_`` for other characters than letters, digits, ``_`` and ``-`` (``lm_eval_ifeval`` for ``lm_eval:ifeval``).
    """
    return re.sub(r"[^\w-]", "_", name)


def stored_path(config_path: str) -> str:
    """The path, without extension, of a configuration's file: as given, but ``task/lm_eval`` for
    ``task/lm_eval:ifeval``.
    """
    return config_path.partition(":")[0] if config_path.startswith(f"task/{GUEST}") else config_path


def config_source(primary: str, schema: type, groups: tuple[str, ...], config_dir: str | None) -> ConfigSource:
    """The files that one command is composed from.

    ``primary``: name of the primary file (``run``, ``report``); ``schema``: the dataclass that types it; ``groups``:
    what the command line can choose from; ``config_dir``: the user's folder (None: only the shipped one). Raises
    ``BadInput`` if the user's folder does not exist or holds a ``run.yaml`` or ``report.yaml``.
    """
    where = folders(config_dir)
    for name in ("run.yaml", "report.yaml"):
        if any((folder / name).exists() for folder in where[:-1]):
            raise BadInput(f"{where[0] / name} would replace evalsuite's own: put such settings into suite/NAME.yaml")
    return ConfigSource(primary, schema, groups, where)


def folders(config_dir: str | None) -> tuple[Path, ...]:
    """Folders that are searched, in order: the user's, if one is given, then the shipped one.

    Raises ``BadInput`` if the user's is no folder.
    """
    shipped = paths.shipped("conf")
    if config_dir is None:
        return (shipped,)
    folder = paths.expanded(config_dir).absolute()
    if not folder.is_dir():
        raise BadInput(f"--config-dir {config_dir}: there is no such folder")
    return (folder, shipped)


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file; empty for an empty file or ``null``.

    Raises ``BadInput``, naming the file and, where it is known, the line, for a file that cannot be read, is not valid
    YAML, holds anything else than one mapping, or has a key other than ``<<`` written twice in one mapping.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, absent where PyYAML has no libyaml
    with yaml_faults(file):
        opened = loader(file.read_text("utf-8"))
        try:
            node = opened.get_single_node()
            if node is not None:
                _refuse_doubles(node, {})
            content = None if node is None else opened.construct_document(node)
        finally:
            opened.dispose()
    if not isinstance(content, dict | None):
        raise BadInput(f"{file}: must hold keys with values (key: value), not a {type(content).__name__}")
    return content or {}


@contextmanager
def yaml_faults(file: Path) -> Iterator[None]:
    """For a ``with`` block that reads the YAML file ``file``: what PyYAML and the file system raise in it becomes
    ``BadInput``, which names the file and, where it is known, the line.

    So do ``ValueError``, ``TypeError``, ``LookupError``, ``AttributeError`` and ``RecursionError``, which odd values
    cause.
    """
    import yaml

    try:
        yield
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadInput(f"{file}{line}: not valid YAML: {error.problem}") from None
    except RecursionError:
        raise BadInput(f"{file}: not valid YAML: it is nested too deeply, or holds itself") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not UTF-8: {error.reason}") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:  # PyYAML's, for odd values
        raise BadInput(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or error}") from None


def _refuse_doubles(node: Any, checked: dict[int, bool]) -> None:
    """Raise ``MarkedYAMLError`` for a mapping at or below a YAML node that has a scalar key other than ``<<`` written
    twice, and ``RecursionError`` for a node that holds itself.

    Below means in values, not in keys. ``checked``, filled in: id of a node -> whether all of it was checked.
    """
    import yaml

    if not checked.setdefault(id(node), False):
        keys: set[str] = set()
        for part in node.value if isinstance(node, yaml.CollectionNode) else ():
            key, value = part if isinstance(node, yaml.MappingNode) else (None, part)
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in keys:
                    raise yaml.MarkedYAMLError(problem=f"found duplicate key {key.value}", problem_mark=key.start_mark)
                keys.add(key.value)
            if checked.get(id(value)) is False:
                raise RecursionError
            _refuse_doubles(value, checked)
        checked[id(node)] = True


def chosen_names(source: ConfigSource, listed: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Group (``model``, ``task``, ``sampling``) -> keys of the files that were chosen, from all (configuration such as
    ``model/fp8``, package) pairs.

    Sets are empty for groups without a choice. Raises ``BadInput`` for a file of ``source.groups`` with another package
    than ``models.NAME`` or ``tasks.NAME`` (a model or task), an empty one (a suite and ``judge/later``), or else the
    group.
    """
    names: dict[str, set[str]] = {group: set() for group in (*MULTI, "sampling")}
    for config_path, package in listed:
        group, _, name = config_path.partition("/")
        if group not in source.groups:
            continue
        name = config_key(name) if name.startswith(GUEST) else name
        expected = f"{MULTI[group]}.{name}" if group in MULTI else group
        if group == "suite" or (group, name) == ("judge", "later"):  # "no judge" cannot stand inside the judge
            expected = ""
        if package != expected:
            raise BadInput(f"{source.file(config_path)} must begin with `# @package {expected or '_global_'}`")
        if group in names:
            names[group].add(name)
    return names


def check_suite(source: ConfigSource, name: str) -> None:
    """Raise ``BadInput`` unless the file of suite ``name`` can be read and has the header ``# @package _global_`` and a
    line ``suite: NAME`` (Hydra requires neither).
    """
    file = source.file(f"suite/{name}")
    try:
        text = file.read_text("utf-8", "replace")
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or error}") from None
    if not re.match(r"(#.*\n|\s*\n)*#\s*@package\s+_global_\s*\n", text):
        raise BadInput(f"{file} must begin with `# @package _global_`")
    if not re.search(rf"^suite:\s*['\"]?{re.escape(name)}['\"]?\s*(#.*)?$", text, re.MULTILINE):
        raise BadInput(f"{file} must say `suite: {name}`: runs are named and found by it")


def key_place(file: Path, key: str) -> str:
    """``FILE, line N`` of the only line that begins with ``KEY:`` (at any depth, in quotes or not); the file alone
    where there is none or more than one, or no file.
    """
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    hits = [number for number, line in enumerate(lines, 1) if re.match(rf"\s*['\"]?{re.escape(key)}['\"]?\s*:", line)]
    return f"{file}, line {hits[0]}" if len(hits) == 1 else str(file)


def is_secret(key: str) -> bool:
    """Whether the value of a dotted key must not be repeated in a message: a part of the key is ``headers``."""
    return any(part in SECRETS for part in key.split("."))


def key_names(schema: object) -> list[str]:
    """Field names of a dataclass; none for anything else."""
    return list(getattr(schema, "__dataclass_fields__", {}))


def wrong_key(source: ConfigSource, parents: list[str], key: str, names: list[str]) -> BadInput:
    """Return the error for a key that does not exist below ``parents`` (parts of a dotted key), whose
    keys are ``names``.

    It names what to write instead, or the keys or files that exist.
    """
    group = {dictionary: group for group, dictionary in MULTI.items()}.get(".".join(parents))
    if group in source.groups:
        if key in source.options(group):
            taken = ", ".join(sorted(names)) or "none"
            return BadInput(f"{group} '{key}' is not chosen (chosen: {taken}); add it to {group}=")
        if group == "task" and key.startswith(_GUEST_KEY):
            chosen = [re.sub(f"^{_GUEST_KEY}", GUEST, name) for name in [*sorted(names), key]]
            taken = ", ".join(chosen[:-1]) or "none"
            return BadInput(f"task '{key}' is not chosen (chosen: {taken}); add it: 'task=[{','.join(chosen)}]'")
        return unknown_name(group, key, source.options(group))
    if key in REMOVED and not parents:
        return BadInput(f"{key}= is no setting any more; {REMOVED[key]}")
    if key == "server" and not parents:
        return BadInput("a server belongs to a model: server@models.NAME.server=vllm")
    if parents:
        return unknown_name(f"key of {'.'.join(parents)}", key, names)
    return unknown_name("key", key, {*names, *source.groups} - set(MULTI.values()) | (MULTI.keys() & source.groups))


def missing_values(source: ConfigSource, keys: Iterable[str]) -> BadInput:
    """Return the error for dotted ``keys`` whose values no file gives: one line each, sorted, with what to give, and
    below ``models`` and ``tasks`` the file (there or not) of that name to which it can be added.
    """
    groups = {dictionary: group for group, dictionary in MULTI.items()}
    problems = []
    for key in sorted(keys):
        head, _, rest = key.partition(".")
        name, _, leaf = rest.partition(".")
        if (head, leaf) == ("tasks", "options.task") and name == GUEST[:-1]:
            problems.append(
                "task=lm_eval does not name a task of lm-eval: write task=lm_eval:gsm8k, or "
                "'task=[lm_eval:ifeval,lm_eval:aime25]' for several; `lm_eval ls tasks` lists their names"
            )
            continue
        entry = "defaults: [/server: sglang, _self_]" if leaf == "server.dialect" else f"{leaf}: ..."
        where = f", or add `{entry}` to {source.file(f'{groups[head]}/{name}')}" if head in groups else ""
        problems.append(f"{key} is missing: give {key}=VALUE{where}")
    return BadInput("\n".join(problems))
