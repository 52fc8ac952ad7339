"""What Hydra makes of the chosen files of ``conf/``, and its errors as one line that names file, line and key."""

import re
from typing import cast

from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from evalsuite.config.files import ConfigSource, chosen_names, is_secret, key_names, key_place
from evalsuite.errors import BadInput, unknown_name

_REMEDIES = {"integer": "a whole number", "float": "a number", "bool": "true or false", "boolean": "true or false"}
"""Type as OmegaConf names it -> what to give."""


def compose_files(source: ConfigSource, choices: list[str]) -> tuple[dict[str, set[str]], DictConfig]:
    """(group -> chosen names, the composed files) for the overrides ``choices``, each of which chooses files.

    The names are those of models, tasks and samplings; the files become one configuration that takes no further keys.
    Raises ``BadInput`` for what Hydra refuses and for a file that is wrong or cannot be read, naming the file where it
    is known.
    """
    with initialize_config_dir(str(source.folders[0]), job_name="evalsuite", version_base="1.3"):
        try:
            try:
                return _files(source, choices, hydras_own=False)
            except HydraException:  # a word or a file may choose one of Hydra's own settings
                pass
            return _files(source, choices, hydras_own=True)
        except MissingConfigException as error:
            group, _, name = str(error.missing_cfg_file).rpartition("/")
            within = re.match(r"In '([^']+)'", str(error))
            where = f"{source.file(within[1])}: " if within and source.file(within[1]).is_file() else ""
            raise BadInput(f"{where}{unknown_name(group or 'file', name, source.options(group))}") from None
        except (HydraException, OmegaConfBaseException) as error:
            raise _file_fault(source, error) from None
        except ValueError as error:  # a defaults list that is no list
            named = re.search(r"defaults list in '([^']+)'", str(error))
            where = f"{source.file(named[1])}: " if named else ""
            raise BadInput(f"{where}{first_line(error)}") from None
        except OSError as error:
            raise BadInput(f"a configuration file cannot be read: {error}") from None


def _files(source: ConfigSource, choices: list[str], *, hydras_own: bool) -> tuple[dict[str, set[str]], DictConfig]:
    """As ``compose_files``, within an initialised Hydra, whose exceptions pass through; ``hydras_own``: with Hydra's
    own settings, which nothing reads.

    ``hydra.compose`` is not used: it always includes Hydra's settings and does not return the packages of the files,
    so that all would be read and merged twice.
    """
    loader = cast("ConfigLoaderImpl", GlobalHydra.instance().config_loader())
    words, files = loader._parse_overrides_and_create_caching_repo(source.primary, choices)
    listed = create_defaults_list(files, source.primary, words, prepend_hydra=hydras_own, skip_missing=False)
    packages = [(str(entry.config_path), str(entry.package or "")) for entry in listed.defaults]
    names = chosen_names(source, packages)
    cfg = loader._compose_config_from_defaults_list(listed.defaults, files)
    OmegaConf.set_struct(cfg, True)
    loader._apply_overrides_to_config(listed.config_overrides, cfg)
    with open_dict(cfg):
        cfg.pop("hydra", None)
    return names, cfg


def _file_fault(source: ConfigSource, error: Exception) -> BadInput:
    """Return the error for a fault that Hydra found, an exception of Hydra or OmegaConf.

    Where the fault is a key in a file that is named: the file, the line (if one line begins with the key), and the keys
    that exist or what is wrong with the value. Else the override that chooses nothing, or the first line of the text.
    """
    cause = error.__cause__ or error.__context__
    within = re.match(r"In '([^']+)'", str(error))
    if within and isinstance(cause, OmegaConfBaseException):
        where = key_place(source.file(within[1]), str(cause.key))
        if isinstance(cause, ConfigKeyError | ConfigAttributeError):
            return BadInput(f"{where}: {unknown_name('key', str(cause.key), key_names(cause.object_type))}")
        problem = "wrong type" if is_secret(str(cause.full_key)) else first_line(cause)
        return BadInput(f"{where}: {f'{cause.full_key}: ' if cause.full_key else ''}{problem}")
    override = re.search(r"Could not override '([^']+)'", str(error))
    if override:
        near = re.search(r"Did you mean to override (\S+)\?", str(error))
        return BadInput(f"'{override[1]}': there is nothing to choose{f'; did you mean {near[1]}?' if near else ''}")
    return BadInput(first_line(error))


def first_line(error: BaseException) -> str:
    """The first line of an error of Hydra or OmegaConf without full stops at its end, double quotes around it and a
    prefix on interpolations, with what to give where a value is no number or truth value; the name of the error's class
    where it has no text.
    """
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    text = re.sub(r"^\w+ raised while resolving interpolation: ", "", text).strip('"').rstrip(".")
    kind = re.search(r"could not be converted to (\w+)$|is not a valid (\w+)", text)
    remedy = _REMEDIES.get((kind[1] or kind[2]).lower()) if kind else None
    return f"{text}; give {remedy}" if remedy else text
