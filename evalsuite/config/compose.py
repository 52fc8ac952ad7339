"""From YAML files and the command line to typed settings. Hydra is used only in ``config`` and in ``cli.sweep``.

``load_settings(["model=fp8", "suite=smoke"])`` gives a plain ``settings.Run``. Hydra composes the chosen files; every
value of the command line is then set here, one by one, so that the error for a wrong key names the keys that exist.
Errors of Hydra and OmegaConf in files and overrides are raised as ``BadInput``.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, cast

from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override, OverrideType, Quote, QuotedString, ValueType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from evalsuite.config import hints
from evalsuite.config.address import shown_urls
from evalsuite.config.composition import compose_files, first_line
from evalsuite.config.files import MULTI, ConfigSource, config_source, is_secret, key_names, missing_values, wrong_key
from evalsuite.config.given_models import GivenModels, add_models
from evalsuite.config.model_sampling import settle_sampling
from evalsuite.config.override_values import as_list, as_word, parse, unquoted
from evalsuite.config.paths import complete_data
from evalsuite.config.report_settings import Report
from evalsuite.config.schema_types import ANYTHING, NAMES, WORDS, Kind, element_problems, kind_at
from evalsuite.config.settings import Run
from evalsuite.config.typed_files import SearchPath, TypedFiles
from evalsuite.config.validate import check_command, check_report, check_run
from evalsuite.errors import BadInput, unknown_name

_RUN_GROUPS = ("model", "task", "suite", "sampling", "data", "judge", "simulator", "launch", "gate")


@contextmanager
def _shown_urls() -> Iterator[None]:
    """Replace users, passwords and queries of addresses in the message of a ``BadInput`` that leaves the block, or the
    function that this decorates.
    """
    try:
        yield
    except BadInput as error:
        error.args = (shown_urls(str(error)),)
        raise


@_shown_urls()
def load_settings(
    overrides: Sequence[str], config_dir: str | None = None, command: str = "run", models: GivenModels | None = None
) -> Run:
    """The settings of a command that is composed from ``run.yaml``, every default filled in, checked.

    ``config_dir``: the user's folder, None: only shipped files; ``command``: the command that the settings are for
    (each requires some settings and refuses others); ``models`` (key -> settings as a file of ``model/`` states them,
    ``server``, which must be there, being the name of a dialect) are added to the chosen ones, or replace those of the
    same key. Raises ``BadInput`` for what is unknown, missing, of a wrong type or out of range, but errors of OmegaConf
    for such keys and types in ``models``.
    """
    source = config_source("run", Run, _RUN_GROUPS, config_dir)
    listed = [as_list(override, "file", "varies") for override in overrides]
    run: Run
    run, chosen = _load(source, listed, models or {})
    run.config_dir = config_dir
    settle_sampling(run, source, overrides, next(iter(chosen["sampling"]), ""))
    complete_data(run.data)
    for model in run.models.values():
        model.thinking = model.thinking if run.thinking is None else run.thinking
    check_run(run, command)
    check_command(command, run, source.options("model"), source.options("task"))
    return run


@_shown_urls()
def load_report(overrides: Sequence[str], config_dir: str | None = None, command: str = "report") -> Report:
    """The settings of a command over finished runs, composed from ``report.yaml``, checked.

    Arguments and ``BadInput`` as of ``load_settings``; also raised for a run whose folder is not there.
    """
    source = config_source("report", Report, ("data", "judge", "gate"), config_dir)
    report: Report = _load(source, [as_list(override, "run", "varies") for override in overrides], {})[0]
    report.config_dir = config_dir
    complete_data(report.data)
    check_report(command, report)
    return report


@_shown_urls()
def sweep_jobs(overrides: Sequence[str], config_dir: str | None = None) -> list[list[str]]:
    """The jobs of ``-m``: every combination of the values of all keys, each as a list of overrides; the values of the
    last key change fastest, and without several values there is one job.

    Several values of a key are comma-separated, or those of ``range()``, ``choice()`` and ``glob()``; of a key that is
    given twice the last override counts, at the place of the first. Keys and values are not checked further. Raises
    ``BadInput`` for what cannot be parsed, ``interval()``, a ``glob()`` or ``range()`` without values or with a step
    of 0, and a wrong ``config_dir``.
    """
    register()
    with initialize_config_dir(str(main_folder(config_dir)), job_name="evalsuite", version_base="1.3"):
        parsed = parse(overrides, lambda _: WORDS, GlobalHydra.instance().config_loader())
        try:
            values = {item.get_key_element(): _sweep_values(item) for item in parsed}
        except (HydraException, ValueError) as error:  # ValueError: range() with a step of 0
            raise BadInput(first_line(error)) from None
    return [list(job) for job in product(*values.values())]


def _sweep_values(item: Override) -> list[str]:
    """``KEY=VALUE`` once for each value that a parsed override gives its key under ``-m``, once for a single value.

    Raises ``BadInput`` for a sweep without a list of values (``interval()``) or with an empty one (a ``glob()`` that
    matches nothing), and ``ValueError`` for a ``range()`` with a step of 0.
    """
    key = item.get_key_element()
    if not item.is_sweep_override():
        return [f"{key}={item.get_value_element_as_str()}"]
    if not item.is_discrete_sweep():
        raise BadInput(f"{item.input_line}: interval() has no values to run one after the other; write {key}=A,B")
    values = list(item.sweep_string_iterator())
    if not values:
        raise BadInput(f"{item.input_line}: there is no such value, so that nothing would be run; write {key}=A,B")
    return [f"{key}={value}" for value in values]


def as_key(override: str) -> str:
    """The override with ``report.svg=`` written as the key that holds it, ``svg=``; any other unchanged."""
    return override.removeprefix("report.") if override.startswith("report.svg=") else override


def is_text(override: str) -> bool:
    """Whether the value of an override of ``run`` is kept from Hydra's parser in a sweep.

    True for keys of plain texts at the top of the settings (``name``, ``run_id`` ..., but not groups of files or
    ``config_dir``), for ``data.root``, and for keys with a part ``headers``, whose values are secret.
    """
    key = override.partition("=")[0]
    return is_secret(key) or key in config_source("run", Run, _RUN_GROUPS, None).texts


def main_folder(config_dir: str | None) -> Path:
    """The folder that Hydra starts from: the user's, else (None) the shipped ``conf``. Raises ``BadInput`` if the
    user's does not exist or holds a ``run.yaml`` or ``report.yaml``.
    """
    return config_source("run", Run, (), config_dir).folders[0]


@cache
def register(schema: type = Run) -> None:
    """Register the dataclass ``schema`` (as ``run_schema`` or ``report_schema``) and the readers ``TypedFiles`` and
    ``SearchPath`` with Hydra, for the whole process; a second call with the same schema changes nothing.
    """
    ConfigStore.instance().store(name=f"{schema.__name__.lower()}_schema", node=schema)
    for plugin in (TypedFiles, SearchPath):
        Plugins.instance().register(plugin)


def _load(source: ConfigSource, overrides: Sequence[str], models: GivenModels) -> tuple[Any, dict[str, set[str]]]:
    """Compose files, overrides and given models: (an instance of the schema, group -> chosen names).

    The groups are ``model``, ``task`` and ``sampling``. Raises ``BadInput`` for what is unknown, missing or of a wrong
    type (errors of OmegaConf for such keys and types in ``models``); values are not checked further.
    """
    register(source.schema)
    overrides = [as_key(override) for override in overrides]
    hints.check_words(source, overrides)
    literal = [override for override in overrides if _is_literal(source, override)]
    parsed = parse([override for override in overrides if override not in literal], partial(_kind_of, source))
    groups = [item for item in parsed if _is_group(source, item)]
    for number, item in enumerate(groups):
        _check_choice(source, item)
        if any(item.get_key_element() == other.get_key_element() for other in groups[:number]):
            raise BadInput(f"{item.key_or_group}= is given twice; several names are {item.key_or_group}=[A,B]")
    chosen, cfg = compose_files(source, [as_word(item) for item in groups])
    add_models(source, cfg, models)
    chosen["model"] |= models.keys()
    for item in [*(item for item in parsed if item not in groups), *map(_literal, literal)]:
        try:
            _set(source, cfg, item)
        except BadInput as error:
            composed = cast("dict[str, Any]", OmegaConf.to_container(cfg))
            raise hints.key_hint(error, str(item.input_line), composed) from None
    for group in MULTI.keys() & source.groups:
        with open_dict(cfg):  # a suite may set options of tasks that the command line replaced; they are not chosen
            for name in set(cfg[MULTI[group]]) - chosen[group]:
                del cfg[MULTI[group]][name]
    try:
        missing = OmegaConf.missing_keys(cfg)
        if missing:
            raise missing_values(source, missing)
        settings = OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        raise BadInput(f"{error.full_key}: {first_line(error)}") from None
    if problems := list(dict.fromkeys(element_problems(settings, source.schema))):
        raise BadInput("\n".join(problems))
    return settings, chosen


def _kind_of(source: ConfigSource, key: str) -> Kind:
    """The type that the schema states for a dotted key; ``NAMES`` for a group of files, ``ANYTHING``
    for an unknown key.
    """
    return NAMES if key in source.groups else kind_at(source.schema, key.split(".")) or ANYTHING


def _is_literal(source: ConfigSource, override: str) -> bool:
    """Whether the value of an override is kept from Hydra's parser, whatever characters it has: the schema states a
    text for its key (not for a group of files or ``config_dir``, nor behind ``+`` or ``~``), or the key ends in
    ``.base_url`` and the value does not begin with ``[``.
    """
    key, equals, value = override.partition("=")
    if key.endswith(".base_url") and not value.startswith("["):  # or a list of them; an address may have a query
        return True
    return bool(equals) and key not in (*source.groups, "config_dir") and _kind_of(source, key).is_text


def _literal(override: str) -> Override:
    """The override ``KEY=TEXT`` as Hydra's object that sets ``TEXT`` without the quotes that enclose it; a ``null``
    without quotes sets None.

    In a text without such quotes below ``models.`` and ``tasks.``, a backslash before a blank, a tab or one of
    ``\\()[]{}:=,`` is taken off, too.
    """
    key, _, text = override.partition("=")
    plain = unquoted(text)
    if plain == text and key.startswith(tuple(f"{dictionary}." for dictionary in MULTI.values())):
        plain = re.sub(r"\\([\\()\[\]{}:=, \t])", r"\1", text)  # as Hydra escapes the words of a sweep
    value = None if text == "null" else QuotedString(plain, Quote.single)
    return Override(OverrideType.CHANGE, key, ValueType.ELEMENT, value, input_line=override)


def _is_group(source: ConfigSource, item: Override) -> bool:
    key = item.key_or_group
    return key in source.groups or item.package is not None or re.split(r"[./]", key)[0] == "hydra"


def _check_choice(source: ConfigSource, item: Override) -> None:
    """Raise ``BadInput`` unless an override chooses files of its group by names that ``hints.check_names`` accepts.

    Hydra's own keys are not checked; an empty list passes.
    """
    group, line = item.key_or_group, str(item.input_line)
    if re.split(r"[./]", group)[0] == "hydra":
        return
    if item.is_add() or item.is_force_add() or item.is_delete():
        raise BadInput(f"{line}: write {group}=NAME. Known: {', '.join(source.options(group))}.")
    if item.is_sweep_override():
        several = f", or '{group}=[{line.partition('=')[2]}]' for several in one run" if group in MULTI else ""
        raise BadInput(f"{line}: comma-separated values need -m (one run after the other){several}")
    value = item.value()
    if value is None:
        raise BadInput(f"{line}: write {group}=NAME, or leave it out. Known: {', '.join(source.options(group))}.")
    names = value if isinstance(value, list) else [value]
    if len(names) > 1 and group not in MULTI:
        raise BadInput(f"{line}: {group} takes one name. Known: {', '.join(source.options(group))}.")
    hints.check_names(source, group, line, [str(name) for name in names])


def _set(source: ConfigSource, cfg: DictConfig, item: Override) -> None:
    """Set (or with ``~`` delete) the value of one override in ``cfg``, in place; a mapping is merged into the one that
    is there. Raises ``BadInput`` for an unknown key, a value of a wrong type, and comma-separated values.

    ``+`` and ``~`` work only for keys in a free dictionary of the schema, so that a typo is never a new setting. A new
    key there needs ``+``, except in ``select.groups``, and in a mapping for a whole free dictionary whose key has three
    parts or more (``tasks.NAME.options={NEW: 1}``, but not ``launch.options={NEW: 1}``).
    """
    key, secret = item.key_or_group, is_secret(item.key_or_group)
    line = f"{key}=..." if secret else str(item.input_line)
    if item.is_sweep_override():
        raise BadInput(f"{line}: comma-separated values need -m (one run after the other); a list is '{key}=[A,B]'")
    *parents, last = key.split(".")
    node = _parent(source, cfg, parents, line)
    names = [str(name) for name in node.keys()]  # noqa: SIM118  `in node` leaves out values that are still missing
    known = last in names
    free = OmegaConf.get_type(node) is dict and key.count(".") > 1  # `models` and `tasks` are chosen, not written
    adds = item.is_add() or item.is_force_add()
    if not known and not free:
        raise wrong_key(source, parents, last, names)
    if not known and not adds and parents[-1] != "groups":  # the names of groups are in the data
        raise BadInput(f"unknown key '{key}'. Known: {', '.join(names) or 'none'}. To add one: '+{key}=VALUE'.")
    if not free and (adds or item.is_delete()):
        raise BadInput(f"{line}: '{line[0]}' is for the keys of free dictionaries; write {key}=VALUE")
    if item.is_delete():
        if not known:
            raise BadInput(f"{line}: there is no {last!r} to leave out. Known: {', '.join(names) or 'none'}.")
        with open_dict(node):
            del node[last]
        return
    value = item.value()
    whole = known and isinstance(value, dict) and key.count(".") > 1 and OmegaConf.get_type(node, last) is dict
    try:
        OmegaConf.update(cfg, key, value, merge=True, force_add=not known or whole)
    except (ConfigKeyError, ConfigAttributeError) as error:
        raise BadInput(f"{line}: {unknown_name('key', str(error.key), key_names(error.object_type))}") from None
    except OmegaConfBaseException as error:
        raise BadInput(f"{line}: {'wrong type' if secret else first_line(error)}") from None


def _parent(source: ConfigSource, cfg: DictConfig, parents: list[str], line: str) -> DictConfig:
    node = cfg
    for depth, part in enumerate(parents):
        if part not in node:
            raise wrong_key(source, parents[:depth], part, [str(name) for name in node])
        child = node[part]
        if not isinstance(child, DictConfig):
            raise BadInput(f"{line}: {'.'.join(parents[: depth + 1])} is a plain value and has no keys")
        node = child
    return node
