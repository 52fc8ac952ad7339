"""Baseline artefacts that nobody should open: each differs from a good one in what one attack needs."""

import hashlib
import json
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evalsuite.records import canonical_sha
from evalsuite.store.artefact import INDEX
from evalsuite.store.samples import schema

Files = dict[str, bytes]
Index = dict[str, Any]
Change = Callable[[Files, Index], None]
"""Changes the files, or the index, which is then hashed again."""
TASK = "mmlu_pro"
TABLE, MANIFEST = f"{TASK}/samples.parquet", f"{TASK}/manifest.json"
JOURNAL = "journal-host-7-0123abcd.jsonl"


def opened(path: Path) -> tuple[Files, Index]:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return files, json.loads(files.pop(INDEX))


def packed(path: Path, files: Files, index: Index, *, declare: bool = True) -> Path:
    """Write an artefact whose index has right hashes, ``declare``: also for the files as they are now."""
    if declare:
        index["files"] = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
        }
    index.pop("sha256", None)
    index["sha256"] = canonical_sha(index)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**files, INDEX: json.dumps(index).encode()}.items():
            archive.writestr(name, data)
    return path


def renamed(task: str) -> Change:
    """Another task name, everywhere."""

    def change(files: Files, index: Index) -> None:
        for name in list(files):
            files[f"{task}/{name.partition('/')[2]}"] = files.pop(name)
        index["journals"] = {task: index["journals"][TASK]}

    return change


def _model(name: Any) -> Change:
    return lambda files, index: index.update(model=name)


def _manifest(**facts: Any) -> Change:
    def change(files: Files, index: Index) -> None:
        files[MANIFEST] = json.dumps(json.loads(files[MANIFEST]) | facts).encode()

    return change


def _journal(name: str) -> Change:
    def change(files: Files, index: Index) -> None:
        files[f"{TASK}/{name}"] = b"{}\n"
        index["journals"][TASK] = [name]

    return change


def _table(change: Callable[[dict[str, list[Any]]], None], columns: pa.Schema | None = None) -> Change:
    def changed(files: Files, index: Index) -> None:
        values = pq.read_table(BytesIO(files[TABLE])).to_pydict()
        change(values)
        buffer = BytesIO()
        pq.write_table(pa.Table.from_pydict(values, schema=columns or schema()), buffer, compression="zstd")
        files[TABLE] = buffer.getvalue()

    return changed


def _long_texts(values: dict[str, list[Any]]) -> None:
    values["text"] = ["x" * (24 << 20)] * len(values["text"])


def _shared_text(files: Files, index: Index) -> None:
    """A text of 4 MB that 4,000 rows share through a dictionary: 16 GB in memory."""
    manifest, count = json.loads(files[MANIFEST]), 4_000
    files[MANIFEST] = json.dumps(manifest | {"items": [str(n) for n in range(count)], "total_items": count}).encode()
    row = {name: values[0] for name, values in pq.read_table(BytesIO(files[TABLE])).to_pydict().items()}
    arrays = []
    for field in schema():
        if field.name == "item_id":
            arrays.append(pa.array([str(n) for n in range(count)]))
        elif field.name == "text":
            noise = hashlib.shake_256(b"x").hexdigest(2 << 20)
            arrays.append(pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([noise])))
        else:
            arrays.append(pa.array([row[field.name]] * count, field.type))
    buffer = BytesIO()
    names = [field.name for field in schema()]
    pq.write_table(pa.Table.from_arrays(arrays, names), buffer, dictionary_pagesize_limit=1 << 26)
    files[TABLE] = buffer.getvalue()


def _other_columns() -> pa.Schema:
    return pa.schema([(f.name, pa.int64() if f.name == "prompt_tokens" else f.type) for f in schema()][:-1])


def _doubled(column: str, lost: str) -> Change:
    """The column is there twice, the second time in place of another."""

    def changed(files: Files, index: Index) -> None:
        table, buffer = pq.read_table(BytesIO(files[TABLE])), BytesIO()
        pq.write_table(table.rename_columns([column if name == lost else name for name in table.column_names]), buffer)
        files[TABLE] = buffer.getvalue()

    return changed


def _bomb(files: Files, index: Index) -> None:
    files[TABLE] = bytes(40 << 20)


def _declared(size: Any = None, sha: Any = None) -> Change:
    def change(files: Files, index: Index) -> None:
        facts = index["files"][TABLE]
        index["files"][TABLE] = {"bytes": facts["bytes"] if size is None else size, "sha256": sha or facts["sha256"]}

    return change


