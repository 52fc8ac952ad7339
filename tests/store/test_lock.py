"""The lock of a cell, where the holder is a process of an odd name."""

import os
from pathlib import Path

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
