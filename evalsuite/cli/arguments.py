"""Splits a command line into flags and overrides."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.errors import BadInput, unknown_name


@dataclass(frozen=True, slots=True)
class Arguments:
    """A command line after the command's name: its flags, and all other words."""

    overrides: tuple[str, ...]
    config_dir: str | None = None
    multirun: bool = False
    help: bool = False


def split(words: Sequence[str]) -> Arguments:
    """Split the words after a command's name into flags and overrides, in any order.

    Returns the other words in their order, the folder of ``--config-dir DIR`` or ``config_dir=DIR`` (the last one; that
    it exists is not checked; None: not given), and whether ``-m`` and ``--help`` are there. Raises ``BadInput`` for an
    unknown flag, with the flags or settings that there are instead, and for ``--config-dir`` without a folder.
    """
    overrides: list[str] = []
    config_dir: str | None = None
    multirun = help_asked = False
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag in ("--config-dir", "config_dir"):
            config_dir = value if equals else next(rest, "")
            if not config_dir:
                raise BadInput("--config-dir needs a folder: --config-dir DIR")
        elif word in ("-m", "--multirun"):
            multirun = True
        elif word in ("-h", "--help"):
            help_asked = True
        elif word.startswith("-"):
            known = ["--config-dir", "--multirun", "--help", "-m", "-h"]
            if not flag.startswith("--") or difflib.get_close_matches(flag, known, n=1, cutoff=0.8):
                raise unknown_name("flag", flag, known)
            from evalsuite.config.hints import flag_hint  # costs 0.1 s

            after = value if equals else next(rest, "")
            raise BadInput(
                flag_hint(flag, "" if after.startswith("-") or (not equals and "=" in after) else after, words)
            )
        else:
            overrides.append(word)
    return Arguments(tuple(overrides), config_dir, multirun, help_asked)