CONTENT: dict[str, Change] = {
    "model above": _model("../../outside"),
    "model absolute": _model("/tmp/outside"),
    "model with separator": _model("a/b"),
    "model dots": _model(".."),
    "model hidden": _model(".git"),
    "model empty": _model(""),
    "model long": _model("m" * 300),
    "model with zero": _model("m\0x"),
    "model number": _model(7),
    "model report": _model("report"),
    "task above": renamed(".."),
    "task hidden": renamed(".ssh"),
    "task superseded": renamed("superseded"),
    "task with newline": renamed("mmlu\npro"),
    "journal above": _journal("../../../journal-h-1-00000000.jsonl"),
    "journal absolute": _journal("/tmp/journal-h-1-00000000.jsonl"),
    "journal pth": _journal("site.pth"),
    "journal lock": _journal("lock"),
    "schema of a text": lambda files, index: index.update(schema="1"),
    "schema to come": lambda files, index: index.update(schema=99),
    "no journals": lambda files, index: index.update(journals=None),
    "title a list": lambda files, index: index.update(title=[1]),
    "manifest a list": lambda files, index: files.update({MANIFEST: b"[]"}),
    "manifest deep": lambda files, index: files.update({MANIFEST: b"[" * 100_000}),
    "manifest not UTF-8": lambda files, index: files.update({MANIFEST: b'{"a": "\xff"}'}),
    "manifest repeats": _manifest(repeats=10**12),
    "manifest items": _manifest(items={"a": 1}),
    "manifest version": _manifest(version="1.0; rm"),
    "manifest identity": _manifest(identity=[]),
    "manifest server": _manifest(server=[7]),
    "table no parquet": lambda files, index: files.update({TABLE: b"PAR1" + bytes(100) + b"PAR1"}),
    "table other columns": _table(lambda values: values.pop("rerolled") and None, _other_columns()),  # type: ignore[func-returns-value]
    "table double column": _doubled("repeat", "attempts"),
    "table double text": _doubled("text", "note"),
    "table unplanned rows": _table(lambda values: values.update(item_id=["elsewhere"] * len(values["item_id"]))),
    "table repeat": _table(lambda values: values.update(repeat=[2**30] * len(values["repeat"]))),
    "table repeat missing beside 0": _table(
        lambda values: values.update(
            item_id=[values["item_id"][0], *values["item_id"][:1], *values["item_id"][2:]],
            repeat=[0, None, *values["repeat"][2:]],
        )
    ),
    "table outcome": _table(lambda values: values.update(outcome=["won"] * len(values["outcome"]))),
    "table infinite": _table(lambda values: values.update(value=[float("inf")] * len(values["value"]))),
    "table parts nested": _table(lambda values: values.update(parts=["[" * 100_000] * len(values["parts"]))),
    "table bomb": _table(_long_texts),
    "table shared text": _shared_text,
    "zip bomb": _bomb,
}
"""Attack -> its change to the files and the index, which then has the right hash."""
INDEX_ONLY: dict[str, Change] = {
    "size negative": _declared(size=-1),
    "size a text": _declared(size="9"),
    "size too small": _declared(size=10),
    "size too large": _declared(size=10**15),
    "hash of another": _declared(sha="0" * 64),
    "hash a path": _declared(sha="../x"),
}
"""Attack -> its change to the index alone."""


def _raw(path: Path, change: Callable[[zipfile.ZipInfo], None]) -> Path:
    """Repack an artefact with a changed header of its table."""
    files, index = opened(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, INDEX: json.dumps(index).encode()}.items():
            info = zipfile.ZipInfo(name)
            if name == TABLE:
                change(info)
            archive.writestr(info, data)
    return path


def _lie_about_size(path: Path) -> Path:
    """The list of entries states that the table is 10 bytes long."""
    data = bytearray(path.read_bytes())
    place = data.rindex(TABLE.encode()) - 46
    struct.pack_into("<L", data, place + 24, 10)
    path.write_bytes(data)
    return path


def _many_entries(path: Path) -> Path:
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(9_000):
            archive.writestr(f"x{number:0500d}", b"")
    return path


def _double(path: Path) -> Path:
    files, _ = opened(path)
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr(MANIFEST, files[MANIFEST])
    return path


HEADERS: dict[str, Callable[[Path], Path]] = {
    "symbolic link": lambda path: _raw(path, lambda i: setattr(i, "external_attr", (stat.S_IFLNK | 0o777) << 16)),
    "device": lambda path: _raw(path, lambda i: setattr(i, "external_attr", (stat.S_IFCHR | 0o666) << 16)),
    "lzma": lambda path: _raw(path, lambda i: setattr(i, "compress_type", zipfile.ZIP_LZMA)),
    "a lie about the size": _lie_about_size,
    "9,000 long entries": _many_entries,
    "an entry twice": _double,
}
"""Attack -> what repacks the artefact."""


def crafted(good: Path, folder: Path) -> dict[str, Path]:
    """Every attack as a file of its own, made from the artefact ``good``."""
    made: dict[str, Path] = {}
    for attack in (*CONTENT, *INDEX_ONLY):
        files, index = opened(good)
        (CONTENT.get(attack) or INDEX_ONLY[attack])(files, index)
        path = folder / f"{attack.replace(' ', '_')}.baseline"
        made[attack] = packed(path, files, index, declare=attack in CONTENT)
    for attack, repack in HEADERS.items():
        path = folder / f"{attack.replace(' ', '_').replace(',', '')}.baseline"
        path.write_bytes(good.read_bytes())
        made[attack] = repack(path)
    return made
