"""What both MMMU benchmarks share: rows whose pictures stay where they are until they are asked, and data URLs.

A picture enters an item as the SHA-256 of its bytes, so that two sources with the same pictures are the same data and
nothing of 1.7 GB sits in memory. ``prompt`` then loads the bytes from where ``rows`` saw them, and checks them.
On the hub they are structs ``{bytes, path}`` in Parquet files, which ``data=local`` reads too, below ``DIR/<task>``
under the hub's own names; in a JSONL file the picture columns name files beside it. A split of several Parquet files
writes ``*`` in its card's ``file``, and ``parts`` lists what it stands for.
"""

import ast
import asyncio
import base64
import hashlib
import io
import re
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput
from evalsuite.records import Item, Score
from evalsuite.tasks import datasets as data
from evalsuite.tasks import hub
from evalsuite.tasks.base import SingleTurn, Tools

COLUMNS = ("image", *(f"image_{number}" for number in range(1, 8)))
"""Picture columns, of the vision split and of all others."""
MOST = 7
"""Pictures of one item at most."""
TAG = re.compile(r"<image\s+(\d+)>")
"""``<image i>`` in a question or option always means column ``image_i``."""
PNG = b"\x89PNG\r\n\x1a\n"
_COLOURS = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}
"""Pillow's modes that are written as they are -> PNG colour type, all with 8 bits a channel."""
_CONVERTED = ("1", "P", "PA", "CMYK", "YCbCr")
"""Modes that are written in one of those (CMYK and YCbCr as Pillow shows them: PNG has no such colours)."""
_STORED = 65_535
"""Most bytes of a stored deflate block."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some successive rows of a split, read when they are asked for."""

    where: str
    """For messages."""
    columns: tuple[str, ...]
    read: Callable[[Sequence[str]], Any]
    """Columns -> an Arrow table."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """Where the pictures of an item are."""

    chunk: _Chunk
    row: int


def rows(task: str, split: str, source: data.Source) -> Iterator[dict[str, Any]]:
    """Rows of a split in the dataset's order; picture columns hold the SHA-256 (hex) of the bytes, or are left out.

    Raises ``BadInput`` when rows or pictures cannot be had, or the hub's files are not those that the card states.
    """
    dataset = data.pin(task)
    chunks = _chunks(task, split, source)
    if chunks is None:
        for row in data.rows(task, dataset, split, source):
            held = {name: row[name] for name in COLUMNS if row.get(name) is not None}
            digests = {name: _digest(_read(source, task, row["id"], name, file)) for name, file in held.items()}
            yield {name: value for name, value in row.items() if name not in COLUMNS} | digests
        return
    count = 0
    for chunk in chunks:
        for row in _rows(chunk, dataset.splits[split].columns):
            count += 1
            yield row
    stated = dataset.splits[split].n
    if count != stated:
        raise BadInput(f"{dataset.hub}@{dataset.revision[:12]} {split} has {count} rows, its card states {stated}")


def images(row: Mapping[str, Any]) -> dict[str, str]:
    """The picture columns of a row: name -> SHA-256."""
    return {name: row[name] for name in COLUMNS if name in row}


def options(row: Mapping[str, Any]) -> list[str]:
    """The options, which the dataset keeps as the text of a Python list. Raises ``BadInput`` when they are none."""
    try:
        found = ast.literal_eval(row["options"])
    except (SyntaxError, ValueError):
        found = None
    if not isinstance(found, list):
        raise BadInput(f"item {row['id']}: options are not the text of a list: {str(row['options'])[:80]!r}")
    return [str(option) for option in found]


def shown(item_id: str, text: str, held: Mapping[str, str]) -> list[str]:
    """Picture columns in the order of their tags in ``text``. Raises ``BadInput`` for a tag without its picture."""
    columns = [f"image_{number}" for number in TAG.findall(text)]
    missing = [column for column in columns if column not in held]
    if missing or not held:
        lacks = ", ".join(missing) or "any"
        raise BadInput(f"item {item_id} lacks picture {lacks}: it has {', '.join(held) or 'none'}")
    return columns


def part(task: str, split: str, source: data.Source, item: Item, column: str) -> dict[str, Any]:
    """The content part of one picture. Raises ``BadInput`` when its bytes are not the ones that ``rows`` saw."""
    if column not in item.inputs["images"]:
        raise BadInput(f"{task} item {item.id} lacks its picture in {column}")
    raw = _load(task, split, source, item.id, column)
    if _digest(raw) != item.inputs["images"][column]:
        raise BadInput(f"{task} item {item.id}: the picture in {column} has changed since the questions were loaded")
    return {"type": "image_url", "image_url": {"url": data_url(raw)}}


def interleaved(task: str, split: str, source: data.Source, item: Item, text: str) -> list[dict[str, Any]]:
    """Content parts: the text, with each picture in the place of its tag."""
    pieces = TAG.split(text)
    content: list[dict[str, Any]] = []
    for place, piece in enumerate(pieces):
        if place % 2:
            content.append(part(task, split, source, item, f"image_{piece}"))
        elif piece:
            content.append({"type": "text", "text": piece})
    return content


async def ask(task: SingleTurn, item: Item, repeat: int, tools: Tools) -> Score:
    """One question, one reply; pictures are read and encoded, and replies graded, off the event loop."""
    request = await asyncio.to_thread(task.prompt, item, repeat)
    reply = await tools.chat(request)
    return await asyncio.to_thread(task.score, item, repeat, reply)


# ---------------------------------------------------------------- data URLs


def data_url(raw: bytes) -> str:
    """The picture as a PNG data URL: the bytes of a PNG file as they are, other formats converted without loss."""
    encoded = raw if raw.startswith(PNG) else _converted(raw)
    return f"data:image/png;base64,{base64.b64encode(encoded).decode('ascii')}"


def _converted(raw: bytes) -> bytes:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(raw)) as image:
            image.load()
            picture: Image.Image = image
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise BadInput(f"a picture of {len(raw)} bytes cannot be read: {error}") from None
    if picture.mode not in (*_COLOURS, *_CONVERTED):
        raise BadInput(f"a picture has {picture.mode} pixels, which cannot be sent without loss: convert it to PNG")
    if picture.mode not in _COLOURS:
        clear = picture.mode == "PA" or "transparency" in picture.info
        picture = picture.convert("L" if picture.mode == "1" else "RGBA" if clear else "RGB")
    return png(*picture.size, picture.mode, picture.tobytes())


def png(width: int, height: int, mode: str, pixels: bytes) -> bytes:
    """A PNG file of 8-bit pixels (L, LA, RGB or RGBA), deflated without compression.

    Compressors differ between machines, and the same picture must be the same bytes, so the same prompt, everywhere.
    """
    stride = len(pixels) // height
    lines = b"".join(b"\0" + pixels[at : at + stride] for at in range(0, len(pixels), stride))
    blocks = [lines[at : at + _STORED] for at in range(0, len(lines), _STORED)]
    stored = [
        struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks, 1)
    ]
    packed = b"\x78\x01" + b"".join(stored) + struct.pack(">I", zlib.adler32(lines))
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[mode], 0, 0, 0)
    return PNG + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# ---------------------------------------------------------------- where the bytes are

_LOCK = threading.Lock()
"""One reader at a time: a row group of the vision split has about 100 MB."""
_CHUNK = 100
"""Rows that are read at once from one of the hub's tables."""


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _load(task: str, split: str, source: data.Source, item_id: str, column: str) -> bytes:
    at = _places(task, split, source)[item_id]
    if isinstance(at, dict):
        return _read(source, task, item_id, column, at[column])
    with _LOCK:
        raw: bytes = _pictures(at.chunk)[column][at.row].as_py()
    return raw


