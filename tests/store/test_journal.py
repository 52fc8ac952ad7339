"""Journals: a checksum a line, the cell in the first line, and damage that costs what it touches."""

import json
import logging
import os
import random
import shutil
import zlib
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.errors import BadInput, CellInUse
from evalsuite.store import journal, lock
from evalsuite.store.attempts import CutRequest, scan
from evalsuite.store.baseline import copy_cell
from evalsuite.store.manifest import read_manifest, write_json
from evalsuite.store.runs import TableCell
from evalsuite.store.samples import SAMPLES, read_batches, read_cuts, read_rows, read_samples, seal, write_table
from tests.store.test_cell import write
from tests.support import damages
from tests.support.journals import manifest

INTEGERS = st.integers(-(1 << 63), (1 << 64) - 1)
"""What orjson reads as integers; counts beyond are unknown before they are written (``endpoint.reply``)."""
VALUES = st.one_of(st.none(), st.booleans(), INTEGERS, st.floats(allow_nan=False, allow_infinity=False), st.text())
EVENTS = st.dictionaries(st.text().filter(lambda name: name != "crc"), VALUES, min_size=1)


@given(EVENTS)
def test_a_line_ends_with_the_checksum_of_the_rest(event: dict[str, Any]) -> None:
    line = journal.encode(event)
    assert journal.decode(line) == event
    body, _, stated = line.rpartition(b',"crc":')
    assert stated == b"%d}\n" % zlib.crc32(body + b"}")
    assert journal.decode(body + b"}") == event  # schema 1
    for place in range(0, len(body), 7):
        changed = bytearray(line)
        changed[place] ^= 0x15
        with pytest.raises(ValueError, match=r"another checksum than it states"):
            journal.decode(bytes(changed))


def test_an_event_of_no_kind_counts_as_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    head = {"schema": 2, "number": 1, "cell": "c", "event": "open"}
    lines = [head, {"event": ["sent"], "item": "1"}, {"event": "later", "item": "1"}]
    (tmp_path / "journal-h-1-00000000.jsonl").write_bytes(b"".join(map(journal.encode, lines)))
    assert scan(tmp_path) == {}
    assert "1 line is damaged" in caplog.text


def test_cuts_of_another_form_in_a_table_are_read_from_the_journals(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "fp8" / "toy"
    write(folder, ["0"])
    journals = {path.name: path.stat().st_size for path in folder.glob(journal.PATTERN)}
    rows = read_rows(folder)
    for cuts in (5, [["0", 0]], [["0", float("inf"), 1, 1]]):
        write_table(folder, rows, {"journals": journals, "cuts": cuts}, None)
        assert read_cuts(folder) == {}
    write_table(folder, rows, {"journals": journals, "cuts": [["0", 0, None, 2]]}, None)
    assert read_cuts(folder) == {("0", 0): [CutRequest(None, 2.0)]}


def test_surrogates_and_large_numbers_are_kept(tmp_path: Path) -> None:
    event = {"event": "x", "text": "\ud800", "number": 1 << 80}
    (tmp_path / "j").write_bytes(journal.encode(event))
    assert list(journal.read(tmp_path / "j")) == [(0, event)]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32))
