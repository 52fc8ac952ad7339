"""From YAML files and the command line to typed settings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalsuite.config.settings import Run

__all__ = [
    "aa",
    "address",
    "compose",
    "deadline",
    "files",
    "hints",
    "load_settings",
    "margins",
    "model_checks",
    "override_values",
    "paths",
    "python_values",
    "report_settings",
    "sampling",
    "scale",
    "schema_types",
    "settings",
]


def load_settings(overrides: Sequence[str], config_dir: str | None = None) -> "Run":
    """The typed settings of ``evalsuite run OVERRIDES --config-dir CONFIG_DIR``.

    Args:
        overrides: Hydra overrides as on the command line, such as ``"model=fp8"``.
        config_dir: Folder with the user's own groups (``model/``, ``task/`` ...), searched before the shipped ones.

    Returns:
        The settings of a run, every default filled in. ``models`` is empty where no model is chosen.

    Raises:
        BadInput: An override names what does not exist or is for other commands, a value has the wrong type, is missing
            or out of range, no task is chosen, or a file or ``config_dir`` is wrong.
    """
    from evalsuite.config import compose

    return compose.load_settings(overrides, config_dir)
