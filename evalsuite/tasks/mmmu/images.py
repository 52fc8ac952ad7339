"""Rows with images of both MMMU benchmarks: images stay on disk until they are sent, and are sent as data URLs.

An item holds the SHA-256 of each image, so that two sources with the same images give the same data and 1.7 GB are not
kept in memory. ``prompt`` loads the bytes from the same place as ``rows`` and checks them. On the hub images are
structs ``{bytes, path}`` in Parquet files, which ``data=local`` reads too, below ``DIR/<task>`` under the hub's names.
In a JSONL file the image columns name files next to it. A split of several Parquet files has ``*`` in the ``file`` of
its card, and ``parts`` lists the replacements.
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
from evalsuite.tasks import datasets, hub
from evalsuite.tasks.base import SingleTurn, Tools

COLUMNS = ("image", *(f"image_{number}" for number in range(1, 8)))
"""Image columns: of the vision split, and of all others."""
MAX_IMAGES = 7
"""Largest number of images of one item."""
TAG = re.compile(r"<image\s+(\d+)>")
"""``<image i>`` in a question or option refers to column ``image_i``."""
PNG = b"\x89PNG\r\n\x1a\n"
"""First bytes of a PNG file."""
_COLOURS = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}
"""Pillow modes that are written unchanged -> PNG colour type, all with 8 bits per channel."""
_CONVERTED = ("1", "P", "PA", "CMYK", "YCbCr")
"""Modes that are converted to one of those (CMYK and YCbCr as Pillow shows them: PNG has no such colours)."""
_BROKEN = (OSError, ValueError, SyntaxError, RuntimeError, EOFError, LookupError, TypeError, struct.error)
"""What Pillow's decoders raise for broken files."""
_STORED = 65_535
"""Largest number of bytes of a stored deflate block."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some successive rows of a split, which are read on use."""

    where: str
    """Name of their file, for messages."""
    columns: tuple[str, ...]
    """Names of the columns."""
    read: Callable[[Sequence[str]], Any]
    """Reads columns as an Arrow table."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """Position of an item's images."""

    chunk: _Chunk
    row: int


def question_rows(task: str, split: str, source: datasets.Source) -> Iterator[dict[str, Any]]:
    """Yield the rows of a split of ``mmmu_pro`` or ``mmmu_val`` in the dataset's order; image
    columns hold the SHA-256 (hex).

    ``split``: a name of the card's ``splits``. A row has only those image columns that hold an image. Raises, on
    iterating, ``BadInput`` when rows or images cannot be loaded, the hub's files are not those that the card states, or
    Parquet files have another number of rows (found at their end), ``StorageFailed`` when the cache of ``datasets``
    cannot be used.
    """
    dataset = datasets.pin(task)
    chunks = _chunks(task, split, source)
    if chunks is None:
        for row in datasets.rows(task, dataset, split, source):
            names = {name: row[name] for name in COLUMNS if row.get(name) is not None}
            digests = {name: _digest(_read(source, task, row["id"], name, file)) for name, file in names.items()}
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


