"""The lock of a cell, where the holder is a process of an odd name."""

import os
from pathlib import Path

import pytest

from evalsuite.store import lock


def test_a_process_whose_name_is_cut_within_a_character_is_found(tmp_path: Path) -> None:
    named = Path(f"/proc/{os.getpid()}/comm")
    before = named.read_bytes()
    named.write_bytes("d\u00e9mo".encode()[:2])
    try:
        path = lock.acquire(tmp_path)
        assert lock.holder_of(tmp_path).startswith(f"process {os.getpid()} on ")
    finally:
        named.write_bytes(before)
    lock.release(path)
    assert lock.holder_of(tmp_path) == ""


@pytest.mark.parametrize("pid", ["1e999", "null", "[]"])
def test_a_lock_that_names_no_process_is_unreadable(tmp_path: Path, pid: str) -> None:
    path = lock.acquire(tmp_path)
    stated = path.read_text()
    path.write_text(stated.replace(f'"pid": {os.getpid()}', f'"pid": {pid}'))
    assert path.read_text() != stated
    assert lock.holder_of(tmp_path) == "an unreadable lock file"
    os.utime(path, (0, 0))
    assert lock.holder_of(tmp_path) == ""
