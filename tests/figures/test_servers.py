from collections.abc import Sequence
from pathlib import Path

import pytest

from figures.servers import KINDS, try_kind
from tests.support.command import evalsuite


def _called(folder: Path, words: Sequence[str]) -> tuple[int, str]:
    done = evalsuite(folder, *words)
    return done.returncode, done.stderr + done.stdout


@pytest.mark.slow
def test_every_kind_of_server_runs_with_what_its_refusal_names(tmp_path: Path) -> None:
    found = [try_kind(kind, tmp_path / str(number), _called) for number, kind in enumerate(KINDS)]
    assert {one.what: (one.code, one.named, one.message) for one in found if not one.well} == {}