def _read(source: data.Source, task: str, item_id: str, column: str, name: Any) -> bytes:
    if not isinstance(name, str):
        raise BadInput(f"{task} item {item_id}: {column} is {type(name).__name__}, not the name of a picture file")
    path = Path(str(source.root)) / task / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{task} item {item_id}: {column} is {path}, {error.strerror or error}") from None


def _chunks(task: str, split: str, source: data.Source) -> list[_Chunk] | None:
    """The rows of a split in order: the hub's tables, or the hub's Parquet files in a local folder.

    None: a local JSONL file holds them.
    """
    dataset = data.pin(task)
    if source.kind == "hub":
        tables = zip(dataset.splits[split].files, data.hub_tables(task, dataset, split), strict=True)
        return [chunk for name, table in tables for chunk in _slices(dataset.place(name), table)]
    home, names = Path(str(source.root)) / task, dataset.splits[split].files
    listed = any((home / f"{split}.jsonl{ending}").is_file() for ending in ("", ".gz"))
    if listed or not (home / names[0]).is_file():
        return None
    return [chunk for name in names for chunk in _row_groups(data.extra_file(task, dataset, name, source))]


def _slices(where: str, table: Any) -> list[_Chunk]:
    """The rows of one of the hub's tables."""

    def read(start: int, columns: Sequence[str]) -> Any:
        return table.select_columns(list(columns))[start : start + _CHUNK]

    return [_Chunk(where, tuple(table.column_names), partial(read, start)) for start in range(0, len(table), _CHUNK)]


def _row_groups(path: Path) -> list[_Chunk]:
    """The row groups of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(f"{path} is damaged: {error}; remove it and load it again") from None
    names = tuple(opened.schema_arrow.names)
    return [_Chunk(str(path), names, partial(opened.read_row_group, group)) for group in range(opened.num_row_groups)]


@cache
def _places(task: str, split: str, source: data.Source) -> Mapping[str, _Cell | dict[str, str]]:
    """Item -> where its pictures are: a row of a chunk, or column -> file name."""
    chunks = _chunks(task, split, source)
    if chunks is None:
        named = data.rows(task, data.pin(task), split, source)
        return {row["id"]: {name: row[name] for name in COLUMNS if row.get(name) is not None} for row in named}
    return {
        item: _Cell(chunk, row) for chunk in chunks for row, item in enumerate(chunk.read(["id"])["id"].to_pylist())
    }


def _rows(chunk: _Chunk, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    hub.check_columns(chunk.where, columns, chunk.columns)
    plain = chunk.read([name for name in columns if name not in COLUMNS]).to_pylist()
    pictures = _bytes(chunk)
    for place, row in enumerate(plain):
        held = {name: column[place].as_py() for name, column in pictures.items()}
        yield row | {name: _digest(raw) for name, raw in held.items() if raw is not None}


def _bytes(chunk: _Chunk) -> dict[str, Any]:
    """Picture column -> its bytes (an Arrow column) in the rows of a chunk."""
    import pyarrow.compute as pc

    names = [name for name in chunk.columns if name in COLUMNS]
    table = chunk.read(names)
    return {name: pc.struct_field(table[name], "bytes") for name in names}


@lru_cache(maxsize=1)
def _pictures(chunk: _Chunk) -> dict[str, Any]:
    return _bytes(chunk)