def test_damage_costs_only_the_lines_that_it_touches(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Flips, cuts, swaps and doubles anywhere: what is read is a part of what was written, and all that is whole."""
    generator = random.Random(seed)
    path = tmp_path_factory.mktemp("journal") / "journal-h-1-00000000.jsonl"
    head = {"schema": 2, "number": 1, "cell": "c", "event": "open"}
    events = [head, *({"event": "reply", "item": str(n), "text": generator.randbytes(9).hex()} for n in range(8))]
    lines = [journal.encode(event) for event in events]
    damaged, whole = damages.damage(generator, lines)
    path.write_bytes(damaged)
    found = [event for _, event in journal.read(path, "c")]
    assert all(event in events for event in found)
    missing = [events[number] for number in whole if events[number] not in found]
    assert missing == []
    for offset, event in journal.read(path, "c"):
        assert journal.read_at(path, offset) == event


def test_a_damaged_end_of_a_line_is_seen_whether_its_text_is_parsed_or_not(tmp_path: Path) -> None:
    reply = {"event": "reply", "item": "a", "repeat": 0, "who": "model", "turn": 0, "span": [0.5, 2.0], "text": "x"}
    lines = [journal.encode({"schema": 2, "number": 1, "cell": "c"}), journal.encode(reply)]
    whole = b"".join(lines)
    path = tmp_path / "journal-a.jsonl"
    for place in range(len(whole) - 20, len(whole)):
        for byte in range(256):
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            parsed, brief = ([offset for offset, _ in journal.read(path, brief=how)] for how in (False, True))
            assert parsed == brief, whole[:place] + bytes([byte]) + whole[place + 1 :]
            for offset in brief:
                journal.read_at(path, offset)


def test_no_two_swapped_lines_and_no_doubled_one_change_a_row(tmp_path: Path) -> None:
    """Nor does a header: the second journal holds the failed item's answer, and the later of two scores counts."""
    folder = tmp_path / "fp8" / "toy"
    write(folder, ["0", "1", "2"], v0=None, v1=None, v2=None)
    write(folder, ["0", "1"])
    (folder / SAMPLES).unlink(missing_ok=True)
    rows = read_samples(folder).to_pylist()
    assert [row["outcome"] for row in rows] == ["correct", "correct", "failed"]
    for path in journal.ordered(folder):
        data, times = path.read_bytes(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        lines = data.splitlines(keepends=True)
        places = range(len(lines))
        swapped = [
            [*lines[:i], lines[j], *lines[i + 1 : j], lines[i], *lines[j + 1 :]] for i, j in combinations(places, 2)
        ]
        doubled = [[*lines[:i], lines[i], *lines[i:]] for i in places]
        for changed in (*swapped, *doubled, [b"{" + lines[0], *lines[1:]]):
            path.write_bytes(b"".join(changed))
            os.utime(path, ns=times)  # damage of a disk changes none
            assert read_samples(folder).to_pylist() == rows
        path.write_bytes(data)
        os.utime(path, ns=times)


def test_the_number_of_damaged_lines_is_stated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "fp8" / "toy"
    write(folder, ["0", "1", "2"])
    (path,) = folder.glob("journal-*.jsonl")
    data = bytearray(path.read_bytes())
    data[data.index(b"because")] ^= 1
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        rows = read_samples(folder).to_pylist()
    assert [row["text"] for row in rows] == ["", "A", "A"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 1 line is damaged and left out; the others count"
    ]


def test_whole_lines_with_values_that_no_version_writes_are_damage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "fp8" / "toy"
    write(folder, ["0"])
    rows = read_samples(folder).to_pylist()
    (path,) = folder.glob("journal-*.jsonl")
    key = {"item": "0", "repeat": 0}
    events: list[dict[str, Any]] = [
        {"event": "score", **key, "outcome": "wrong", "value": 10**400},
        {"event": "reply", **key, "who": "model", "turn": "1"},
        {"event": "sent", **key, "who": ["model"], "turn": 1},
        {"event": "cut", **key, "tokens": "9", "seconds": 1.0},
        {"event": "judged", **key, "right": True, "confidence": "high", "answer_sha": "a", "judge": "j"},
    ]
    with path.open("ab") as file:
        file.writelines(map(journal.encode, events))
    with caplog.at_level(logging.WARNING):
        assert read_samples(folder).to_pylist() == rows
    assert "5 lines are damaged and left out" in caplog.text


def test_journals_of_two_cells_cannot_be_exchanged(tmp_path: Path) -> None:
    for model in ("fp8", "nvfp4"):
        write(tmp_path / "r" / model / "toy", ["0"], manifest(model=model))
    first, second = (next((tmp_path / "r" / model / "toy").glob("journal-*")) for model in ("fp8", "nvfp4"))
    texts = first.read_bytes(), second.read_bytes()
    first.write_bytes(texts[1])
    second.write_bytes(texts[0])
    with pytest.raises(BadInput, match=r"is the journal of another cell: move it back into its folder, or away"):
        read_samples(first.parent)


def test_copies_and_journals_of_schema_1_stay_valid(tmp_path: Path) -> None:
    folder = tmp_path / "r" / "fp8" / "toy"
    write(folder, ["0", "1"])
    rows = read_samples(folder).to_pylist()
    copied = copy_cell(TableCell("r", folder, read_manifest(folder)), tmp_path / "elsewhere", "fp8@baseline")
    moved = tmp_path / "r" / "fp8" / "superseded" / "toy-20261126T000000Z"
    shutil.copytree(folder, moved)
    (path,) = folder.glob("journal-*.jsonl")
    events = [event for _, event in journal.read(path)]
    events[0] = {"event": "open", "schema": 1, "evalsuite": "0.1.0", "number": 1}
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    for other in (copied.folder, moved, folder):
        assert [row["text"] for row in read_samples(other).to_pylist()] == [row["text"] for row in rows]
    known = read_manifest(folder)
    write_json(folder / "manifest.json", known | {"identity": known["identity"] | {"a_later_key": None}})
    assert len(read_samples(folder)) == 2
    path.write_bytes(journal.encode({"event": "open", "schema": 3, "number": 1}))
    with pytest.raises(BadInput, match="has schema 3; this evalsuite reads up to 2: upgrade it"):
        read_samples(folder)


def test_a_process_number_counts_only_in_its_namespace(tmp_path: Path) -> None:
    """In a container with the host's name and boot id, the holder's number is nobody's or another process's."""
    path = lock.acquire(tmp_path)
    holder = json.loads(path.read_text())
    path.write_text(json.dumps(holder | {"pid": 2**22 + 1, "pid_namespace": "pid:[1]"}))
    with pytest.raises(CellInUse):
        lock.acquire(tmp_path)
    old = path.stat().st_mtime - lock.STALE_SECONDS - 1
    os.utime(path, (old, old))
    lock.release(lock.acquire(tmp_path))
    for text in ("[]", "{}", '{"pid": "x", "host": 7}', "\udcff"):
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        assert lock.holder_of(tmp_path) == "an unreadable lock file" or "process" in lock.holder_of(tmp_path)


def test_temporary_files_of_a_killed_writer_go_with_the_next_lock(tmp_path: Path) -> None:
    left, fresh = tmp_path / ".samples.parquet.4711.tmp", tmp_path / ".manifest.json.4712.tmp"
    left.write_bytes(b"half a table")
    fresh.write_bytes(b"being written")
    old = fresh.stat().st_mtime - lock.LEFTOVER_SECONDS - 1
    os.utime(left, (old, old))
    lock.release(lock.acquire(tmp_path))
    assert (left.exists(), fresh.exists()) == (False, True)


def test_a_damaged_table_is_made_again_from_the_journals(tmp_path: Path) -> None:
    """Its pages have checksums as well, and a column of another name is damage."""
    folder = tmp_path / "fp8" / "toy"
    write(folder, ["0", "1", "2"])
    (path,) = folder.glob("journal-*.jsonl")
    path.rename(folder / "journal-h-1-00000000.jsonl")  # so that the table has the same bytes every time
    seal(folder)
    rows, whole = read_samples(folder).to_pylist(), (folder / SAMPLES).read_bytes()
    for place in range(4, len(whole), max(1, len(whole) // 150)):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        (folder / SAMPLES).write_bytes(changed)
        assert read_samples(folder).to_pylist() == rows
        assert read_cuts(folder) == {}
        batches = [row for batch in read_batches(folder, ("item_id", "text")) for row in batch]
        assert [(row["item_id"], row["text"]) for row in batches] == [("0", "A"), ("1", "A"), ("2", "A")]
