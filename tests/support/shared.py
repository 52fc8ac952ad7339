"""Where tests find real benchmark data, and the word they skip with when it is not there."""

import os
from pathlib import Path

import pytest


def shared_data() -> Path:
    """The folder with real questions and answers, or a skip that says what is missing."""
    given = os.environ.get("EVALSUITE_SHARED_DATA")
    folder = Path(given) if given else Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real benchmark data is not at {folder} (set EVALSUITE_SHARED_DATA)")
    return folder