def image_digests(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the image columns that a row of ``question_rows`` has: column name -> SHA-256 (hex) of the image, in the
    order of ``COLUMNS``.
    """
    return {name: row[name] for name in COLUMNS if name in row}


def options(row: Mapping[str, Any]) -> list[str]:
    """Return the options of a row of ``question_rows`` as texts; the dataset stores them as the text of a Python list.

    Raises ``BadInput`` for other content. Options that are not texts are converted with ``str``.
    """
    try:
        value = ast.literal_eval(row["options"])
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise BadInput(f"item {row['id']}: options are not the text of a list: {str(row['options'])[:80]!r}")
    return [str(option) for option in value]


def tagged_columns(item_id: str, text: str, item_images: Mapping[str, str]) -> list[str]:
    """Return the image columns (``image_2``) that the tags ``<image 2>`` in ``text`` name, one for each tag, in order.

    ``item_images`` maps the item's image columns to SHA-256. Raises ``BadInput`` naming ``item_id`` for a tag without
    an image, and when the item has no image.
    """
    columns = [f"image_{number}" for number in TAG.findall(text)]
    missing = [column for column in columns if column not in item_images]
    if missing or not item_images:
        lacks = ", ".join(missing) or "any"
        raise BadInput(f"item {item_id} lacks picture {lacks}: it has {', '.join(item_images) or 'none'}")
    return columns


def image_part(task: str, split: str, source: datasets.Source, item: Item, column: str) -> dict[str, Any]:
    """Read an item's image and return it as OpenAI content part: an ``image_url`` with a PNG data URL.

    The image is looked up in ``split`` (a name of the card's ``splits``) of the benchmark ``task`` (``mmmu_pro`` or
    ``mmmu_val``) at ``source``, from where ``item`` was loaded; ``column`` is its image column. Raises ``BadInput``
    when the item has none there, it cannot be read or converted, or its SHA-256 is not the one in the item.
    """
    if column not in item.inputs["images"]:
        raise BadInput(f"{task} item {item.id} lacks its picture in {column}")
    raw = _load(task, split, source, item.id, column)
    if _digest(raw) != item.inputs["images"][column]:
        raise BadInput(f"{task} item {item.id}: the picture in {column} has changed since the questions were loaded")
    return {"type": "image_url", "image_url": {"url": data_url(raw)}}


def interleaved(task: str, split: str, source: datasets.Source, item: Item, text: str) -> list[dict[str, Any]]:
    """Return OpenAI content parts: ``text`` cut at its tags ``<image i>``, each tag replaced by that image of the item.

    ``task``, ``split`` and ``source`` are as for ``image_part``. Empty pieces of text are left out. Raises ``BadInput``
    when the item lacks an image or it cannot be read.
    """
    pieces = TAG.split(text)
    content: list[dict[str, Any]] = []
    for index, piece in enumerate(pieces):
        if index % 2:
            content.append(image_part(task, split, source, item, f"image_{piece}"))
        elif piece:
            content.append({"type": "text", "text": piece})
    return content


async def single_turn_with_images(task: SingleTurn, item: Item, repeat: int, tools: Tools) -> Score:
    """Build the request with ``task.prompt``, ask the model once and return the score of the reply by ``task.score``.

    ``task.prompt``, which reads the images, and ``task.score`` run in threads. Raises ``BadInput`` when an image cannot
    be read, and what ``tools.chat`` raises, such as ``SampleFailed`` without a whole reply and ``ContextOverflow`` for
    a prompt that is too long.
    """
    request = await asyncio.to_thread(task.prompt, item, repeat)
    reply = await tools.chat(request)
    return await asyncio.to_thread(task.score, item, repeat, reply)


# ---------------------------------------------------------------- data URLs


def data_url(raw: bytes) -> str:
    """Return an image file's bytes as a PNG data URL: PNG files unchanged and unchecked, other formats converted.

    Pixels are kept as they are decoded; those of CMYK and YCbCr become RGB, and of several frames the first counts.
    Raises ``BadInput`` for a file of another format that cannot be read or has pixels that cannot be converted.
    """
    encoded = raw if raw.startswith(PNG) else _converted(raw)
    return f"data:image/png;base64,{base64.b64encode(encoded).decode('ascii')}"


def _converted(raw: bytes) -> bytes:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(raw)) as image:
            image.load()
            picture: Image.Image = image
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise BadInput(f"a picture of {len(raw)} bytes cannot be read: {error}") from None
    if picture.mode not in (*_COLOURS, *_CONVERTED):
        raise BadInput(f"a picture has {picture.mode} pixels, which cannot be sent without loss: convert it to PNG")
    if picture.mode not in _COLOURS:
        clear = picture.mode == "PA" or "transparency" in picture.info
        picture = picture.convert("L" if picture.mode == "1" else "RGBA" if clear else "RGB")
    return png(*picture.size, picture.mode, picture.tobytes())


def png(width: int, height: int, mode: str, pixels: bytes) -> bytes:
    """Return the bytes of a PNG file of 8-bit pixels, deflated without compression.

    ``width`` and ``height`` are in pixels, at least 1, ``mode`` is Pillow's (L, LA, RGB or RGBA), ``pixels`` are the
    rows from the top without padding. Without compression the same image gives the same bytes, and so the same prompt,
    on all machines.
    """
    stride = len(pixels) // height
    lines = b"".join(b"\0" + pixels[start : start + stride] for start in range(0, len(pixels), stride))
    blocks = [lines[start : start + _STORED] for start in range(0, len(lines), _STORED)]
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
"""Only one thread reads at a time, because a row group of the vision split has about 100 MB."""
_CHUNK = 100
"""Number of rows that are read at once from one of the hub's tables."""


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _load(task: str, split: str, source: datasets.Source, item_id: str, column: str) -> bytes:
    position = _positions(task, split, source).get(item_id)
    raw: bytes | None = None
    if isinstance(position, _Cell):
        with _LOCK:
            raw = _pictures(position.chunk)[column][position.row].as_py()
    elif position and column in position:
        raw = _read(source, task, item_id, column, position[column])
    if raw is None:
        raise BadInput(f"{task} item {item_id}: the picture in {column} is gone since the questions were loaded")
    return raw


def _read(source: datasets.Source, task: str, item_id: str, column: str, name: Any) -> bytes:
    if not isinstance(name, str):
        raise BadInput(f"{task} item {item_id}: {column} is {type(name).__name__}, not the name of a picture file")
    path = Path(str(source.root)) / task / name
    try:
        return path.read_bytes()
    except ValueError as error:  # a null byte, or half of a character
        raise BadInput(f"{task} item {item_id}: {column} is {name!r}, no name of a file: {error}") from None
    except OSError as error:
        raise BadInput(f"{task} item {item_id}: {column} is {path}, {error.strerror or error}") from None


def _chunks(task: str, split: str, source: datasets.Source) -> list[_Chunk] | None:
    """Return the rows of a split in order, as chunks that are read on use: of the hub's
    tables, or of local Parquet files.

    None when a local JSONL file has the rows (also when there is neither).
    """
    dataset = datasets.pin(task)
    if source.kind == "hub":
        tables = zip(dataset.splits[split].files, datasets.hub_tables(task, dataset, split), strict=True)
        return [chunk for name, table in tables for chunk in _slices(dataset.place(name), table)]
    home, names = Path(str(source.root)) / task, dataset.splits[split].files
    listed = any((home / f"{split}.jsonl{ending}").is_file() for ending in ("", ".gz"))
    if listed or not (home / names[0]).is_file():
        return None
    return [chunk for name in names for chunk in _row_groups(datasets.extra_file(task, dataset, name, source))]


def _slices(where: str, table: Any) -> list[_Chunk]:
    """Return the rows of one hub table as chunks of 100 rows (the last has the rest); ``where`` names its file in
    messages.
    """

    def read(start: int, columns: Sequence[str]) -> Any:
        return table.select_columns(list(columns))[start : start + _CHUNK]

    return [_Chunk(where, tuple(table.column_names), partial(read, start)) for start in range(0, len(table), _CHUNK)]


def _row_groups(path: Path) -> list[_Chunk]:
    """Return the row groups of a Parquet file as chunks that are read on use. Raises
    ``BadInput`` for a damaged file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(f"{path} is damaged: {error}; remove it and load it again") from None
    names = tuple(opened.schema_arrow.names)
    return [_Chunk(str(path), names, partial(opened.read_row_group, group)) for group in range(opened.num_row_groups)]


@cache
def _positions(task: str, split: str, source: datasets.Source) -> Mapping[str, _Cell | dict[str, str]]:
    """Return, for each item id of a split, where its images are: the row of a chunk, or image column -> file name.

    The latter for a local JSONL file. Cached per process.
    """
    chunks = _chunks(task, split, source)
    if chunks is None:
        named = datasets.rows(task, datasets.pin(task), split, source)
        return {row["id"]: {name: row[name] for name in COLUMNS if row.get(name) is not None} for row in named}
    return {
        item: _Cell(chunk, row) for chunk in chunks for row, item in enumerate(chunk.read(["id"])["id"].to_pylist())
    }


def _rows(chunk: _Chunk, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    hub.check_columns(chunk.where, columns, chunk.columns)
    plain = chunk.read([name for name in columns if name not in COLUMNS]).to_pylist()
    pictures = _bytes(chunk)
    for index, row in enumerate(plain):
        images = {name: column[index].as_py() for name, column in pictures.items()}
        yield row | {name: _digest(raw) for name, raw in images.items() if raw is not None}


def _bytes(chunk: _Chunk) -> dict[str, Any]:
    """Return the images of a chunk: image column -> Arrow column with the bytes (null where a row has no image)."""
    import pyarrow.compute as pc

    names = [name for name in chunk.columns if name in COLUMNS]
    table = chunk.read(names)
    return {name: pc.struct_field(table[name], "bytes") for name in names}


@lru_cache(maxsize=1)
def _pictures(chunk: _Chunk) -> dict[str, Any]:
    return _bytes(chunk)
