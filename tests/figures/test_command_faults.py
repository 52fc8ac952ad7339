"""Every command that follows a run, on a disk that fails and killed at any of its calls (the figure, small)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from figures.command_faults import Command, command_faults, fetch_command, judged_command, stored_commands
from tests.store.io_faults import Disk, compiler


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize(
    ("kind", "names", "step", "first"),
    [
        (judged_command, {"judge"}, 60, 31),
        (stored_commands, {"gate", "import"}, 20, 5),
        (fetch_command, {"fetch"}, 40, 7),
    ],
)
def test_nothing_is_lost_or_asked_again(
    tmp_path: Path,
    kind: Callable[[Path], AbstractContextManager[tuple[Disk, dict[str, Command]]]],
    names: set[str],
    step: int,
    first: int,
) -> None:
    with kind(tmp_path) as (disk, commands):
        assert names <= set(commands)
        for name in names:
            found = command_faults(disk, commands[name], tmp_path / "said", step=step, first=first)
            assert found.runs >= 3
            assert (found.unequal, found.again, found.bad) == (0, 0, [])
            assert {74, -9} & set(found.codes)
