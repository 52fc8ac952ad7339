"""Compressed files of others: bombs, links and lies are refused before they cost memory."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import pytest

from evalsuite.engine.stored.harness_logs import harness_of, reader
from evalsuite.errors import BadInput
from evalsuite.sandbox import archives
from evalsuite.tasks.datasets import read_jsonl


def test_a_gzip_bomb_is_left_at_its_first_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_LINE", 1 << 22)
    path = tmp_path / "answers.jsonl.gz"
    line = b'{"id": 1, "output": "' + b"a" * 1_000_000 + b'"}\n'
    with gzip.open(path, "wb", 6) as file:
        for _ in range(9):
            file.write(line)
    assert path.stat().st_size < 20_000
    with pytest.raises(BadInput, match=r"becomes over 200 times its size: not read beyond line 5"):
        list(read_jsonl(path))


def test_a_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_LINE", 1000)
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'{"id": 1}\n' + b"x" * 5000)
    with pytest.raises(BadInput, match="line 2 is longer than 1,000 bytes: no answer is"):
        list(read_jsonl(path))


def test_an_entry_is_read_up_to_its_limit_alone(tmp_path: Path) -> None:
    path, content = tmp_path / "a.zip", os.urandom(5 << 20)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("large", content)
    with archives.open_zip(path) as archive:
        assert archives.read_entry(archive, "large", 5 << 20) == content
        with pytest.raises(zipfile.BadZipFile, match="entry large is longer than 5,242,879 bytes"):
            archives.read_entry(archive, "large", (5 << 20) - 1)


def test_an_answer_as_long_as_any_server_sends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({"id": "1", "output": "é" * 2_000_000}) + "\n")
    ((number, row),) = read_jsonl(path)
    assert (number, len(row["output"])) == (1, 2_000_000)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", '{"a": 1e999999}'])
def test_deep_and_odd_json_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(text + "\n")
    if text.endswith("}"):
        assert harness_of(path) == ""
    else:
        with pytest.raises(BadInput, match="line 1 is torn or not JSON"):
            harness_of(path)


def test_a_log_that_states_an_impossible_size_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", b" " * 30_000_000)
    with pytest.raises(BadInput, match=r"would become 30,000,000 bytes from .*: over 200 : 1, not opened"):
        list(reader(path, (), "id")())


def test_an_archive_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "later.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", b"{}")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 99  # the version that is needed to read it, 9.9
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"zip file version 9\.9"):
        archives.check_ratio(path)
