"""Files of item ids that select a part of a task."""

from pathlib import Path

import pytest

from evalsuite.config.settings import Select
from evalsuite.errors import BadInput
from evalsuite.records import Item
from evalsuite.tasks.selection import selected_items

ITEMS = [Item(name, {}) for name in ("q1", "q2", "q3")]


def test_a_file_of_ids_selects_them(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_bytes(b"q3\r\n\nq1\n")
    assert {item.id for item in selected_items(ITEMS, Select(ids=str(ids)), None, 7)} == {"q1", "q3"}


@pytest.mark.parametrize(
    "content", [b"q1\n\xff\xfe\n", b"q4\n", b"\n", None], ids=["bytes", "unknown", "empty", "missing"]
)
def test_a_file_without_usable_ids_is_bad_input(tmp_path: Path, content: bytes | None) -> None:
    ids = tmp_path / "ids.txt"
    if content is not None:
        ids.write_bytes(content)
    with pytest.raises(BadInput, match=r"select\.ids"):
        selected_items(ITEMS, Select(ids=str(ids)), None, 7)
