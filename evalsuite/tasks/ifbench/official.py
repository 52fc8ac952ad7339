"""The official verifiers, when installed with ``pip install git+https://github.com/allenai/IFBench``.

They are not on PyPI. Their package looks for NLTK's resources when it is imported and downloads missing ones: here only
``punkt``, which is not used, because the others were found before. Their running time is not bounded.
"""

import csv
from functools import cache
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from evalsuite.errors import BadInput

if TYPE_CHECKING:
    from evalsuite.tasks.ifbench.verify import Follows


@cache
def load(nltk_data: str | None) -> "Follows":
    """Return the official verifiers as a function (instruction id, its arguments, answer) -> whether it is followed.

    ``nltk_data`` is the folder with NLTK's data, put first in NLTK's search path of this process unless it is there
    already (None: not added). An answer on which a verifier fails (CSV, index and value errors) does not follow.
    Importing the package ``ifbench`` downloads NLTK data that it misses; raises ``BadInput`` when it cannot be
    imported.
    """
    try:
        path = import_module("nltk.data").path
        if nltk_data is not None and nltk_data not in path:
            path.insert(0, nltk_data)
        table = import_module("ifbench.instructions_registry").INSTRUCTION_DICT
    except ImportError as error:
        raise BadInput(
            f"verifiers=official needs the package ifbench ({error}): "
            "pip install git+https://github.com/allenai/IFBench, or use verifiers=own"
        ) from None

    def follows(name: str, args: Any, text: str) -> bool:
        verifier = table[name](name)
        verifier.build_description(**args)
        try:
            return bool(verifier.check_following(text))
        except (csv.Error, IndexError, ValueError):
            return False  # the official run breaks off here

    return follows


@cache
def version() -> str:
    """Return ``ifbench-<version>`` of the installed package ``ifbench``;
    ``ifbench-unknown`` when it is not installed.
    """
    try:
        return f"ifbench-{metadata.version('ifbench')}"
    except metadata.PackageNotFoundError:
        return "ifbench-unknown"
